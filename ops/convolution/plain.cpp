#include "exciton/ops/convolution/plain.hpp"

#include "exciton/core/threads.hpp"

namespace exciton::ops::plain {
namespace {

struct Loops {
  std::int64_t n, h, w, c, o, kh, kw, oh, ow, cg, og;
  ConvSpec s;
  Loops(const Shape& x, const Shape& weight, const Shape& y, const ConvSpec& spec)
      : n(x[0]),
        h(x[1]),
        w(x[2]),
        c(x[3]),
        o(weight[0]),
        kh(weight[2]),
        kw(weight[3]),
        oh(y[1]),
        ow(y[2]),
        cg(weight[1]),
        og(weight[0] / spec.groups),
        s(spec) {}

  /// f(x index, w index, y index) for every product of image `image`.
  template <class F>
  void each_product(std::int64_t image, F&& f) const {
    for (std::int64_t i = 0; i < oh; ++i)
      for (std::int64_t j = 0; j < ow; ++j)
        for (std::int64_t k = 0; k < o; ++k)
          for (std::int64_t a = 0; a < kh; ++a)
            for (std::int64_t b = 0; b < kw; ++b) {
              const std::int64_t r = i * s.stride - s.padding + a * s.dilation;
              const std::int64_t q = j * s.stride - s.row_padding() + b * s.dilation;
              if (r < 0 || r >= h || q < 0 || q >= w) continue;
              for (std::int64_t ci = 0; ci < cg; ++ci)
                f(((image * h + r) * w + q) * c + k / og * cg + ci,
                  ((k * cg + ci) * kh + a) * kw + b, ((image * oh + i) * ow + j) * o + k);
            }
  }
};

template <class T>
Tensor forward_of(const Loops& p, const Tensor& x, const Tensor& w, const Tensor& bias,
                  const Shape& out) {
  using A = Acc<T>;
  Tensor y(out, x.dtype());
  Tensor sums = Tensor::zeros(out, dtype_of<A>);
  const T* xp = x.data<T>();
  const A* wp = w.data<A>();
  A* sp = sums.data<A>();
  parallel_for(p.n, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; ++n)
      p.each_product(n, [&](std::int64_t xi, std::int64_t wi, std::int64_t yi) {
        sp[yi] += static_cast<A>(xp[xi]) * wp[wi];
      });
  });
  T* yp = y.data<T>();
  for (std::int64_t i = 0; i < y.numel(); ++i)
    yp[i] = static_cast<T>(sp[i] + (bias.empty() ? A{0} : bias.data<A>()[i % p.o]));
  return y;
}

template <class T>
Tensor backward_data_of(const Loops& p, const Tensor& w, const Tensor& dy, const Shape& shape) {
  using A = Acc<T>;
  Tensor sums = Tensor::zeros(shape, dtype_of<A>);
  const T* dp = dy.data<T>();
  const A* wp = w.data<A>();
  A* sp = sums.data<A>();
  parallel_for(p.n, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; ++n)
      p.each_product(n, [&](std::int64_t xi, std::int64_t wi, std::int64_t yi) {
        sp[xi] += static_cast<A>(dp[yi]) * wp[wi];
      });
  });
  return sums.to(dtype_of<T>);
}

template <class T>
Tensor backward_weights_of(const Loops& p, const Tensor& x, const Tensor& dy, const Shape& shape) {
  using A = Acc<T>;
  Tensor dw = Tensor::zeros(shape, dtype_of<A>);
  const T* xp = x.data<T>();
  const T* dp = dy.data<T>();
  A* wp = dw.data<A>();
  for (std::int64_t n = 0; n < p.n; ++n)
    p.each_product(n, [&](std::int64_t xi, std::int64_t wi, std::int64_t yi) {
      wp[wi] += static_cast<A>(xp[xi]) * static_cast<A>(dp[yi]);
    });
  return dw;
}

}  // namespace

Tensor forward(const Tensor& x, const Tensor& w, const Tensor& bias, const ConvSpec& spec) {
  const Shape out = conv2d_shape(x.shape(), w.shape(), spec);
  const Loops loops(x.shape(), w.shape(), out, spec);
  return dispatch_float(x.dtype(), Conv2d::name, [&](auto tag) {
    return forward_of<decltype(tag)>(loops, x, w, bias, out);
  });
}

Tensor backward_data(const Tensor& dy, const Tensor& w, const Shape& x_shape,
                     const ConvSpec& spec) {
  const Loops loops(x_shape, w.shape(), dy.shape(), spec);
  return dispatch_float(dy.dtype(), Conv2d::name, [&](auto tag) {
    return backward_data_of<decltype(tag)>(loops, w, dy, x_shape);
  });
}

Tensor backward_weights(const Tensor& x, const Tensor& dy, const Shape& w_shape,
                        const ConvSpec& spec) {
  const Loops loops(x.shape(), w_shape, dy.shape(), spec);
  return dispatch_float(x.dtype(), Conv2d::name, [&](auto tag) {
    return backward_weights_of<decltype(tag)>(loops, x, dy, w_shape);
  });
}

}  // namespace exciton::ops::plain
