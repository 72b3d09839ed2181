/// The own direct convolution: any geometry, on any x86-64, without a foreign library. It runs what
/// must not be left to oneDNN, and everything where oneDNN is absent.
///
/// Maps are f32 or bf16 as `g` names, channels last; weights [O, C/groups, kH, kW], bias, gates and
/// dw are f32. Over bf16 maps the weights are rounded to bf16, all between stays f32, and the
/// result is rounded once. NaN and infinities pass as in the formula (ops/convolution/conv2d.hpp).
#pragma once
#include "exciton/ops/convolution/geometry.hpp"

namespace exciton::ops::direct {

/// y = relu(gates (conv(x, weights) + bias) + shortcut) without the parts that `g` lacks; bias [O]
/// may be null.
void forward(const ConvGeometry& g, std::int64_t images, const Tensor& weights, const void* x,
             const float* bias, void* y, const EpilogueInputs& epilogue = {});

/// dx [N, H, W, C] of dy [N, H', W', O].
void backward_data(const ConvGeometry& g, std::int64_t images, const Tensor& weights,
                   const void* dy, void* dx);

/// dw of weight_shape, a sum over leaves of images (ops/leaves.hpp).
Tensor backward_weights(const ConvGeometry& g, std::int64_t images, const Shape& weight_shape,
                        const void* x, const void* dy);

}  // namespace exciton::ops::direct
