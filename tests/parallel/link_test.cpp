/// Links that are emulated: what is said of them, and how messages pass.
#include "exciton/parallel/link.hpp"

#include <gtest/gtest.h>

#include "exciton/core/error.hpp"

namespace exciton::ranks::testing {
namespace {

using namespace std::chrono_literals;

TEST(Link, IsARateAndALatency) {
  const LinkSpec link = parse_link("10Gbit/s,0.1ms");
  EXPECT_EQ(link.gbit, 10);
  EXPECT_EQ(link.latency_ms, 0.1);
  EXPECT_EQ(link.latency(), 100us);
  EXPECT_EQ(link.occupies(1250), 1us);
  EXPECT_EQ(link.text(), "10 Gbit/s and 0.1 ms");
  EXPECT_EQ(parse_link("0.25Gbit/s,0ms").latency(), 0ns);
}

TEST(Link, AnythingElseIsRefused) {
  for (const char* text : {"", "10", "10,0.1", "10Gbit/s", "10Gbit/s,0.1", "10Gbit/s, 0.1ms",
                           " 10Gbit/s,0.1ms", "10Gbit/s,0.1ms ", "10gbit/s,0.1ms", "0Gbit/s,0.1ms",
                           "-1Gbit/s,0.1ms", "nanGbit/s,0.1ms", "infGbit/s,0.1ms", "1Gbit/s,-1ms",
                           "1Gbit/s,nanms", "1Gbit/s,infms", "1e9Gbit/s,0ms", "1Gbit/s,0.1s"})
    try {
      parse_link(text);
      ADD_FAILURE() << text << " was taken";
    } catch (const Error& error) {
      const std::string what = error.what();
      EXPECT_NE(what.find("10Gbit/s,0.1ms"), std::string::npos) << what;
      EXPECT_NE(what.find('"' + std::string(text) + '"'), std::string::npos) << what;
    }
}

TEST(Link, MessagesPassOneAfterAnother) {
  Port port;
  const Port::Time start = Port::Time() + 1h;
  const auto first = port.pass(start, 10us), second = port.pass(start + 3us, 5us),
             third = port.pass(start + 40us, 1us);
  EXPECT_EQ(first.first, start);
  EXPECT_EQ(first.last, start + 10us);
  EXPECT_EQ(second.first, start + 10us);  // behind the first
  EXPECT_EQ(second.last, start + 15us);
  EXPECT_EQ(third.first, start + 40us);  // the way was free
  EXPECT_EQ(third.last, start + 41us);
}

}  // namespace
}  // namespace exciton::ranks::testing
