#include "nn/squeeze_excite.hpp"

#include <cmath>

#include "ops/se/scale.hpp"

namespace exciton::nn {

SqueezeExcite::SqueezeExcite(std::int64_t channels, const SESpec& spec, Generator& init)
    : gate(ops::parse_gate(spec.gate)) {
  check(spec.reduction >= 1 && spec.min_width >= 1,
        "SqueezeExcite: reduction and min_width must be at least 1, got ", spec.reduction, " and ",
        spec.min_width);
  check(spec.squeeze == "avg" || spec.squeeze == "max", "SqueezeExcite: unknown squeeze \"",
        spec.squeeze, "\"; known are avg and max");
  check(spec.placement == "standard", "SqueezeExcite: unknown placement \"", spec.placement,
        "\"; known is standard");
  squeeze = spec.squeeze == "avg" ? ops::SqueezeKind::avg : ops::SqueezeKind::max;
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
  v("reduce.bias", reduce_bias);
  v("expand.weight", expand_weight);
  v("expand.bias", expand_bias);
}

Var SqueezeExcite::gates(const Var& x) {
  return ops::excite(ops::squeeze(x, squeeze), reduce_weight, reduce_bias, expand_weight,
                     expand_bias, gate);
}

Var SqueezeExcite::forward(const Var& x) { return ops::scale(x, gates(x)); }

}  // namespace exciton::nn
