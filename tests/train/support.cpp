#include "tests/train/support.hpp"

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>

#include "exciton/core/random.hpp"

namespace exciton::train::testing {
namespace fs = std::filesystem;
namespace {

void big_endian(std::string& to, std::uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) to += static_cast<char>(value >> shift & 0xff);
}

void write_split(const fs::path& dir, const std::string& prefix, std::int64_t count,
                 std::uint64_t seed) {
  constexpr std::uint32_t side = 8;
  Generator rng(seed);
  std::string images, labels;
  big_endian(images, 0x803);
  big_endian(images, static_cast<std::uint32_t>(count));
  big_endian(images, side);
  big_endian(images, side);
  big_endian(labels, 0x801);
  big_endian(labels, static_cast<std::uint32_t>(count));
  for (std::int64_t i = 0; i < count; ++i) {
    const auto label = static_cast<int>(i % 10);
    labels += static_cast<char>(label);
    for (std::uint32_t p = 0; p < side * side; ++p)
      images += static_cast<char>(20 * label + static_cast<int>(rng.below(40)));
  }
  write_file(dir / (prefix + "-images-idx3-ubyte"), images);
  write_file(dir / (prefix + "-labels-idx1-ubyte"), labels);
}

}  // namespace

void write_file(const fs::path& path, const std::string& bytes) {
  fs::create_directories(path.parent_path());
  std::ofstream out(path, std::ios::binary);
  out << bytes;
  check(out.good(), "test: cannot write ", path.string());
}

std::string read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  check(in.good(), "test: cannot read ", path.string());
  std::stringstream out;
  out << in.rdbuf();
  return out.str();
}

std::vector<Json> read_log(const fs::path& run) {
  std::vector<Json> out;
  std::istringstream in(read_file(run / "log.jsonl"));
  for (std::string line; std::getline(in, line);) out.push_back(Json::parse(line));
  return out;
}

void write_tiny_data(const fs::path& dir, std::int64_t train, std::int64_t test) {
  write_split(dir, "train", train, 1);
  write_split(dir, "t10k", test, 2);
}

void write_tiny_recipe(const fs::path& path, const fs::path& data, const std::string& model) {
  const Json recipe = {
      {"model", {{"name", model}}},
      {"data",
       {{"kind", "fashion-mnist"},
        {"dir", data.string()},
        {"augment", {{"pad_crop", 1}, {"flip", true}}},
        {"batch", 16},
        {"validation", "test"}}},
      {"schedule", {{"name", "one_cycle_linear"}, {"lr", 0.05}}},
      {"epochs", 2},
      {"threads", 1},
  };
  write_file(path, recipe.dump(2));
}

void expect_same_tensors(const fs::path& a, const fs::path& b) {
  const Checkpoint x = read_checkpoint(a), y = read_checkpoint(b);
  ASSERT_EQ(x.tensors.size(), y.tensors.size());
  ASSERT_FALSE(x.tensors.empty());
  for (std::size_t i = 0; i < x.tensors.size(); ++i) {
    const Tensor &s = x.tensors[i].tensor, &t = y.tensors[i].tensor;
    ASSERT_EQ(x.tensors[i].name, y.tensors[i].name);
    ASSERT_EQ(s.shape(), t.shape());
    EXPECT_EQ(std::memcmp(s.raw(), t.raw(), s.bytes()), 0) << x.tensors[i].name;
  }
}

}  // namespace exciton::train::testing
