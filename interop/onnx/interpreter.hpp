/// Runs an ONNX file by plain loops: im2col and a matrix product, windows, elements. It shares
/// nothing with ops/, so that what is misread here is not misread there in the same way; tests hold
/// each node to values of ONNX Runtime.
#pragma once
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "exciton/interop/onnx/model.hpp"

namespace exciton::interop::onnx {

/// Row-major.
struct Array {
  std::vector<std::int64_t> shape;
  std::vector<float> values;
};

/// The outputs of the graph for its one input. Constants are read from the file when a node wants
/// them, and let go with it. Errors: a node or an attribute that is not known here; shapes that do
/// not fit.
std::vector<Array> run(const std::filesystem::path& path, const FileModel& model,
                       const Array& input);

}  // namespace exciton::interop::onnx
