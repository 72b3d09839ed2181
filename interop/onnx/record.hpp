/// A network as an ONNX graph: what its plain operators do with one image, node by node.
#pragma once
#include <cstdint>
#include <vector>

#include "exciton/interop/layout.hpp"
#include "exciton/interop/onnx/model.hpp"

namespace exciton::interop::onnx {

struct RecordOptions {
  std::int64_t height = 0, width = 0, channels = 0;
  /// Each batch norm behind a convolution goes into its weights and bias.
  bool fold = false;
  /// The input is pixels of 0 to 255: these are subtracted and divided by within the graph, in
  /// units of [0, 1]. Empty: the input is normalised already.
  std::vector<double> mean, std;
};

/// Runs `net` once in evaluation mode, by the single operators, and writes down what runs. `layout`
/// is its tensors by their names here, which the constants get; they stay where they are and are
/// read when the model is written. A map [N, H, W, C] is [N, C, H, W] there, a squeezed one [N, C,
/// 1, 1]. Errors: an operator that has no form there (a user's own).
Model record(nn::Module& net, const Layout& layout, const RecordOptions& options);

}  // namespace exciton::interop::onnx
