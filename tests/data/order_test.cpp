#include "exciton/data/order.hpp"

#include <algorithm>
#include <map>
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
  constexpr std::int64_t size = 4096, block = 64, mixed = block * blocks_mixed;
  std::set<std::int64_t> cuts;
  for (std::uint64_t seed = 0; seed < 8; ++seed) {
    // Most runs begin at a cut; the others where a window ends inside a block.
    std::map<std::int64_t, int> begun;
    const auto got = order(size, block, seed);
    for (std::int64_t at = 0; at < size; at += mixed)
      for (const std::int64_t start : runs({got.begin() + at, got.begin() + at + mixed}))
        ++begun[start % block];
    cuts.insert(std::max_element(begun.begin(), begun.end(), [](const auto& a, const auto& b) {
                  return a.second < b.second;
                })->first);
    EXPECT_EQ(got, order(size, block, seed));
  }
  EXPECT_GE(cuts.size(), 6u);
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
