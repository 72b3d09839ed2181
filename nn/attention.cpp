#include "exciton/nn/attention.hpp"

#include "exciton/nn/attention_variants.hpp"

namespace exciton::nn {

AttentionRegistry& attention_registry() {
  static AttentionRegistry all = [] {
    AttentionRegistry registry("attention");
    registry.add("se", [](std::int64_t channels, const SESpec& spec, Generator& init) {
      return std::make_unique<SqueezeExcite>(channels, spec, init);
    });
    register_variants(registry);
    return registry;
  }();
  return all;
}

std::unique_ptr<ChannelAttention> make_attention(std::int64_t channels, const SESpec& spec,
                                                 Generator& init) {
  if (!spec.enabled) return nullptr;
  const MakeAttention* const make = attention_registry().find(spec.kind);
  check(make != nullptr, "se.kind: unknown kind \"", spec.kind, "\"; known are ",
        listed(attention_registry().names()));
  // Whoever builds this unit has decided on the rest; what is left would be ignored in silence.
  check(spec.placement == "standard", "se.kind: ", spec.kind, ": placement \"", spec.placement,
        "\" is for residual blocks; this model knows standard");
  check(spec.stages.empty() && spec.stage_reductions.empty(), "se.kind: ", spec.kind,
        ": this model has no stages; leave stages out and give one reduction");
  auto unit = (*make)(channels, spec, init);
  unit->input_relu = spec.input_relu;
  return unit;
}

}  // namespace exciton::nn
