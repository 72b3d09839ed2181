/// Elements of files as f32.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "exciton/interop/weight_file.hpp"

namespace exciton::interop {

/// How many elements are held at a time.
inline constexpr std::int64_t piece_elements = std::int64_t{1} << 16;

/// Converts `count` elements that begin at `from`, aligned or not, little endian.
void to_f32(ElementType type, const void* from, std::int64_t count, float* to);

/// The f32 next to half precision's `bits`, exact.
float half_to_f32(std::uint16_t bits);

/// Fills `out` with the bytes from `offset` on of where a tensor lies.
using ReadBytes = std::function<void(std::uint64_t offset, std::span<std::byte> out)>;

/// A tensor that lies dense and in order: hands its elements to the sink in pieces, reading them
/// one after another from byte `offset`.
void read_dense(const StoredTensor& tensor, std::size_t number, std::uint64_t offset,
                const ReadBytes& read, const ValueSink& sink);

/// A tensor with `strides`, in elements, within `storage`, whose first byte is that of the tensor's
/// first element.
void read_strided(const StoredTensor& tensor, std::size_t number,
                  std::span<const std::int64_t> strides, std::span<const std::byte> storage,
                  const ValueSink& sink);

/// Strides of a dense row-major tensor.
std::vector<std::int64_t> dense_strides(std::span<const std::int64_t> shape);
/// Whether elements lie one after another in order; extents of one may have any stride.
bool is_dense(std::span<const std::int64_t> shape, std::span<const std::int64_t> strides);

}  // namespace exciton::interop
