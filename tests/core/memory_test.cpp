#include "exciton/core/memory.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <optional>
#include <thread>
#include <vector>

#include "exciton/core/error.hpp"
#include "exciton/core/tensor.hpp"

namespace exciton {
namespace {

TEST(Memory, BlocksAreAlignedAndWritable) {
  for (std::size_t bytes :
       {std::size_t{0}, std::size_t{1}, std::size_t{65}, std::size_t{4097}, std::size_t{3} << 20}) {
    Buffer b(bytes);
    const auto address = reinterpret_cast<std::uintptr_t>(b.data());

    const std::size_t huge = std::size_t{2} << 20;
    EXPECT_EQ(address % (bytes >= huge ? huge : 64), 0u);
    std::memset(b.data(), 0xab, bytes);
    EXPECT_EQ(b.bytes(), bytes);
  }
}

TEST(Memory, SteadyStateTakesNothingFromTheSystem) {
  const auto step = [] {
    std::vector<Tensor> held;
    for (std::int64_t i = 1; i < 40; ++i) held.emplace_back(Shape{i, 17, 33});
    const Tensor copy = held.back().clone();
  };
  step();
  const MemoryStats before = memory_stats();
  for (int i = 0; i < 20; ++i) step();
  const MemoryStats after = memory_stats();
  EXPECT_EQ(after.system_allocations, before.system_allocations);
  EXPECT_EQ(after.requests, before.requests + 20 * 40);
  EXPECT_EQ(after.bytes_in_use, before.bytes_in_use);
}

TEST(Memory, PeakIsTheMostInUseAtOnce) {
  reset_peak_memory();
  const std::size_t start = memory_stats().bytes_in_use;
  EXPECT_EQ(memory_stats().peak_bytes_in_use, start);
  const std::size_t mib = std::size_t{1} << 20;
  {
    const Buffer a(mib);
    Buffer(4 * mib);
    const Buffer c(mib);
    EXPECT_EQ(memory_stats().bytes_in_use, start + 2 * mib);
  }
  EXPECT_EQ(memory_stats().bytes_in_use, start);
  EXPECT_EQ(memory_stats().peak_bytes_in_use, start + 5 * mib);
  reset_peak_memory();
  EXPECT_EQ(memory_stats().peak_bytes_in_use, start);
  EXPECT_GE(peak_resident_bytes(), mib);
}

TEST(Memory, ReleaseEmptiesTheCache) {
  Buffer(12345);
  EXPECT_GT(memory_stats().bytes_cached, 0u);
  release_cached_memory();
  EXPECT_EQ(memory_stats().bytes_cached, 0u);
  const auto before = memory_stats().system_allocations;
  Buffer(12345);
  EXPECT_EQ(memory_stats().system_allocations, before + 1);
}

/// What the process holds now, in bytes.
std::size_t resident() {
  std::ifstream statm("/proc/self/statm");
  std::size_t size = 0, pages = 0;
  statm >> size >> pages;
  return pages * 4096;
}

TEST(Memory, WhatWasNeverTouchedTakesNone) {
  const std::size_t mib = std::size_t{1} << 20;
  release_cached_memory();
  const std::size_t start = resident();
  {
    std::vector<Buffer> held;
    for (std::size_t i = 0; i < 64; ++i) held.emplace_back((2 + i % 7) * mib);
  }
  EXPECT_LT(resident(), start + 16 * mib);  // giving back wrote into none of them
}

TEST(Memory, ReleaseGivesBackWhatLiesBetweenBlocksInUse) {
  const std::size_t mib = std::size_t{1} << 20;
  release_cached_memory();
  std::optional<Buffer> first(std::in_place, 64 * mib);
  Buffer kept(2 * mib);
  std::memset(first->data(), 1, first->bytes());
  std::memset(kept.data(), 2, kept.bytes());
  const std::size_t start = resident();
  first.reset();
  const MemoryStats before = memory_stats();
  release_cached_memory();
  EXPECT_LT(resident(), start - 60 * mib);
  EXPECT_EQ(memory_stats().bytes_cached, 0u);
  EXPECT_EQ(static_cast<char*>(kept.data())[2 * mib - 1], 2);
  const Buffer again(64 * mib);  // takes memory anew, and is counted
  EXPECT_EQ(memory_stats().system_allocations, before.system_allocations + 1);
}

TEST(Memory, LargeBlocksLieWhereOthersWere) {
  const std::size_t mib = std::size_t{1} << 20;
  release_cached_memory();
  const Buffer bottom(2 * mib);  // keeps the segment
  {
    std::vector<Buffer> held;
    for (int i = 0; i < 5; ++i) held.emplace_back(16 * mib);
  }
  const MemoryStats before = memory_stats();
  // One block over those, two over one half of it, and blocks that come back out of order.
  void* whole = nullptr;
  {
    const Buffer b(64 * mib);
    whole = b.data();
  }
  {
    Buffer a(32 * mib), b(32 * mib), c(6 * mib);
    EXPECT_EQ(a.data(), whole);
    EXPECT_EQ(b.data(), static_cast<std::byte*>(whole) + 32 * mib);
    std::memset(a.data(), 1, a.bytes());
    std::memset(b.data(), 2, b.bytes());
    std::memset(c.data(), 3, c.bytes());
    EXPECT_EQ(static_cast<char*>(a.data())[32 * mib - 1], 1);
    EXPECT_EQ(static_cast<char*>(b.data())[32 * mib - 1], 2);
    b = Buffer();
    a = Buffer();
  }
  {
    const Buffer b(64 * mib);
    EXPECT_EQ(b.data(), whole);
  }
  EXPECT_EQ(memory_stats().system_allocations, before.system_allocations);
  EXPECT_EQ(memory_stats().bytes_in_use, before.bytes_in_use);
  EXPECT_EQ(memory_stats().bytes_cached, before.bytes_cached);
}

TEST(Memory, MovedBuffersAreGivenBackOnce) {
  const std::size_t start = memory_stats().bytes_in_use;
  {
    Buffer a(1000), b(2000);
    void* const data = a.data();
    Buffer c(std::move(a));
    EXPECT_EQ(c.data(), data);
    b = std::move(c);
    EXPECT_EQ(b.data(), data);
    EXPECT_EQ(b.bytes(), 1000u);
  }
  EXPECT_EQ(memory_stats().bytes_in_use, start);
}

TEST(Memory, ManyThreadsShareThePool) {
  const std::size_t start = memory_stats().bytes_in_use;
  {
    std::vector<std::jthread> team;
    for (int t = 0; t < 4; ++t)
      team.emplace_back([t] {
        for (int i = 0; i < 500; ++i) {
          Buffer b(static_cast<std::size_t>(100 + 37 * (i % 11)));
          std::memset(b.data(), t, b.bytes());
          const char* p = static_cast<const char*>(b.data());
          for (std::size_t k = 0; k < b.bytes(); ++k)
            if (p[k] != t) ADD_FAILURE() << "two threads own one block";
        }
      });
  }
  EXPECT_EQ(memory_stats().bytes_in_use, start);
}

TEST(Memory, MoreThanTheSystemHasIsAnError) {
  try {
    const Buffer b(std::size_t{1} << 60);
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("try a smaller batch"), std::string::npos);
  }
  const Buffer fine(100);  // and the pool goes on
  EXPECT_NE(fine.data(), nullptr);
}

TEST(Memory, ALimitHoldsForItsScopeAndThread) {
  {
    const MemoryLimit limit(1000, "too much of it");
    const Buffer first(600);
    EXPECT_THROW(Buffer(401), Error);
    const Buffer second(400);
    {
      const MemoryLimit inner(1 << 20, "never");
      const Buffer third(5000);
    }
    try {
      const Buffer more(1);
      ADD_FAILURE();
    } catch (const Error& error) {
      EXPECT_STREQ(error.what(), "too much of it");
    }
    std::jthread([] { const Buffer of_another_thread(1 << 20); });
  }
  const Buffer after(1 << 20);
}

}  // namespace
}  // namespace exciton
