/// The fast convolution of one layer: chooses between our Winograd kernels and oneDNN's for each
/// shape and direction, and keeps what either has packed.
#pragma once
#include "ops/convolution/winograd.hpp"
#include "ops/onednn/convolution.hpp"

namespace exciton::ops {

class ConvKernels {
 public:
  /// y = relu(gates (conv(x, w) + bias) + shortcut), without absent parts. x f32 or bf16
  /// [N, H, W, C], w and bias f32, gates f32 [N, O], shortcut like y. `version` is that of w.
  struct Epilogue {
    Tensor bias, gates, shortcut;
    bool relu = false;
  };
  Tensor forward(const Tensor& x, const Tensor& w, std::uint64_t version, const ConvSpec& spec,
                 const Epilogue& epilogue);
  Tensor backward_data(const Tensor& dy, const Tensor& w, std::uint64_t version,
                       const Shape& x_shape, const ConvSpec& spec);
  Tensor backward_weights(const Tensor& x, const Tensor& dy, const Shape& w_shape,
                          const ConvSpec& spec);

 private:
  onednn::Convolution direct_;
  Winograd winograd_;
};

}  // namespace exciton::ops
