#include "exciton/optim/registry.hpp"

#include <algorithm>
#include <utility>

#include "exciton/optim/adamw.hpp"
#include "exciton/optim/mixed.hpp"
#include "exciton/optim/muon.hpp"
#include "exciton/optim/sgd.hpp"

namespace exciton::optim {

NamedRegistry<MakeOptimizer>& optimizer_registry() {
  static NamedRegistry<MakeOptimizer> all = [] {
    NamedRegistry<MakeOptimizer> registry("optimizer");
    registry.add("sgd", [](std::vector<NamedParameter> parameters, const OptimizerSpec& o) {
      return std::make_unique<Sgd>(std::move(parameters),
                                   SgdOptions{.momentum = o.momentum,
                                              .nesterov = o.nesterov,
                                              .weight_decay = o.weight_decay,
                                              .decoupled = o.decoupled,
                                              .decay_norm_and_bias = o.decay_norm_and_bias});
    });
    registry.add("adamw", [](std::vector<NamedParameter> parameters, const OptimizerSpec& o) {
      return std::make_unique<AdamW>(std::move(parameters),
                                     AdamWOptions{.beta1 = o.beta1,
                                                  .beta2 = o.beta2,
                                                  .eps = o.eps,
                                                  .weight_decay = o.weight_decay,
                                                  .decay_norm_and_bias = o.decay_norm_and_bias});
    });
    registry.add("muon", [](std::vector<NamedParameter> parameters, const OptimizerSpec& o) {
      return std::make_unique<Muon>(std::move(parameters),
                                    MuonOptions{.momentum = o.momentum,
                                                .nesterov = o.nesterov,
                                                .steps = o.newton_schulz,
                                                .weight_decay = o.weight_decay,
                                                .normalize = o.normalize});
    });
    return registry;
  }();
  return all;
}

std::unique_ptr<Optimizer> make_optimizer(const OptimizerSpec& spec,
                                          std::vector<NamedParameter> parameters) {
  return optimizer_registry().at(spec.name)(std::move(parameters), spec);
}

std::unique_ptr<Optimizer> make_optimizer(const OptimizerSpec& spec,
                                          std::vector<NamedParameter> parameters,
                                          const std::vector<ParameterGroup>& groups) {
  struct Part {
    OptimizerSpec spec;
    std::vector<NamedParameter> parameters;
  };
  std::vector<Part> parts;
  for (NamedParameter& p : parameters) {
    OptimizerSpec own = spec;
    if (const std::size_t g = group_of(p.name, groups); g < groups.size()) {
      if (!groups[g].optimizer.empty()) own.name = groups[g].optimizer;
      if (groups[g].momentum >= 0) own.momentum = groups[g].momentum;
    }
    const auto same = std::ranges::find_if(parts, [&](const Part& part) {
      return part.spec.name == own.name && part.spec.momentum == own.momentum;
    });
    if (same != parts.end())
      same->parameters.push_back(std::move(p));
    else
      parts.push_back({own, {}}), parts.back().parameters.push_back(std::move(p));
  }
  std::unique_ptr<Optimizer> out;
  if (parts.size() == 1) {
    out = make_optimizer(parts.front().spec, std::move(parts.front().parameters));
  } else {
    std::vector<std::unique_ptr<Optimizer>> made;
    for (Part& part : parts) made.push_back(make_optimizer(part.spec, std::move(part.parameters)));
    out = std::make_unique<Mixed>(std::move(made));
  }
  out->set_groups(groups);
  return out;
}

}  // namespace exciton::optim
