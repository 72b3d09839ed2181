/// Convolution of channels-last images.
#pragma once
#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "exciton/core/operator.hpp"
#include "exciton/core/tape.hpp"

namespace exciton::ops {

/// How Winograd's transformed maps and weights are multiplied where maps are bf16; a later one
/// rounds more.
enum class WinogradProducts {
  f32,  ///< not rounded: results differ from the direct sum's by their own rounding
  /// Rounded to bf16, two a processor's instruction (AVX512_BF16; elsewhere as f32): up to twice as
  /// fast, results off by 0.5 % of their root mean square, where bf16 maps alone are by 0.17 %.
  bf16,
  /// The same by tiles of 4x4 outputs and not 3x3: a fifth fewer products, results off by 0.9 %.
  bf16_4x4
};

struct ConvSpec {
  std::int64_t stride = 1, padding = 0, dilation = 1, groups = 1;
  /// Padding left and right of a row where it differs from that above and below; -1: it does not.
  std::int64_t padding_w = -1;
  WinogradProducts winograd_products = WinogradProducts::f32;
  std::int64_t row_padding() const { return padding_w < 0 ? padding : padding_w; }
  bool operator==(const ConvSpec&) const = default;
};

/// Weights in the layouts and type the primitives prefer, packed once per parameter version.
/// A layer has one; without one the weights are packed on every call. Operators on a tape hold it,
/// too, so that it may outlive the layer. Calls of several threads take turns.
class PackedWeights {
 public:
  PackedWeights();
  struct State;
  const std::shared_ptr<State>& state() const { return state_; }

 private:
  std::shared_ptr<State> state_;
};

/// What runs a convolution; ops/convolution/kernels.hpp says when.
enum class ConvKernel {
  none,
  plain,
  winograd,
  winograd_strided,
  winograd_bf16,
  winograd_bf16_4x4,
  winograd_bf16_strided,
  pointwise,
  onednn,
  direct
};
/// "winograd-f4x3"; "" for none.
std::string name_of(ConvKernel kernel);
/// The other way. Errors: no such kernel, with the names of all.
ConvKernel conv_kernel(const std::string& name);

/// x [N, H, W, C], w [O, C/groups, kH, kW], bias [O] or absent  ->  y [N, H', W', O] with
///   y[n,i,j,o] = bias[o] + sum over a,b,c of x[n, i s - p + a d, j s - q + b d, c] w[o,c,a,b]
///   H' = (H + 2 p - d (kH - 1) - 1) / s + 1,  W' = (W + 2 q - d (kW - 1) - 1) / s + 1
///   (s stride, d dilation, p padding, q row_padding(), which is p unless padding_w is set)
/// Depthwise is groups = C. Backward: dx is the transposed convolution of dy by w, dw the
/// correlation of x with dy, dbias the sum of dy. x f32 or bf16 with w f32 runs on the kernels of
/// ops/convolution: Winograd's for 3x3 windows of stride 1 or 2 (bf16 maps where the processor does
/// not multiply bf16 faster), else oneDNN's (bf16 through f32 copies where there are no other
/// kernels: same values, slower) or, where oneDNN must not run, our own direct convolution. f64
/// runs the plain twin, direct loops of the formula above. Errors: ranks, channels against groups,
/// an output without pixels.
struct Conv2d {
  static constexpr std::string_view name = "conv2d";
  ConvSpec spec;
  std::shared_ptr<PackedWeights::State> packed = nullptr;  ///< of the layer; valid with `version`
  std::uint64_t version = 0;
  /// Whether `packed` keeps the weights of a forward pass; in training the next finds others.
  /// Backward never leaves any.
  bool keep_packed = true;
  bool plain = false;  ///< run the plain twin in any type

  struct Saved {
    Tensor x, w;
    std::array<ConvKernel, 3> ran{};  ///< forward, and backward's data and weights
  };
  Tensor forward(Saved& saved, const Tensor& x, const Tensor& w, const Tensor& bias) const;
  Grads<3> backward(Saved& saved, Tensor dy, Needs<3> needs) const;
  std::int64_t multiply_adds(const Tensor& y, const Tensor& x, const Tensor& w,
                             const Tensor& bias) const;
  static std::string kernel(const Saved& saved);
  static std::vector<Example<Conv2d>> examples();
};

/// Shape of the result of a convolution. Errors as above.
Shape conv2d_shape(const Shape& x, const Shape& w, const ConvSpec& spec);

inline Var conv2d(const Var& x, const Var& w, const Var& bias = {}, const ConvSpec& spec = {}) {
  return apply(Conv2d{.spec = spec}, x, w, bias);
}
/// The same for a layer's parameter with its packed copy, which stays if `keep_packed`.
inline Var conv2d(const Var& x, Parameter& w, Parameter& bias, const ConvSpec& spec,
                  PackedWeights& packed, bool keep_packed) {
  return apply(Conv2d{.spec = spec,
                      .packed = packed.state(),
                      .version = w.version(),
                      .keep_packed = keep_packed},
               x, Var(w), Var(bias));
}

}  // namespace exciton::ops
