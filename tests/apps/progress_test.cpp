#include "apps/terminal/progress.hpp"

#include <gtest/gtest.h>

namespace exciton::apps::testing {
namespace {

TEST(Progress, durations_and_sizes_for_people) {
  EXPECT_EQ(format_duration(4.24), "4.2 s");
  EXPECT_EQ(format_duration(200), "3 min 20 s");
  EXPECT_EQ(format_duration(7500), "2 h 05 min");
  EXPECT_EQ(format_bytes(832'000), "832 KB");
  EXPECT_EQ(format_bytes(1.42e9), "1.42 GB");
}

}  // namespace
}  // namespace exciton::apps::testing
