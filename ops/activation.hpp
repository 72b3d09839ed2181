/// Activations: x of any shape -> y of the same. Backward needs only y.
#pragma once
#include <string_view>
#include <vector>

#include "core/operator.hpp"
#include "core/tape.hpp"

namespace exciton::ops {

/// y = max(0, x). Backward: dx = dy where y > 0, else 0.
struct Relu {
  static constexpr std::string_view name = "relu";
  struct Saved {
    Tensor y;
  };
  Tensor forward(Saved& saved, const Tensor& x) const;
  Grads<1> backward(Saved& saved, Tensor dy, Needs<1> needs) const;
  static std::vector<Example<Relu>> examples();
};
inline Var relu(const Var& x) { return apply(Relu{}, x); }

/// y = 1 / (1 + exp(-x)). Backward: dx = dy y (1 - y).
struct Sigmoid {
  static constexpr std::string_view name = "sigmoid";
  struct Saved {
    Tensor y;
  };
  Tensor forward(Saved& saved, const Tensor& x) const;
  Grads<1> backward(Saved& saved, Tensor dy, Needs<1> needs) const;
  static std::vector<Example<Sigmoid>> examples();
};
inline Var sigmoid(const Var& x) { return apply(Sigmoid{}, x); }

/// y = tanh x. Backward: dx = dy (1 - y^2).
struct Tanh {
  static constexpr std::string_view name = "tanh";
  struct Saved {
    Tensor y;
  };
  Tensor forward(Saved& saved, const Tensor& x) const;
  Grads<1> backward(Saved& saved, Tensor dy, Needs<1> needs) const;
  static std::vector<Example<Tanh>> examples();
};
inline Var tanh(const Var& x) { return apply(Tanh{}, x); }

/// y = min(1, max(0, x / 6 + 1/2)). Backward: dx = dy / 6 where 0 < y < 1, else 0.
struct HardSigmoid {
  static constexpr std::string_view name = "hard_sigmoid";
  struct Saved {
    Tensor y;
  };
  Tensor forward(Saved& saved, const Tensor& x) const;
  Grads<1> backward(Saved& saved, Tensor dy, Needs<1> needs) const;
  static std::vector<Example<HardSigmoid>> examples();
};
inline Var hard_sigmoid(const Var& x) { return apply(HardSigmoid{}, x); }

}  // namespace exciton::ops
