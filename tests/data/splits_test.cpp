// Which images choose, which are reported, and which are held out.
#include "exciton/data/splits.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "support.hpp"

namespace exciton::data {
namespace {

using namespace testing;

TEST(HeldOut, is_a_share_of_every_class) {
  std::vector<std::int64_t> labels;
  for (std::int64_t i = 0; i < 1000; ++i) labels.push_back(i % 7 == 0 ? 1 : 0);
  labels.push_back(2);  // a single one is trained on
  for (const double share : {0.1, 0.25, 0.9}) {
    const std::vector<bool> out = held_out(labels, 3, share, 5);
    std::array<std::int64_t, 3> all{}, held{};
    for (std::size_t i = 0; i < labels.size(); ++i) {
      ++all[static_cast<std::size_t>(labels[i])];
      held[static_cast<std::size_t>(labels[i])] += out[i];
    }
    for (const std::size_t c : {0, 1})
      EXPECT_EQ(held[c], std::llround(share * static_cast<double>(all[c]))) << share;
    EXPECT_EQ(held[2], 0);
    EXPECT_EQ(held_out(labels, 3, share, 5), out) << "the same seed, the same images";
    EXPECT_NE(held_out(labels, 3, share, 6), out);
  }
  EXPECT_EQ(held_out({0, 0}, 1, 0.01, 1), held_out({0, 0}, 1, 0.01, 1)) << "at least one";
  expect_error([] { held_out({0, 1}, 2, 0.1, 1); }, {"no class has two images"});
}

DataLayout layout(std::initializer_list<const char*> splits, bool official = false) {
  DataLayout out{.kind = "folder", .dir = "x", .official = official, .splits = {}, .notes = {}};
  for (const char* name : splits) out.splits.push_back({name, "x"});
  return out;
}

TEST(SplitPlan, goes_by_what_is_there) {
  using By = Validation::By;
  struct Case {
    DataLayout layout;
    Validation validation;
    Part chooses, reported;
    double share;
  };
  const Validation automatic{}, none{By::share, 0}, fifth{By::share, 0.2}, test{By::test, 0};
  for (const Case& c : {
           Case{layout({"train", "val", "test"}), automatic, Part::val, Part::test, 0},
           Case{layout({"train", "val"}), automatic, Part::val, Part::val, 0},
           Case{layout({"train", "test"}), automatic, Part::held_out, Part::test, 0.1},
           Case{layout({"train"}), automatic, Part::held_out, Part::held_out, 0.1},
           Case{layout({"train", "test"}, true), automatic, Part::none, Part::test, 0},
           Case{layout({"train", "test"}, true), fifth, Part::held_out, Part::test, 0.2},
           Case{layout({"train", "val", "test"}), fifth, Part::held_out, Part::test, 0.2},
           Case{layout({"train", "val"}), fifth, Part::held_out, Part::val, 0.2},
           Case{layout({"train", "test"}), none, Part::none, Part::test, 0},
           Case{layout({"train", "val", "test"}), none, Part::val, Part::test, 0},
           Case{layout({"train", "test"}), test, Part::test, Part::test, 0},
           Case{layout({"train", "val"}), test, Part::val, Part::val, 0},
       }) {
    const SplitPlan plan = plan_splits(c.layout, c.validation, 1);
    EXPECT_EQ(plan.chooses, c.chooses);
    EXPECT_EQ(plan.reported, c.reported);
    EXPECT_EQ(plan.share, c.share);
    EXPECT_FALSE(plan.notes.empty()) << "it is said";
  }
  expect_error([] { plan_splits(layout({"test"}), {}, 1); }, {"no train"});
  expect_error([&] { plan_splits(layout({"train"}), none, 1); }, {"data.validation"});
}

TEST(SplitPlan, held_out_images_are_not_trained_on) {
  const TempDir dir;
  for (int i = 0; i < 20; ++i)
    for (const char* name : {"cat", "dog"})
      write_file(dir / name / (std::to_string(i) + ".png"), png(noise_image(4, 4, 3, 1)));
  const SplitPlan plan = plan_splits(find_layout("auto", dir.path()), {}, 3);
  const auto train = plan.open(Part::train), held = plan.open(Part::held_out);
  EXPECT_EQ(train->size(), 36);
  EXPECT_EQ(held->size(), 4);
  for (std::int64_t i = 0; i < held->size(); ++i)
    for (std::int64_t k = 0; k < train->size(); ++k) EXPECT_NE(held->name(i), train->name(k));
}

}  // namespace
}  // namespace exciton::data
