#include "exciton/optim/ema.hpp"

#include <algorithm>
#include <utility>

#include "exciton/optim/elements.hpp"
#include "exciton/optim/optimizer.hpp"

namespace exciton::optim {

Ema::Ema(std::vector<NamedParameter> parameters, std::vector<NamedTensor> buffers,
         const EmaOptions& options)
    : parameters_(std::move(parameters)), options_(options) {
  check(options.decay >= 0 && options.decay < 1, "ema: decay must be in [0, 1), got ",
        options.decay);
  check_distinct("ema", parameters_);
  for (const NamedTensor& b : buffers)
    if (is_floating(b.tensor->dtype())) buffers_.push_back(b);  // generator states have no mean
  for (const auto& [name, p] : parameters_) averages_.push_back(p->value().clone());
  for (const auto& [name, b] : buffers_) averages_.push_back(b->clone());
}

double Ema::decay_at(std::int64_t step) const {
  const auto t = static_cast<double>(step);
  return options_.warmup ? std::min(options_.decay, (1 + t) / (10 + t)) : options_.decay;
}

void Ema::update(std::int64_t step) {
  check(!swapped_, "ema: update while swapped; swap() back before training goes on");
  check(step >= 1, "ema: update after step ", step, "; steps are counted from 1");
  std::vector<const Tensor*> values;
  std::vector<std::int64_t> sizes;
  for (const auto& [name, p] : parameters_) values.push_back(&p->value());
  for (const auto& [name, b] : buffers_) values.push_back(b);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const DType type = values[i]->dtype();
    check(values[i]->shape() == averages_[i].shape() && type == averages_[i].dtype() &&
              (type == DType::f32 || type == DType::f64),
          "ema: a value is ", values[i]->shape(), " ", type, ", its average ", averages_[i].shape(),
          " ", averages_[i].dtype());
    sizes.push_back(values[i]->numel());
  }
  const double towards = 1 - decay_at(step);
  for_all_elements(sizes, [&](std::size_t t, std::int64_t begin, std::int64_t end) {
    const auto mix = [&]<class T>(T) {
      const T rest = static_cast<T>(towards);
      const T* value = values[t]->data<T>();
      T* average = averages_[t].data<T>();
      // Not decay a + rest v: the two factors, rounded, do not sum to one.
      for (std::int64_t i = begin; i < end; ++i) average[i] += rest * (value[i] - average[i]);
    };
    averages_[t].dtype() == DType::f32 ? mix(float{}) : mix(double{});
  });
}

void Ema::swap() {
  for (std::size_t i = 0; i < parameters_.size(); ++i)
    std::swap(parameters_[i].parameter->mutable_value(), averages_[i]);
  for (std::size_t i = 0; i < buffers_.size(); ++i)
    std::swap(*buffers_[i].tensor, averages_[parameters_.size() + i]);
  swapped_ = !swapped_;
}

std::vector<NamedTensor> Ema::state() {
  std::vector<NamedTensor> found;
  for (std::size_t i = 0; i < averages_.size(); ++i) {
    const std::string& name =
        i < parameters_.size() ? parameters_[i].name : buffers_[i - parameters_.size()].name;
    found.push_back({"ema." + name, &averages_[i]});
  }
  return found;
}

}  // namespace exciton::optim
