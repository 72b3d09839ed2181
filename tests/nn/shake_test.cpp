// Shake-Shake's own rules. Its backward is not the gradient of its forward, so differences cannot
// check it.
#include <set>

#include "exciton/nn/registry.hpp"
#include "exciton/ops/shake_shake.hpp"
#include "tests/nn/support.hpp"

namespace exciton::nn {
namespace {

using ops::ShakeKind;
using ops::ShakeShake;

constexpr Generator::State start{.seed = 5, .stream = 2, .counter = 3};

TEST(ShakeShakeRule, ForwardMixesEveryImageByItsOwnAlpha) {
  Generator rng(1);
  const Tensor a = Tensor::randn({4, 3, 2, 5}, rng), b = Tensor::randn({4, 3, 2, 5}, rng);
  const ShakeShake op{ShakeKind::shake, ShakeKind::shake, start};
  ShakeShake::Saved saved;
  const Tensor y = op.forward(saved, a, b);
  const auto alpha = op.alphas(4);
  EXPECT_EQ(std::set(alpha.begin(), alpha.end()).size(), 4u);
  for (std::int64_t i = 0; i < y.numel(); ++i) {
    const double f = alpha[static_cast<std::size_t>(i / 30)];
    EXPECT_NEAR(y.at(i), f * a.at(i) + (1 - f) * b.at(i), 1e-6);
  }
}

TEST(ShakeShakeRule, BackwardSplitsByBeta) {
  Generator rng(1);
  const Tensor dy = Tensor::randn({4, 3, 2, 5}, rng);
  for (const ShakeKind kind : {ShakeKind::shake, ShakeKind::even, ShakeKind::keep}) {
    const ShakeShake op{ShakeKind::shake, kind, start};
    ShakeShake::Saved saved;
    const auto grads = op.backward(saved, dy.clone(), {true, true});
    const auto alpha = op.alphas(4), beta = op.betas(4);
    for (std::size_t n = 0; n < 4; ++n) {
      if (kind == ShakeKind::shake) {
        EXPECT_NE(beta[n], alpha[n]);
      } else {
        EXPECT_EQ(beta[n], kind == ShakeKind::even ? 0.5 : alpha[n]);
      }
    }
    for (std::int64_t i = 0; i < dy.numel(); ++i) {
      const double f = beta[static_cast<std::size_t>(i / 30)];
      EXPECT_NEAR(grads[0].at(i), f * dy.at(i), 1e-6);
      EXPECT_NEAR(grads[1].at(i), (1 - f) * dy.at(i), 1e-6);
    }
  }
}

TEST(ShakeShakeRule, AlphaAndBetaAreUniformAndIndependent) {
  const ShakeShake op{ShakeKind::shake, ShakeKind::shake, start};
  constexpr std::int64_t n = 4000;
  const auto alpha = op.alphas(n), beta = op.betas(n);
  double a = 0, b = 0, aa = 0, bb = 0, ab = 0;
  for (std::size_t i = 0; i < n; ++i) {
    a += alpha[i] / n;
    b += beta[i] / n;
    aa += alpha[i] * alpha[i] / n;
    bb += beta[i] * beta[i] / n;
    ab += alpha[i] * beta[i] / n;
  }
  // Four standard errors: mean 0.29 / sqrt(n), correlation 1 / sqrt(n).
  EXPECT_NEAR(a, 0.5, 0.019);
  EXPECT_NEAR(b, 0.5, 0.019);
  EXPECT_NEAR(aa - a * a, 1.0 / 12, 0.006);
  EXPECT_NEAR(bb - b * b, 1.0 / 12, 0.006);
  EXPECT_NEAR((ab - a * b) * 12, 0, 0.064);
}

TEST(ShakeShakeRule, ThroughTheTapeAndFromItsStream) {
  Generator rng(1), stream(start);
  const Tensor a = Tensor::randn({3, 2, 2, 4}, rng), b = Tensor::randn({3, 2, 2, 4}, rng);
  Tape tape;
  const Var u = tape.watch(a), v = tape.watch(b);
  const Var y = ops::shake_shake(u, v, ShakeKind::shake, ShakeKind::shake, stream);
  EXPECT_EQ(stream.state().counter, start.counter + 6);
  const Tensor dy = Tensor::randn(y.shape(), rng);
  tape.backward(y, dy.clone());
  const auto beta = ShakeShake{ShakeKind::shake, ShakeKind::shake, start}.betas(3);
  for (std::int64_t i = 0; i < dy.numel(); ++i) {
    EXPECT_NEAR(tape.gradient(u).at(i), beta[static_cast<std::size_t>(i / 16)] * dy.at(i), 1e-6);
    EXPECT_NEAR(tape.gradient(u).at(i) + tape.gradient(v).at(i), dy.at(i), 1e-6);
  }
}

TEST(ShakeShakeRule, WrongUseIsAnError) {
  ShakeShake::Saved saved;
  const Tensor a = Tensor::zeros({2, 3}), b = Tensor::zeros({2, 4});
  EXPECT_THROW((ShakeShake{}.forward(saved, a, b)), Error);
  EXPECT_THROW((ShakeShake{ShakeKind::keep, ShakeKind::keep, {}}.forward(saved, a, a)), Error);
}

const ModelOptions three_blocks{.classes = 10, .blocks = {1, 1, 1}};

TEST(ShakeNet, DrawsAnewInTrainingAndTakesHalvesInEvaluation) {
  for (const char* name : {"se_shake_shake26_2x32d", "shake_even29_2x4x64d"}) {
    const Model model = make_model(name, three_blocks);
    Generator rng(1);
    const Tensor x = Tensor::randn({2, 8, 8, 3}, rng);
    std::vector<std::pair<Tensor*, Tensor>> states;
    for (const auto& [buffer, t] : buffers(*model.net))
      if (buffer.ends_with("mix.state")) states.emplace_back(t, t->clone());
    ASSERT_EQ(states.size(), 3u);
    const auto first_logit = [&] { return (*model.net)(x).value().at(0); };
    const double first = first_logit(), second = first_logit();
    EXPECT_NE(first, second);
    for (auto& [t, was] : states) t->copy_from(was);  // as a checkpoint does
    EXPECT_EQ(first_logit(), first);
    set_training(*model.net, false);
    EXPECT_EQ(first_logit(), first_logit());
  }
}

TEST(ShakeNet, GradientsOfEvaluationMatchDifferences) {
  ModelOptions o = three_blocks;
  o.se = {.reduction = 4, .placement = "conv3x3"};
  const Model model = make_model("se_shake_shake26_2x32d", o);
  set_training(*model.net, false);
  check_network(*model.net, {2, 4, 4, 3}, 10, {.probes = 1, .most_nonzero = false});
}

}  // namespace
}  // namespace exciton::nn
