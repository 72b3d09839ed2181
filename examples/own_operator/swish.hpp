/// An operator of our own, outside of Exciton: Swish (Ramachandran, Zoph and Le 2017).
#pragma once
#include <cmath>
#include <exciton/exciton.hpp>

/// x of any shape -> y = x s(x) with s(x) = 1 / (1 + exp(-x)). Backward: dx = dy s (1 + x (1 - s)).
struct Swish {
  static constexpr std::string_view name = "swish";
  struct Saved {
    exciton::Tensor x;  // all that backward keeps alive
  };
  exciton::Tensor forward(Saved& saved, const exciton::Tensor& x) const {
    saved.x = x;
    return each(x, x, [](auto v, auto) { return v * gate(v); });
  }
  exciton::Grads<1> backward(Saved& saved, exciton::Tensor dy, exciton::Needs<1>) const {
    return {
        each(saved.x, dy, [](auto v, auto d) { return d * gate(v) * (1 + v * (1 - gate(v))); })};
  }
  static std::vector<exciton::Example<Swish>> examples() {
    return {{{}, {{2, 3, 5, 7}}}, {{}, {{1, 1, 1, 1}}}, {{}, {{4, 9}}}};
  }

  static auto gate(auto v) { return 1 / (1 + std::exp(-v)); }
  static exciton::Tensor each(const exciton::Tensor& x, const exciton::Tensor& other, auto f) {
    exciton::Tensor y(x.shape(), x.dtype());
    exciton::dispatch_float(x.dtype(), name, [&](auto type) {
      using T = decltype(type);  // float, bf16 or double; the arithmetic is in Real
      using Real = exciton::Acc<T>;
      const T *a = x.data<T>(), *b = other.data<T>();
      T* out = y.data<T>();
      exciton::parallel_for(x.numel(), 4096, [=](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) out[i] = T(f(Real(a[i]), Real(b[i])));
      });
    });
    return y;
  }
};
inline exciton::Var swish(const exciton::Var& x) { return exciton::apply(Swish{}, x); }
