#include "exciton/ops/cross_entropy.hpp"

#include <algorithm>
#include <cmath>

#include "exciton/core/example.hpp"
#include "exciton/core/threads.hpp"
#include "exciton/ops/arguments.hpp"
#include "exciton/ops/leaves.hpp"

namespace exciton::ops {

Tensor softmax(const Tensor& logits) {
  // The loss operator makes exactly these probabilities; any valid labels will do.
  CrossEntropy::Saved saved;
  check_input("softmax", "logits", logits);
  check(logits.rank() == 2, "softmax: logits must be [N, K], got ", logits.shape());
  CrossEntropy{Tensor::zeros({logits.dim(0)}, DType::i64)}.forward(saved, logits);
  return saved.p;
}

double CrossEntropy::total_weight() const {
  const std::int64_t n = labels.numel();
  if (weights.empty()) return static_cast<double>(images_of_batch(n));
  double total[Leaves::most];
  sum_over_images(Leaves(n), 1, total, [&](std::int64_t i, double* sum) {
    *sum += weights.data<double>()[labels.data<std::int64_t>()[i]];
  });
  sum_over_ranks({total, 1});
  return total[0];
}

Tensor CrossEntropy::forward(Saved& saved, const Tensor& logits) const {
  check_input(name, "logits", logits);
  check(logits.rank() == 2, name, ": logits must be [N, K], got ", logits.shape());
  const std::int64_t n = logits.dim(0), k = logits.dim(1);
  check(labels.shape() == Shape{n} && labels.dtype() == DType::i64, name, ": logits ",
        logits.shape(), " expect labels [", n, "] i64, got ", labels.shape(), ' ', labels.dtype());
  check(smoothing >= 0 && smoothing <= 1, name, ": smoothing must be in [0, 1], got ", smoothing);
  const std::int64_t* label = labels.data<std::int64_t>();
  for (std::int64_t i = 0; i < n; ++i)
    check(label[i] >= 0 && label[i] < k, name, ": label ", label[i], " of row ", i,
          " is outside [0, ", k, "); logits are ", logits.shape());
  check(weights.empty() || (weights.shape() == Shape{k} && weights.dtype() == DType::f64), name,
        ": logits ", logits.shape(), " expect class weights [", k, "] f64, got ", weights.shape(),
        ' ', weights.dtype());
  const double* const weight = weights.empty() ? nullptr : weights.data<double>();
  const double whole = total_weight();
  check(whole > 0, name, ": the class weights of these labels add up to ", whole,
        ", expected more than 0");
  return dispatch_float(logits.dtype(), name, [&](auto tag) {
    using T = decltype(tag);
    using A = Acc<T>;
    saved = {Tensor({n, k}, dtype_of<A>), logits.dtype()};
    Tensor losses({n}, DType::f64);
    const T* zp = logits.data<T>();
    A* pp = saved.p.template data<A>();
    double* loss = losses.data<double>();
    parallel_for(n, std::max<std::int64_t>(1, (1 << 11) / k),
                 [&](std::int64_t i0, std::int64_t i1) {
                   for (std::int64_t i = i0; i < i1; ++i) {
                     const T* z = zp + i * k;
                     A* p = pp + i * k;
                     A top = static_cast<A>(z[0]);
                     for (std::int64_t j = 1; j < k; ++j) top = std::max(top, static_cast<A>(z[j]));
                     double sum = 0, all = 0, of_all = 0;  // of exp(z - top), v (z - top), and v
                     for (std::int64_t j = 0; j < k; ++j) {
                       const A shifted = static_cast<A>(z[j]) - top;
                       p[j] = std::exp(shifted);
                       sum += p[j];
                       all += weight ? weight[j] * shifted : shifted;
                       of_all += weight ? weight[j] : 0;
                     }
                     for (std::int64_t j = 0; j < k; ++j) p[j] = static_cast<A>(p[j] / sum);
                     const double log_sum = std::log(sum);
                     loss[i] = (1 - smoothing) * (log_sum - (static_cast<A>(z[label[i]]) - top));
                     if (weight) loss[i] *= weight[label[i]];
                     if (smoothing > 0 && !weight)
                       loss[i] += smoothing * (log_sum - all / static_cast<double>(k));
                     if (smoothing > 0 && weight)
                       loss[i] += smoothing * (of_all * log_sum - all) / static_cast<double>(k);
                   }
                 });
    double total[Leaves::most];
    sum_over_images(Leaves(n), 1, total, [&](std::int64_t i, double* sum) { *sum += loss[i]; });
    sum_over_ranks({total, 1});
    return Tensor::full({1}, total[0] / whole, dtype_of<A>);
  });
}

Grads<1> CrossEntropy::backward(Saved& saved, Tensor dloss, Needs<1>) const {
  check_input(name, "the saved state", saved.p);
  check_gradient(name, dloss, {{1}, saved.p.dtype()});
  const std::int64_t n = saved.p.dim(0), k = saved.p.dim(1);
  const std::int64_t* label = labels.data<std::int64_t>();
  const double each = dloss.item() / total_weight();
  const double* const weight = weights.empty() ? nullptr : weights.data<double>();
  return dispatch_float(saved.dtype, name, [&](auto tag) -> Grads<1> {
    using T = decltype(tag);
    using A = Acc<T>;
    Tensor dz({n, k}, saved.dtype);
    const A* pp = saved.p.template data<A>();
    T* dzp = dz.data<T>();
    const A factor = static_cast<A>(each), off = static_cast<A>(smoothing / static_cast<double>(k));
    const A on = static_cast<A>(1 - smoothing);
    parallel_for(n, std::max<std::int64_t>(1, (1 << 14) / k),
                 [&](std::int64_t i0, std::int64_t i1) {
                   for (std::int64_t i = i0; i < i1; ++i) {
                     A row = 1;  // sum over j of v[j] t[j]
                     if (weight) {
                       row = on * static_cast<A>(weight[label[i]]);
                       for (std::int64_t j = 0; j < k; ++j) row += off * static_cast<A>(weight[j]);
                     }
                     for (std::int64_t j = 0; j < k; ++j) {
                       const A t = j == label[i] ? on + off : off;
                       const A v = weight ? static_cast<A>(weight[j]) : A{1};
                       dzp[i * k + j] = static_cast<T>(factor * (row * pp[i * k + j] - v * t));
                     }
                   }
                 });
    return {dz};
  });
}

std::vector<Example<CrossEntropy>> CrossEntropy::examples() {
  const auto of = [](std::vector<double> targets, double smooth, std::int64_t k) {
    const auto n = static_cast<std::int64_t>(targets.size());
    return Example<CrossEntropy>{{Tensor::from({n}, targets, DType::i64), smooth}, {{n, k}}};
  };
  auto weighted = of({1, 3, 0, 1}, 0.1, 4);
  weighted.op.weights = Tensor::from({4}, {0.5, 2, 1, 0.25}, DType::f64);
  return {of({0, 4, 2}, 0, 5), of({6, 6, 0, 3}, 0.1, 7), of({0}, 0.1, 1), of({32}, 0, 33),
          weighted};
}

}  // namespace exciton::ops
