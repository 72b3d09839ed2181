/// Reading and writing safetensors: what the reference takes and what it refuses.
#include "exciton/interop/safetensors.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <sstream>

#include "exciton/core/error.hpp"
#include "tests/interop/support.hpp"
#include "tests/temp_dir.hpp"

namespace exciton::interop::testing {
namespace {

using test_support::TempDir;

std::string file_of(const std::string& header, std::size_t data_bytes) {
  std::uint64_t length = header.size();
  std::string out(8, '\0');
  std::memcpy(out.data(), &length, 8);
  return out + header + std::string(data_bytes, '\0');
}

std::string entry(const std::string& name, const std::string& shape, const std::string& offsets,
                  const std::string& type = "F32") {
  return "\"" + name + R"(":{"dtype":")" + type + R"(","shape":)" + shape + R"(,"data_offsets":)" +
         offsets + "}";
}

struct Case {
  const char* name;
  std::string bytes;
  bool accepted;
};

std::vector<Case> cases() {
  const std::string a = entry("a", "[2]", "[0,8]"), b = entry("b", "[2]", "[8,16]");
  const std::string huge = "4611686018427387904";
  std::string long_header = file_of("{" + a + "}", 8);
  long_header[0] = '\x7f';
  std::string deep = "1";
  for (int i = 0; i < 200; ++i) deep = "[" + deep + "]";
  return {
      {"one", file_of("{" + a + "}", 8), true},
      {"two", file_of("{" + a + "," + b + "}", 16), true},
      {"order of the header", file_of("{" + b + "," + a + "}", 16), true},
      {"spaces", file_of("  {" + a + "}   ", 8), true},
      {"unknown field",
       file_of(
           R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"more":{"x":[1,{"y":null}]}}})",
           8),
       true},
      {"no tensors", file_of("{}", 0), true},
      {"metadata", file_of(R"({"__metadata__":{"k":"v"},)" + a + "}", 8), true},
      {"metadata null", file_of(R"({"__metadata__":null,)" + a + "}", 8), true},
      {"scalar", file_of("{" + entry("a", "[]", "[0,4]") + "}", 4), true},
      {"empty tensor", file_of("{" + entry("e", "[0,3]", "[0,0]") + "," + a + "}", 8), true},
      {"zero before huge", file_of("{" + entry("e", "[0," + huge + ",4]", "[0,0]") + "}", 0), true},
      {"empty name", file_of("{" + entry("", "[2]", "[0,8]") + "}", 8), true},
      {"same entry twice", file_of("{" + a + "," + a + "}", 8), true},
      {"unaligned", file_of("{" + a + "} ", 8), true},
      {"huge before zero", file_of("{" + entry("e", "[" + huge + ",4,0]", "[0,0]") + "}", 0),
       false},
      {"overflow", file_of("{" + entry("e", "[" + huge + ",4]", "[0,0]") + "}", 0), false},
      {"NUL padding", file_of("{" + a + "}" + std::string(3, '\0'), 8), false},
      {"byte-order mark", file_of("\xef\xbb\xbf{" + a + "}", 8), false},
      {"hole", file_of("{" + a + "," + entry("b", "[2]", "[12,20]") + "}", 20), false},
      {"overlap", file_of("{" + a + "," + entry("b", "[2]", "[4,12]") + "}", 12), false},
      {"same bytes", file_of("{" + a + "," + entry("b", "[2]", "[0,8]") + "}", 8), false},
      {"trailing byte", file_of("{" + a + "}", 9), false},
      {"short", file_of("{" + a + "}", 7), false},
      {"begins late", file_of("{" + entry("a", "[2]", "[4,12]") + "}", 12), false},
      {"ends before it begins", file_of("{" + entry("a", "[2]", "[8,0]") + "}", 8), false},
      {"negative", file_of("{" + entry("a", "[2]", "[-8,0]") + "}", 8), false},
      {"another size", file_of("{" + entry("a", "[3]", "[0,8]") + "}", 8), false},
      {"fraction", file_of("{" + entry("a", "[2.0]", "[0,8]") + "}", 8), false},
      {"power", file_of("{" + entry("a", "[2e0]", "[0,8]") + "}", 8), false},
      {"text", file_of("{" + entry("a", "\"2\"", "[0,8]") + "}", 8), false},
      {"nested shape", file_of("{" + entry("a", "[[2]]", "[0,8]") + "}", 8), false},
      {"unknown type", file_of("{" + entry("a", "[2]", "[0,8]", "F99") + "}", 8), false},
      {"lower case", file_of("{" + entry("a", "[2]", "[0,8]", "f32") + "}", 8), false},
      {"no shape", file_of(R"({"a":{"dtype":"F32","data_offsets":[0,8]}})", 8), false},
      {"three offsets", file_of("{" + entry("a", "[2]", "[0,8,8]") + "}", 8), false},
      {"one name, two places", file_of("{" + a + "," + entry("a", "[2]", "[8,16]") + "}", 16),
       false},
      {"field twice",
       file_of(R"({"a":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 8),
       false},
      {"metadata number", file_of(R"({"__metadata__":{"k":1},)" + a + "}", 8), false},
      {"metadata twice", file_of(R"({"__metadata__":{},"__metadata__":{},)" + a + "}", 8), false},
      {"metadata list", file_of(R"({"__metadata__":[],)" + a + "}", 8), false},
      {"list", file_of("[]      ", 0), false},
      {"no JSON", file_of("{oh no} ", 0), false},
      {"empty", "", false},
      {"seven bytes", std::string(7, ' '), false},
      {"no header", file_of("", 0), false},
      {"long header", long_header, false},
      {"enormous header", std::string(8, '\xff') + "{}", false},
      {"no UTF-8", file_of("{" + entry("\xff\xfe", "[2]", "[0,8]") + "}", 8), false},
      {"empty tensor within another", file_of("{" + a + "," + entry("e", "[0]", "[4,4]") + "}", 8),
       false},
      {"nested deeply",
       file_of(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"x":)" + deep + "}}", 8),
       false},
  };
}

TEST(Safetensors, TakesAndRefusesWhatTheReferenceDoes) {
  const TempDir dir;
  for (const Case& one : cases()) {
    write_bytes(dir / "f.safetensors", one.bytes);
    const std::string why = refusal(dir / "f.safetensors");
    EXPECT_EQ(why.empty(), one.accepted) << one.name << ": " << why;
  }
}

TEST(Safetensors, TheReferencesVerdictsOnItsOwnFiles) {
  const auto verdicts = real("files/safetensors-edge.txt");
  if (!verdicts) GTEST_SKIP() << "EXCITON_INTEROP is not set";
  std::ifstream in(*verdicts);
  std::string line;
  int count = 0;
  while (std::getline(in, line)) {
    std::istringstream words(line);
    std::string name, verdict;
    words >> name >> verdict;
    std::filesystem::path file = *real("files/safetensors-edge/" + name + ".safetensors");
    ASSERT_TRUE(std::filesystem::exists(file)) << file;
    const std::string why = refusal(file);
    EXPECT_EQ(why.empty(), verdict == "accepted") << name << ": " << why;
    ++count;
  }
  EXPECT_EQ(count, 53);
}

TEST(Safetensors, WhatIsWrittenComesBackBitForBit) {
  const TempDir dir;
  std::vector<float> odd = {
      0.f, -0.f, 1e-45f, 3.4e38f, std::numeric_limits<float>::infinity(), std::nanf("7")};
  const std::vector<float> many = counting(100'000, 0.5f);
  const auto in_pieces = [](const std::vector<float>& values) {
    return [&values](const auto& put) {
      const auto half = values.size() / 2;
      put(std::span(values).first(half));
      put(std::span(values).subspan(half));
    };
  };
  write_safetensors(dir / "x.safetensors",
                    {{"b.odd", ElementType::f32, {2, 3}, in_pieces(odd)},
                     {"a.\"many\"\n", ElementType::f32, {100, 1000}, in_pieces(many)},
                     {"half", ElementType::bf16, {100'000}, in_pieces(many)},
                     {"none", ElementType::f32, {0, 4}, [](const auto&) {}}},
                    {{"format", "pt"}, {"class_names", "[\"é\"]"}});
  const auto file = open_weights(dir / "x.safetensors");
  EXPECT_EQ(file->metadata.at("class_names"), "[\"é\"]");
  const auto values = values_of(*file);
  ASSERT_EQ(values.size(), 4u);
  EXPECT_EQ(std::memcmp(values.at("b.odd").data(), odd.data(), odd.size() * 4), 0);
  EXPECT_EQ(values.at("a.\"many\"\n"), many);
  EXPECT_EQ(values.at("half")[3], 3.5f);
  EXPECT_EQ(values.at("half")[1001], 1000.f);  // 1001.5 to eight bits
  // Data are aligned and the narrow types last, as the reference writes.
  std::ifstream in(dir / "x.safetensors", std::ios::binary);
  std::uint64_t header = 0;
  in.read(reinterpret_cast<char*>(&header), 8);
  EXPECT_EQ(header % 8, 0u);
  EXPECT_EQ(file->tensors.back().name, "half");
}

TEST(Safetensors, AFailedWriteLeavesWhatWasThere) {
  const TempDir dir;
  write_bytes(dir / "x.safetensors", "before");
  EXPECT_THROW(write_safetensors(
                   dir / "x.safetensors",
                   {{"w", ElementType::f32, {3}, [](const auto& put) { put(counting(2)); }}}, {}),
               Error);
  std::ifstream in(dir / "x.safetensors");
  std::string text;
  in >> text;
  EXPECT_EQ(text, "before");
  EXPECT_THROW(
      write_safetensors(dir / "y.safetensors",
                        {{"w", ElementType::f32, {0}, {}}, {"w", ElementType::f32, {0}, {}}}, {}),
      Error);
  EXPECT_THROW(write_safetensors(dir / "y.safetensors", {}, {{"k", "\xff"}}), Error);
}

}  // namespace
}  // namespace exciton::interop::testing
