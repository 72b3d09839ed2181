/// NumPy's arrays in files: "\x93NUMPY", version, a header that is a Python dictionary, the
/// elements.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "exciton/core/tensor.hpp"
#include "exciton/interop/weight_file.hpp"

namespace exciton::interop {

struct NpyHeader {
  ElementType type = ElementType::f32;
  std::vector<std::int64_t> shape;
  bool column_major = false;
  std::uint64_t bytes = 0;  ///< of the header; the elements follow
};

/// Most bytes that a header has.
inline constexpr std::uint64_t max_npy_header = std::uint64_t{64} << 10;

/// The header at the beginning of `head`, which has max_npy_header bytes or all there are. Errors:
/// no .npy; elements that are objects (those are programs), records, complex or big endian.
NpyHeader parse_npy(std::span<const std::uint8_t> head, const std::string& who);

/// An array of numbers as f32. Errors: see above; another size than its header says.
Tensor read_npy(const std::filesystem::path& path);

}  // namespace exciton::interop
