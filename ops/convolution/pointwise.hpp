/// 1x1 convolutions as one product of matrices, with all that follows as its sums are written:
///
///   y[p, :] = relu(gates (W x[p, :] + bias) + shortcut[p, :])   for every pixel p
///
/// Weights are packed once a version and streamed past blocks of pixels that are near: what
/// inference does with a few images, where oneDNN's kernels wait for weights and apply gates,
/// shortcut and ReLU in passes of their own. Blocks of pixels are of all but equal size, so maps of
/// 7 x 7 leave no row of a block empty.
///
/// f32 everywhere; bf16 in pairs of channels where the processor multiplies them (AVX512_BF16). The
/// number of outputs fills vectors. Every sum is made one channel after another, whatever thread
/// makes it.
#pragma once
#include "exciton/ops/convolution/geometry.hpp"

namespace exciton::ops {

class Pointwise {
 public:
  /// Whether a forward pass can run here.
  static bool can_run(const ConvGeometry& g);
  /// Whether it should. AVX-512, measured on Zen 4: where weights are kept from call to call, for
  /// the layers of ResNet-50 and one image, it is never slower than oneDNN and up to 1.5 times as
  /// fast. Where they are packed in every call, as in training, it came out as oneDNN, but for sums
  /// over 1,024 channels and more, where it takes 0.8 to 0.97 of the time. AVX2, measured on Zen 3:
  /// kept weights of at most 64 x 64, and those of stride 2 with maps of 8 pixels and more and up
  /// to 512 outputs, take 0.5 to 0.65 of oneDNN's time; others 1 to 1.2.
  static bool applicable(const ConvGeometry& g, bool keeps_weights);

  /// y = epilogue(conv(x) + bias), x, y and the shortcut of the type that `g` names; bias [O] may
  /// be null. Weights [O, C, 1, 1] f32.
  void forward(const ConvGeometry& g, std::int64_t images, const Tensor& weights,
               std::uint64_t version, const void* x, const float* bias, void* y,
               const EpilogueInputs& epilogue, bool keeps_weights);

  void drop_weights() { packed_ = {}; }

 private:
  struct Packed {
    Tensor values;
    std::uint64_t version = 0;
    Shape weights;
    DType maps = DType::f32;
  };
  Packed packed_;
};

}  // namespace exciton::ops
