/// Exercise 9, solved.
#pragma once
#include <cstddef>
#include <vector>

namespace course {

struct SgdOptions {
  double momentum = 0.9, weight_decay = 0;
  bool nesterov = false;
};

/// One step of SGD over weights `p` with gradients `g` and momentum buffers `b`, all of one length:
///   g <- g + weight_decay p
///   b <- momentum b + g
///   p <- p - lr (g + momentum b)  with nesterov,  else  p <- p - lr b
inline void sgd_step(std::vector<double>& p, std::vector<double> g, std::vector<double>& b,
                     double lr, const SgdOptions& o) {
  for (std::size_t i = 0; i < p.size(); ++i) {
    g[i] += o.weight_decay * p[i];
    b[i] = o.momentum * b[i] + g[i];
    p[i] -= lr * (o.nesterov ? g[i] + o.momentum * b[i] : b[i]);
  }
}

/// The rate of step s, 0 <= s < total: a straight line from 0 up to `peak` at step
/// warmup_fraction total, and a straight line from there down to 0 at step total.
inline double one_cycle(double s, double total, double peak, double warmup_fraction) {
  const double top = warmup_fraction * total;
  return s < top ? peak * s / top : peak * (total - s) / (total - top);
}

}  // namespace course
