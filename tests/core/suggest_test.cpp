#include "exciton/core/suggest.hpp"

#include <gtest/gtest.h>

namespace exciton {
namespace {

using Words = std::vector<std::string>;

TEST(Suggest, names_what_a_word_may_be_a_slip_of) {
  EXPECT_EQ(nearest("lern", {"batch", "learn", "rate"}), Words{"learn"});
  EXPECT_EQ(nearest("trian", {"train", "trace"}), Words{"train"});  // neighbours swapped: one edit
  EXPECT_EQ(nearest("epoch", {"epochs"}), Words{"epochs"});
  EXPECT_EQ(nearest("ResNet20", {"resnet20"}), Words{"resnet20"});
  EXPECT_EQ(did_you_mean("momentun", {"beta1", "momentum"}), "; did you mean momentum?");
}

TEST(Suggest, is_silent_where_nothing_is_near) {
  EXPECT_EQ(did_you_mean("dog", {"lady bug", "cat", "frog", "horse"}), "");
  EXPECT_EQ(did_you_mean("class_weights", {"ema_decay", "label_smoothing", "checkpoint"}), "");
  EXPECT_EQ(did_you_mean("x", {"a", "b"}), "");
  EXPECT_EQ(did_you_mean("", {"a", ""}), "");
  EXPECT_EQ(did_you_mean("train", {}), "");
  EXPECT_EQ(did_you_mean(std::string(1'000'000, 'a'), {"train"}), "");
}

TEST(Suggest, nearest_come_first_and_equals_in_their_order) {
  EXPECT_EQ(nearest("resnet21", {"se_resnet20", "resnet18", "resnet20", "resnet2"}, 3),
            (Words{"resnet20", "resnet2", "resnet18"}));
  EXPECT_EQ(nearest("resnet21", {"resnet18", "resnet20"}, 1), Words{"resnet20"});
}

// An edit in three letters is the most that is a slip.
TEST(Suggest, threshold_grows_with_the_word) {
  EXPECT_EQ(nearest("abc", {"abd"}).size(), 1u);
  EXPECT_EQ(nearest("abc", {"ade"}).size(), 0u);
  EXPECT_EQ(nearest("ab", {"ac"}).size(), 0u);
  EXPECT_EQ(nearest("abcdef", {"abcdxy"}).size(), 1u);
  EXPECT_EQ(nearest("abcdef", {"abcxyz"}).size(), 0u);
}

}  // namespace
}  // namespace exciton
