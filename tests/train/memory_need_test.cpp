/// What training is said to take, beside what it takes.
#include "exciton/train/memory_need.hpp"

#include <gtest/gtest.h>

#include <memory>

#include "exciton/core/memory.hpp"
#include "exciton/train/run.hpp"
#include "tests/train/support.hpp"

namespace exciton::train::testing {
namespace {

TEST(Replay, CountsWhatThePoolTakes) {
  // As the pool would: a block that came back is taken again, a larger one is cut.
  const std::size_t mib = std::size_t{1} << 20;
  const std::vector<MemoryEvent> events{{0, 4 * mib, true}, {0, 4 * mib, false}, {1, mib, true},
                                        {2, 3 * mib, true}, {3, mib, true},      {1, mib, false},
                                        {3, mib, false},    {4, 100, true}};
  EXPECT_EQ(replayed_memory(events), 5 * mib + 256);
  EXPECT_EQ(replayed_memory({}), 0u);
}

TEST(Replay, RecordsEveryThreadAndOnlyWhatIsNew) {
  Tensor before({1000});
  const MemoryRecorder recorder;
  EXPECT_THROW(MemoryRecorder(), Error);
  before = Tensor();
  { const Tensor here({1 << 20}); }
  const auto events = recorder.events();
  ASSERT_EQ(events.size(), 2u);
  EXPECT_TRUE(events[0].taken);
  EXPECT_EQ(events[0].bytes, std::size_t{4} << 20);
  EXPECT_FALSE(events[1].taken);
  EXPECT_EQ(events[1].block, events[0].block);
}

TEST(MemoryNeed, GrowsWithTheBatchAndShrinksWithWhatIsComputedAgain) {
  Recipe recipe;
  recipe.model.name = "se_resnet20";
  const TrainingSize size{.image_size = 32, .channels = 3, .classes = 10, .batch = 128};
  const MemoryNeed plain(recipe, size);
  const std::size_t at128 = plain.bytes(128), at256 = plain.bytes(256);
  EXPECT_GT(at128, std::size_t{80} << 20);
  EXPECT_LT(at128, std::size_t{600} << 20);
  EXPECT_GT(at256, at128 + (std::size_t{60} << 20));
  EXPECT_EQ(plain.largest_batch(256, at256), 256);
  EXPECT_EQ(plain.largest_batch(256, at128), 128);
  EXPECT_EQ(plain.largest_batch(256, 1), 0);
  recipe.recompute = "block";
  EXPECT_LT(MemoryNeed(recipe, size).bytes(256), at256);
  recipe.recompute = "none";
  recipe.dtype = "bf16";
  EXPECT_LT(MemoryNeed(recipe, size).bytes(256), at256);
}

}  // namespace
}  // namespace exciton::train::testing
