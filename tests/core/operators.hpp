/// Small operators that only these tests know: core has none of its own.
#pragma once
#include "exciton/core/gradcheck.hpp"
#include "exciton/core/tape.hpp"

namespace exciton::testing_ops {

/// f(x[i]) or f(x[i], y[i]) in double.
template <class F>
Tensor each(const Tensor& x, F f) {
  Tensor y(x.shape(), x.dtype());
  for (std::int64_t i = 0; i < x.numel(); ++i) y.set(i, f(i));
  return y;
}

/// y = x^3 and dx = wrong * 3 x^2 dy: right for wrong = 1.
struct Cube {
  static constexpr std::string_view name = "cube";
  double wrong = 1;
  struct Saved {
    Tensor x;
  };
  Tensor forward(Saved& saved, const Tensor& x) const {
    saved.x = x;
    return each(x, [&](auto i) { return x.at(i) * x.at(i) * x.at(i); });
  }
  Grads<1> backward(Saved& saved, Tensor dy, Needs<1>) const {
    return {each(dy, [&](auto i) { return wrong * 3 * saved.x.at(i) * saved.x.at(i) * dy.at(i); })};
  }
};

/// y = a + b; returns one tensor as both gradients, as operators may.
struct Sum {
  static constexpr std::string_view name = "sum";
  struct Saved {};
  Tensor forward(Saved&, const Tensor& a, const Tensor& b) const {
    return each(a, [&](auto i) { return a.at(i) + b.at(i); });
  }
  Grads<2> backward(Saved&, Tensor dy, Needs<2> needs) const {
    return {needs[0] ? dy : Tensor(), needs[1] ? dy : Tensor()};
  }
};

/// y = factor x, and the gradient as a pending sum.
struct Times {
  static constexpr std::string_view name = "times";
  double factor = 1;
  int* pending = nullptr;  ///< counts the gradients that came in two parts
  struct Saved {};
  Tensor forward(Saved&, const Tensor& x) const {
    return each(x, [&](auto i) { return factor * x.at(i); });
  }
  Grads<1> backward(Saved&, Tensor dy, Needs<1>) const {
    return {each(dy, [&](auto i) { return factor * dy.at(i); })};
  }
  Grads<1> backward_sum(Saved&, Tensor dy, Tensor dy2, Needs<1>) const {
    if (pending) ++*pending;
    return {each(dy, [&](auto i) { return factor * (dy.at(i) + dy2.at(i)); })};
  }
};

/// The sum of all elements of any number of inputs, [1].
struct Total {
  static constexpr std::string_view name = "total";
  struct Saved {
    std::vector<Shape> shapes;
  };
  Tensor forward(Saved& saved, std::span<const Tensor> x) const {
    double sum = 0;
    for (const Tensor& t : x) {
      saved.shapes.push_back(t.shape());
      for (std::int64_t i = 0; i < t.numel(); ++i) sum += t.at(i);
    }
    return Tensor::full({1}, sum, x[0].dtype());
  }
  std::vector<Tensor> backward(Saved& saved, Tensor dy, std::span<const bool> needs) const {
    std::vector<Tensor> grads;
    for (std::size_t i = 0; i < saved.shapes.size(); ++i)
      grads.push_back(needs[i] ? Tensor::full(saved.shapes[i], dy.at(0), dy.dtype()) : Tensor());
    return grads;
  }
};

inline Var cube(const Var& x) { return apply(Cube{}, x); }
inline Var sum(const Var& a, const Var& b) { return apply(Sum{}, a, b); }
inline Var times(const Var& x, double factor, int* pending = nullptr) {
  return apply(Times{factor, pending}, x);
}
inline Var total(const std::vector<Var>& x) {
  return exciton::apply(Total{}, std::span<const Var>(x));
}

}  // namespace exciton::testing_ops
