#include "data/order.hpp"

#include <algorithm>
#include <numeric>
#include <set>

#include "support.hpp"

namespace exciton::data {
namespace {

std::vector<std::int64_t> order(std::int64_t size, std::int64_t block, std::uint64_t seed = 1) {
  Generator rng(seed);
  return shuffled(size, block, rng);
}

TEST(Order, holds_every_index_once) {
  for (const std::int64_t size : {0, 1, 2, 63, 64, 1000, 4097})
    for (const std::int64_t block : {0, 1, 2, 64, 100, 5000}) {
      auto got = order(size, block);
      std::vector<std::int64_t> all(static_cast<std::size_t>(size));
      std::iota(all.begin(), all.end(), 0);
      if (size >= 63) {
        EXPECT_NE(got, all) << size << " in blocks of " << block;
      }
      std::sort(got.begin(), got.end());
      EXPECT_EQ(got, all) << size << " in blocks of " << block;
    }
}

/// First indices of the runs of neighbours among some indices.
std::vector<std::int64_t> runs(std::vector<std::int64_t> some) {
  std::sort(some.begin(), some.end());
  std::vector<std::int64_t> starts;
  for (std::size_t i = 0; i < some.size(); ++i)
    if (i == 0 || some[i] != some[i - 1] + 1) starts.push_back(some[i]);
  return starts;
}

TEST(Order, keeps_neighbours_near_in_blocks) {
  constexpr std::int64_t size = 50'000, block = 50, mixed = block * blocks_mixed;
  const auto got = order(size, block);
  std::set<std::int64_t> cuts;
  for (std::int64_t at = 0; at < size; at += mixed) {
    const std::vector<std::int64_t> window(got.begin() + at,
                                           got.begin() + std::min(at + mixed, size));
    EXPECT_FALSE(std::is_sorted(window.begin(), window.end()));
    // A block may be cut by either end of the window.
    const auto starts = runs(window);
    EXPECT_LE(starts.size(), static_cast<std::size_t>(blocks_mixed) + 2);
    for (const std::int64_t start : starts) cuts.insert(start % block);
    // The blocks come from everywhere.
    EXPECT_GT(starts.back() - starts.front(), size / 4);
  }
  EXPECT_LE(cuts.size(), 3u) << "one cut for all blocks, and the windows' ends";
}

TEST(Order, cuts_blocks_anew_with_other_numbers) {
  const auto first_start = [](std::uint64_t seed) {
    const auto got = order(1000, 100, seed);
    const auto starts = runs({got.begin(), got.begin() + 50});
    return starts;
  };
  EXPECT_NE(first_start(1), first_start(2));
  EXPECT_EQ(first_start(3), first_start(3));
}

TEST(Order, with_one_block_or_none_is_a_permutation_of_all) {
  // Positions of the first index over many seeds: everywhere.
  for (const std::int64_t block : {0, 1, 1000}) {
    std::set<std::int64_t> positions;
    for (std::uint64_t seed = 0; seed < 400; ++seed) {
      const auto got = order(20, block, seed);
      positions.insert(std::find(got.begin(), got.end(), 0) - got.begin());
    }
    EXPECT_EQ(positions.size(), 20u) << block;
  }
}

}  // namespace
}  // namespace exciton::data
