#include "exciton/ops/se/scale.hpp"

#include "exciton/core/example.hpp"
#include "exciton/ops/arguments.hpp"
#include "exciton/ops/simd/passes.hpp"

namespace exciton::ops {

Tensor Scale::forward(Saved& saved, const Tensor& x, const Tensor& gate) const {
  check_input(name, "x", x);
  check(x.rank() == 4, name, ": x must be [N, H, W, C], got ", x.shape());
  check(gate.shape() == Shape{x.dim(0), x.dim(3)}, name, ": x ", x.shape(), " expects a gate [",
        x.dim(0), ", ", x.dim(3), "], got ", gate.shape());
  check_form(name, "gate", gate, {gate.shape(), acc_type(x.dtype())});
  saved = {x, gate};
  return dispatch_float(x.dtype(), name, [&](auto tag) {
    using T = decltype(tag);
    const simd::Partition cut = simd::Partition::of(x.shape());
    Tensor y(x.shape(), x.dtype());
    const T* xp = x.data<T>();
    const Acc<T>* s = gate.data<Acc<T>>();
    T* yp = y.data<T>();
    cut.run([&](auto, std::int64_t n, std::int64_t at, std::int64_t pixels) {
      simd::channel_kernels<T>().apply(xp + at, {.a = s + n * cut.c}, nullptr, false, yp + at,
                                       pixels, cut.c);
    });
    return y;
  });
}

Grads<2> Scale::backward(Saved& saved, Tensor dy, Needs<2> needs) const {
  check_gradient(name, dy, Form::of(saved.x));
  return dispatch_float(dy.dtype(), name, [&](auto tag) {
    using T = decltype(tag);
    using A = Acc<T>;
    const auto& kernels = simd::channel_kernels<T>();
    const simd::Partition cut = simd::Partition::of(dy.shape());
    const T *xp = saved.x.data<T>(), *dp = dy.data<T>();
    const A* s = saved.gate.data<A>();
    Grads<2> grads;
    if (needs[1]) {
      const auto sums = simd::image_sums(
          cut, [&](auto, auto, std::int64_t at, std::int64_t pixels, double* sum, double* product) {
            kernels.backward_sums(dp + at, nullptr, {}, xp + at, nullptr, nullptr, pixels, cut.c,
                                  sum, product);
          });
      grads[1] = Tensor(saved.gate.shape(), dtype_of<A>);
      for (std::int64_t i = 0; i < grads[1].numel(); ++i)
        grads[1].data<A>()[i] = static_cast<A>(sums.b()[i]);
    }
    if (needs[0]) {
      Tensor dx = reuse_or_new(dy, saved.x.shape(), dy.dtype());
      T* out = dx.data<T>();
      cut.run([&](auto, std::int64_t n, std::int64_t at, std::int64_t pixels) {
        kernels.backward_apply(dp + at, {}, nullptr, nullptr, s + n * cut.c, nullptr, nullptr,
                               out + at, pixels, cut.c);
      });
      grads[0] = std::move(dx);
    }
    return grads;
  });
}

std::vector<Example<Scale>> Scale::examples() {
  return {
      {{}, {{2, 3, 4, 5}, {2, 5}}}, {{}, {{1, 1, 1, 1}, {1, 1}}}, {{}, {{3, 2, 5, 33}, {3, 33}}}};
}

}  // namespace exciton::ops
