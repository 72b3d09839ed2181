/// As much of protocol buffers as ONNX needs: fields of integers, f32, and bytes.
#pragma once
#include <bit>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "exciton/core/error.hpp"

namespace exciton::interop::onnx {

/// Bytes of a message; what is within is made first.
class Message {
 public:
  Message& integer(int field, std::int64_t value) {
    key(field, 0);
    varint(static_cast<std::uint64_t>(value));
    return *this;
  }
  Message& real(int field, float value) {
    key(field, 5);
    const auto bits = std::bit_cast<std::uint32_t>(value);
    for (int i = 0; i < 4; ++i) bytes_ += static_cast<char>(bits >> (8 * i));
    return *this;
  }
  Message& text(int field, std::string_view value) {
    length(field, value.size());
    bytes_ += value;
    return *this;
  }
  Message& message(int field, const Message& value) { return text(field, value.bytes_); }
  /// Begins a field of bytes that are written by somebody else.
  Message& length(int field, std::uint64_t bytes) {
    key(field, 2);
    varint(bytes);
    return *this;
  }
  const std::string& bytes() const { return bytes_; }

 private:
  void key(int field, int wire) {
    varint(static_cast<std::uint64_t>(field) << 3 | static_cast<unsigned>(wire));
  }
  void varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_ += static_cast<char>(value | 0x80);
    bytes_ += static_cast<char>(value);
  }
  std::string bytes_;
};

/// Fields of a message, one after another. Errors: beginning with `who`, bytes that are none.
class Fields {
 public:
  struct Field {
    int number = 0, wire = 0;
    std::uint64_t value = 0;   ///< wire 0, 1, 5
    std::string_view bytes{};  ///< wire 2
    std::int64_t integer() const { return static_cast<std::int64_t>(value); }
    float real() const { return std::bit_cast<float>(static_cast<std::uint32_t>(value)); }
  };
  Fields(std::string_view bytes, const std::string& who) : rest_(bytes), who_(who) {}

  bool next(Field& out) {
    if (rest_.empty()) return false;
    const std::uint64_t key = varint();
    out = {static_cast<int>(key >> 3), static_cast<int>(key & 7)};
    switch (out.wire) {
      case 0:
        out.value = varint();
        return true;
      case 1:
        out.value = fixed(8);
        return true;
      case 5:
        out.value = fixed(4);
        return true;
      case 2:
        out.bytes = take(varint());
        return true;
      default:
        fail(who_, ": not a protocol buffer");
    }
  }
  /// Of a packed list of integers, or the one that is there.
  static std::vector<std::int64_t> integers(const Field& field, const std::string& who) {
    if (field.wire == 0) return {field.integer()};
    std::vector<std::int64_t> out;
    for (Fields list(field.bytes, who); !list.rest_.empty();)
      out.push_back(static_cast<std::int64_t>(list.varint()));
    return out;
  }

 private:
  std::string_view take(std::uint64_t count) {
    check(count <= rest_.size(), who_, ": cut short, or not a protocol buffer");
    const std::string_view out = rest_.substr(0, static_cast<std::size_t>(count));
    rest_.remove_prefix(out.size());
    return out;
  }
  std::uint64_t fixed(std::uint64_t count) {
    std::uint64_t out = 0;
    const std::string_view raw = take(count);
    for (std::size_t i = raw.size(); i-- > 0;) out = out << 8 | static_cast<unsigned char>(raw[i]);
    return out;
  }
  std::uint64_t varint() {
    std::uint64_t out = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<unsigned char>(take(1)[0]);
      out |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return out;
    }
    fail(who_, ": not a protocol buffer");
  }
  std::string_view rest_;
  const std::string& who_;
};

}  // namespace exciton::interop::onnx
