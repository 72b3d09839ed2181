/// Exercise 4: a convolution and the gradient of its weights, as plain loops.
#pragma once
#include "exciton/core/tensor.hpp"

namespace course {

using exciton::DType, exciton::fail, exciton::Shape, exciton::Tensor;

/// x [N, H, W, C] and w [O, C, kH, kW], both f64 -> y [N, H', W', O], stride 1:
///   y[n,i,j,o] = sum over a, b, c of x[n, i - p + a, j - p + b, c] w[o,c,a,b]
///   H' = H + 2 p - kH + 1,  W' = W + 2 p - kW + 1
/// with zeros where x is asked for a pixel outside of the image.
inline Tensor convolution(const Tensor& x, const Tensor& w, std::int64_t padding) {
  fail("exercise 4: convolution() is not written yet");
}

/// The gradient dw, of shape `w`, of that convolution, from x and dy [N, H', W', O].
inline Tensor weight_gradient(const Tensor& x, const Tensor& dy, const Shape& w,
                              std::int64_t padding) {
  fail("exercise 4: weight_gradient() is not written yet");
}

}  // namespace course
