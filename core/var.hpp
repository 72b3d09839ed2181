/// A value on its way through a network.
#pragma once
#include <cstdint>
#include <utility>

#include "exciton/core/parameter.hpp"
#include "exciton/core/tensor.hpp"

namespace exciton {

/// A tensor, and where the active tape recorded it.
class Var {
 public:
  Var() = default;
  Var(Tensor value) : value_(std::move(value)) {}  // NOLINT: a constant, no gradient wanted
  Var(Parameter& parameter);                       // NOLINT: a leaf of the active tape
  const Tensor& value() const { return value_; }
  const Shape& shape() const { return value_.shape(); }
  std::int64_t dim(int axis) const { return value_.dim(axis); }
  bool empty() const { return value_.empty(); }
  int id() const { return id_; }  ///< position on the tape; -1 for constants and without a tape

 private:
  friend class Tape;
  Var(Tensor value, int id, std::uint64_t recording)
      : value_(std::move(value)), id_(id), recording_(recording) {}
  Tensor value_;
  int id_ = -1;
  std::uint64_t recording_ = 0;  // which one the id belongs to
};

}  // namespace exciton
