#include "exciton/optim/mixed.hpp"

#include <utility>

namespace exciton::optim {

Mixed::Mixed(std::vector<std::unique_ptr<Optimizer>> parts)
    : Optimizer([&] {
        std::vector<NamedParameter> all;
        for (const auto& part : parts)
          all.insert(all.end(), part->parameters().begin(), part->parameters().end());
        return all;
      }()),
      parts_(std::move(parts)) {}

void Mixed::step(double lr) {
  for (const auto& part : parts_) part->step(lr);
}

std::vector<NamedTensor> Mixed::state() {
  std::vector<NamedTensor> all;
  for (const auto& part : parts_)
    for (NamedTensor& t : part->state()) all.push_back(std::move(t));
  return all;
}

void Mixed::set_group(std::size_t group, std::optional<double> lr) {
  for (const auto& part : parts_) part->set_group(group, lr);
}

std::vector<std::int64_t> Mixed::take_groups(const std::vector<ParameterGroup>& groups) {
  std::vector<std::int64_t> members(groups.size());
  for (const auto& part : parts_) {
    const std::vector<std::int64_t> of = groups_of(*part, groups);
    for (std::size_t g = 0; g < members.size(); ++g) members[g] += of[g];
  }
  return members;
}

}  // namespace exciton::optim
