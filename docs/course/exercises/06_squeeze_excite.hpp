/// Exercise 6: an SE block as plain loops, and the gradient of its gates.
#pragma once
#include <algorithm>
#include <cmath>

#include "exciton/core/tensor.hpp"

namespace course {

using exciton::DType, exciton::fail, exciton::Tensor;

/// x [N, H, W, C], w1 [R, C], w2 [C, R], all f64 -> y [N, H, W, C], eq. 2 to 4 without biases:
///   z = mean of x over the pixels,  s = sigmoid(w2 relu(w1 z)),  y[n,h,w,c] = x[n,h,w,c] s[n,c]
inline Tensor squeeze_excite(const Tensor& x, const Tensor& w1, const Tensor& w2) {
  fail("exercise 6: squeeze_excite() is not written yet");
}

/// The gradient ds [N, C] of the scale y[n,h,w,c] = x[n,h,w,c] s[n,c], from x and dy [N, H, W, C].
inline Tensor gate_gradient(const Tensor& x, const Tensor& dy) {
  fail("exercise 6: gate_gradient() is not written yet");
}

}  // namespace course
