#include "exciton/nn/squeeze_excite.hpp"

#include <algorithm>
#include <cmath>

#include "exciton/ops/activations.hpp"
#include "exciton/ops/mul.hpp"
#include "exciton/ops/reshape.hpp"
#include "exciton/ops/se/scale.hpp"

namespace exciton::nn {
namespace {

Var gate_of(ops::GateKind kind, const Var& u) {
  switch (kind) {
    case ops::GateKind::sigmoid:
      return ops::sigmoid(u);
    case ops::GateKind::tanh:
      return ops::tanh(u);
    case ops::GateKind::relu:
      return ops::relu(u);
    case ops::GateKind::hard_sigmoid:
      return ops::hard_sigmoid(u);
  }
  return u;
}

/// The layer x weight' + bias at every pixel.
Var at_every_pixel(const Var& x, Parameter& weight, Parameter& bias) {
  const Var kernel = ops::reshape(weight, {weight.shape()[0], weight.shape()[1], 1, 1});
  return ops::conv2d(x, kernel, Var(bias));
}

}  // namespace

std::int64_t SESpec::hidden(std::int64_t channels) const {
  check(reduction >= 1 && min_width >= 1 && divisor >= 1,
        "se: reduction, min_width and divisor must be at least 1, got ", reduction, ", ", min_width,
        " and ", divisor);
  std::int64_t h = channels / reduction;
  if (divisor > 1)
    h = std::max(divisor,
                 (2 * channels + divisor * reduction) / (2 * reduction) / divisor * divisor);
  return std::max(min_width, h);
}

SESpec SESpec::in_stage(std::int64_t stage, std::int64_t count) const {
  for (const std::int64_t s : stages)
    check(s >= 2 && s <= count + 1, "se.stages: this network has stages 2 (conv2_x) to ", count + 1,
          ", got ", s);
  check(stage_reductions.empty() || static_cast<std::int64_t>(stage_reductions.size()) == count,
        "se.reduction: a list: expected one value per stage, ", count, " here, got ",
        stage_reductions.size());
  SESpec here = *this;
  here.enabled =
      enabled && (stages.empty() || std::find(stages.begin(), stages.end(), stage) != stages.end());
  if (!stage_reductions.empty())
    here.reduction = stage_reductions[static_cast<std::size_t>(stage - 2)];
  here.stages.clear();
  here.stage_reductions.clear();
  return here;
}

SqueezeExcite::SqueezeExcite(std::int64_t channels, const SESpec& spec, Generator& init)
    : gate(ops::gate_names.parse(spec.gate)) {
  const Squeeze kind = squeeze_names.parse(spec.squeeze);
  squeezes = kind != Squeeze::none;
  squeeze = kind == Squeeze::max ? ops::SqueezeKind::max : ops::SqueezeKind::avg;
  const std::int64_t hidden = spec.hidden(channels);
  const double reduce_bound = 1 / std::sqrt(static_cast<double>(channels));
  const double expand_bound = 1 / std::sqrt(static_cast<double>(hidden));
  reduce_weight = uniform({hidden, channels}, reduce_bound, init);
  if (spec.bias) reduce_bias = uniform({hidden}, reduce_bound, init);
  expand_weight = uniform({channels, hidden}, expand_bound, init);
  if (spec.bias) expand_bias = uniform({channels}, expand_bound, init);
}

void SqueezeExcite::visit(Visitor& v) {
  v("reduce.weight", reduce_weight);
  v("reduce.bias", reduce_bias, Role::bias);
  v("expand.weight", expand_weight);
  v("expand.bias", expand_bias, Role::bias);
}

Var SqueezeExcite::excite(const Var& z) {
  return ops::excite(z, reduce_weight, reduce_bias, expand_weight, expand_bias, gate);
}

Var SqueezeExcite::gates(const Var& x) {
  if (squeezes) return excite(ops::squeeze(x, squeeze));
  const Var hidden = ops::relu(at_every_pixel(x, reduce_weight, reduce_bias));
  return gate_of(gate, at_every_pixel(hidden, expand_weight, expand_bias));
}

Var ChannelAttention::forward(const Var& in) {
  const Var x = input_relu ? ops::relu(in) : in;
  const Var s = hooked(hook, gates(x));
  if (watch) watch(s.value());
  return s.shape().rank() == 2 ? ops::scale(x, s) : ops::mul(x, s);
}

}  // namespace exciton::nn
