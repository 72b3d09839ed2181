#include "exciton/nn/attention.hpp"

#include <algorithm>

#include "exciton/core/suggest.hpp"
#include "exciton/nn/attention_variants.hpp"

namespace exciton::nn {

void AttentionRegistry::add(const std::string& name, Make make) {
  check(!name.empty() && find(name) == nullptr, "attention: the name \"", name, "\" is taken");
  entries_.push_back({name, std::move(make)});
}

const AttentionRegistry::Entry* AttentionRegistry::find(const std::string& name) const {
  const auto found = std::find_if(entries_.begin(), entries_.end(),
                                  [&](const Entry& e) { return e.name == name; });
  return found == entries_.end() ? nullptr : &*found;
}

std::vector<std::string> AttentionRegistry::names() const {
  std::vector<std::string> out;
  for (const Entry& e : entries_) out.push_back(e.name);
  return out;
}

AttentionRegistry& attention_registry() {
  static AttentionRegistry all = [] {
    AttentionRegistry registry;
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
  const AttentionRegistry::Entry* const entry = attention_registry().find(spec.kind);
  check(entry != nullptr, "se.kind: unknown kind \"", spec.kind, "\"; known are ",
        listed(attention_registry().names()));
  // Whoever builds this unit has decided on the rest; what is left would be ignored in silence.
  check(spec.placement == "standard", "se.kind: ", spec.kind, ": placement \"", spec.placement,
        "\" is for residual blocks; this model knows standard");
  check(spec.stages.empty() && spec.stage_reductions.empty(), "se.kind: ", spec.kind,
        ": this model has no stages; leave stages out and give one reduction");
  return entry->make(channels, spec, init);
}

}  // namespace exciton::nn
