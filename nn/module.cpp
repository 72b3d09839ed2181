#include "exciton/nn/module.hpp"

#include "exciton/core/error.hpp"
#include "exciton/core/tape_observer.hpp"
#include "exciton/nn/recompute.hpp"

#include <algorithm>
#include <functional>
#include <unordered_set>

namespace exciton::nn {

Var Module::operator()(const Var& x) {
  const bool again = recompute == Recompute::block && training && repeats() && Tape::active();
  return again && x.id() >= 0 ? recomputed(*this, x) : run(x);
}

Var Module::run(const Var& x) {
  const TapeObserver::Scope scope(this);
  if (!training) return run_hooked(x);
  const ThreadClaim::Scope claim(in_training_, kind());
  return run_hooked(x);
}

Var Module::run_hooked(const Var& x) {
  Var y = forward(x);
  return forward_hook ? forward_hook(x, y) : y;
}

std::string Visitor::joined(std::string_view name) const {
  return prefix_.empty() ? std::string(name) : prefix_ + '.' + std::string(name);
}

void Visitor::operator()(std::string_view name, Parameter& p, Role role) {
  p.role = role;
  if (!p.empty()) parameter(joined(name), p);
}

void Visitor::operator()(std::string_view name, Tensor& t) {
  if (!t.empty()) buffer(joined(name), t);
}

void Visitor::operator()(std::string_view name, Module& m) {
  std::string full = joined(name);
  std::swap(prefix_, full);  // full keeps the outer prefix
  const std::string self = prefix_;
  constexpr std::ptrdiff_t deepest = 200;
  check(std::ranges::count(self, '.') < deepest, "module: more than ", deepest,
        " modules within one another; does one hold itself, or what it is part of? It is at ...",
        self.substr(self.size() - std::min<std::size_t>(self.size(), 40)));
  enter(self, m);
  m.visit(*this);
  leave(self, m);
  std::swap(prefix_, full);
}

void Visitor::walk(Module& root) {
  prefix_.clear();
  enter("", root);
  root.visit(*this);
  leave("", root);
}

namespace {

struct ParameterVisitor final : Visitor {
  std::vector<NamedParameter> found;
  std::unordered_set<const Parameter*> seen;
  void parameter(const std::string& name, Parameter& p) override {
    if (seen.insert(&p).second) found.push_back({name, &p});
  }
};

struct BufferVisitor final : Visitor {
  std::vector<NamedBuffer> found;
  std::unordered_set<const Tensor*> seen;
  void buffer(const std::string& name, Tensor& t) override {
    if (seen.insert(&t).second) found.push_back({name, &t});
  }
};

using Flag = bool Module::*;
struct FlagVisitor final : Visitor {
  Flag flag;
  bool value;
  FlagVisitor(Flag f, bool v) : flag(f), value(v) {}
  void enter(const std::string&, Module& m) override { m.*flag = value; }
};

}  // namespace

std::vector<NamedParameter> parameters(Module& module) {
  ParameterVisitor v;
  v.walk(module);
  return std::move(v.found);
}

std::vector<NamedBuffer> buffers(Module& module) {
  BufferVisitor v;
  v.walk(module);
  return std::move(v.found);
}

std::int64_t parameter_count(Module& module) {
  std::int64_t n = 0;
  for (const auto& p : parameters(module)) n += p.parameter->numel();
  return n;
}

void set_training(Module& module, bool training) {
  FlagVisitor(&Module::training, training).walk(module);
}

void set_fused(Module& module, bool fused) { FlagVisitor(&Module::fused, fused).walk(module); }

void convert(Module& module, DType type) {
  for (const auto& p : parameters(module)) {
    Tensor& value = p.parameter->mutable_value();
    value = value.to(type);
    p.parameter->grad = Tensor();
  }
  for (const auto& b : buffers(module))
    if (is_floating(b.tensor->dtype())) *b.tensor = b.tensor->to(type);
}

}  // namespace exciton::nn
