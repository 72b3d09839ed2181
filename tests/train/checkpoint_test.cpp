#include "exciton/train/checkpoint.hpp"

#include <gtest/gtest.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cstring>

#include "exciton/core/file.hpp"
#include "exciton/nn/registry.hpp"
#include "exciton/train/recipe.hpp"
#include "tests/train/support.hpp"

namespace exciton::train::testing {
namespace {

Checkpoint sample() {
  Generator rng(3);
  Checkpoint out;
  out.meta = Json{{"note", "7 \xc3\xa4 \"quoted\""}, {"third", 1.0 / 3}}.dump();
  out.tensors.push_back({"a", Tensor::randn({3, 5}, rng)});
  out.tensors.push_back({"b", Tensor::randn({7}, rng).to(DType::bf16)});
  out.tensors.push_back({"c", Tensor::full({2, 2}, -4, DType::i64)});
  out.tensors.push_back({"d", Tensor::randn({1}, rng, DType::f64)});
  out.tensors.push_back({"e", Tensor::full({11}, 200, DType::u8)});
  return out;
}

/// Replaces `from` by `to` (of the same length) in a checkpoint and makes the checksum fit again: a
/// file that somebody made on purpose.
std::string forged(std::string bytes, const std::string& from, const std::string& to) {
  const auto at = bytes.find(from);
  check(at != std::string::npos && from.size() == to.size(), "test: cannot forge ", from);
  bytes.replace(at, from.size(), to);
  XXH128_canonical_t digest;
  XXH128_canonicalFromHash(&digest, XXH3_128bits(bytes.data(), bytes.size() - 16));
  std::memcpy(bytes.data() + bytes.size() - 16, digest.digest, 16);
  return bytes;
}

TEST(Checkpoint, holds_every_type_bit_for_bit) {
  const TempDir dir;
  const Checkpoint made = sample();
  write_checkpoint(dir / "x.ckpt", made);
  const Checkpoint read = read_checkpoint(dir / "x.ckpt");
  EXPECT_EQ(read.meta, made.meta);
  ASSERT_EQ(read.tensors.size(), made.tensors.size());
  for (std::size_t i = 0; i < made.tensors.size(); ++i) {
    const Tensor &a = made.tensors[i].tensor, &b = read.tensors[i].tensor;
    EXPECT_EQ(made.tensors[i].name, read.tensors[i].name);
    ASSERT_EQ(a.shape(), b.shape());
    ASSERT_EQ(a.dtype(), b.dtype());
    EXPECT_EQ(std::memcmp(a.raw(), b.raw(), a.bytes()), 0);
  }
  EXPECT_FALSE(std::filesystem::exists(dir / "x.ckpt.tmp"));
}

TEST(Checkpoint, tensors_are_aligned_to_64_bytes_in_the_file) {
  const TempDir dir;
  write_checkpoint(dir / "x.ckpt", sample());
  const std::string bytes = read_file(dir / "x.ckpt");
  std::uint64_t header = 0;
  std::memcpy(&header, bytes.data() + 16, 8);
  const Json tensors = Json::parse(bytes.substr(32, header))["tensors"];
  for (const Json& entry : tensors) EXPECT_EQ(entry["offset"].get<std::uint64_t>() % 64, 0u);
}

TEST(Checkpoint, any_flipped_byte_is_noticed) {
  const TempDir dir;
  write_checkpoint(dir / "x.ckpt", sample());
  const std::string good = read_file(dir / "x.ckpt");
  for (std::size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 0x10);
    write_file(dir / "x.ckpt", bad);
    const std::string message = error_of([&] { read_checkpoint(dir / "x.ckpt"); });
    EXPECT_NE(message.find((dir / "x.ckpt").string()), std::string::npos) << i << ": " << message;
  }
}

TEST(Checkpoint, any_truncation_is_noticed) {
  const TempDir dir;
  write_checkpoint(dir / "x.ckpt", sample());
  const std::string good = read_file(dir / "x.ckpt");
  for (std::size_t n = 0; n < good.size(); n += 13) {
    write_file(dir / "x.ckpt", good.substr(0, n));
    error_of([&] { read_checkpoint(dir / "x.ckpt"); });
  }
  write_file(dir / "x.ckpt", good + "more");
  EXPECT_NE(error_of([&] { read_checkpoint(dir / "x.ckpt"); }).find("expected"), std::string::npos);
}

TEST(Checkpoint, forged_headers_are_refused) {
  const TempDir dir;
  write_checkpoint(dir / "x.ckpt", sample());
  const std::string good = read_file(dir / "x.ckpt");
  const auto refused = [&](const std::string& from, const std::string& to,
                           const std::string& part) {
    write_file(dir / "x.ckpt", forged(good, from, to));
    const std::string message = error_of([&] { read_checkpoint(dir / "x.ckpt"); });
    EXPECT_NE(message.find(part), std::string::npos) << message;
  };
  refused("\"shape\":[3,5]", "\"shape\":[3,9]", "the table says 60");
  refused("\"shape\":[3,5]", "\"shape\":3    ", "wrong type");
  refused("\"shape\":[3,5]", "\"shape\":[-35]", "shape that is none");
  refused("\"shape\":[7],\"offset\":", "\"shape\":[7],\"offsey\":", "has no offset");
  refused("\"dtype\":\"f64\"", "\"dtype\":\"f65\"", "type f65");
  refused("\"name\":\"b\"", "\"name\":\"a\"", "two tensors a");
  refused("\"tensors\":[", "\"tensor\" :[", "no table of tensors");
  refused("{\"meta\"", "[\"meta\"", "damaged header");
  refused(std::string("\x01\0\0\0\0\0\0\0", 8), std::string("\x02\0\0\0\0\0\0\0", 8), "version 2");
  // Offsets that overlap or leave the file.
  const std::string key = "\"shape\":[2,2],\"offset\":";
  const auto at = good.find(key) + key.size();
  const std::string offset = good.substr(at, good.find(',', at) - at);
  refused(key + offset, key + std::string(offset.size(), '9'), "outside the file");
  const std::string before = std::to_string(std::stoll(offset) - 64);
  if (before.size() == offset.size()) refused(key + offset, key + before, "overlap");
}

TEST(Checkpoint, huge_claims_take_no_memory) {
  const TempDir dir;
  write_checkpoint(dir / "x.ckpt", sample());
  std::string bytes = read_file(dir / "x.ckpt");
  const std::uint64_t huge = 1ull << 60;
  std::memcpy(bytes.data() + 16, &huge, 8);
  write_file(dir / "x.ckpt", bytes);
  EXPECT_NE(error_of([&] { read_checkpoint(dir / "x.ckpt"); }).find("a header of"),
            std::string::npos);
  std::memcpy(bytes.data() + 24, &huge, 8);
  write_file(dir / "x.ckpt", bytes);
  EXPECT_NE(error_of([&] { read_checkpoint(dir / "x.ckpt"); }).find("expected"), std::string::npos);
}

TEST(Checkpoint, other_files_are_no_checkpoints) {
  const TempDir dir;
  write_file(dir / "x.ckpt", std::string(1000, 'x'));
  EXPECT_NE(error_of([&] { read_checkpoint(dir / "x.ckpt"); }).find("not an Exciton checkpoint"),
            std::string::npos);
  error_of([&] { read_checkpoint(dir / "none.ckpt"); });
  error_of([&] { read_checkpoint("/dev/zero"); });
}

TEST(Checkpoint, failed_write_leaves_the_old_file) {
  const TempDir dir;
  write_checkpoint(dir / "x.ckpt", sample());
  const std::string before = read_file(dir / "x.ckpt");
  std::filesystem::create_directory(dir / "x.ckpt.tmp");  // the temporary file cannot be made
  error_of([&] { write_checkpoint(dir / "x.ckpt", Checkpoint{}); });
  EXPECT_EQ(read_file(dir / "x.ckpt"), before);
}

TEST(Checkpoint, link_replaces_and_may_be_repeated) {
  const TempDir dir;
  write_file(dir / "a", "a");
  write_file(dir / "b", "b");
  link_file(dir / "a", dir / "best", "test", "");
  link_file(dir / "b", dir / "best", "test", "");
  link_file(dir / "b", dir / "best", "test", "");
  EXPECT_EQ(read_file(dir / "best"), "b");
  EXPECT_EQ(read_file(dir / "a"), "a");
  EXPECT_FALSE(std::filesystem::exists(dir / "best.tmp"));
}

TEST(Checkpoint, model_of_another_shape_is_refused_and_nothing_changes) {
  nn::Model a = nn::make_model("resnet20", {}, 1), b = nn::make_model("resnet20", {}, 2);
  Checkpoint saved;
  save_model(*a.net, saved);
  load_model(saved, *b.net, "x");
  Checkpoint again;
  save_model(*b.net, again);
  for (std::size_t i = 0; i < saved.tensors.size(); ++i)
    EXPECT_EQ(std::memcmp(saved.tensors[i].tensor.raw(), again.tensors[i].tensor.raw(),
                          saved.tensors[i].tensor.bytes()),
              0);
  const auto refused = [&](const std::string& name, const nn::ModelOptions& options) {
    nn::Model other = nn::make_model(name, options, 3);
    const Tensor first = nn::parameters(*other.net)[0].parameter->value().clone();
    const std::string message = error_of([&] { load_model(saved, *other.net, "x"); });
    EXPECT_NE(message.find("checkpoint: x: of another model"), std::string::npos) << message;
    const Tensor& now = nn::parameters(*other.net)[0].parameter->value();
    EXPECT_EQ(std::memcmp(first.raw(), now.raw(), now.bytes()), 0);
    return message;
  };
  EXPECT_NE(refused("se_resnet20", {}).find("has no model."), std::string::npos);
  EXPECT_NE(refused("resnet20", model_recipe("resnet20", 7, {}).options)
                .find("[10, 64], this model expects f32 [7, 64]"),
            std::string::npos);
  EXPECT_NE(refused("resnet20", model_recipe("resnet20", 0, {"shortcut=zero_pad"}).options)
                .find("it also has"),
            std::string::npos);
}

}  // namespace
}  // namespace exciton::train::testing
