#include "core/threads.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <vector>

#include "core/error.hpp"

namespace exciton {
namespace {

class Threads : public testing::Test {
 protected:
  ~Threads() override { set_num_threads(before_); }

 private:
  int before_ = num_threads();
};

TEST_F(Threads, PiecesCoverTheRangeOnce) {
  for (std::int64_t count : {0, 1, 2, 7, 64, 1000})
    for (int n : {1, 2, 3, 8, 13}) {
      std::int64_t at = 0, least = count, most = 0;
      for (int t = 0; t < n; ++t) {
        const Piece p = piece_of(count, t, n);
        EXPECT_EQ(p.begin, at);
        at = p.end;
        least = std::min(least, p.end - p.begin);
        most = std::max(most, p.end - p.begin);
      }
      EXPECT_EQ(at, count);
      EXPECT_LE(most - least, 1) << "pieces are nearly equal";
    }
}

TEST_F(Threads, ParallelForVisitsEveryElementOnce) {
  for (int threads : {1, 2, 5}) {
    set_num_threads(threads);
    EXPECT_EQ(num_threads(), threads);
    for (std::int64_t count : {0, 1, 3, 1000}) {
      std::vector<std::atomic<int>> visits(static_cast<std::size_t>(count));
      parallel_for(count, 1, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) ++visits[static_cast<std::size_t>(i)];
      });
      for (const auto& v : visits) ASSERT_EQ(v, 1);
    }
  }
}

TEST_F(Threads, GrainKeepsSmallLoopsOnTheCaller) {
  set_num_threads(4);
  std::atomic<int> pieces{0};
  parallel_for(100, 1000, [&](std::int64_t, std::int64_t) { ++pieces; });
  EXPECT_EQ(pieces, 1);
  pieces = 0;
  parallel_for(2000, 1000, [&](std::int64_t, std::int64_t) { ++pieces; });
  EXPECT_EQ(pieces, 2);
}

TEST_F(Threads, ParallelRunsEveryThreadOnceAndNestedCallsSerially) {
  set_num_threads(3);
  std::vector<std::atomic<int>> ran(3);
  std::atomic<int> nested{0};
  parallel([&](int thread, int threads) {
    EXPECT_EQ(threads, 3);
    ++ran[static_cast<std::size_t>(thread)];
    parallel([&](int t, int n) {
      EXPECT_EQ(t, 0);
      EXPECT_EQ(n, 1);
      ++nested;
    });
  });
  for (const auto& r : ran) EXPECT_EQ(r, 1);
  EXPECT_EQ(nested, 3);
}

TEST_F(Threads, SumsDependOnTheCountAlone) {
  const auto sum = [] {
    std::vector<float> parts(static_cast<std::size_t>(num_threads()), 0.0f);
    parallel([&](int t, int n) {
      const Piece p = piece_of(100000, t, n);
      for (std::int64_t i = p.begin; i < p.end; ++i)
        parts[static_cast<std::size_t>(t)] += 1.0f / static_cast<float>(i + 1);
    });
    float total = 0;
    for (float p : parts) total += p;
    return total;
  };
  set_num_threads(3);
  const float first = sum();
  for (int i = 0; i < 5; ++i) EXPECT_EQ(sum(), first);
  EXPECT_NEAR(first, 12.09f, 0.01f);
}

TEST_F(Threads, CountMustBePositive) { EXPECT_THROW(set_num_threads(0), Error); }

}  // namespace
}  // namespace exciton
