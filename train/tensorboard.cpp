#include "exciton/train/tensorboard.hpp"

#include <bit>
#include <chrono>
#include <cstring>

#include "exciton/core/error.hpp"
#include "exciton/core/file.hpp"
#include "exciton/train/checkpoint.hpp"
#include "exciton/train/json.hpp"

namespace exciton::train {
namespace fs = std::filesystem;
namespace {

template <class T>
std::string little_endian(T value) {
  static_assert(std::endian::native == std::endian::little);
  std::string out(sizeof value, '\0');
  std::memcpy(out.data(), &value, sizeof value);
  return out;
}

std::string varint(std::uint64_t value) {
  std::string out;
  for (; value >= 128; value >>= 7) out += static_cast<char>((value & 127) | 128);
  return out + static_cast<char>(value);
}

/// Fields of protocol buffers: the number and the wire type, then the value.
std::string key(int field, int type) {
  return varint(static_cast<std::uint64_t>(field << 3 | type));
}
std::string of_bytes(int field, const std::string& value) {
  return key(field, 2) + varint(value.size()) + value;
}
std::string of_double(int field, double value) { return key(field, 1) + little_endian(value); }
std::string of_float(int field, float value) { return key(field, 5) + little_endian(value); }

std::uint32_t masked(std::uint32_t crc) { return std::rotr(crc, 15) + 0xa282ead8u; }

std::string record(const std::string& data) {
  const std::string length = little_endian(static_cast<std::uint64_t>(data.size()));
  return length + little_endian(masked(crc32c(length))) + data +
         little_endian(masked(crc32c(data)));
}

double now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

/// "train_loss" as "loss/train", so that TensorBoard puts train, val and test side by side.
std::string tag_of(const std::string& key) {
  for (const char* split : {"train", "val", "test"}) {
    const std::string prefix = std::string(split) + '_';
    if (key.starts_with(prefix)) return key.substr(prefix.size()) + '/' + split;
  }
  return key;
}

void add_scalars(const Json& value, const std::string& prefix,
                 std::vector<std::pair<std::string, double>>& to) {
  for (const auto& [name, item] : value.items()) {
    if (item.is_object())
      add_scalars(item, prefix + name + '/', to);
    else if (item.is_number() && name != "epoch")
      to.emplace_back(prefix + tag_of(name), item.get<double>());
  }
}

std::string record_of(const std::string& text) {
  const Json line = parse_json(text, "tensorboard");
  std::vector<std::pair<std::string, double>> scalars;
  add_scalars(line, "", scalars);
  return event_record(now(), line.at("epoch").get<std::int64_t>(), scalars);
}

}  // namespace

std::uint32_t crc32c(std::string_view bytes) {
  std::uint32_t crc = ~0u;
  for (const char c : bytes) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0u);
  }
  return ~crc;
}

std::string event_record(double seconds, std::int64_t step,
                         const std::vector<std::pair<std::string, double>>& scalars) {
  std::string summary;
  for (const auto& [tag, value] : scalars)
    summary += of_bytes(1, of_bytes(1, tag) + of_float(2, static_cast<float>(value)));
  return record(of_double(1, seconds) + key(2, 0) + varint(static_cast<std::uint64_t>(step)) +
                of_bytes(5, summary));
}

EventFile::EventFile(const fs::path& run, const std::vector<std::string>& log)
    : path_(run / "tensorboard" / "events.out.tfevents.0000000001.exciton") {
  std::error_code error;
  fs::create_directories(path_.parent_path(), error);
  check(!error, "tensorboard: cannot make ", path_.parent_path().string(), ": ", error.message());
  std::string all = record(of_double(1, now()) + of_bytes(3, "brain.Event:2"));
  for (const std::string& line : log) all += record_of(line);
  write_text(path_, all, "tensorboard", resume_advice);
}

void EventFile::add(const std::string& line) {
  const std::string bytes = record_of(line);
  File(path_, File::Mode::append, "tensorboard", resume_advice).write(bytes.data(), bytes.size());
}

}  // namespace exciton::train
