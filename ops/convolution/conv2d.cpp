#include "exciton/ops/convolution/conv2d.hpp"

#include <mutex>

#include "exciton/core/example.hpp"
#include "exciton/core/threads.hpp"
#include "exciton/ops/arguments.hpp"
#include "exciton/ops/convolution/kernels.hpp"
#include "exciton/ops/convolution/plain.hpp"
#include "exciton/ops/simd/passes.hpp"

namespace exciton::ops {

struct PackedWeights::State {
  std::mutex mutex;  // oneDNN's jobs and what is packed are changed by every call
  ConvKernels kernels;
};
PackedWeights::PackedWeights() : state_(std::make_shared<State>()) {}

Shape conv2d_shape(const Shape& x, const Shape& w, const ConvSpec& s) {
  constexpr std::string_view name = Conv2d::name;
  check(x.rank() == 4, name, ": x must be [N, H, W, C], got ", x);
  check(w.rank() == 4, name, ": weight must be [O, C/groups, kH, kW], got ", w);
  constexpr std::int64_t most = 1 << 20;  // sums and products of a few of them cannot overflow
  check(s.stride >= 1 && s.dilation >= 1 && s.groups >= 1 && s.padding >= 0 && s.stride <= most &&
            s.dilation <= most && s.padding <= most && s.row_padding() <= most,
        name, ": stride ", s.stride, ", padding ", s.padding, " and ", s.row_padding(),
        ", dilation ", s.dilation, ", groups ", s.groups, " are not all in range");
  check(x[3] % s.groups == 0 && w[0] % s.groups == 0, name, ": ", s.groups, " groups divide ",
        "neither or only one of ", x[3], " input and ", w[0], " output channels");
  check(x[3] == w[1] * s.groups, name, ": x ", x, " has ", x[3], " channels, weight ", w, " with ",
        s.groups, " groups expects ", w[1] * s.groups);
  const auto extent = [&](std::int64_t in, std::int64_t k, std::int64_t padding) {
    const std::int64_t span = s.dilation * (k - 1) + 1;
    check(in + 2 * padding >= span, name, ": a ", span, "-pixel window does not fit into ", in,
          " pixels padded by ", padding, " (x ", x, ", weight ", w, ")");
    return (in + 2 * padding - span) / s.stride + 1;
  };
  return {x[0], extent(x[1], w[2], s.padding), extent(x[2], w[3], s.row_padding()), w[0]};
}

namespace {

bool runs_plain(const Conv2d& op, const Tensor& x) { return op.plain || x.dtype() == DType::f64; }

}  // namespace

Tensor Conv2d::forward(Saved& saved, const Tensor& x, const Tensor& w, const Tensor& bias) const {
  check_input(name, "x", x);
  check_input(name, "weight", w);
  const Shape out = conv2d_shape(x.shape(), w.shape(), spec);
  check(w.dtype() == acc_type(x.dtype()), name, ": weight of type ", w.dtype(), " beside ",
        x.dtype(), " images, expected ", acc_type(x.dtype()));
  check_optional(name, "bias", bias, {{out[3]}, w.dtype()});
  saved.x = x;
  saved.w = w;
  saved.ran = {ConvKernel::plain};
  if (runs_plain(*this, x)) return plain::forward(x, w, bias, spec);
  const auto cache = packed ? packed : PackedWeights().state();
  const std::lock_guard lock(cache->mutex);
  ConvKernels& kernels = cache->kernels;
  kernels.keep_weights(packed && keep_packed);
  const Tensor y = kernels.forward(x, w, version, spec, {.bias = bias});
  saved.ran[0] = kernels.ran();
  if (!keep_packed) kernels.drop_weights();
  return y;
}

Grads<3> Conv2d::backward(Saved& saved, Tensor dy, Needs<3> needs) const {
  const Tensor &x = saved.x, &w = saved.w;
  check_gradient(name, dy, {conv2d_shape(x.shape(), w.shape(), spec), x.dtype()});
  Grads<3> grads;
  if (needs[2]) {
    dispatch_float(dy.dtype(), name, [&](auto tag) {
      using T = decltype(tag);
      const simd::Partition cut = simd::Partition::of(dy.shape());
      const auto sums = simd::image_sums(
          cut, [&](auto, auto, std::int64_t at, std::int64_t pixels, double* sum, double*) {
            simd::channel_kernels<T>().sums(dy.data<T>() + at, pixels, cut.c, sum);
          });
      grads[2] = gradient_over_images<Acc<T>>(cut.images, cut.c, [&](std::int64_t i, double* sum) {
        for (std::int64_t k = 0; k < cut.c; ++k) sum[k] += sums.a()[i * cut.c + k];
      });
    });
  }
  if (runs_plain(*this, x)) {
    if (needs[0]) grads[0] = plain::backward_data(dy, w, x.shape(), spec);
    if (needs[1]) grads[1] = plain::backward_weights(x, dy, w.shape(), spec);
    return grads;
  }
  const auto cache = packed ? packed : PackedWeights().state();
  const std::lock_guard lock(cache->mutex);
  ConvKernels& kernels = cache->kernels;
  if (needs[0]) {
    grads[0] = kernels.backward_data(dy, w, version, x.shape(), spec);
    saved.ran[1] = kernels.ran();
  }
  kernels.drop_weights();
  if (needs[1]) {
    grads[1] = kernels.backward_weights(x, dy, w.shape(), spec);
    saved.ran[2] = kernels.ran();
  }
  return grads;
}

std::string Conv2d::kernel(const Saved& saved) {
  const auto [forward, data, weights] = saved.ran;
  if (data == ConvKernel::none && weights == ConvKernel::none) return name_of(forward);
  if (data == ConvKernel::none || data == weights) return name_of(weights);
  return weights == ConvKernel::none ? name_of(data) : name_of(data) + ", " + name_of(weights);
}

std::int64_t Conv2d::multiply_adds(const Tensor& y, const Tensor&, const Tensor& w,
                                   const Tensor&) const {
  return y.numel() * w.numel() / w.dim(0);
}

std::vector<Example<Conv2d>> Conv2d::examples() {
  const auto of = [](ConvSpec s, std::vector<Shape> inputs) {
    return Example<Conv2d>{Conv2d{.spec = s}, std::move(inputs)};
  };
  return {
      of({.padding = 1}, {{2, 5, 4, 3}, {4, 3, 3, 3}, absent}),
      of({.stride = 2, .padding = 1}, {{3, 7, 5, 4}, {6, 4, 3, 3}, {6}}),
      of({}, {{2, 3, 4, 5}, {7, 5, 1, 1}, {7}}),
      of({.stride = 2}, {{1, 5, 6, 4}, {3, 4, 1, 1}, absent}),
      of({.padding = 2, .dilation = 2}, {{1, 6, 7, 3}, {2, 3, 3, 3}, absent}),
      of({.padding = 1, .groups = 2}, {{2, 4, 5, 6}, {4, 3, 3, 3}, {4}}),
      // Narrow groups, which oneDNN sees merged: by two, by four, all, and an odd number of them.
      of({.padding = 1, .groups = 4}, {{2, 5, 4, 16}, {16, 4, 3, 3}, {16}}),
      of({.stride = 2, .padding = 1, .groups = 8}, {{2, 5, 6, 16}, {8, 2, 3, 3}, absent}),
      of({.padding = 1, .groups = 2}, {{2, 4, 3, 4}, {6, 2, 3, 3}, {6}}),
      of({.groups = 3}, {{2, 3, 3, 6}, {9, 2, 2, 2}, absent}),
      of({.stride = 2, .padding = 1, .groups = 6}, {{2, 5, 5, 6}, {6, 1, 3, 3}, absent}),
      of({.stride = 2, .padding = 3}, {{1, 9, 11, 3}, {5, 3, 7, 7}, absent}),
      of({}, {{1, 1, 1, 1}, {1, 1, 1, 1}, absent}),
      of({.padding = 1}, {{4, 6, 6, 16}, {16, 16, 3, 3}, absent}),
      // Channels and tiles enough for Winograd's kernels, on maps that end inside a tile.
      of({.padding = 1}, {{16, 3, 3, 16}, {16, 16, 3, 3}, {16}}),
      // Maps large beside the weights: the weight gradient is summed over uneven pieces of images.
      of({.padding = 1}, {{3, 12, 13, 4}, {8, 4, 3, 3}, absent}),
      of({.padding_w = 3}, {{2, 4, 5, 6}, {7, 6, 1, 7}, absent}),
      of({.padding = 1, .padding_w = 0}, {{1, 5, 4, 7}, {3, 7, 3, 1}, {3}}),
  };
}

}  // namespace exciton::ops
