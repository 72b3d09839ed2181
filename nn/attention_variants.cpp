#include "exciton/nn/attention_variants.hpp"

#include <cmath>

#include "exciton/ops/activations.hpp"
#include "exciton/ops/add.hpp"
#include "exciton/ops/linear.hpp"
#include "exciton/ops/se/channel_conv.hpp"

namespace exciton::nn {
namespace {

/// Starts as torch.nn.Linear and Conv1d do, like SE's own layers.
double bound(std::int64_t inputs) { return 1 / std::sqrt(static_cast<double>(inputs)); }

}  // namespace

EfficientAttention::EfficientAttention(std::int64_t channels, Generator& init) {
  const auto t =
      static_cast<std::int64_t>(std::abs((std::log2(static_cast<double>(channels)) + 1) / 2));
  const std::int64_t k = t % 2 == 1 ? t : t + 1;
  weight = uniform({k}, bound(k), init);
}

void EfficientAttention::visit(Visitor& v) { v("weight", weight); }

Var EfficientAttention::gates(const Var& x) {
  return ops::sigmoid(ops::channel_conv(ops::squeeze(x), weight));
}

Var GatherExcite::gates(const Var& x) { return ops::sigmoid(ops::squeeze(x)); }

EffectiveSqueezeExcite::EffectiveSqueezeExcite(std::int64_t channels, bool with_bias,
                                               Generator& init)
    : weight(uniform({channels, channels}, bound(channels), init)) {
  if (with_bias) bias = uniform({channels}, bound(channels), init);
}

void EffectiveSqueezeExcite::visit(Visitor& v) {
  v("weight", weight);
  v("bias", bias, Role::bias);
}

Var EffectiveSqueezeExcite::gates(const Var& x) {
  return ops::hard_sigmoid(ops::linear(ops::squeeze(x), weight, bias));
}

CbamChannelAttention::CbamChannelAttention(std::int64_t channels, const SESpec& spec,
                                           Generator& init) {
  const std::int64_t hidden = spec.hidden(channels);
  reduce_weight = uniform({hidden, channels}, bound(channels), init);
  if (spec.bias) reduce_bias = uniform({hidden}, bound(channels), init);
  expand_weight = uniform({channels, hidden}, bound(hidden), init);
  if (spec.bias) expand_bias = uniform({channels}, bound(hidden), init);
}

void CbamChannelAttention::visit(Visitor& v) {
  v("reduce.weight", reduce_weight);
  v("reduce.bias", reduce_bias, Role::bias);
  v("expand.weight", expand_weight);
  v("expand.bias", expand_bias, Role::bias);
}

Var CbamChannelAttention::mixed(const Var& z) {
  return ops::linear(ops::relu(ops::linear(z, reduce_weight, reduce_bias)), expand_weight,
                     expand_bias);
}

Var CbamChannelAttention::gates(const Var& x) {
  const Var average = mixed(ops::squeeze(x, ops::SqueezeKind::avg));
  const Var largest = mixed(ops::squeeze(x, ops::SqueezeKind::max));
  return ops::sigmoid(ops::add(average, largest));
}

void register_variants(AttentionRegistry& registry) {
  const auto add = [&](const char* name, MakeAttention make) {
    registry.add(name, [name, make = std::move(make)](std::int64_t channels, const SESpec& spec,
                                                      Generator& init) {
      check(spec.squeeze == SESpec{}.squeeze && spec.gate == SESpec{}.gate, "se.kind: ", name,
            " has a squeeze and a gate of its own, got \"", spec.squeeze, "\" and \"", spec.gate,
            "\"; leave them out");
      return make(channels, spec, init);
    });
  };
  add("eca", [](std::int64_t channels, const SESpec&, Generator& init) {
    return std::make_unique<EfficientAttention>(channels, init);
  });
  add("ge",
      [](std::int64_t, const SESpec&, Generator&) { return std::make_unique<GatherExcite>(); });
  add("ese", [](std::int64_t channels, const SESpec& spec, Generator& init) {
    return std::make_unique<EffectiveSqueezeExcite>(channels, spec.bias, init);
  });
  add("cbam", [](std::int64_t channels, const SESpec& spec, Generator& init) {
    return std::make_unique<CbamChannelAttention>(channels, spec, init);
  });
}

}  // namespace exciton::nn
