#include "ops/folded_conv.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "ops/convolution/kernels.hpp"
#include "ops/se/squeeze.hpp"
#include "ops/simd/passes.hpp"

namespace exciton::ops {
namespace {

bool same_values(const Tensor& kept, const Tensor& now) {
  if (kept.empty() || now.empty()) return kept.empty() && now.empty();
  const auto bytes = static_cast<std::size_t>(now.numel()) * sizeof(float);
  return kept.shape() == now.shape() && std::memcmp(kept.raw(), now.raw(), bytes) == 0;
}

Tensor pixel_mean(const Tensor& x) {
  Squeeze::Saved unused;
  return Squeeze{SqueezeKind::avg}.forward(unused, x);
}

/// y = relu(s y + shortcut) in place, s [N, C].
void finish(Tensor& y, const Tensor& s, const Tensor& shortcut, bool relu) {
  const simd::MapCut cut = simd::MapCut::of(y.shape());
  dispatch_float(y.dtype(), "folded conv2d", [&](auto tag) {
    using T = decltype(tag);
    if constexpr (!std::is_same_v<T, double>) {
      T* yp = y.data<T>();
      const T* sp = shortcut.empty() ? nullptr : shortcut.data<T>();
      cut.run([&](auto, std::int64_t n, std::int64_t at, std::int64_t pixels) {
        simd::channel_kernels<T>().apply(yp + at, s.data<float>() + n * cut.c, nullptr,
                                         sp ? sp + at : nullptr, relu, yp + at, pixels, cut.c);
      });
    }
  });
}

}  // namespace

struct FoldedConv::State {
  // What was folded last.
  std::uint64_t version = 0;
  Tensor own_bias, gamma, beta, mean, var;
  double eps = 0;
  // What came of it.
  ConvSpec spec;
  Tensor weight, bias;
  std::uint64_t folds = 0;
  ConvKernels kernels;

  bool holds(const Layers& l) const {
    return folds > 0 && version == l.version && eps == l.eps && same_values(own_bias, l.bias) &&
           same_values(gamma, l.gamma) && same_values(beta, l.beta) &&
           same_values(mean, l.running.mean) && same_values(var, l.running.var);
  }

  /// Whether the output's mean is cheaper from the input's than from the output itself: then the
  /// product reads the weights once, and no pass over the output is left.
  bool mean_from_input(const Tensor& x) const {
    return weight.dim(2) == 1 && weight.dim(3) == 1 && spec.stride == 1 && spec.groups == 1 &&
           spec.padding == 0 && spec.row_padding() == 0 && x.dim(3) <= 2 * x.dim(1) * x.dim(2);
  }

  Tensor output_mean(const Tensor& x) const {
    const std::int64_t images = x.dim(0), out = weight.dim(0), in = weight.dim(1);
    const Tensor means = pixel_mean(x);
    Tensor z({images, out});
    parallel_for(out, std::max<std::int64_t>(1, (1 << 14) / (in * images)),
                 [&](std::int64_t begin, std::int64_t end) {
                   for (std::int64_t n = 0; n < images; ++n) {
                     float* zn = z.data<float>() + n * out + begin;
                     std::copy_n(bias.data<float>() + begin, end - begin, zn);
                     simd::channel_kernels<float>().matrix_vector(weight.data<float>() + begin * in,
                                                                  means.data<float>() + n * in, zn,
                                                                  end - begin, in);
                   }
                 });
    return z;
  }

  Tensor convolve(const Tensor& x, const Tensor& gates, const Tensor& shortcut, bool relu) {
    return kernels.forward(x, weight, folds, spec, {bias, gates, shortcut, relu});
  }
};

FoldedConv::FoldedConv() : state_(std::make_unique<State>()) {}
FoldedConv::~FoldedConv() = default;
FoldedConv::FoldedConv(FoldedConv&&) noexcept = default;
FoldedConv& FoldedConv::operator=(FoldedConv&&) noexcept = default;

void FoldedConv::fold(const Layers& l) {
  State& s = *state_;
  if (s.holds(l)) return;
  const std::int64_t out = l.weight.dim(0), each = l.weight.numel() / out;
  check(l.gamma.shape() == Shape{out} && l.beta.shape() == Shape{out} &&
            l.running.mean.shape() == Shape{out} && l.running.var.shape() == Shape{out},
        "folded conv2d: a convolution with ", out, " outputs before a batch norm of ",
        l.gamma.shape());
  Tensor weight(l.weight.shape()), bias({out});
  const float *w = l.weight.data<float>(), *gamma = l.gamma.data<float>(),
              *beta = l.beta.data<float>(), *mean = l.running.mean.data<float>(),
              *var = l.running.var.data<float>(),
              *own = l.bias.empty() ? nullptr : l.bias.data<float>();
  float *wf = weight.data<float>(), *bf = bias.data<float>();
  for (std::int64_t o = 0; o < out; ++o) {
    const double a = gamma[o] / std::sqrt(static_cast<double>(var[o]) + l.eps);
    for (std::int64_t i = o * each; i < (o + 1) * each; ++i) wf[i] = static_cast<float>(a * w[i]);
    bf[o] = static_cast<float>(beta[o] + a * ((own ? own[o] : 0.0) - mean[o]));
  }
  s.version = l.version;
  s.own_bias = l.bias.empty() ? Tensor() : l.bias.clone();
  s.gamma = l.gamma.clone();
  s.beta = l.beta.clone();
  s.mean = l.running.mean.clone();
  s.var = l.running.var.clone();
  s.eps = l.eps;
  s.spec = l.spec;
  s.weight = std::move(weight);
  s.bias = std::move(bias);
  ++s.folds;
}

Tensor FoldedConv::operator()(const Tensor& x, const Gate& gate, const Tensor& shortcut,
                              bool relu) {
  State& s = *state_;
  check(s.folds > 0, "folded conv2d: nothing was folded yet");
  const Shape out = conv2d_shape(x.shape(), s.weight.shape(), s.spec);
  check(shortcut.empty() || (shortcut.shape() == out && shortcut.dtype() == x.dtype()),
        "folded conv2d: shortcut is ", shortcut.shape(), " ", shortcut.dtype(), ", the branch ",
        out, " ", x.dtype());
  if (!gate) return s.convolve(x, {}, shortcut, relu);
  if (s.mean_from_input(x)) return s.convolve(x, gate(s.output_mean(x)), shortcut, relu);
  Tensor y = s.convolve(x, {}, {}, false);
  finish(y, gate(pixel_mean(y)), shortcut, relu);
  return y;
}

}  // namespace exciton::ops
