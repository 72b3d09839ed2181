#include "exciton/train/gradient_sums.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include "exciton/core/error.hpp"

namespace exciton::train {
namespace {
/// Large enough that the way there and back is bandwidth rather than latency, small enough that
/// most of a step's gradients are on their way before backward ends.
constexpr std::int64_t bucket_floats = std::int64_t{1} << 18;
}  // namespace

GradientSums::GradientSums(Group& group, bool as_bf16, TapeObserver* next)
    : group_(group), as_bf16_(as_bf16), next_(next) {}

void GradientSums::entered(const void* module) {
  if (next_) next_->entered(module);
}
void GradientSums::left() {
  if (next_) next_->left();
}
void GradientSums::began(const OperatorNode& op) {
  if (next_) next_->began(op);
}
void GradientSums::recorded(const OperatorNode& op, std::span<const Var> inputs,
                            const Var& output) {
  if (next_) next_->recorded(op, inputs, output);
}
void GradientSums::ended(const OperatorNode& op, int id) {
  if (next_) next_->ended(op, id);
  group_.progress();
}

void GradientSums::leaf_finished(Parameter& parameter) {
  if (next_) next_->leaf_finished(parameter);
  if (parameter.grad.empty() || !told_.insert(&parameter).second) return;
  add(parameter.grad);
}

void GradientSums::add(Tensor& values) {
  check(values.dtype() == DType::f32, "gradients: summed over ranks in f32, got ", values.dtype());
  if (!open_) open_ = std::make_unique<Bucket>();
  open_->into.push_back(&values);
  open_->size += values.numel();
  if (open_->size >= bucket_floats) send();
}

void GradientSums::send() {
  if (!open_) return;
  bytes_ += open_->size * (as_bf16_ ? 2 : std::int64_t{sizeof(float)});
  open_->values = Tensor({open_->size});
  float* to = open_->values.data<float>();
  for (const Tensor* from : open_->into) to = std::copy_n(from->data<float>(), from->numel(), to);
  open_->pending = group_.begin_sum(open_->values.span<float>(), as_bf16_);
  sent_.push_back(std::move(open_));
}

void GradientSums::finish(const std::vector<NamedParameter>& parameters,
                          const std::vector<Tensor*>& means) {
  for (const NamedParameter& p : parameters)
    if (!p.parameter->grad.empty() && !told_.contains(p.parameter)) add(p.parameter->grad);
  send();
  if (!means.empty()) {
    const bool rounded = std::exchange(as_bf16_, false);
    for (Tensor* values : means) add(*values);
    send();
    as_bf16_ = rounded;
  }
  const auto start = std::chrono::steady_clock::now();
  for (const auto& bucket : sent_) {
    bucket->pending->wait();
    const float* from = static_cast<const Tensor&>(bucket->values).data<float>();
    for (Tensor* into : bucket->into) {
      const bool mean = std::ranges::find(means, into) != means.end();
      const float factor = 1.0F / static_cast<float>(group_.size());
      if (!mean && into->shared()) *into = Tensor(into->shape());
      float* to = into->data<float>();
      if (mean)
        for (std::int64_t i = 0; i < into->numel(); ++i) to[i] = from[i] * factor;
      else
        std::copy_n(from, into->numel(), to);
      from += into->numel();
    }
    bucket->values = {};
  }
  waited_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  sent_.clear();
  told_.clear();
}

}  // namespace exciton::train
