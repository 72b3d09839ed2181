#include "exciton/nn/names.hpp"

namespace exciton::nn {

std::string Names::module(const void* module) const {
  const auto found = modules_.find(module);
  return found == modules_.end() ? "" : found->second.first;
}

const Module* Names::at(const void* module) const {
  const auto found = modules_.find(module);
  return found == modules_.end() ? nullptr : found->second.second;
}

const Names::Owned& Names::owned(const Parameter* parameter) const {
  const auto found = parameters_.find(parameter);
  check(found != parameters_.end(), "names: a parameter of another network");
  return found->second;
}

std::string Names::layer(const void* running,
                         const std::vector<const Parameter*>& parameters) const {
  const std::string scope = module(running);
  if (parameters.empty() || !knows(parameters.front())) return scope;
  const std::string child = module(&owner(parameters.front()));
  return child.starts_with(scope) ? child : scope;
}

void Names::enter(const std::string& name, Module& m) {
  modules_[&m] = {name, &m};
  path_.push_back(&m);
}

void Names::parameter(const std::string& name, Parameter& p) {
  parameters_[&p] = {name, path_.back()};
}

}  // namespace exciton::nn
