#include "exciton/train/loss.hpp"

#include <algorithm>

#include "exciton/ops/add.hpp"
#include "exciton/ops/cross_entropy.hpp"
#include "exciton/ops/mul.hpp"

namespace exciton::train {

Tensor labels_of_next(const data::Batch& batch) {
  Tensor out(batch.labels.shape(), batch.labels.dtype());
  const auto from = batch.labels.span<std::int64_t>();
  auto* const to = std::copy(from.begin() + 1, from.end(), out.data<std::int64_t>());
  *to = batch.label_after >= 0 ? batch.label_after : from.front();
  return out;
}

Var loss(const Var& logits, const data::Batch& batch, double label_smoothing,
         const Tensor& class_weights) {
  const Var own = ops::cross_entropy(logits, batch.labels, label_smoothing, class_weights);
  if (!batch.mixing.on()) return own;
  const Var next =
      ops::cross_entropy(logits, labels_of_next(batch), label_smoothing, class_weights);
  const auto times = [](const Var& part, double weight) {
    Tensor factor(part.value().shape(), part.value().dtype());
    factor.fill(weight);
    return ops::mul(part, Var(factor));
  };
  return ops::add(times(own, batch.mixing.weight), times(next, 1 - batch.mixing.weight));
}

}  // namespace exciton::train
