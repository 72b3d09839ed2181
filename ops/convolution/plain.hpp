/// The plain twin of convolution: the formula of conv2d.hpp, one loop an index. It runs f64, and is
/// what the other kernels are held against.
#pragma once
#include "exciton/ops/convolution/conv2d.hpp"

namespace exciton::ops::plain {

/// conv(x, w) + bias of any type with weights of its acc_type; bias may be empty.
Tensor forward(const Tensor& x, const Tensor& w, const Tensor& bias, const ConvSpec& spec);
/// dx, of x_shape.
Tensor backward_data(const Tensor& dy, const Tensor& w, const Shape& x_shape, const ConvSpec& spec);
/// dw, of w_shape.
Tensor backward_weights(const Tensor& x, const Tensor& dy, const Shape& w_shape,
                        const ConvSpec& spec);

}  // namespace exciton::ops::plain
