#include "exciton/optim/optimizer.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>
#include <string_view>
#include <utility>

#include "exciton/core/threads.hpp"

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

/// In double and by pieces of one size, so that the bits do not depend on the thread count.
template <class T>
double sum_of_squares(std::span<T> values) {
  constexpr std::size_t piece = 1 << 14;
  std::vector<double> sums((values.size() + piece - 1) / piece);
  parallel_for(
      static_cast<std::int64_t>(sums.size()), 4, [&](std::int64_t begin, std::int64_t end) {
        for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i)
          for (const T v : values.subspan(i * piece, std::min(piece, values.size() - i * piece)))
            sums[i] += static_cast<double>(v) * static_cast<double>(v);
      });
  return std::accumulate(sums.begin(), sums.end(), 0.0);
}

}  // namespace

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
  return factors_.empty() ? lr : factors_[i].lr * lr;
}

void Optimizer::set_groups(const std::vector<ParameterGroup>& groups) {
  factors_.assign(groups.empty() ? 0 : parameters_.size(), {});
  std::vector<std::int64_t> members(groups.size());
  for (std::size_t i = 0; i < factors_.size(); ++i) {
    const auto group = std::find_if(groups.begin(), groups.end(), [&](const ParameterGroup& g) {
      return fits(g.names, parameters_[i].name);
    });
    if (group == groups.end()) continue;
    factors_[i] = {group->lr_factor, group->decay_factor};
    ++members[static_cast<std::size_t>(group - groups.begin())];
  }
  for (std::size_t g = 0; g < groups.size(); ++g) {
    check(groups[g].lr_factor >= 0 && groups[g].decay_factor >= 0, "optimizer: the group ",
          groups[g].names, " has a negative factor");
    check(members[g] > 0, "optimizer: no parameter belongs to the group ", groups[g].names,
          "; expected names such as ", parameters_.empty() ? "" : parameters_.front().name);
  }
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
