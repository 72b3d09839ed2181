/// Convolution, batch norm, SE, shortcut and ReLU as one step, for evaluation.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "exciton/ops/batch_norm.hpp"
#include "exciton/ops/convolution/conv2d.hpp"

namespace exciton::ops {

/// With running statistics batch norm is affine, and goes into the weights of the convolution
/// before it:
///   a = gamma / sqrt(var + eps),  w'[o] = a[o] w[o],  b' = beta + a (bias - mean)
///   y = relu(s (conv(x, w') + b') + shortcut)
/// without the parts that are absent. SE's gates s [N, O] are a function of W1 z + b1, z the mean
/// over the pixels of conv(x, w') + b'. For a 1x1 convolution z is w' mean(x) + b', so
///   W1 z + b1 = (W1 w') mean(x) + (W1 b' + b1),
/// a layer that is folded too: in a bottleneck a quarter as wide as W1. The gates are known before
/// the convolution runs, which multiplies by them, adds the shortcut and clips as it writes y: SE
/// costs one pass over x, which has a quarter of the channels, and two small products. With several
/// images and weights that outweigh their maps the product takes all images at once, and a second
/// pass finishes them. Other convolutions write conv(x, w') + b' first, then take its mean and
/// finish it.
///
/// A cache of a layer: weights are folded when the parameters or statistics have changed. Calls of
/// several threads take turns.
class FoldedConv {
 public:
  FoldedConv();
  ~FoldedConv();
  FoldedConv(FoldedConv&&) noexcept;
  FoldedConv& operator=(FoldedConv&&) noexcept;

  /// What is folded: weight [O, I/g, kH, kW] with its version, the convolution's bias [O] or
  /// absent, the norm's gamma, beta [O] and running statistics, and SE's first layer W1 [R, O] with
  /// its version and b1 [R]; these may be absent. All f32. Errors: as conv2d and batch_norm.
  struct Layers {
    const Tensor& weight;
    std::uint64_t version;
    const Tensor& bias;
    ConvSpec spec;
    const Tensor &gamma, &beta;
    const RunningStats& running;
    double eps;
    const Tensor& reduce;
    std::uint64_t reduce_version;
    const Tensor& reduce_bias;
  };
  void fold(const Layers& layers);

  /// s [N, O] of a mean z [N, K] and the first layer that belongs to it, w1 [R, K] and b1 [R] or
  /// absent; all f32.
  using Gate = std::function<Tensor(const Tensor& z, const Tensor& w1, const Tensor& b1)>;
  /// y [N, H', W', O] of x [N, H, W, C], f32 or bf16. `gate` may be null (else fold() was given a
  /// first layer), `shortcut` empty (else like y). Nothing is recorded on a tape. Errors: as conv2d
  /// and add; fold() was not called.
  Tensor operator()(const Tensor& x, const Gate& gate, const Tensor& shortcut, bool relu);
  /// How the last of these ran: "folded, winograd-f4x3".
  std::string kernel() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace exciton::ops
