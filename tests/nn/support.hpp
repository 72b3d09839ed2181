/// What the tests of networks share.
#pragma once
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "exciton/nn/module.hpp"
#include "exciton/ops/cross_entropy.hpp"

namespace exciton::nn {

inline Tensor random_labels(std::int64_t n, std::int64_t classes, Generator& rng) {
  Tensor labels({n}, DType::i64);
  for (auto& label : labels.span<std::int64_t>())
    label = static_cast<std::int64_t>(rng.below(static_cast<std::uint64_t>(classes)));
  return labels;
}

struct NetworkCheck {
  int probes = 2;            ///< elements of each parameter
  bool most_nonzero = true;  ///< wants more than half of the gradients above 1e-5
};

/// Compares the gradients of `net` in double with central differences at random elements of every
/// parameter. Where a ReLU or a maximum has its kink between the two points they differ, so a batch
/// that shows differences gets a second opinion: a kink sits at one point, a mistake everywhere.
inline void check_network(Module& net, const Shape& images, std::int64_t classes,
                          const NetworkCheck& options = {}) {
  convert(net, DType::f64);
  Generator rng(7);
  // Batch norm's 1 and 0 and an SE bias of almost 0 would hide factors.
  for (const auto& [name, p] : parameters(net))
    if (p->shape().rank() == 1)
      for (double& v : p->mutable_value().span<double>()) v += 0.3 * rng.normal();

  std::vector<std::string> wrong;
  for (int batch = 0; batch < 2; ++batch) {
    wrong.clear();
    const Tensor x = Tensor::randn(images, rng, DType::f64);
    const Tensor labels = random_labels(images[0], classes, rng);
    const auto loss = [&] { return ops::cross_entropy(net(x), labels); };
    {
      Tape tape;
      tape.backward(loss());
    }
    int nonzero = 0, probes = 0;
    for (const auto& [name, p] : parameters(net)) {
      ASSERT_FALSE(p->grad.empty()) << name;
      for (int probe = 0; probe < options.probes; ++probe) {
        const auto i = static_cast<std::int64_t>(rng.below(static_cast<std::uint64_t>(p->numel())));
        const double eps = 1e-6, at = p->value().at(i);
        p->mutable_value().set(i, at + eps);
        const double up = loss().value().item();
        p->mutable_value().set(i, at - eps);
        const double down = loss().value().item();
        p->mutable_value().set(i, at);
        const double numeric = (up - down) / (2 * eps), analytic = p->grad.at(i);
        if (!(std::abs(analytic - numeric) <= 1e-6 * std::max(1.0, std::abs(numeric))))
          wrong.push_back(name + " element " + std::to_string(i) + ": analytic " +
                          std::to_string(analytic) + ", numeric " + std::to_string(numeric));
        ++probes;
        nonzero += std::abs(numeric) > 1e-5 ? 1 : 0;
      }
      p->grad = Tensor();
    }
    if (options.most_nonzero) {
      EXPECT_GT(2 * nonzero, probes) << "the check saw too few gradients";
    }
    if (wrong.empty()) return;
  }
  for (const std::string& line : wrong) ADD_FAILURE() << line;
}

/// Plain gradient descent on one batch; the loss before each step.
inline std::vector<double> descend(Module& net, const Tensor& images, const Tensor& labels,
                                   int steps, double lr) {
  std::vector<double> losses;
  for (int step = 0; step < steps; ++step) {
    Tape tape;
    const Var loss = ops::cross_entropy(net(images), labels);
    losses.push_back(loss.value().item());
    tape.backward(loss);
    for (const auto& [name, p] : parameters(net)) {
      auto w = p->mutable_value().span<float>();
      const auto g = std::as_const(p->grad).span<float>();
      for (std::size_t i = 0; i < w.size(); ++i) w[i] -= static_cast<float>(lr) * g[i];
      p->grad = Tensor();
    }
  }
  return losses;
}

}  // namespace exciton::nn
