#include "exciton/ops/dropout.hpp"

#include "exciton/core/example.hpp"
#include "exciton/core/threads.hpp"

namespace exciton::ops {
namespace {

void mask_into(const Dropout& op, const Tensor& x, Tensor& y) {
  dispatch_float(x.dtype(), Dropout::name, [&](auto tag) {
    using T = decltype(tag);
    using A = Acc<T>;
    const T* xp = x.data<T>();
    T* yp = y.data<T>();
    const A factor = static_cast<A>(1 / (1 - op.p));
    parallel_for(x.numel(), 1 << 12, [&](std::int64_t begin, std::int64_t end) {
      Generator::State state = op.start;
      state.counter += static_cast<std::uint64_t>(begin);
      Generator generator(state);
      for (std::int64_t i = begin; i < end; ++i)
        yp[i] = generator.uniform() < op.p ? static_cast<T>(A{0})
                                           : static_cast<T>(static_cast<A>(xp[i]) * factor);
    });
  });
}

}  // namespace

Tensor Dropout::forward(Saved& saved, const Tensor& x) const {
  check_input(name, "x", x);
  check(p >= 0 && p < 1, name, ": p must be in [0, 1), got ", p);
  saved.form = Form::of(x);
  Tensor y(x.shape(), x.dtype());
  mask_into(*this, x, y);
  return y;
}

Grads<1> Dropout::backward(Saved& saved, Tensor dy, Needs<1>) const {
  check_gradient(name, dy, saved.form);
  Tensor dx = dy.shared() ? Tensor(dy.shape(), dy.dtype()) : dy;
  mask_into(*this, dy, dx);
  return {dx};
}

std::vector<Example<Dropout>> Dropout::examples() {
  return {{{0.5, {.seed = 1}}, {{2, 3, 4, 5}}},
          {{0.2, {.seed = 2, .stream = 3, .counter = 5}}, {{3, 7}}},
          {{0, {}}, {{1, 1, 1, 1}}}};
}

}  // namespace exciton::ops
