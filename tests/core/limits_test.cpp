#include "exciton/core/limits.hpp"

#include <gtest/gtest.h>

#include <fstream>

#include "tests/temp_dir.hpp"

namespace exciton {
namespace {

namespace fs = std::filesystem;

/// A tree that stands for the system's.
class LimitsOf : public ::testing::Test {
 protected:
  void write(const std::string& file, const std::string& text) {
    fs::create_directories((dir / file).parent_path());
    std::ofstream(dir / file) << text;
  }
  void version2(const std::string& group, const std::string& top = "/") {
    write("proc/self/cgroup", "0::" + group + "\n");
    write("proc/self/mountinfo",
          "22 1 0:21 / /proc rw - proc proc rw\n30 23 0:26 " + top +
              " /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n");
  }
  void version1(const std::string& group, const std::string& top = "/") {
    write("proc/self/cgroup", "12:memory:" + group + "\n4:cpu,cpuacct:" + group + "\n0::/\n");
    write("proc/self/mountinfo",
          "31 30 0:28 " + top +
              " /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
              "32 30 0:29 " +
              top + " /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n");
  }
  Limits limits() const { return read_limits(dir / "."); }
  test_support::TempDir dir;
};

TEST_F(LimitsOf, NothingThatCanBeReadIsNoLimit) {
  const Limits found = limits();
  EXPECT_FALSE(found.quota);
  EXPECT_GE(found.allowed, 1);
  EXPECT_LE(found.allowed, found.processors);
  EXPECT_EQ(found.threads(), found.allowed);
  EXPECT_GT(found.memory, std::uint64_t{1} << 28);
}

TEST_F(LimitsOf, TheLeastOfAGroupAndThoseAboveIt) {
  version2("/batch.slice/job/step");
  write("sys/fs/cgroup/batch.slice/cpu.max", "150000 100000\n");
  write("sys/fs/cgroup/batch.slice/job/cpu.max", "max 100000\n");
  write("sys/fs/cgroup/batch.slice/job/memory.max", "200000000\n");
  write("sys/fs/cgroup/batch.slice/job/step/cpu.max", "300000 100000\n");
  write("sys/fs/cgroup/batch.slice/job/step/memory.max", "max\n");
  const Limits found = limits();
  ASSERT_TRUE(found.quota);
  EXPECT_DOUBLE_EQ(*found.quota, 1.5);
  EXPECT_EQ(found.memory_limit, 200'000'000u);
  EXPECT_EQ(found.memory_limited_by, "cgroup limit");
  EXPECT_EQ(found.usable_memory(), 200'000'000u);
}

TEST_F(LimitsOf, Version1HasAHierarchyForEach) {
  version1("/docker/abc");
  write("sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us", "50000\n");
  write("sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_period_us", "100000\n");
  write("sys/fs/cgroup/cpu,cpuacct/docker/cpu.cfs_quota_us", "-1\n");
  write("sys/fs/cgroup/cpu,cpuacct/docker/cpu.cfs_period_us", "100000\n");
  write("sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes", "123456789\n");
  write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  const Limits found = limits();
  ASSERT_TRUE(found.quota);
  EXPECT_DOUBLE_EQ(*found.quota, 0.5);
  EXPECT_EQ(found.threads(), 1);
  EXPECT_EQ(found.memory_limit, 123456789u);
}

TEST_F(LimitsOf, AContainerSeesAPartOfTheTree) {
  // Its own group is the mount's top; the path is that of the host.
  version1("/docker/abc", "/docker/abc");
  write("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "75000\n");
  write("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "50000\n");
  ASSERT_TRUE(limits().quota);
  EXPECT_DOUBLE_EQ(*limits().quota, 1.5);
  // Or the path leads out of what is mounted.
  version2("/../outside");
  write("sys/fs/cgroup/cpu.max", "250000 100000\n");
  ASSERT_TRUE(limits().quota);
  EXPECT_DOUBLE_EQ(*limits().quota, 2.5);
}

TEST_F(LimitsOf, NonsenseLimitsNothing) {
  version2("/");
  for (const char* const text : {"", "max", "x y", "-5 100000", "100000 0", "nan 1"}) {
    write("sys/fs/cgroup/cpu.max", text);
    EXPECT_FALSE(limits().quota) << text;
  }
}

TEST(Limits, ThreadsAreTheQuotaRoundedAndNoMoreThanAffinityLeaves) {
  Limits l;
  l.processors = 64;
  l.allowed = 8;
  const auto threads = [&](double quota) {
    l.quota = quota;
    return l.threads();
  };
  EXPECT_EQ(l.threads(), 8);
  EXPECT_EQ(l.text(), "8 of 64 processors by affinity");
  EXPECT_EQ(threads(0.2), 1);
  EXPECT_EQ(threads(1.4), 1);
  EXPECT_EQ(threads(1.5), 2);
  EXPECT_EQ(l.text(), "cgroup quota 1.5 of 64 processors");
  EXPECT_EQ(threads(100), 8);
  EXPECT_EQ(l.text(), "8 of 64 processors by affinity");
  l.quota.reset();
  l.allowed = 64;
  EXPECT_EQ(l.text(), "64 processors");
}

}  // namespace
}  // namespace exciton
