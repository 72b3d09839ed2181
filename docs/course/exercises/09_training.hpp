/// Exercise 9: the step of the optimiser, and its rate.
#pragma once
#include <vector>

#include "exciton/core/error.hpp"

namespace course {

using exciton::fail;

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
  fail("exercise 9: sgd_step() is not written yet");
}

/// The rate of step s, 0 <= s < total: a straight line from 0 up to `peak` at step
/// warmup_fraction total, and a straight line from there down to 0 at step total.
inline double one_cycle(double s, double total, double peak, double warmup_fraction) {
  fail("exercise 9: one_cycle() is not written yet");
}

}  // namespace course
