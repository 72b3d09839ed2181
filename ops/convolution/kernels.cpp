#include "exciton/ops/convolution/kernels.hpp"

#include "exciton/ops/convolution/direct.hpp"
#include "exciton/ops/convolution/path.hpp"

namespace exciton::ops {
namespace {

/// Whether what Winograd's kernels do not take runs on the own direct convolution: where oneDNN is
/// absent, switched off, or not trusted with the form.
bool runs_own(onednn::Convolution& direct, Direction direction, const ConvGeometry& g,
              std::int64_t images) {
  return conv_path() == ConvPath::own || !onednn::takes(direct, direction, g, images);
}

/// f32 weights as kernels of `type` see them that stand in for those of `maps`.
Tensor rounded(const Tensor& weights, DType maps, DType type) {
  return type == maps ? weights : weights.to(maps).to(DType::f32);
}

}  // namespace

Tensor ConvKernels::forward(const Tensor& x, const Tensor& w, std::uint64_t version,
                            const ConvSpec& spec, const Epilogue& e) {
  const DType maps = x.dtype();
  const std::int64_t images = x.dim(0);
  pack_for(maps);
  auto g = geometry_of(x.shape(), w.shape(), spec, maps, !e.bias.empty());
  g.epilogue = {.gates = !e.gates.empty(), .shortcut = !e.shortcut.empty(), .relu = e.relu};
  const float* bias = e.bias.empty() ? nullptr : e.bias.data<float>();
  const float* gates = e.gates.empty() ? nullptr : e.gates.data<float>();
  if (Winograd::suits(g, images, Direction::forward)) {
    Tensor y({images, g.oh, g.ow, g.o}, maps);
    winograd_.forward(g, images, w, version, x.raw(), bias, y.raw(), {gates, e.shortcut.raw()});
    return y;
  }
  g.dtype = onednn::kernel_type(g);
  if (runs_own(direct_, Direction::forward, g, images)) {
    g.dtype = maps;
    Tensor y({images, g.oh, g.ow, g.o}, maps);
    direct::forward(g, images, w, x.raw(), bias, y.raw(), {gates, e.shortcut.raw()});
    return y;
  }
  const DType type = g.dtype;
  const Tensor wk = rounded(w, maps, type);
  Tensor y({images, g.oh, g.ow, g.o}, type);
  const Tensor xk = x.to(type), shortcut = e.shortcut.empty() ? e.shortcut : e.shortcut.to(type);
  onednn::forward(direct_, g, images, wk, version, xk.raw(), bias, y.raw(),
                  {gates, shortcut.raw()});
  return y.to(maps);
}

Tensor ConvKernels::backward_data(const Tensor& dy, const Tensor& w, std::uint64_t version,
                                  const Shape& x_shape, const ConvSpec& spec) {
  const DType maps = dy.dtype();
  const std::int64_t images = dy.dim(0);
  pack_for(maps);
  auto g = geometry_of(x_shape, w.shape(), spec, maps, false);
  if (Winograd::suits(g, images, Direction::backward_data)) {
    Tensor dx(x_shape, maps);
    Winograd::backward_data(g, images, w, dy.raw(), dx.raw());
    return dx;
  }
  g.dtype = onednn::kernel_type(g);
  if (runs_own(direct_, Direction::backward_data, g, images)) {
    g.dtype = maps;
    Tensor dx(x_shape, maps);
    direct::backward_data(g, images, w, dy.raw(), dx.raw());
    return dx;
  }
  const DType type = g.dtype;
  const Tensor wk = rounded(w, maps, type);
  Tensor dx(x_shape, type);
  onednn::backward_data(direct_, g, images, wk, version, dy.to(type).raw(), dx.raw());
  return dx.to(maps);
}

Tensor ConvKernels::backward_weights(const Tensor& x, const Tensor& dy, const Shape& w_shape,
                                     const ConvSpec& spec) {
  const DType maps = x.dtype();
  const std::int64_t images = x.dim(0);
  auto g = geometry_of(x.shape(), w_shape, spec, maps, false);
  if (Winograd::suits(g, images, Direction::backward_weights))
    return Winograd::backward_weights(g, images, x.raw(), dy.raw());
  const DType type = g.dtype = onednn::kernel_type(g);
  if (runs_own(direct_, Direction::backward_weights, g, images)) {
    g.dtype = maps;
    return direct::backward_weights(g, images, w_shape, x.raw(), dy.raw());
  }
  return onednn::backward_weights(direct_, g, images, w_shape, x.to(type).raw(), dy.to(type).raw());
}

void ConvKernels::pack_for(DType maps) {
  if (maps != packed_for_) drop_weights();
  packed_for_ = maps;
}

void ConvKernels::drop_weights() {
  direct_.drop_weights();
  winograd_.drop_weights();
}

}  // namespace exciton::ops
