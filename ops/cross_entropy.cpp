#include "ops/cross_entropy.hpp"

#include <algorithm>
#include <cmath>

namespace exciton::ops {
namespace {

/// Writes softmax(row) to p and returns log(sum exp(row)).
template <class T, class A>
double softmax_row(const T* row, std::int64_t k, A* p) {
  double top = static_cast<double>(static_cast<A>(row[0]));
  for (std::int64_t i = 1; i < k; ++i)
    top = std::max(top, static_cast<double>(static_cast<A>(row[i])));
  double sum = 0;
  for (std::int64_t i = 0; i < k; ++i) {
    const double e = std::exp(static_cast<double>(static_cast<A>(row[i])) - top);
    p[i] = static_cast<A>(e);
    sum += e;
  }
  for (std::int64_t i = 0; i < k; ++i) p[i] = static_cast<A>(static_cast<double>(p[i]) / sum);
  return top + std::log(sum);
}

}  // namespace

Tensor softmax(const Tensor& logits) {
  check(logits.rank() == 2, "softmax: logits must be [N, K], got ", logits.shape());
  return dispatch_float(logits.dtype(), "softmax", [&](auto tag) {
    using T = decltype(tag);
    using A = Acc<T>;
    Tensor p(logits.shape(), dtype_of<A>);
    const std::int64_t k = logits.dim(1);
    for (std::int64_t i = 0; i < logits.dim(0); ++i)
      softmax_row(logits.data<T>() + i * k, k, p.data<A>() + i * k);
    return p;
  });
}

Tensor CrossEntropy::forward(Saved& saved, const Tensor& logits) const {
  check(logits.rank() == 2 && logits.dim(1) > 0, name, ": logits must be [N, K], got ",
        logits.shape());
  const std::int64_t n = logits.dim(0), k = logits.dim(1);
  check(labels.shape() == Shape{n} && labels.dtype() == DType::i64, name, ": logits ",
        logits.shape(), " want labels [", n, "] i64, got ", labels.shape(), " ", labels.dtype());
  check(smoothing >= 0 && smoothing < 1, name, ": label smoothing must be in [0, 1), got ",
        smoothing);
  return dispatch_float(logits.dtype(), name, [&](auto tag) {
    using T = decltype(tag);
    using A = Acc<T>;
    saved.probabilities = Tensor(logits.shape(), dtype_of<A>);
    saved.type = logits.dtype();
    double total = 0;
    for (std::int64_t i = 0; i < n; ++i) {
      const std::int64_t label = labels.data<std::int64_t>()[i];
      check(label >= 0 && label < k, name, ": label ", label, " of image ", i, " is not in [0, ", k,
            ")");
      const T* row = logits.data<T>() + i * k;
      const double log_sum = softmax_row(row, k, saved.probabilities.data<A>() + i * k);
      double mean = 0;
      for (std::int64_t j = 0; j < k; ++j) mean += static_cast<double>(static_cast<A>(row[j]));
      mean /= static_cast<double>(k);
      total += log_sum - (1 - smoothing) * static_cast<double>(static_cast<A>(row[label])) -
               smoothing * mean;
    }
    return Tensor::full({1}, total / static_cast<double>(n), dtype_of<A>);
  });
}

Grads<1> CrossEntropy::backward(Saved& saved, Tensor dloss, Needs<1>) const {
  const Tensor& p = saved.probabilities;
  const std::int64_t n = p.dim(0), k = p.dim(1);
  const double scale = dloss.item() / static_cast<double>(n);
  return dispatch_float(saved.type, name, [&](auto tag) -> Grads<1> {
    using T = decltype(tag);
    using A = Acc<T>;
    Tensor dx(p.shape(), saved.type);
    for (std::int64_t i = 0; i < n; ++i)
      for (std::int64_t j = 0; j < k; ++j) {
        double target = smoothing / static_cast<double>(k);
        if (labels.data<std::int64_t>()[i] == j) target += 1 - smoothing;
        const double d = scale * (static_cast<double>(p.data<A>()[i * k + j]) - target);
        dx.data<T>()[i * k + j] = static_cast<T>(static_cast<A>(d));
      }
    return {dx};
  });
}

std::vector<Example<CrossEntropy>> CrossEntropy::examples() {
  return {{{Tensor::from({3}, {0, 4, 2}, DType::i64), 0}, {{3, 5}}},
          {{Tensor::from({4}, {1, 1, 0, 2}, DType::i64), 0.1}, {{4, 3}}},
          {{Tensor::from({1}, {0}, DType::i64), 0.3}, {{1, 1}}}};
}

}  // namespace exciton::ops
