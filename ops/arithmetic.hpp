/// The usual operators on values: element by element, of one shape and type. Each is one of the
/// operators of this folder, so its backward and its errors are theirs.
#pragma once
#include "exciton/core/tape.hpp"
#include "exciton/ops/add.hpp"
#include "exciton/ops/mul.hpp"
#include "exciton/ops/times.hpp"

namespace exciton {

inline Var operator+(const Var& a, const Var& b) { return ops::add(a, b); }
inline Var operator*(const Var& a, const Var& b) { return ops::mul(a, b); }
inline Var operator*(const Var& a, double factor) { return ops::times(a, factor); }
inline Var operator*(double factor, const Var& a) { return a * factor; }
inline Var operator/(const Var& a, double divisor) { return a * (1 / divisor); }
inline Var operator-(const Var& a) { return a * -1; }
inline Var operator-(const Var& a, const Var& b) { return a + -b; }
inline Var operator+(const Var& a, double constant) {
  return a + Var(Tensor::full(a.shape(), constant, a.value().dtype()));
}
inline Var operator+(double constant, const Var& a) { return a + constant; }
inline Var operator-(const Var& a, double constant) { return a + -constant; }
inline Var operator-(double constant, const Var& a) { return -a + constant; }

}  // namespace exciton
