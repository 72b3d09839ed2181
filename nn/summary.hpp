/// What a model is made of: its operations with shapes, parameters, multiply-adds and bytes.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "exciton/nn/registry.hpp"

namespace exciton::nn {

/// One operation of a forward pass, in order.
struct SummaryRow {
  std::string name;  ///< the module that ran it: "stage1.0.conv1"; "" is the model itself
  std::string kind;  ///< the operator: "conv2d"
  Shape output;
  std::int64_t parameters = 0;  ///< elements of the parameters it is the first to use
  std::int64_t multiply_adds =
      0;  ///< of convolutions and matrix products; SE's two layers included
  std::int64_t activation_bytes = 0;  ///< of its output
  bool is_se = false;                 ///< part of an SE block: runs inside one or uses its weights
};

struct Summary {
  std::string model;
  std::int64_t image_size = 0, batch = 1, classes = 0;
  std::vector<SummaryRow> rows;
  std::int64_t parameters = 0, se_parameters = 0;
  /// For the whole batch. A multiply-add counts one (the paper's "FLOPs" are these); batch norm,
  /// activations, pooling, scale and sums count none.
  std::int64_t multiply_adds = 0, se_multiply_adds = 0;
  std::int64_t activation_bytes = 0;
};

/// Runs one forward pass in evaluation mode on black images of image_size (0: the model's own) and
/// lists what the tape saw. The plain operators run, so that batch norm and the parts of SE have
/// rows of their own; the fused ones keep fewer bytes. Errors: a tape is already recording; the
/// model does not fit the size.
Summary summarize(Model& model, std::int64_t image_size = 0, std::int64_t batch = 1);

}  // namespace exciton::nn
