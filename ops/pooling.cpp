#include "ops/pooling.hpp"

#include <algorithm>

#include "core/threads.hpp"
#include "ops/simd/passes.hpp"

namespace exciton::ops {
namespace {

/// The pixels of one window, clipped to the image, and how many it counts for an average.
struct Window {
  std::int64_t i0, i1, j0, j1, count;
};

Window window_at(const PoolSpec& s, const Shape& x, std::int64_t i, std::int64_t j) {
  const std::int64_t top = i * s.stride - s.padding, left = j * s.stride - s.padding;
  Window w{std::max<std::int64_t>(top, 0), std::min(top + s.kernel, x[1]),
           std::max<std::int64_t>(left, 0), std::min(left + s.kernel, x[2]), 0};
  w.count = s.count_include_pad ? (std::min(top + s.kernel, x[1] + s.padding) - top) *
                                      (std::min(left + s.kernel, x[2] + s.padding) - left)
                                : (w.i1 - w.i0) * (w.j1 - w.j0);
  return w;
}

/// f(image, window, index of y's first channel) for every window, images in parallel.
template <class F>
void each_window(const PoolSpec& spec, const Shape& x, const Shape& y, F&& f) {
  parallel_for(x[0], 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; ++n)
      for (std::int64_t i = 0; i < y[1]; ++i)
        for (std::int64_t j = 0; j < y[2]; ++j)
          f(n, window_at(spec, x, i, j), ((n * y[1] + i) * y[2] + j) * y[3]);
  });
}

}  // namespace

Shape pool_shape(std::string_view name, const Shape& x, const PoolSpec& s) {
  check(x.rank() == 4, name, ": x must be [N, H, W, C], got ", x);
  check(s.kernel >= 1 && s.stride >= 1, name, ": kernel ", s.kernel, " and stride ", s.stride,
        " must be at least 1");
  check(s.padding >= 0 && 2 * s.padding <= s.kernel, name, ": padding ", s.padding,
        " must be at most half the kernel, ", s.kernel);
  const auto extent = [&](std::int64_t in) {
    const std::int64_t span = in + 2 * s.padding - s.kernel;
    check(span >= 0, name, ": a window of ", s.kernel, " does not fit into ", in,
          " pixels padded by ", s.padding, " (x ", x, ")");
    std::int64_t out = (span + (s.ceil_mode ? s.stride - 1 : 0)) / s.stride + 1;
    if (s.ceil_mode && (out - 1) * s.stride >= in + s.padding) --out;
    return out;
  };
  return {x[0], extent(x[1]), extent(x[2]), x[3]};
}

Tensor MaxPool::forward(Saved& saved, const Tensor& x) const {
  const Shape out = pool_shape(name, x.shape(), spec);
  saved.shape = x.shape();
  saved.where = Tensor(out, DType::i64);
  return dispatch_float(x.dtype(), name, [&](auto tag) {
    using T = decltype(tag);
    using A = Acc<T>;
    Tensor y(out, x.dtype());
    const T* xp = x.data<T>();
    T* yp = y.data<T>();
    std::int64_t* at = saved.where.data<std::int64_t>();
    const std::int64_t c = x.dim(3), width = x.dim(2), image = x.dim(1) * width * c;
    each_window(spec, x.shape(), out, [&](std::int64_t n, const Window& w, std::int64_t yi) {
      const T* xn = xp + n * image;
      const std::int64_t first = w.i0 * width + w.j0;
      for (std::int64_t k = 0; k < c; ++k) {
        yp[yi + k] = xn[first * c + k];
        at[yi + k] = first;
      }
      for (std::int64_t i = w.i0; i < w.i1; ++i)
        for (std::int64_t j = w.j0; j < w.j1; ++j) {
          const std::int64_t p = i * width + j;
          for (std::int64_t k = 0; k < c; ++k)
            if (static_cast<A>(xn[p * c + k]) > static_cast<A>(yp[yi + k])) {
              yp[yi + k] = xn[p * c + k];
              at[yi + k] = p;
            }
        }
    });
    return y;
  });
}

Grads<1> MaxPool::backward(Saved& saved, Tensor dy, Needs<1>) const {
  return dispatch_float(dy.dtype(), name, [&](auto tag) -> Grads<1> {
    using T = decltype(tag);
    using A = Acc<T>;
    Tensor dx = Tensor::zeros(saved.shape, dy.dtype());
    const std::int64_t n = saved.shape[0], c = saved.shape[3];
    const std::int64_t image = saved.shape[1] * saved.shape[2] * c, out = dy.numel() / n;
    const T* dp = dy.data<T>();
    T* xp = dx.data<T>();
    const std::int64_t* at = saved.where.data<std::int64_t>();
    parallel_for(n, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin * out; i < end * out; ++i) {
        T& to = xp[i / out * image + at[i] * c + i % c];
        to = static_cast<T>(static_cast<A>(to) + static_cast<A>(dp[i]));
      }
    });
    return {dx};
  });
}

std::vector<Example<MaxPool>> MaxPool::examples() {
  return {{{{.kernel = 2, .stride = 2}}, {{2, 5, 4, 3}}},
          {{{.kernel = 3, .stride = 2, .padding = 1}}, {{1, 7, 6, 5}}},
          {{{.kernel = 3, .stride = 2, .ceil_mode = true}}, {{2, 6, 8, 2}}},
          {{{.kernel = 3, .stride = 1, .padding = 1}}, {{1, 1, 1, 1}}}};
}

Tensor AvgPool::forward(Saved& saved, const Tensor& x) const {
  const Shape out = pool_shape(name, x.shape(), spec);
  saved.shape = x.shape();
  return dispatch_float(x.dtype(), name, [&](auto tag) {
    using T = decltype(tag);
    using A = Acc<T>;
    Tensor y(out, x.dtype());
    const T* xp = x.data<T>();
    T* yp = y.data<T>();
    const std::int64_t c = x.dim(3), width = x.dim(2), image = x.dim(1) * width * c;
    each_window(spec, x.shape(), out, [&](std::int64_t n, const Window& w, std::int64_t yi) {
      const T* xn = xp + n * image;
      for (std::int64_t k = 0; k < c; ++k) {
        A sum = 0;
        for (std::int64_t i = w.i0; i < w.i1; ++i)
          for (std::int64_t j = w.j0; j < w.j1; ++j)
            sum += static_cast<A>(xn[(i * width + j) * c + k]);
        yp[yi + k] = static_cast<T>(sum / static_cast<A>(w.count));
      }
    });
    return y;
  });
}

Grads<1> AvgPool::backward(Saved& saved, Tensor dy, Needs<1>) const {
  return dispatch_float(dy.dtype(), name, [&](auto tag) -> Grads<1> {
    using T = decltype(tag);
    using A = Acc<T>;
    const Shape& s = saved.shape;
    Tensor sums = Tensor::zeros(s, dtype_of<A>);
    const T* dp = dy.data<T>();
    A* xp = sums.data<A>();
    const std::int64_t c = s[3], width = s[2], image = s[1] * width * c;
    each_window(spec, s, dy.shape(), [&](std::int64_t n, const Window& w, std::int64_t yi) {
      for (std::int64_t i = w.i0; i < w.i1; ++i)
        for (std::int64_t j = w.j0; j < w.j1; ++j)
          for (std::int64_t k = 0; k < c; ++k)
            xp[n * image + (i * width + j) * c + k] +=
                static_cast<A>(dp[yi + k]) / static_cast<A>(w.count);
    });
    return {sums.to(dy.dtype())};
  });
}

std::vector<Example<AvgPool>> AvgPool::examples() {
  return {{{{.kernel = 2, .stride = 2}}, {{2, 5, 4, 3}}},
          {{{.kernel = 3, .stride = 2, .padding = 1}}, {{1, 7, 6, 5}}},
          {{{.kernel = 3, .stride = 2, .padding = 1, .ceil_mode = true}}, {{2, 6, 8, 2}}},
          {{{.kernel = 3, .stride = 1, .padding = 1, .count_include_pad = false}}, {{2, 4, 3, 4}}},
          {{{.kernel = 1, .stride = 1}}, {{1, 1, 1, 1}}}};
}

Tensor GlobalAvgPool::forward(Saved& saved, const Tensor& x) const {
  check(x.rank() == 4 && x.dim(1) * x.dim(2) > 0, name, ": x must be [N, H, W, C], got ",
        x.shape());
  saved = {x.shape(), x.dtype()};
  return dispatch_float(x.dtype(), name, [&](auto tag) {
    using T = decltype(tag);
    using A = Acc<T>;
    const simd::MapCut cut = simd::MapCut::of(x.shape());
    const auto sums = simd::image_sums(
        cut, [&](auto, auto, std::int64_t at, std::int64_t pixels, double* sum, double*) {
          simd::channel_kernels<T>().sums(x.data<T>() + at, pixels, cut.c, sum, nullptr);
        });
    Tensor y({x.dim(0), x.dim(3)}, dtype_of<A>);
    for (std::int64_t i = 0; i < y.numel(); ++i)
      y.data<A>()[i] = static_cast<A>(sums.a()[i] / static_cast<double>(cut.pixels));
    return y;
  });
}

Grads<1> GlobalAvgPool::backward(Saved& saved, Tensor dy, Needs<1>) const {
  const Shape& s = saved.shape;
  return dispatch_float(saved.dtype, name, [&](auto tag) -> Grads<1> {
    using T = decltype(tag);
    using A = Acc<T>;
    Tensor dx(s, saved.dtype);
    const std::int64_t c = s[3], pixels = s[1] * s[2];
    const A* dp = dy.data<A>();
    T* xp = dx.data<T>();
    parallel_for(s[0], 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t n = begin; n < end; ++n)
        for (std::int64_t p = 0; p < pixels; ++p)
          for (std::int64_t k = 0; k < c; ++k)
            xp[(n * pixels + p) * c + k] = static_cast<T>(dp[n * c + k] / static_cast<A>(pixels));
    });
    return {dx};
  });
}

std::vector<Example<GlobalAvgPool>> GlobalAvgPool::examples() {
  return {{{}, {{2, 3, 4, 5}}}, {{}, {{1, 1, 1, 1}}}, {{}, {{3, 5, 2, 17}}}};
}

}  // namespace exciton::ops
