#include "exciton/core/threads.hpp"

#include <gtest/gtest.h>

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <bit>
#include <cstdio>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include "exciton/core/error.hpp"
#include "exciton/core/tensor.hpp"
#include "tests/error_of.hpp"

namespace exciton {
namespace {

using test_support::error_of;

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
        const Chunk p = chunk_of(count, t, n);
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

TEST_F(Threads, ParallelRunsEveryPieceOnceAndNestedPiecesOneAfterAnother) {
  set_num_threads(3);
  std::vector<std::atomic<int>> ran(3);
  std::atomic<int> nested{0};
  parallel(3, [&](int piece, int pieces) {
    EXPECT_EQ(pieces, 3);
    EXPECT_EQ(threads_here(), 1);
    ++ran[static_cast<std::size_t>(piece)];
    int expected = 0;
    parallel(3, [&](int t, int n) {
      EXPECT_EQ(t, expected++);
      EXPECT_EQ(n, 3);
      ++nested;
    });
  });
  for (const auto& r : ran) EXPECT_EQ(r, 1);
  EXPECT_EQ(nested, 9);
  EXPECT_EQ(threads_here(), 3);
}

TEST_F(Threads, NobodyWaitsForAThreadThatHasNoPiece) {
  // A piece that takes long is one's who took it; all others are done meanwhile, by who is free.
  set_num_threads(2);
  std::atomic<int> others{0};
  std::atomic<bool> all_done{false};
  parallel(10, [&](int piece, int) {
    if (piece > 0) {
      all_done = ++others == 9;
      return;
    }
    for (int i = 0; i < 5000 && !all_done; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    EXPECT_TRUE(all_done);
  });
}

TEST_F(Threads, LoopsOfSeveralThreadsAreAllDone) {
  set_num_threads(3);
  std::vector<std::int64_t> sums(4, 0);
  {
    std::vector<std::jthread> users;
    for (std::int64_t& sum : sums)
      users.emplace_back([&sum] {
        for (int i = 0; i < 300; ++i) {
          std::atomic<std::int64_t> one{0};
          parallel_for(1000, 10, [&](std::int64_t begin, std::int64_t end) {
            for (std::int64_t e = begin; e < end; ++e) one += e;
          });
          sum += one;
        }
      });
  }
  for (const std::int64_t sum : sums) EXPECT_EQ(sum, 300 * 499'500);
}

TEST_F(Threads, TasksComeWithASlotOfTheirOwn) {
  set_num_threads(4);
  std::vector<std::atomic<int>> in_use(4), ran(100);
  parallel_tasks(100, [&](std::int64_t task, int slot) {
    EXPECT_EQ(in_use[static_cast<std::size_t>(slot)]++, 0);
    ++ran[static_cast<std::size_t>(task)];
    --in_use[static_cast<std::size_t>(slot)];
  });
  for (const auto& r : ran) EXPECT_EQ(r, 1);
}

/// A sum whose bits depend on the thread count.
float harmonic_sum() {
  std::vector<float> parts(static_cast<std::size_t>(num_threads()), 0.0f);
  parallel(num_threads(), [&](int t, int n) {
    const Chunk p = chunk_of(100000, t, n);
    for (std::int64_t i = p.begin; i < p.end; ++i)
      parts[static_cast<std::size_t>(t)] += 1.0f / static_cast<float>(i + 1);
  });
  float total = 0;
  for (float p : parts) total += p;
  return total;
}

TEST_F(Threads, SumsDependOnTheCountAlone) {
  set_num_threads(3);
  const float first = harmonic_sum();
  for (int i = 0; i < 5; ++i) EXPECT_EQ(harmonic_sum(), first);
  EXPECT_NEAR(first, 12.09f, 0.01f);
}

TEST_F(Threads, CountHasLimits) {
  EXPECT_EQ(error_of([] { set_num_threads(0); }), "threads: expected 1 to 4096, got 0");
  EXPECT_EQ(error_of([] { set_num_threads(4200); }), "threads: expected 1 to 4096, got 4200");
}

TEST_F(Threads, EveryThreadSeesOneCount) {
  set_num_threads(3);
  int there = 0;
  std::thread([&] {
    there = num_threads();
    set_num_threads(2);
  }).join();
  EXPECT_EQ(there, 3);
  EXPECT_EQ(num_threads(), 2);
}

TEST_F(Threads, TheExceptionOfTheLowestPieceArrives) {
  for (int threads : {1, 2, 4}) {
    set_num_threads(threads);
    std::atomic<int> ran{0};
    const auto one = [&](int t, int) {
      ++ran;
      check(t < 1, "piece ", t);
    };
    EXPECT_EQ(error_of([&] { parallel(4, one); }), "piece 1") << threads << " threads";
    EXPECT_GE(ran, 2);
    // The team goes on working afterwards.
    std::atomic<std::int64_t> sum{0};
    parallel_for(100, 1, [&](std::int64_t begin, std::int64_t end) { sum += end - begin; });
    EXPECT_EQ(sum, 100);
    EXPECT_EQ(error_of([] {
                parallel_for(100, 1, [](std::int64_t, std::int64_t) { throw std::bad_alloc(); });
              }),
              std::bad_alloc().what());
  }
}

/// The sum as bits that a child can return.
int checksum() { return static_cast<int>(std::bit_cast<std::uint32_t>(harmonic_sum()) % 251); }

TEST_F(Threads, TheChildOfAForkWorksOnItsOwnThread) {
  set_num_threads(3);
  const int here = checksum();  // starts the team
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    alarm(20);  // the child must not hang
    const bool alone = threads_here() == 1 && num_threads() == 3;
    const Tensor cached = Tensor::zeros({1 << 20});  // the pool's lock is free, too
    _exit(alone && cached.at(5) == 0 ? checksum() : 255);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status)) << "signal " << WTERMSIG(status);
  EXPECT_EQ(WEXITSTATUS(status), here) << "same pieces, same bits";
  EXPECT_EQ(checksum(), here) << "the parent is as it was";
}

#ifndef EXCITON_STD_THREADS
// The environment is read when the process starts: each case is a process of its own, which prints
// the thread count and the checksum.
std::string in_environment(const std::string& variables) {
  // LLVM's runtime comments on variables that it finds old.
  const std::string command =
      "KMP_WARNINGS=0 " + variables + " '" + EXCITON_THREADS_PROBE + "' 2>&1";
  FILE* const pipe = popen(command.c_str(), "r");
  std::string out;
  char line[512];
  while (pipe && std::fgets(line, sizeof line, pipe)) out += line;
  if (pipe) pclose(pipe);
  return out;
}

TEST_F(Threads, BitsFollowTheCountWhateverTheEnvironmentGrants) {
  const std::string three = in_environment("OMP_NUM_THREADS=3");
  EXPECT_TRUE(three.starts_with("3 threads, ")) << three;
  EXPECT_EQ(in_environment("OMP_NUM_THREADS=3 OMP_DYNAMIC=true"), three);
  EXPECT_EQ(in_environment("OMP_NUM_THREADS=3 OMP_MAX_ACTIVE_LEVELS=0"), three);
  EXPECT_EQ(in_environment("OMP_NUM_THREADS=3 OMP_NESTED=true"), three);
  EXPECT_EQ(in_environment("OMP_NUM_THREADS=3 OMP_THREAD_LIMIT=2"),
            in_environment("OMP_NUM_THREADS=2"))
      << "the count is what is granted";
  EXPECT_EQ(in_environment("OMP_NUM_THREADS=4200"),
            "OMP_NUM_THREADS: expected at most 4096 threads, got 4200; unset it, or set a smaller "
            "number\n");
  EXPECT_EQ(in_environment("PROBE=3 OMP_THREAD_LIMIT=2"),
            "threads: 3 are more than the 2 that OMP_THREAD_LIMIT allows; unset it, or ask for no "
            "more\n");
}
#endif

}  // namespace
}  // namespace exciton
