/// Optimisers and schedules by name, as recipes ask for them.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "exciton/core/named_registry.hpp"
#include "exciton/optim/optimizer.hpp"
#include "exciton/optim/schedule.hpp"

namespace exciton::optim {

/// A recipe's `optimizer`: a name, and the options that optimisers read.
struct OptimizerSpec {
  std::string name = "sgd";  ///< or "adamw", "muon", or one that was registered
  double momentum = 0.9;     ///< not adamw
  bool nesterov = true;      ///< sgd and muon
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;  ///< not sgd
  double weight_decay = 5e-4;
  bool decoupled = false;           ///< sgd: decay beside the gradient step instead of within it
  bool decay_norm_and_bias = true;  ///< false: batch norms and biases are not decayed
  std::int64_t newton_schulz = 3;   ///< muon: steps of the iteration
  bool normalize = true;            ///< muon: weights of a fixed norm, see optim/muon.hpp
};

using MakeOptimizer = std::function<std::unique_ptr<Optimizer>(
    std::vector<NamedParameter> parameters, const OptimizerSpec& spec)>;
/// The process's own.
NamedRegistry<MakeOptimizer>& optimizer_registry();
/// Errors: an unknown name; options out of range.
std::unique_ptr<Optimizer> make_optimizer(const OptimizerSpec& spec,
                                          std::vector<NamedParameter> parameters);

/// With the groups set, and every group's parameters at the optimiser that it names, with its
/// momentum: one optimiser, or optim::Mixed. Errors: as above; of Optimizer::set_groups.
std::unique_ptr<Optimizer> make_optimizer(const OptimizerSpec& spec,
                                          std::vector<NamedParameter> parameters,
                                          const std::vector<ParameterGroup>& groups);

/// The process's own: rates behind the warm-up, by the equations of schedule.hpp.
NamedRegistry<ScheduleShape>& schedule_registry();
/// Not registered by a user.
bool is_standard_schedule(std::string_view name);

}  // namespace exciton::optim
