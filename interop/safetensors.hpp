/// Writing safetensors (github.com/huggingface/safetensors):
///   u64     N, bytes of the header, little endian
///   N bytes JSON: {"__metadata__": {text: text}, NAME: {"dtype", "shape", "data_offsets": [begin,
///   end]}} rest    the tensors, little endian, row-major; offsets count from the end of the header
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "exciton/interop/weight_file.hpp"

namespace exciton::interop {

/// A tensor to be written, f32 or bf16.
struct TensorToWrite {
  std::string name;
  ElementType type = ElementType::f32;
  std::vector<std::int64_t> shape;
  /// Gives its values, all of them in order, to `put`, in pieces of any length.
  std::function<void(const std::function<void(std::span<const float>)>& put)> values;
};

/// Writes the file in one step: a process killed at any moment leaves the old file or the new one.
/// Tensors lie by size of element, then by name, as the reference has them. Errors: two tensors of
/// one name, one named "__metadata__", texts that are no UTF-8; the system's.
void write_safetensors(const std::filesystem::path& path, std::vector<TensorToWrite> tensors,
                       const std::map<std::string, std::string>& metadata);

}  // namespace exciton::interop
