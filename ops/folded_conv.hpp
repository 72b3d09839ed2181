/// Convolution, batch norm, SE, shortcut and ReLU as one step, for evaluation.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>

#include "ops/batch_norm.hpp"
#include "ops/conv2d.hpp"

namespace exciton::ops {

/// With running statistics batch norm is affine, and goes into the weights of the convolution
/// before it:
///   a = gamma / sqrt(var + eps),  w'[o] = a[o] w[o],  b' = beta + a (bias - mean)
///   y = relu(s (conv(x, w') + b') + shortcut)
/// without the parts that are absent. SE's gates s [N, O] need z, the mean over the pixels of
/// conv(x, w') + b'. For a 1x1 convolution that is w' mean(x) + b', so the gates are known before
/// the convolution runs, which multiplies by them, adds the shortcut and clips as it writes y: SE
/// costs one pass over x, which in a bottleneck has a quarter of the channels, and two small
/// products. Other convolutions, and 1x1 ones whose weights outweigh the map, write
/// conv(x, w') + b' first, then take its mean and finish it in a second pass.
///
/// A cache of a layer: weights are folded when the parameters or statistics have changed.
class FoldedConv {
 public:
  FoldedConv();
  ~FoldedConv();
  FoldedConv(FoldedConv&&) noexcept;
  FoldedConv& operator=(FoldedConv&&) noexcept;

  /// What is folded: weight [O, I/g, kH, kW] with its version, the convolution's bias [O] or
  /// absent, and the norm's gamma, beta [O] and running statistics. All f32. Errors: as conv2d and
  /// batch_norm.
  struct Layers {
    const Tensor& weight;
    std::uint64_t version;
    const Tensor& bias;
    ConvSpec spec;
    const Tensor &gamma, &beta;
    const RunningStats& running;
    double eps;
  };
  void fold(const Layers& layers);

  /// z [N, O] -> s [N, O], both f32.
  using Gate = std::function<Tensor(const Tensor& z)>;
  /// y [N, H', W', O] of x [N, H, W, C], f32 or bf16. `gate` may be null, `shortcut` empty (else
  /// like y). Nothing is recorded on a tape. Errors: as conv2d and add; fold() was not called.
  Tensor operator()(const Tensor& x, const Gate& gate, const Tensor& shortcut, bool relu);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace exciton::ops
