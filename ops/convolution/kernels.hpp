/// The fast convolution of one layer: chooses between our Winograd kernels and oneDNN's for each
/// shape and direction, and keeps what either has packed.
#pragma once
#include "exciton/ops/convolution/winograd.hpp"
#include "exciton/ops/onednn/convolution.hpp"

namespace exciton::ops {

/// Shapes and the equations of conv and its gradients: ops/conv2d.hpp. Maps are f32 or bf16, all of
/// one type; weights, bias, gates and dw are f32. `version` is that of w: equal versions, equal
/// values. Errors: a shape or type that oneDNN has no kernel for on this processor.
class ConvKernels {
 public:
  /// What follows conv(x, w); absent parts are empty or false.
  struct Epilogue {
    Tensor bias, gates, shortcut;  ///< [O], [N, O], like y
    bool relu = false;
  };
  /// y = relu(gates (conv(x, w) + bias) + shortcut), [N, H', W', O].
  Tensor forward(const Tensor& x, const Tensor& w, std::uint64_t version, const ConvSpec& spec,
                 const Epilogue& epilogue);
  /// dx, of x_shape.
  Tensor backward_data(const Tensor& dy, const Tensor& w, std::uint64_t version,
                       const Shape& x_shape, const ConvSpec& spec);
  /// dw, of w_shape.
  Tensor backward_weights(const Tensor& x, const Tensor& dy, const Shape& w_shape,
                          const ConvSpec& spec);

  /// Lets go of packed weights, which the next forward() packs again.
  void drop_weights();

 private:
  /// Lets go of weights that were packed beside maps of another type: rounded, or not.
  void pack_for(DType maps);

  DType packed_for_ = DType::f32;
  onednn::Convolution direct_;
  Winograd winograd_;
};

}  // namespace exciton::ops
