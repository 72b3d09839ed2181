#include "exciton/ops/se/squeeze.hpp"

#include "exciton/core/example.hpp"
#include "exciton/ops/simd/passes.hpp"

namespace exciton::ops {

Tensor Squeeze::forward(Saved& saved, const Tensor& x) const {
  check_input(name, "x", x);
  check(x.rank() == 4, name, ": x must be [N, H, W, C], got ", x.shape());
  saved.x = Form::of(x);
  saved.z = {{x.dim(0), x.dim(3)}, acc_type(x.dtype())};
  const std::int64_t n = x.dim(0), c = x.dim(3), pixels = x.dim(1) * x.dim(2);
  return dispatch_float(x.dtype(), name, [&](auto tag) {
    using T = decltype(tag);
    using A = Acc<T>;
    const T* xp = x.data<T>();
    Tensor z({n, c}, dtype_of<A>);
    A* zp = z.data<A>();
    if (kind == SqueezeKind::avg) {
      const simd::Partition cut = simd::Partition::of(x.shape());
      const auto sums = simd::image_sums(
          cut, [&](auto, auto, std::int64_t at, std::int64_t count, double* sum, double*) {
            simd::channel_kernels<T>().sums(xp + at, count, c, sum);
          });
      for (std::int64_t i = 0; i < n * c; ++i)
        zp[i] = static_cast<A>(sums.a()[i] / static_cast<double>(pixels));
    } else {
      saved.where = Tensor({n, c}, DType::i64);
      std::int64_t* where = saved.where.data<std::int64_t>();
      Tensor low({n, c}, dtype_of<A>), low_at({n, c}, DType::i64);
      parallel_for(n, 1, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i)
          simd::channel_kernels<T>().extremes(xp + i * pixels * c, pixels, c, zp + i * c,
                                              where + i * c, low.data<A>() + i * c,
                                              low_at.data<std::int64_t>() + i * c);
      });
    }
    return z;
  });
}

Grads<1> Squeeze::backward(Saved& saved, Tensor dz, Needs<1>) const {
  check_gradient(name, dz, saved.z);
  const Shape& s = saved.x.shape;
  const std::int64_t n = s[0], c = s[3], pixels = s[1] * s[2];
  return dispatch_float(saved.x.dtype, name, [&](auto tag) -> Grads<1> {
    using T = decltype(tag);
    using A = Acc<T>;
    const A* dzp = dz.data<A>();
    Tensor dx(s, saved.x.dtype);
    T* dxp = dx.data<T>();
    parallel_for(n, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i)
        for (std::int64_t p = 0; p < pixels; ++p)
          for (std::int64_t k = 0; k < c; ++k) {
            const A g = dzp[i * c + k];
            A v;
            if (kind == SqueezeKind::avg)
              v = g / static_cast<A>(pixels);
            else
              v = saved.where.data<std::int64_t>()[i * c + k] == p ? g : A{0};
            dxp[(i * pixels + p) * c + k] = static_cast<T>(v);
          }
    });
    return {dx};
  });
}

std::vector<Example<Squeeze>> Squeeze::examples() {
  std::vector<Example<Squeeze>> out;
  for (SqueezeKind kind : {SqueezeKind::avg, SqueezeKind::max}) {
    out.push_back({{kind}, {{2, 3, 4, 5}}});
    out.push_back({{kind}, {{1, 1, 1, 1}}});
    out.push_back({{kind}, {{3, 5, 2, 17}}});
  }
  return out;
}

}  // namespace exciton::ops
