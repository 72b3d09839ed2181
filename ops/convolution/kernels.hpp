/// The fast convolution of one layer: chooses a kernel for each shape, type and direction, and
/// keeps what it has packed. The first row that fits runs; `exciton profile` and `trace` name it.
///
///   kernel           runs                                              because
///   plain            f64; twins (Conv2d::plain)                        it is the formula
///   winograd-bf16-f3x3
///                    3x3, stride 1, bf16, where the layer allows       a 3.24th of the products,
///                    rounded products and the processor has them       at twice the rate
///   winograd-bf16-f4x3
///                    the same where it allows larger tiles             a quarter
///   winograd-f4x3    3x3, stride 1: f32; bf16 where the processor      a quarter of the products;
///                    does not multiply it faster                       winograd.hpp, measured
///                    there
///   winograd-f4x3s2  the same with stride 2                            81 products for 144
///   winograd-bf16-f4x3s2
///                    stride 2 where rounded products are allowed       the same, at twice the rate
///   pointwise        1x1, forward, where weights are kept or           what follows the sum costs
///                    channels many: f32; bf16 in pairs                 nothing; pointwise.hpp
///   onednn           what oneDNN offers a kernel for that is trusted   tuned for every form
///                    (onednn/kernel_table.hpp)
///   direct           all else: oneDNN absent, refused or distrusted;   any form on any processor
///                    where it takes less time than oneDNN
///
/// Every weight gradient is a sum over leaves of images, how many being a function of the shapes
/// (ops/leaves.hpp): Winograd's where each thread has tiles of its own, oneDNN's and the direct
/// kernel's. Winograd's of wider layers is one leaf.
///
/// EXCITON_CONV (path.hpp) takes rows out, for tests and comparisons; choices.hpp puts what was
/// measured and asked for before the first row.
#pragma once
#include <vector>

#include "exciton/ops/convolution/onednn/convolution.hpp"
#include "exciton/ops/convolution/pointwise.hpp"
#include "exciton/ops/convolution/winograd.hpp"

namespace exciton::ops {

/// Shapes and the equations of conv and its gradients: ops/convolution/conv2d.hpp. Maps are f32 or
/// bf16, all of one type; weights, bias, gates and dw are f32. `version` is that of w: equal
/// versions, equal values. Errors: a shape or type that oneDNN has no kernel for on this processor.
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

  /// What ran the last of these.
  ConvKernel ran() const { return ran_; }

  /// Whether forward finds the same weights again and again, as inference does: packing them is
  /// then worth more. It does not unless told.
  void keep_weights(bool yes) { keeps_weights_ = yes; }

  /// All that could run it, the one that would first.
  std::vector<ConvKernel> candidates(const ConvGeometry& g, std::int64_t images,
                                     Direction direction);
  /// Runs all on this one, as far as it can; none: on what the table says.
  void force(ConvKernel kernel) { forced_ = kernel; }

  /// Lets go of packed weights, which the next forward() packs again.
  void drop_weights();

 private:
  /// Whether a kernel can run this direction; if so, g becomes what it is told.
  bool can_run(ConvKernel kernel, ConvGeometry& g, std::int64_t images, Direction direction);
  /// The row of the table above for this direction, unless another was asked for; g as above.
  ConvKernel choose(ConvGeometry& g, std::int64_t images, Direction direction);
  /// Lets go of weights that were packed beside maps of another type: rounded, or not.
  void pack_for(DType maps);

  ConvKernel ran_ = ConvKernel::none, forced_ = ConvKernel::none;
  bool keeps_weights_ = false;
  DType packed_for_ = DType::f32;
  onednn::Primitives onednn_;
  Winograd winograd_;
  Pointwise pointwise_;
};

}  // namespace exciton::ops
