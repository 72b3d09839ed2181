/// What operators ask of their tensors before they touch them. Every operator takes floating
/// tensors with elements; a message says who complains, about which tensor, what was expected and
/// what came.
#pragma once
#include <string_view>

#include "exciton/core/tensor.hpp"

namespace exciton::ops {

/// Shape and type of a tensor, kept when the tensor itself is not.
struct Form {
  Shape shape;
  DType dtype = DType::f32;
  static Form of(const Tensor& t) { return {t.shape(), t.dtype()}; }
  bool operator==(const Form&) const = default;
};

inline std::ostream& operator<<(std::ostream& out, const Form& form) {
  return out << form.shape << ' ' << form.dtype;
}

/// Errors: `t` has no elements, or is not floating.
inline void check_input(std::string_view name, std::string_view what, const Tensor& t) {
  check(!t.empty(), name, ": ", what, " is an empty tensor");
  check(is_floating(t.dtype()), name, ": ", what, " must be f32, bf16 or f64, got ", Form::of(t));
  check(t.numel() > 0, name, ": ", what, " ", t.shape(), " has no elements");
}

/// Errors: `t` is empty, or of another shape or type.
inline void check_form(std::string_view name, std::string_view what, const Tensor& t,
                       const Form& expected) {
  check(!t.empty(), name, ": ", what, " is an empty tensor, expected ", expected);
  check(Form::of(t) == expected, name, ": ", what, " is ", Form::of(t), ", expected ", expected);
}

/// The same for a tensor that may be absent.
inline void check_optional(std::string_view name, std::string_view what, const Tensor& t,
                           const Form& expected) {
  if (!t.empty()) check_form(name, what, t, expected);
}

/// Errors: the gradient `dy` is not of the form of the result `y`.
inline void check_gradient(std::string_view name, const Tensor& dy, const Form& y) {
  check_form(name, "the gradient", dy, y);
}

}  // namespace exciton::ops
