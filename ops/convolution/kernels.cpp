#include "ops/convolution/kernels.hpp"

namespace exciton::ops {

Tensor ConvKernels::forward(const Tensor& x, const Tensor& w, std::uint64_t version,
                            const ConvSpec& spec, const Epilogue& e) {
  const DType maps = x.dtype(), type = onednn::kernel_type(maps);
  const std::int64_t images = x.dim(0);
  auto g = onednn::geometry_of(x.shape(), w.shape(), spec, type, !e.bias.empty());
  g.epilogue = {.gates = !e.gates.empty(), .shortcut = !e.shortcut.empty(), .relu = e.relu};
  const float* bias = e.bias.empty() ? nullptr : e.bias.data<float>();
  const Tensor xk = x.to(type), shortcut = e.shortcut.empty() ? e.shortcut : e.shortcut.to(type);
  const onednn::EpilogueInputs inputs{e.gates.empty() ? nullptr : e.gates.data<float>(),
                                      shortcut.empty() ? nullptr : shortcut.raw()};
  Tensor y({images, g.oh, g.ow, g.o}, type);
  if (Winograd::suits(g, images, maps))
    winograd_.forward(g, images, w, version, xk.data<float>(), bias, y.data<float>(), inputs);
  else
    onednn::forward(direct_, g, images, onednn::kernel_weights(w, maps), version, xk.raw(), bias,
                    y.raw(), inputs);
  return y.to(maps);
}

Tensor ConvKernels::backward_data(const Tensor& dy, const Tensor& w, std::uint64_t version,
                                  const Shape& x_shape, const ConvSpec& spec) {
  const DType maps = dy.dtype(), type = onednn::kernel_type(maps);
  const std::int64_t images = dy.dim(0);
  const auto g = onednn::geometry_of(x_shape, w.shape(), spec, type, false);
  const Tensor dk = dy.to(type);
  Tensor dx(x_shape, type);
  if (Winograd::suits(g, images, maps))
    Winograd::backward_data(g, images, w, dk.data<float>(), dx.data<float>());
  else
    onednn::backward_data(direct_, g, images, onednn::kernel_weights(w, maps), version, dk.raw(),
                          dx.raw());
  return dx.to(maps);
}

Tensor ConvKernels::backward_weights(const Tensor& x, const Tensor& dy, const Shape& w_shape,
                                     const ConvSpec& spec) {
  const DType maps = x.dtype(), type = onednn::kernel_type(maps);
  const std::int64_t images = x.dim(0);
  const auto g = onednn::geometry_of(x.shape(), w_shape, spec, type, false);
  const Tensor xk = x.to(type), dk = dy.to(type);
  if (Winograd::suits(g, images, maps))
    return Winograd::backward_weights(g, images, xk.data<float>(), dk.data<float>());
  return onednn::backward_weights(direct_, g, images, w_shape, xk.raw(), dk.raw());
}

}  // namespace exciton::ops
