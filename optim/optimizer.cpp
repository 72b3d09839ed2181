#include "exciton/optim/optimizer.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "exciton/optim/elements.hpp"

namespace exciton::optim {
namespace {

/// Whether a name fits a pattern in which * stands for any text.
bool fits(std::string_view pattern, std::string_view name) {
  const std::size_t star = pattern.find('*');
  if (star == std::string_view::npos) return pattern == name;
  if (!name.starts_with(pattern.substr(0, star))) return false;
  const std::string_view rest = pattern.substr(star + 1);
  for (std::size_t from = star; from <= name.size(); ++from)
    if (fits(rest, name.substr(from))) return true;
  return false;
}

}  // namespace

void check_distinct(std::string_view who, const std::vector<NamedParameter>& parameters) {
  std::unordered_map<const Parameter*, const std::string*> names;
  for (const auto& [name, p] : parameters) {
    const auto [known, fresh] = names.emplace(p, &name);
    check(fresh, who, ": the parameter ", name, " is given twice",
          *known->second == name ? "" : ", also as " + *known->second,
          "; it would be counted twice: leave one of them out");
  }
}

Optimizer::Optimizer(std::vector<NamedParameter> parameters) : parameters_(std::move(parameters)) {
  check_distinct("optimizer", parameters_);
}

void Optimizer::clear_gradients() {
  for (const auto& [name, p] : parameters_) p->grad = Tensor();
}

bool Optimizer::moves(std::size_t i, DType type, std::string_view optimizer) const {
  const auto& [name, p] = parameters_[i];
  const DType own = p->value().dtype();
  check(own == DType::f32 || own == DType::f64, optimizer, ": ", name, " is ", own,
        ", expected f32 or f64 (master weights stay f32)");
  if (type != own || p->grad.empty() || !p->trainable) return false;
  check(p->grad.shape() == p->shape() && p->grad.dtype() == type, optimizer, ": ", name, " is ",
        p->shape(), " ", type, ", its gradient ", p->grad.shape(), " ", p->grad.dtype());
  return true;
}

double Optimizer::decay_of(std::size_t i, double decay, bool exempt) const {
  if (exempt && parameters_[i].parameter->role != Role::weight) return 0;
  return factors_.empty() ? decay : factors_[i].decay * decay;
}

double Optimizer::lr_of(std::size_t i, double lr) const {
  if (factors_.empty()) return lr;
  const Factors& own = factors_[i];
  return own.lr * (own.group < own_lr_.size() ? own_lr_[own.group].value_or(lr) : lr);
}

std::size_t group_of(const std::string& name, const std::vector<ParameterGroup>& groups) {
  const auto found =
      std::ranges::find_if(groups, [&](const ParameterGroup& g) { return fits(g.names, name); });
  return static_cast<std::size_t>(found - groups.begin());
}

std::vector<std::int64_t> Optimizer::take_groups(const std::vector<ParameterGroup>& groups) {
  factors_.assign(groups.empty() ? 0 : parameters_.size(), {});
  own_lr_.assign(groups.size(), std::nullopt);
  std::vector<std::int64_t> members(groups.size());
  for (std::size_t i = 0; i < factors_.size(); ++i) {
    const std::size_t g = group_of(parameters_[i].name, groups);
    factors_[i].group = g;
    factors_[i].trainable = parameters_[i].parameter->trainable;
    if (g == groups.size()) continue;
    factors_[i].lr = groups[g].lr_factor;
    factors_[i].decay = groups[g].decay_factor;
    ++members[g];
  }
  return members;
}

void Optimizer::set_groups(const std::vector<ParameterGroup>& groups) {
  const std::vector<std::int64_t> members = take_groups(groups);
  for (std::size_t g = 0; g < groups.size(); ++g) {
    check(groups[g].lr_factor >= 0 && groups[g].decay_factor >= 0, "optimizer: the group ",
          groups[g].names, " has a negative factor");
    check(members[g] > 0, "optimizer: no parameter belongs to the group ", groups[g].names,
          "; expected names such as ", parameters_.empty() ? "" : parameters_.front().name);
  }
}

void Optimizer::set_group(std::size_t group, std::optional<double> lr) {
  check(group < own_lr_.size(), "optimizer: group ", group, " of ", own_lr_.size());
  own_lr_[group] = lr;
  for (std::size_t i = 0; i < factors_.size(); ++i)
    if (factors_[i].group == group)
      parameters_[i].parameter->trainable = lr.has_value() && factors_[i].trainable;
}

namespace {

/// f(element) for all gradients, which are of the type of the master weights, f32 or f64.
template <class F>
void each_gradient(const std::vector<NamedParameter>& parameters, const F& f) {
  for (const NamedParameter& one : parameters) {
    Tensor& gradient = one.parameter->grad;
    if (gradient.empty()) continue;
    if (gradient.dtype() == DType::f64)
      f(gradient.span<double>());
    else
      f(gradient.span<float>());
  }
}

}  // namespace

double clip_gradients(const std::vector<NamedParameter>& parameters, double max_norm) {
  check(max_norm > 0, "clip_gradients: max_norm must be above 0, got ", max_norm);
  check_distinct("clip_gradients", parameters);
  double squares = 0;
  each_gradient(parameters, [&](auto g) { squares += sum_of_squares(g); });
  const double norm = std::sqrt(squares), factor = max_norm / (norm + 1e-6);
  if (factor < 1) scale_gradients(parameters, factor);
  return norm;
}

void clip_values(const std::vector<NamedParameter>& parameters, double max) {
  check(max > 0, "clip_values: max must be above 0, got ", max);
  each_gradient(parameters, [&](auto elements) {
    using T = typename decltype(elements)::value_type;
    const T limit = static_cast<T>(max);
    for (T& g : elements) g = g > limit ? limit : g < -limit ? -limit : g;
  });
}

void scale_gradients(const std::vector<NamedParameter>& parameters, double factor) {
  each_gradient(parameters, [&](auto elements) {
    using T = typename decltype(elements)::value_type;
    for (T& g : elements) g = static_cast<T>(static_cast<double>(g) * factor);
  });
}

}  // namespace exciton::optim
