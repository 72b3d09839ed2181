/// Several optimisers as one, each with parameters of its own.
#pragma once
#include <memory>
#include <vector>

#include "exciton/optim/optimizer.hpp"

namespace exciton::optim {

/// Steps all of them at one rate, each by the factors of its own parameters' groups. No parameter
/// may belong to two.
class Mixed final : public Optimizer {
 public:
  explicit Mixed(std::vector<std::unique_ptr<Optimizer>> parts);

  void step(double lr) override;
  /// Those of the parts, one after another.
  std::vector<NamedTensor> state() override;
  void set_group(std::size_t group, std::optional<double> lr) override;

 protected:
  std::vector<std::int64_t> take_groups(const std::vector<ParameterGroup>& groups) override;

 private:
  std::vector<std::unique_ptr<Optimizer>> parts_;
};

}  // namespace exciton::optim
