/// Modules and parameters by address, as a tape's observer sees them.
#pragma once
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "exciton/nn/module.hpp"

namespace exciton::nn {

/// Of a module and all below it, where they are now. A name is "stage1.0.conv1"; the root's is "".
class Names final : private Visitor {
 public:
  explicit Names(Module& root) { walk(root); }

  /// "" also for what is none of them, as where no module ran.
  std::string module(const void* module) const;
  /// The module at that address, or nullptr.
  const Module* at(const void* module) const;
  /// "stage1.0.conv1.weight". Errors: none of them.
  const std::string& parameter(const Parameter* parameter) const { return owned(parameter).name; }
  /// The module that has the parameter. Errors: none of them.
  Module& owner(const Parameter* parameter) const { return *owned(parameter).owner; }
  /// Whether it is one of them: a layer's, and not a value of somebody else.
  bool knows(const Parameter* parameter) const { return parameters_.contains(parameter); }
  /// The module that ran an operation or, when that called the operator on a child's parameters,
  /// the child. `parameters` are those the operation read.
  std::string layer(const void* running, const std::vector<const Parameter*>& parameters) const;

 private:
  struct Owned {
    std::string name;
    Module* owner;
  };
  const Owned& owned(const Parameter* parameter) const;
  void enter(const std::string& name, Module& m) override;
  void leave(const std::string&, Module&) override { path_.pop_back(); }
  void parameter(const std::string& name, Parameter& p) override;

  std::unordered_map<const void*, std::pair<std::string, const Module*>> modules_;
  std::unordered_map<const Parameter*, Owned> parameters_;
  std::vector<Module*> path_;
};

}  // namespace exciton::nn
