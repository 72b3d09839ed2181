/// Holds the kernels of a form against the reference.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "exciton/ops/convolution/kernels.hpp"
#include "sweep/form.hpp"

namespace exciton::sweep {

/// What is checked: the kernels of a layer, or in a test of the sweep itself ones with a fault.
class Subject {
 public:
  virtual ~Subject() = default;
  virtual Tensor forward(const Tensor& x, const Tensor& w, const ops::ConvSpec& spec,
                         const ops::ConvKernels::Epilogue& epilogue);
  virtual Tensor backward_data(const Tensor& dy, const Tensor& w, const Shape& x,
                               const ops::ConvSpec& spec);
  virtual Tensor backward_weights(const Tensor& x, const Tensor& dy, const Shape& w,
                                  const ops::ConvSpec& spec);

 private:
  ops::ConvKernels kernels_;
};

/// Runs the form in guarded memory (guarded_memory.hpp), inputs without the right to write to them,
/// and compares every result. Returns what is wrong, one line each; empty: nothing. A fault in
/// memory ends the process. `make` gives the kernels for User::kernels.
///
/// How far a result may lie from the exact one follows from the arithmetic, u = 2^-24 the rounding
/// of f32, 2^-8 that of bf16:
///   direct sum of K products in any order: K u sum |x| |w|; of integers: nothing
///   Winograd: the same for each transform and the sums between them, at the largest of |x| and |w|
///     (check.cpp, WinogradGain)
///   epilogue: that times the gate, and u for each step
///   bf16: one rounding of the f32 result, so of integers the exact one, rounded
using MakeSubject = std::function<std::unique_ptr<Subject>()>;
std::string check_form(const Form& form, const MakeSubject& make = std::make_unique<Subject>);

}  // namespace exciton::sweep
