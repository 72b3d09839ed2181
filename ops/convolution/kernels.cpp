#include "exciton/ops/convolution/kernels.hpp"

#include <algorithm>

#include "exciton/core/group.hpp"
#include "exciton/ops/convolution/choices.hpp"
#include "exciton/ops/convolution/direct.hpp"
#include "exciton/ops/convolution/path.hpp"
#include "exciton/ops/processor.hpp"

namespace exciton::ops {
namespace {

constexpr std::pair<ConvKernel, const char*> names[] = {
    {ConvKernel::plain, "plain"},
    {ConvKernel::winograd_bf16, "winograd-bf16-f3x3"},
    {ConvKernel::winograd_bf16_4x4, "winograd-bf16-f4x3"},
    {ConvKernel::winograd_bf16_strided, "winograd-bf16-f4x3s2"},
    {ConvKernel::winograd, "winograd-f4x3"},
    {ConvKernel::winograd_strided, "winograd-f4x3s2"},
    {ConvKernel::pointwise, "pointwise"},
    {ConvKernel::onednn, "onednn"},
    {ConvKernel::direct, "direct"}};

/// f32 weights as kernels of `type` see them that stand in for those of `maps`.
Tensor rounded(const Tensor& weights, DType maps, DType type) {
  return type == maps ? weights : weights.to(maps).to(DType::f32);
}

/// Where oneDNN's AVX2 kernels take longer than the direct kernel, as a Zen 3 has it (oneDNN 2.6.3,
/// f32): 1x1 in groups of channels that fill no blocks of its own (ShuffleNet; 1.1 to 2.6 times as
/// long; depthwise is oneDNN's), and gradients of weights of 1x1 with few pixels to many weights (1
/// to 1.6), of the images' own layer (1.1 to 1.2), and of 3x3 in groups of 32 channels and more
/// (1.5 to 2).
bool direct_is_faster_on_zen3(const ConvGeometry& g, std::int64_t pixels, Direction direction) {
  const std::int64_t in = g.c / g.spec.groups, out = g.o / g.spec.groups;
  const bool pointwise = g.kh == 1 && g.kw == 1,
             gradient = direction == Direction::backward_weights;
  if (g.spec.groups == 1)
    return gradient && (pointwise ? g.c * g.o >= 256 * 512 && pixels <= 3136
                                  : g.kh >= 3 && g.c < 8 && g.o >= 64);
  if (!pointwise) return gradient && in >= 32;
  if (gradient) return in >= 80;
  return direction == Direction::forward ? std::min(in, out) >= 40 : in >= 20 && 2 * out >= in;
}

/// Whether the direct kernel is better than oneDNN's: gradients of weights of 1x1 from few pixels
/// to many weights, where oneDNN's packing of the sums shows (Zen 4: 0.5 to 0.95 of its time up to
/// 196 pixels, 0.8 to 1.2 with 784), and more on a Zen 3.
bool direct_is_faster(const ConvGeometry& g, std::int64_t images, Direction direction) {
  const std::int64_t pixels = images_of_batch(images) * g.oh * g.ow;
  switch (processor().kind) {
    case ProcessorKind::zen3:
      return direct_is_faster_on_zen3(g, pixels, direction);
    case ProcessorKind::zen4:
      return direction == Direction::backward_weights && g.kh == 1 && g.kw == 1 &&
             g.spec.groups == 1 && g.c >= 1024 && pixels <= 196;
    case ProcessorKind::zen5:
    case ProcessorKind::other:
      break;
  }
  return false;
}

}  // namespace

std::string name_of(ConvKernel kernel) {
  for (const auto& [value, name] : names)
    if (value == kernel) return name;
  return "";
}

ConvKernel conv_kernel(const std::string& name) {
  std::string all;
  for (const auto& [value, known] : names) {
    if (name == known) return value;
    all += (all.empty() ? "" : ", ") + std::string(known);
  }
  fail("convolution: no kernel \"", name, "\"; there are ", all);
}

bool ConvKernels::can_run(ConvKernel kernel, ConvGeometry& g, std::int64_t images,
                          Direction direction) {
  ConvGeometry told = g;
  switch (kernel) {
    case ConvKernel::winograd:
    case ConvKernel::winograd_strided:  // what rounds less than the layer allows
      told.spec.winograd_products = WinogradProducts::f32;
      [[fallthrough]];
    case ConvKernel::winograd_bf16:
      told.spec.winograd_products = std::min(told.spec.winograd_products, WinogradProducts::bf16);
      [[fallthrough]];
    case ConvKernel::winograd_bf16_strided:
    case ConvKernel::winograd_bf16_4x4:
      if (!Winograd::can_run(told) || Winograd::kernel_of(told) != kernel) return false;
      break;
    case ConvKernel::pointwise:
      if (direction != Direction::forward || !Pointwise::can_run(told)) return false;
      break;
    case ConvKernel::onednn:
      told.dtype = onednn::kernel_type(g);
      if (conv_path() == ConvPath::own || !onednn::takes(onednn_, direction, told, images))
        return false;
      break;
    case ConvKernel::direct:
      break;
    case ConvKernel::none:
    case ConvKernel::plain:
      return false;
  }
  g = told;
  return true;
}

ConvKernel ConvKernels::choose(ConvGeometry& g, std::int64_t images, Direction direction) {
  ConvKernel asked = forced_;
  if (const KernelChoices& choices = kernel_choices();
      asked == ConvKernel::none && !choices.empty())
    if (const auto found = choices.find(form_name(g, direction)); found != choices.end())
      asked = found->second;
  if (can_run(asked, g, images, direction)) return ran_ = asked;
  const bool kept = keeps_weights_ && direction == Direction::forward;
  if (Winograd::applicable(g, images, direction, kept)) return ran_ = Winograd::kernel_of(g);
  if (direction == Direction::forward && Pointwise::applicable(g, kept))
    return ran_ = ConvKernel::pointwise;
  return ran_ = !direct_is_faster(g, images, direction) &&
                        can_run(ConvKernel::onednn, g, images, direction)
                    ? ConvKernel::onednn
                    : ConvKernel::direct;
}

std::vector<ConvKernel> ConvKernels::candidates(const ConvGeometry& g, std::int64_t images,
                                                Direction direction) {
  ConvGeometry told = g;
  std::vector<ConvKernel> out{choose(told, images, direction)};
  for (const auto kernel :
       {ConvKernel::winograd_bf16_4x4, ConvKernel::winograd_bf16, ConvKernel::winograd_bf16_strided,
        ConvKernel::winograd, ConvKernel::winograd_strided, ConvKernel::pointwise,
        ConvKernel::onednn, ConvKernel::direct}) {
    told = g;
    if (kernel != out[0] && can_run(kernel, told, images, direction)) out.push_back(kernel);
  }
  return out;
}

Tensor ConvKernels::forward(const Tensor& x, const Tensor& w, std::uint64_t version,
                            const ConvSpec& spec, const Epilogue& e) {
  const DType maps = x.dtype();
  const std::int64_t images = x.dim(0);
  pack_for(maps);
  auto g = geometry_of(x.shape(), w.shape(), spec, maps, !e.bias.empty());
  g.epilogue = {.gates = !e.gates.empty(), .shortcut = !e.shortcut.empty(), .relu = e.relu};
  const float* bias = e.bias.empty() ? nullptr : e.bias.data<float>();
  const float* gates = e.gates.empty() ? nullptr : e.gates.data<float>();
  const ConvKernel kernel = choose(g, images, Direction::forward);
  Tensor y({images, g.oh, g.ow, g.o}, g.dtype);
  if (kernel == ConvKernel::onednn) {
    const Tensor wk = rounded(w, maps, g.dtype), xk = x.to(g.dtype);
    const Tensor shortcut = e.shortcut.empty() ? e.shortcut : e.shortcut.to(g.dtype);
    onednn::forward(onednn_, g, images, wk, version, xk.raw(), bias, y.raw(),
                    {gates, shortcut.raw()});
    return y.to(maps);
  }
  const EpilogueInputs epilogue{gates, e.shortcut.raw()};
  if (kernel == ConvKernel::direct)
    direct::forward(g, images, w, x.raw(), bias, y.raw(), epilogue);
  else if (kernel == ConvKernel::pointwise)
    pointwise_.forward(g, images, w, version, x.raw(), bias, y.raw(), epilogue, keeps_weights_);
  else
    winograd_.forward(g, images, w, version, x.raw(), bias, y.raw(), epilogue, keeps_weights_);
  return y;
}

Tensor ConvKernels::backward_data(const Tensor& dy, const Tensor& w, std::uint64_t version,
                                  const Shape& x_shape, const ConvSpec& spec) {
  const DType maps = dy.dtype();
  const std::int64_t images = dy.dim(0);
  pack_for(maps);
  auto g = geometry_of(x_shape, w.shape(), spec, maps, false);
  const ConvKernel kernel = choose(g, images, Direction::backward_data);
  Tensor dx(x_shape, g.dtype);
  if (kernel == ConvKernel::onednn) {
    const Tensor wk = rounded(w, maps, g.dtype);
    onednn::backward_data(onednn_, g, images, wk, version, dy.to(g.dtype).raw(), dx.raw());
    return dx.to(maps);
  }
  if (kernel == ConvKernel::direct)
    direct::backward_data(g, images, w, dy.raw(), dx.raw());
  else
    Winograd::backward_data(g, images, w, dy.raw(), dx.raw());
  return dx;
}

Tensor ConvKernels::backward_weights(const Tensor& x, const Tensor& dy, const Shape& w_shape,
                                     const ConvSpec& spec) {
  const std::int64_t images = x.dim(0);
  auto g = geometry_of(x.shape(), w_shape, spec, x.dtype(), false);
  const ConvKernel kernel = choose(g, images, Direction::backward_weights);
  if (kernel == ConvKernel::onednn)
    return onednn::backward_weights(onednn_, g, images, w_shape, x.to(g.dtype).raw(),
                                    dy.to(g.dtype).raw());
  if (kernel == ConvKernel::direct)
    return direct::backward_weights(g, images, w_shape, x.raw(), dy.raw());
  return Winograd::backward_weights(g, images, x.raw(), dy.raw());
}

void ConvKernels::pack_for(DType maps) {
  if (maps != packed_for_) drop_weights();
  packed_for_ = maps;
}

void ConvKernels::drop_weights() {
  onednn_.drop_weights();
  winograd_.drop_weights();
  pointwise_.drop_weights();
}

}  // namespace exciton::ops
