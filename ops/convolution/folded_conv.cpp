#include "exciton/ops/convolution/folded_conv.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <mutex>
#include <vector>

#include "exciton/ops/arguments.hpp"
#include "exciton/ops/convolution/kernels.hpp"
#include "exciton/ops/se/squeeze.hpp"
#include "exciton/ops/simd/passes.hpp"

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
  const simd::Partition cut = simd::Partition::of(y.shape());
  dispatch_float(y.dtype(), "folded conv2d", [&](auto tag) {
    using T = decltype(tag);
    if constexpr (!std::is_same_v<T, double>) {
      T* yp = y.data<T>();
      const T* sp = shortcut.empty() ? nullptr : shortcut.data<T>();
      cut.run([&](auto, std::int64_t n, std::int64_t at, std::int64_t pixels) {
        simd::channel_kernels<T>().apply(yp + at, {.a = s.data<float>() + n * cut.c},
                                         sp ? sp + at : nullptr, relu, yp + at, pixels, cut.c);
      });
    }
  });
}

}  // namespace

struct FoldedConv::State {
  std::mutex mutex;
  // What was folded last.
  std::uint64_t version = 0;
  Tensor own_bias, gamma, beta, mean, var;
  double eps = 0;
  Tensor reduce, reduce_bias;
  std::uint64_t reduce_version = 0;
  // What came of it.
  ConvSpec spec;
  Tensor weight, bias, through, through_bias;
  std::uint64_t folds = 0;
  ConvKernels kernels;

  bool holds(const Layers& l) const {
    return folds > 0 && version == l.version && eps == l.eps && same_values(own_bias, l.bias) &&
           same_values(gamma, l.gamma) && same_values(beta, l.beta) &&
           same_values(mean, l.running.mean) && same_values(var, l.running.var) &&
           reduce.empty() == l.reduce.empty() && reduce_version == l.reduce_version &&
           same_values(reduce_bias, l.reduce_bias);
  }

  /// Whether the output's mean is a function of the input's.
  bool pointwise() const {
    return weight.dim(2) == 1 && weight.dim(3) == 1 && spec.stride == 1 && spec.groups == 1 &&
           spec.padding == 0 && spec.row_padding() == 0;
  }

  /// SE's first layer behind the convolution, as a layer of the input's mean.
  void fold_reduce() {
    const std::int64_t rows = reduce.dim(0), out = weight.dim(0), in = weight.dim(1);
    check(reduce.dim(1) == out, "folded conv2d: a convolution with ", out,
          " outputs before SE weights ", reduce.shape());
    through = Tensor({rows, in});
    through_bias = Tensor({rows});
    parallel_for(rows, 1, [&](std::int64_t begin, std::int64_t end) {
      std::vector<double> sum(static_cast<std::size_t>(in));
      for (std::int64_t r = begin; r < end; ++r) {
        const float *w1 = reduce.data<float>() + r * out, *w = weight.data<float>();
        double b = reduce_bias.empty() ? 0.0 : reduce_bias.data<float>()[r];
        std::fill(sum.begin(), sum.end(), 0.0);
        for (std::int64_t o = 0; o < out; ++o) {
          const double a = w1[o];
          b += a * bias.data<float>()[o];
          for (std::int64_t i = 0; i < in; ++i)
            sum[static_cast<std::size_t>(i)] += a * w[o * in + i];
        }
        std::copy(sum.begin(), sum.end(), through.data<float>() + r * in);
        through_bias.data<float>()[r] = static_cast<float>(b);
      }
    });
  }

  Tensor convolve(const Tensor& x, const Tensor& gates, const Tensor& shortcut, bool relu) {
    return kernels.forward(x, weight, folds, spec, {bias, gates, shortcut, relu});
  }
};

FoldedConv::FoldedConv() : state_(std::make_unique<State>()) { state_->kernels.keep_weights(true); }
FoldedConv::~FoldedConv() = default;
FoldedConv::FoldedConv(FoldedConv&&) noexcept = default;
FoldedConv& FoldedConv::operator=(FoldedConv&&) noexcept = default;

void FoldedConv::fold(const Layers& l) {
  State& s = *state_;
  const std::lock_guard lock(s.mutex);
  if (s.holds(l)) return;
  constexpr std::string_view name = "folded conv2d";
  for (const Tensor* t : {&l.weight, &l.gamma, &l.beta, &l.running.mean, &l.running.var})
    check_form(name, "a layer's tensor", *t, {t->shape(), DType::f32});
  for (const Tensor* t : {&l.bias, &l.reduce, &l.reduce_bias})
    check_optional(name, "a layer's tensor", *t, {t->shape(), DType::f32});
  check(l.weight.rank() == 4 && l.weight.numel() > 0, name,
        ": weight must be [O, C/groups, kH, kW], got ", l.weight.shape());
  const std::int64_t out = l.weight.dim(0), each = l.weight.numel() / out;
  check_optional(name, "bias", l.bias, {{out}, DType::f32});
  check(l.reduce.empty() || l.reduce.rank() == 2, name, ": SE's first weight must be [R, O], got ",
        l.reduce.shape());
  if (!l.reduce.empty())
    check_optional(name, "SE's first bias", l.reduce_bias, {{l.reduce.dim(0)}, DType::f32});
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
  s.reduce = l.reduce;
  s.reduce_version = l.reduce_version;
  s.reduce_bias = l.reduce_bias.empty() ? Tensor() : l.reduce_bias.clone();
  if (!s.reduce.empty() && s.pointwise()) s.fold_reduce();
}

std::string FoldedConv::kernel() const {
  const std::lock_guard lock(state_->mutex);
  return "folded, " + name_of(state_->kernels.ran());
}

Tensor FoldedConv::operator()(const Tensor& x, const Gate& gate, const Tensor& shortcut,
                              bool relu) {
  State& s = *state_;
  const std::lock_guard lock(s.mutex);
  check(s.folds > 0, "folded conv2d: nothing was folded yet");
  check(x.dtype() == DType::f32 || x.dtype() == DType::bf16, "conv2d: x must be f32 or bf16, got ",
        Form::of(x));
  check_input("conv2d", "x", x);
  const Shape out = conv2d_shape(x.shape(), s.weight.shape(), s.spec);
  check(shortcut.empty() || (shortcut.shape() == out && shortcut.dtype() == x.dtype()),
        "folded conv2d: shortcut is ", shortcut.shape(), " ", shortcut.dtype(), ", the branch ",
        out, " ", x.dtype());
  if (!gate) return s.convolve(x, {}, shortcut, relu);
  check(!s.reduce.empty(), "folded conv2d: gates without a first layer");
  Tensor gates;
  const Form expected{{out[0], out[3]}, DType::f32};
  if (s.pointwise()) {
    gates = gate(pixel_mean(x), s.through, s.through_bias);
    check_form("folded conv2d", "gate", gates, expected);
    // Gates of its own make each image a product of its own, which reads the weights again.
    const bool light = x.dim(3) <= 2 * x.dim(1) * x.dim(2);
    if (light || x.dim(0) == 1) return s.convolve(x, gates, shortcut, relu);
  }
  Tensor y = s.convolve(x, {}, {}, false);
  if (gates.empty()) gates = gate(pixel_mean(y), s.reduce, s.reduce_bias);
  check_form("folded conv2d", "gate", gates, expected);
  finish(y, gates, shortcut, relu);
  return y;
}

}  // namespace exciton::ops
