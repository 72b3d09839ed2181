/// The forms of a convolution that the sweep tries.
#pragma once
#include <ostream>
#include <string>

#include "exciton/ops/convolution/conv2d.hpp"
#include "sweep/guarded_memory.hpp"

namespace exciton::sweep {

/// Who calls the kernels.
enum class User {
  kernels,   ///< ConvKernels alone, all directions
  conv2d,    ///< the operator with its packed weights, forward and backward
  folded,    ///< FoldedConv: convolution, norm, gates, shortcut and ReLU of an evaluation
  norm_relu  ///< NormReluConv against its parts
};

/// Small integers, of which every sum is exact in f32 whatever its order, so that a direct kernel
/// has no error at all; or normal numbers.
enum class Values { integers, normal };

/// One case. Its text, `name=value ...`, says all of it: parse_form() gives the form again.
struct Form {
  std::int64_t n = 1, h = 1, w = 1, c = 1, o = 1, kh = 1, kw = 1;
  ops::ConvSpec spec;
  DType type = DType::f32;
  int threads = 1;
  bool bias = false, gates = false, shortcut = false, relu = false;
  User user = User::kernels;
  Values values = Values::integers;
  GuardedMemory::Against guard = GuardedMemory::Against::end;
  std::uint64_t seed = 0;  ///< of the values

  Shape x() const { return {n, h, w, c}; }
  Shape weight() const { return {o, c / spec.groups, kh, kw}; }
  Shape y() const { return ops::conv2d_shape(x(), weight(), spec); }
  std::int64_t multiply_adds() const { return y().numel() * (c / spec.groups) * kh * kw; }
  bool operator==(const Form&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Form& form);
/// Errors: a name or value that is none, named; a form that conv2d refuses.
Form parse_form(const std::string& text);

/// The form number `index` under `seed`: 1 to 65 channels, maps of 1 to 224 pixels, windows of 1 to
/// 7, strides 1 to 3, groups, dilations, uneven padding, one to four threads with batches below, at
/// and above them; at most some million products, so that a form takes milliseconds.
Form make_form(std::uint64_t seed, std::uint64_t index);

}  // namespace exciton::sweep
