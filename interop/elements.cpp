#include "exciton/interop/elements.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <type_traits>

#include "exciton/core/dtype.hpp"
#include "exciton/core/error.hpp"

namespace exciton::interop {
namespace {

static_assert(std::endian::native == std::endian::little, "all these files are little endian");

struct Row {
  ElementType type;
  std::string_view name;
  std::int64_t bytes;
};
constexpr std::array<Row, 13> table{{{ElementType::boolean, "BOOL", 1},
                                     {ElementType::u8, "U8", 1},
                                     {ElementType::i8, "I8", 1},
                                     {ElementType::i16, "I16", 2},
                                     {ElementType::u16, "U16", 2},
                                     {ElementType::i32, "I32", 4},
                                     {ElementType::u32, "U32", 4},
                                     {ElementType::i64, "I64", 8},
                                     {ElementType::u64, "U64", 8},
                                     {ElementType::f16, "F16", 2},
                                     {ElementType::bf16, "BF16", 2},
                                     {ElementType::f32, "F32", 4},
                                     {ElementType::f64, "F64", 8}}};

const Row& row(ElementType type) { return table[static_cast<std::size_t>(type)]; }

template <class T>
void convert(const void* from, std::int64_t count, float* to) {
  for (std::int64_t i = 0; i < count; ++i) {
    T value;
    std::memcpy(&value, static_cast<const std::byte*>(from) + i * std::int64_t{sizeof(T)},
                sizeof value);
    to[i] = static_cast<float>(value);
  }
}

}  // namespace

std::int64_t size_of(ElementType type) { return row(type).bytes; }
std::string_view name_of(ElementType type) { return row(type).name; }

std::optional<ElementType> element_type(std::string_view name) {
  for (const Row& r : table)
    if (r.name == name) return r.type;
  return std::nullopt;
}

std::int64_t elements_of(std::span<const std::int64_t> shape, std::string_view who) {
  std::int64_t count = 1;
  bool fits = true;
  for (const std::int64_t extent : shape) {
    check(extent >= 0, who, ": a negative extent, ", extent);
    fits = fits && !__builtin_mul_overflow(count, extent, &count);
  }
  check(fits, who, ": more elements than can be counted, ", shape_text(shape));
  return count;
}

std::string shape_text(std::span<const std::int64_t> shape) {
  std::string out = "[";
  for (std::size_t i = 0; i < shape.size(); ++i)
    out += (i > 0 ? ", " : "") + std::to_string(shape[i]);
  return out + ']';
}

float half_to_f32(std::uint16_t bits) {
  const std::uint32_t sign = (bits & 0x8000u) << 16, exponent = bits >> 10 & 31u;
  std::uint32_t fraction = bits & 0x3ffu;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7f80'0000u | fraction << 13);
  if (exponent > 0) return std::bit_cast<float>(sign | (exponent + 112) << 23 | fraction << 13);
  const float tiny = static_cast<float>(fraction) * 0x1p-24f;
  return sign ? -tiny : tiny;
}

void to_f32(ElementType type, const void* from, std::int64_t count, float* to) {
  switch (type) {
    case ElementType::f32:
      std::memcpy(to, from, static_cast<std::size_t>(count) * sizeof(float));
      return;
    case ElementType::f16:
      for (std::int64_t i = 0; i < count; ++i) {
        std::uint16_t bits;
        std::memcpy(&bits, static_cast<const std::byte*>(from) + 2 * i, sizeof bits);
        to[i] = half_to_f32(bits);
      }
      return;
    case ElementType::bf16:
      return convert<exciton::bf16>(from, count, to);
    case ElementType::f64:
      return convert<double>(from, count, to);
    case ElementType::boolean:
      for (std::int64_t i = 0; i < count; ++i)
        to[i] = static_cast<const std::byte*>(from)[i] == std::byte{0} ? 0.f : 1.f;
      return;
    case ElementType::u8:
      return convert<std::uint8_t>(from, count, to);
    case ElementType::i8:
      return convert<std::int8_t>(from, count, to);
    case ElementType::i16:
      return convert<std::int16_t>(from, count, to);
    case ElementType::u16:
      return convert<std::uint16_t>(from, count, to);
    case ElementType::i32:
      return convert<std::int32_t>(from, count, to);
    case ElementType::u32:
      return convert<std::uint32_t>(from, count, to);
    case ElementType::i64:
      return convert<std::int64_t>(from, count, to);
    case ElementType::u64:
      return convert<std::uint64_t>(from, count, to);
  }
}

void read_dense(const StoredTensor& tensor, std::size_t number, std::uint64_t offset,
                const ReadBytes& read, const ValueSink& sink) {
  const std::int64_t size = size_of(tensor.type), count = elements_of(tensor.shape, tensor.name);
  const std::int64_t piece = std::min(count, piece_elements);
  std::vector<std::byte> bytes(static_cast<std::size_t>(piece * size));
  std::vector<float> values(static_cast<std::size_t>(piece));
  for (std::int64_t first = 0; first < count; first += piece) {
    const std::int64_t n = std::min(piece, count - first);
    read(offset + static_cast<std::uint64_t>(first * size),
         std::span(bytes).first(static_cast<std::size_t>(n * size)));
    to_f32(tensor.type, bytes.data(), n, values.data());
    sink(number, first, std::span(values).first(static_cast<std::size_t>(n)));
  }
}

void read_strided(const StoredTensor& tensor, std::size_t number,
                  std::span<const std::int64_t> strides, std::span<const std::byte> storage,
                  const ValueSink& sink) {
  const std::int64_t size = size_of(tensor.type), count = elements_of(tensor.shape, tensor.name);
  std::vector<std::int64_t> index(tensor.shape.size());
  std::vector<float> values;
  values.reserve(static_cast<std::size_t>(std::min(count, piece_elements)));
  std::int64_t at = 0, first = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    to_f32(tensor.type, storage.data() + at * size, 1, &values.emplace_back());
    if (std::ssize(values) == piece_elements || i + 1 == count) {
      sink(number, first, values);
      first = i + 1;
      values.clear();
    }
    for (std::size_t axis = index.size(); axis-- > 0;) {
      at += strides[axis];
      if (++index[axis] < tensor.shape[axis]) break;
      at -= strides[axis] * tensor.shape[axis];
      index[axis] = 0;
    }
  }
}

std::vector<std::int64_t> dense_strides(std::span<const std::int64_t> shape) {
  std::vector<std::int64_t> out(shape.size());
  std::int64_t stride = 1;
  for (std::size_t axis = shape.size(); axis-- > 0;) {
    out[axis] = stride;
    stride *= std::max<std::int64_t>(shape[axis], 1);
  }
  return out;
}

bool is_dense(std::span<const std::int64_t> shape, std::span<const std::int64_t> strides) {
  const std::vector<std::int64_t> dense = dense_strides(shape);
  for (std::size_t axis = 0; axis < shape.size(); ++axis)
    if (shape[axis] == 0) return true;
  for (std::size_t axis = 0; axis < shape.size(); ++axis)
    if (shape[axis] != 1 && strides[axis] != dense[axis]) return false;
  return true;
}

}  // namespace exciton::interop
