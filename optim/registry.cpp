#include "exciton/optim/registry.hpp"

#include <utility>

#include "exciton/optim/adamw.hpp"
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
    return registry;
  }();
  return all;
}

std::unique_ptr<Optimizer> make_optimizer(const OptimizerSpec& spec,
                                          std::vector<NamedParameter> parameters) {
  return optimizer_registry().at(spec.name)(std::move(parameters), spec);
}

}  // namespace exciton::optim
