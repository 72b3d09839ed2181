// What is read as JSON is read within limits, and told by name where it is not.
#include "exciton/train/json.hpp"

#include <gtest/gtest.h>

#include "exciton/core/error.hpp"
#include "tests/train/support.hpp"

namespace exciton::train::testing {
namespace {

std::string error_in(const std::string& text) {
  return error_of([&] { parse_json(text, "recipe: x.json"); });
}

std::string repeated(const std::string& part, std::size_t times) {
  std::string text;
  for (std::size_t i = 0; i < times; ++i) text += part;
  return text;
}

TEST(ReadJson, reads_what_is_well_formed) {
  const Json json = parse_json(R"({"b":[1,2.5,-3],"a":{"c":null,"d":"é"}})", "x");
  EXPECT_EQ(json.dump(), R"({"b":[1,2.5,-3],"a":{"c":null,"d":"é"}})");
  EXPECT_FALSE(try_json("cosine"));
  EXPECT_EQ(try_json("1e-3")->get<double>(), 1e-3);
}

TEST(ReadJson, nesting_has_a_limit) {
  for (const char* const open : {"[", "{\"a\":"}) {
    const std::string message = error_in(repeated(open, 1'000'000));
    EXPECT_NE(message.find("recipe: x.json"), std::string::npos) << message;
    EXPECT_NE(message.find("nested too deep"), std::string::npos) << message;
  }
  EXPECT_NO_THROW(parse_json(repeated("[", 64) + repeated("]", 64), "x"));
}

TEST(ReadJson, counts_and_sizes_have_limits) {
  std::string keys = "{";
  for (int i = 0; i < 800'000; ++i) keys += "\"" + std::to_string(i) + "\":0,";
  keys.back() = '}';
  EXPECT_NE(error_in(keys).find("more than"), std::string::npos);
  EXPECT_NE(error_in("[" + repeated("0,", 1'000'001) + "0]").find("more than"), std::string::npos);
  EXPECT_NE(error_in(std::string(9 << 20, ' ')).find("bytes of JSON"), std::string::npos);
}

TEST(ReadJson, messages_name_the_place_and_are_short) {
  EXPECT_NE(error_in(R"({"schedule":{"lr":1e400}})").find("schedule.lr: the number 1e400"),
            std::string::npos);
  EXPECT_NE(error_in(R"({"a":[0,{"b":1,"b":2}]})").find("a[1].b: comes twice"), std::string::npos)
      << error_in(R"({"a":[0,{"b":1,"b":2}]})");
  EXPECT_NE(error_in("{\n\"a\": }").find("line 2"), std::string::npos);
  const std::string name(100'000, 'n');
  EXPECT_LT(error_in("{\"" + name + "\":1e999}").size(), 400u);
  EXPECT_LT(error_in("{\"a\": " + name + "}").size(), 500u);
}

TEST(ReadJson, values_are_read_by_path_and_type) {
  const Json json = parse_json(R"({"position":{"epoch":3,"batch":"four","huge":1e300}})", "x");
  EXPECT_EQ(value_at<std::int64_t>(json, "position.epoch", "who"), 3);
  const auto wrong = [&](const char* path) {
    return error_of([&] { value_at<std::int64_t>(json, path, "who"); });
  };
  EXPECT_NE(wrong("position.batch").find("who: position.batch: of a wrong type: a string"),
            std::string::npos);
  EXPECT_NE(wrong("position.huge").find("wrong type"), std::string::npos);
  EXPECT_NE(wrong("position.none").find("is missing"), std::string::npos);
  EXPECT_NE(wrong("position.epoch.more").find("is missing"), std::string::npos);
}

}  // namespace
}  // namespace exciton::train::testing
