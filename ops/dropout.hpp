/// Dropout (Srivastava et al. 2014), inverted: the expectation of y is x.
#pragma once
#include <string_view>
#include <vector>

#include "core/operator.hpp"
#include "core/random.hpp"
#include "core/tape.hpp"

namespace exciton::ops {

/// y = x mask / (1 - p), mask 0 with probability p and 1 else, drawn from `start` on, one number an
/// element, so forward repeats itself exactly. Backward: dx = dy mask / (1 - p).
/// Errors: p outside [0, 1).
struct Dropout {
  static constexpr std::string_view name = "dropout";
  double p = 0.5;
  Generator::State start;
  struct Saved {
    Tensor mask;  ///< u8
  };
  Tensor forward(Saved& saved, const Tensor& x) const;
  Grads<1> backward(Saved& saved, Tensor dy, Needs<1> needs) const;
  static std::vector<Example<Dropout>> examples();
};

/// Draws the mask from `generator` and moves it past the numbers used.
Var dropout(const Var& x, double p, Generator& generator);

}  // namespace exciton::ops
