#include "exciton/train/loss.hpp"

#include <algorithm>

#include "exciton/ops/add.hpp"
#include "exciton/ops/cross_entropy.hpp"
#include "exciton/ops/mul.hpp"

namespace exciton::train {

Tensor labels_of_next(const Tensor& labels) {
  Tensor out(labels.shape(), labels.dtype());
  const auto from = labels.span<std::int64_t>();
  std::rotate_copy(from.begin(), from.begin() + 1, from.end(), out.data<std::int64_t>());
  return out;
}

Var loss(const Var& logits, const data::Batch& batch, double label_smoothing,
         const Tensor& class_weights) {
  const Var own = ops::cross_entropy(logits, batch.labels, label_smoothing, class_weights);
  if (!batch.mixing.on()) return own;
  const Var next =
      ops::cross_entropy(logits, labels_of_next(batch.labels), label_smoothing, class_weights);
  const auto times = [](const Var& part, double weight) {
    Tensor factor(part.value().shape(), part.value().dtype());
    factor.fill(weight);
    return ops::mul(part, Var(factor));
  };
  return ops::add(times(own, batch.mixing.weight), times(next, 1 - batch.mixing.weight));
}

}  // namespace exciton::train
