#include "ops/dropout.hpp"

#include "ops/elementwise.hpp"

namespace exciton::ops {
namespace {

Tensor masked(std::string_view name, const Tensor& x, const Tensor& mask, double p) {
  Tensor y(x.shape(), x.dtype());
  dispatch_float(x.dtype(), name, [&](auto tag) {
    using T = decltype(tag);
    using A = Acc<T>;
    const T* xp = x.data<T>();
    const std::uint8_t* m = mask.data<std::uint8_t>();
    T* yp = y.data<T>();
    const A scale = static_cast<A>(1 / (1 - p));
    parallel_for(x.numel(), elementwise_grain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i)
        yp[i] = static_cast<T>(m[i] ? static_cast<A>(xp[i]) * scale : A{0});
    });
  });
  return y;
}

}  // namespace

Tensor Dropout::forward(Saved& saved, const Tensor& x) const {
  check(p >= 0 && p < 1, name, ": p must be in [0, 1), got ", p);
  saved.mask = Tensor(x.shape(), DType::u8);
  Generator rng(start);
  for (std::uint8_t& m : saved.mask.span<std::uint8_t>())
    m = static_cast<double>(rng.uniform()) >= p ? 1 : 0;
  return masked(name, x, saved.mask, p);
}

Grads<1> Dropout::backward(Saved& saved, Tensor dy, Needs<1>) const {
  return {masked(name, dy, saved.mask, p)};
}

std::vector<Example<Dropout>> Dropout::examples() {
  return {{{0.5, {3, 1, 0}}, {{4, 7}}}, {{0.2, {3, 2, 5}}, {{2, 3, 3, 5}}}, {{0, {}}, {{1, 1}}}};
}

Var dropout(const Var& x, double p, Generator& generator) {
  const Generator::State start = generator.state();
  Generator::State end = start;
  end.counter += static_cast<std::uint64_t>(x.value().numel());
  generator.set_state(end);
  return apply(Dropout{p, start}, x);
}

}  // namespace exciton::ops
