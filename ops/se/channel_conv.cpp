#include "exciton/ops/se/channel_conv.hpp"

#include <algorithm>
#include <vector>

#include "exciton/core/example.hpp"
#include "exciton/ops/arguments.hpp"
#include "exciton/ops/leaves.hpp"

namespace exciton::ops {
namespace {

/// The channels c of [0, count) for which c + shift is one, too.
struct Overlap {
  std::int64_t begin, end;
  Overlap(std::int64_t count, std::int64_t shift)
      : begin(std::max<std::int64_t>(0, -shift)), end(std::min(count, count - shift)) {}
};

}  // namespace

// N C k multiply-adds beside a map of N H W C: one thread does them before others would wake up.

Tensor ChannelConv::forward(Saved& saved, const Tensor& z, const Tensor& w) const {
  check_input(name, "z", z);
  check_input(name, "w", w);
  check(z.rank() == 2, name, ": z must be [N, C], got ", z.shape());
  check(w.rank() == 1 && w.dim(0) % 2 == 1, name, ": w must be [k] with an odd k, got ", w.shape());
  check(w.dtype() == acc_type(z.dtype()), name, ": w of type ", w.dtype(), " beside ", z.dtype(),
        " z, expected ", acc_type(z.dtype()));
  saved = {z, w};
  const std::int64_t n = z.dim(0), c = z.dim(1), k = w.dim(0);
  Tensor y(z.shape(), z.dtype());
  dispatch_float(z.dtype(), name, [&](auto tag) {
    using T = decltype(tag);
    using A = Acc<T>;
    const T* zp = z.data<T>();
    const A* wp = w.data<A>();
    T* yp = y.data<T>();
    std::vector<A> row(static_cast<std::size_t>(c));
    for (std::int64_t i = 0; i < n; ++i, zp += c, yp += c) {
      std::fill(row.begin(), row.end(), A{0});
      for (std::int64_t j = 0; j < k; ++j) {
        const std::int64_t shift = j - (k - 1) / 2;
        const Overlap in(c, shift);
        for (std::int64_t at = in.begin; at < in.end; ++at)
          row[static_cast<std::size_t>(at)] += wp[j] * static_cast<A>(zp[at + shift]);
      }
      for (std::int64_t at = 0; at < c; ++at)
        yp[at] = static_cast<T>(row[static_cast<std::size_t>(at)]);
    }
  });
  return y;
}

Grads<2> ChannelConv::backward(Saved& saved, Tensor dy, Needs<2>) const {
  const Tensor &z = saved.z, &w = saved.w;
  check_gradient(name, dy, Form::of(z));
  const std::int64_t n = z.dim(0), c = z.dim(1), k = w.dim(0);
  Tensor dz(z.shape(), z.dtype()), dw;
  dispatch_float(z.dtype(), name, [&](auto tag) {
    using T = decltype(tag);
    using A = Acc<T>;
    const T *zp = z.data<T>(), *dyp = dy.data<T>();
    const A* wp = w.data<A>();
    T* dzp = dz.data<T>();
    std::vector<A> row(static_cast<std::size_t>(c));
    dw = gradient_over_images<A>(n, k, [&](std::int64_t i, double* sum) {
      const T *const z_row = zp + i * c, *const dy_row = dyp + i * c;
      std::fill(row.begin(), row.end(), A{0});
      for (std::int64_t j = 0; j < k; ++j) {
        const std::int64_t shift = j - (k - 1) / 2;
        const Overlap in(c, shift);
        for (std::int64_t at = in.begin; at < in.end; ++at) {
          const A d = static_cast<A>(dy_row[at]), v = static_cast<A>(z_row[at + shift]);
          row[static_cast<std::size_t>(at + shift)] += wp[j] * d;
          sum[j] += static_cast<double>(d) * static_cast<double>(v);
        }
      }
      for (std::int64_t at = 0; at < c; ++at)
        dzp[i * c + at] = static_cast<T>(row[static_cast<std::size_t>(at)]);
    });
  });
  return {dz, dw};
}

std::int64_t ChannelConv::multiply_adds(const Tensor& y, const Tensor&, const Tensor& w) const {
  return y.numel() * w.numel();
}

std::vector<Example<ChannelConv>> ChannelConv::examples() {
  return {{{}, {{2, 7}, {3}}}, {{}, {{3, 33}, {5}}}, {{}, {{1, 1}, {1}}}, {{}, {{2, 2}, {7}}}};
}

}  // namespace exciton::ops
