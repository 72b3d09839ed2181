// Batch statistics of maps whose mean is large beside their deviation, against two passes in double
// over the same values: variance, running variance, normalised maps and gradients must not lose
// digits to the cancellation of E[x^2] - E[x]^2 or of sum g x - mean sum g.
#include "exciton/core/threads.hpp"
#include "support.hpp"

namespace exciton::ops {
namespace {

constexpr std::int64_t images = 6, side = 19, channels = 53;  // 2166 values per channel: whole and
                                                              // cut chunks, vectors of every count

struct Case {
  DType type;
  double ratio;  // mean over deviation
};
std::ostream& operator<<(std::ostream& out, const Case& c) {
  return out << c.type << "_mean_" << static_cast<std::int64_t>(c.ratio) << "_deviations";
}

Tensor map_of(double ratio, DType type, Generator& rng) {
  Tensor x = Tensor::randn({images, side, side, channels}, rng, DType::f64);
  for (std::int64_t i = 0; i < x.numel(); ++i) {
    const double deviation = 0.1 + 0.05 * static_cast<double>(i % channels);
    x.set(i, (i % channels % 2 == 0 ? 1 : -1) * deviation * (ratio + x.at(i)));
  }
  return x.to(type);
}

/// ||a - b|| / ||b||.
double relative(const Tensor& a, const Tensor& b) {
  double difference = 0, norm = 0;
  for (std::int64_t i = 0; i < b.numel(); ++i) {
    difference += std::pow(a.at(i) - b.at(i), 2);
    norm += std::pow(b.at(i), 2);
  }
  return std::sqrt(difference / norm);
}

/// Mean and biased variance of channel k, by two passes.
std::pair<double, double> two_passes(const Tensor& x, std::int64_t k) {
  const std::int64_t count = x.numel() / channels;
  double mean = 0, var = 0;
  for (std::int64_t p = 0; p < count; ++p) mean += x.at(p * channels + k);
  mean /= static_cast<double>(count);
  for (std::int64_t p = 0; p < count; ++p) var += std::pow(x.at(p * channels + k) - mean, 2);
  return {mean, var / static_cast<double>(count)};
}

RunningStats fresh(DType type = DType::f32) {
  return {Tensor::zeros({channels}, type), Tensor::full({channels}, 1, type)};
}

/// The batch variance, from running variances that forget at once.
void expect_variance(const Tensor& x, const RunningStats& running, double tolerance) {
  const auto m = static_cast<double>(x.numel() / channels);
  for (std::int64_t k = 0; k < channels; ++k) {
    const auto [mean, var] = two_passes(x, k);
    const double unbiased = var * m / (m - 1);
    EXPECT_NEAR(running.var.at(k), unbiased, tolerance * unbiased) << "channel " << k;
    EXPECT_NEAR(running.mean.at(k), mean, 1e-7 * std::abs(mean) + 1e-6 * std::sqrt(var))
        << "channel " << k;
  }
}

class BatchStatistics : public testing::TestWithParam<Case> {
 protected:
  const Case c = GetParam();
  Generator rng{5};
  const Tensor x = map_of(c.ratio, c.type, rng);
  const Tensor gamma = Tensor::rand({channels}, rng, 0.5, 1.5);
  const Tensor beta = Tensor::randn({channels}, rng);
  RunningStats running = fresh(), exact_running = fresh(DType::f64);
  const BatchNormSpec spec{.eps = 1e-12, .momentum = 1, .running = &running};
  const BatchNormSpec exact_spec{.eps = 1e-12, .momentum = 1, .running = &exact_running};
  /// One rounding of the maps, or some of f32.
  const double maps = c.type == DType::bf16 ? 0x1p-8 : 1e-5;

  void SetUp() override {
    // bf16 has 8 bits: from a mean of some hundred deviations on, channels round to few values.
    for (std::int64_t k = 0; k < channels; ++k)
      if (two_passes(x, k).second == 0) GTEST_SKIP() << "rounded to constants";
  }
};

TEST_P(BatchStatistics, NormFollowsTwoPasses) {
  const Tensor dy = Tensor::randn(x.shape(), rng).to(c.type);
  const Outcome got = run(BatchNorm{spec}, {x, gamma, beta}, dy);
  expect_variance(x, running, 1e-6);

  // The formulas of the header in double.
  const auto m = static_cast<double>(x.numel() / channels);
  Tensor y(x.shape(), DType::f64), dx(x.shape(), DType::f64);
  Tensor dgamma({channels}, DType::f64), dbeta({channels}, DType::f64);
  for (std::int64_t k = 0; k < channels; ++k) {
    const auto [mean, var] = two_passes(x, k);
    const double r = 1 / std::sqrt(var + spec.eps);
    double g = 0, b = 0;
    for (std::int64_t i = k; i < x.numel(); i += channels) {
      g += dy.at(i) * (x.at(i) - mean) * r;
      b += dy.at(i);
    }
    dgamma.set(k, g);
    dbeta.set(k, b);
    for (std::int64_t i = k; i < x.numel(); i += channels) {
      const double normal = (x.at(i) - mean) * r;
      y.set(i, gamma.at(k) * normal + beta.at(k));
      dx.set(i, gamma.at(k) * r * (dy.at(i) - b / m - normal * g / m));
    }
  }
  EXPECT_LE(relative(got.y, y), maps);
  EXPECT_LE(relative(got.grads[0], dx), maps);
  EXPECT_LE(relative(got.grads[1], dgamma), 1e-5);
  EXPECT_LE(relative(got.grads[2], dbeta), 1e-5);
}

TEST_P(BatchStatistics, ResidualTailFollowsDouble) {
  for (const SqueezeKind squeeze : {SqueezeKind::avg, SqueezeKind::max})
    for (const bool with_shortcut : {false, true}) {
      const ResidualTail op{.norm = spec, .squeeze = squeeze};
      std::vector<Tensor> in{x,
                             gamma,
                             beta,
                             with_shortcut ? Tensor::randn(x.shape(), rng).to(c.type) : Tensor(),
                             Tensor::randn({5, channels}, rng),
                             Tensor::randn({5}, rng),
                             Tensor::randn({channels, 5}, rng),
                             Tensor::randn({channels}, rng)};
      std::vector<Tensor> wide;
      for (const Tensor& t : in) wide.push_back(t.empty() ? t : t.to(DType::f64));
      ResidualTail exact = op;
      exact.norm = exact_spec;
      ResidualTail::Saved unused;
      exact.relu = false;
      const Tensor before = detail::call_forward(exact, unused, wide);
      exact.relu = true;
      // Where the ReLU's argument is next to nothing, rounding decides whether a gradient passes.
      Tensor dy = Tensor::randn(x.shape(), rng);
      for (std::int64_t i = 0; i < dy.numel(); ++i)
        if (std::abs(before.at(i)) < 1e-3) dy.set(i, 0);
      dy = dy.to(c.type);
      const Outcome got = run(op, in, dy);
      expect_variance(x, running, 1e-6);
      const Outcome wanted = run_on_tape(
          [&](const std::vector<Var>& v) {
            return ResidualTail::composed(exact, v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7]);
          },
          wide, dy.to(DType::f64));
      EXPECT_LE(relative(got.y, wanted.y), maps);
      for (std::size_t i = 0; i < in.size(); ++i) {
        if (in[i].empty()) continue;
        // Gradients of parameters are sums over maps: roundings of the maps average out in them.
        EXPECT_LE(relative(got.grads[i], wanted.grads[i]), i == 0 || i == 3 ? maps : 5e-5)
            << "gradient " << i << ", squeeze " << static_cast<int>(squeeze) << ", shortcut "
            << with_shortcut;
      }
    }
}

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const double ratio : {0.0, 1.0, 1e1, 1e2, 1e3, 1e4, 3e4, 1e5})
    for (const DType type : {DType::f32, DType::bf16}) all.push_back({type, ratio});
  return all;
}
INSTANTIATE_TEST_SUITE_P(Table, BatchStatistics, testing::ValuesIn(cases()),
                         [](const auto& c) { return testing::PrintToString(c.param); });

TEST(BatchStatisticsAtTheEdge, ConstantChannelsHaveNoVariance) {
  for (const DType type : {DType::f32, DType::bf16, DType::f64})
    for (const double value : {0.0, 0.1, -3.0, 1e6, 1e-30}) {
      RunningStats running = fresh();
      const Tensor x = Tensor::full({images, side, side, channels}, value, type);
      const BatchNormSpec spec{.momentum = 1, .running = &running};
      const Tensor y = batch_norm(x, Tensor::full({channels}, 1, acc_type(type)),
                                  Tensor::zeros({channels}, acc_type(type)), spec)
                           .value();
      for (std::int64_t k = 0; k < channels; ++k) {
        EXPECT_EQ(running.var.at(k), 0) << value << ' ' << type;
        EXPECT_NEAR(y.at(k), 0, 1e-6 * std::abs(value)) << value << ' ' << type;
      }
    }
}

/// The first pixel, about which sums are taken, far from all others: of the map, of a chunk.
TEST(BatchStatisticsAtTheEdge, AFirstPixelFarAwayCostsNothing) {
  Generator rng(5);
  for (const double distance : {1e2, 1e4, 1e6})
    for (const std::int64_t pixel : {0, 64, 128}) {
      Tensor x = Tensor::randn({images, side, side, channels}, rng);
      for (std::int64_t k = 0; k < channels; ++k) x.set(pixel * channels + k, distance);
      RunningStats running = fresh();
      batch_norm(x, Tensor::full({channels}, 1), Tensor::zeros({channels}),
                 {.momentum = 1, .running = &running});
      expect_variance(x, running, 1e-5);
    }
}

TEST(BatchStatisticsAtTheEdge, DoNotDependOnTheCutByThreads) {
  Generator rng(5);
  const int before = num_threads();
  const Tensor x = map_of(3e4, DType::f32, rng);
  for (const int threads : {1, 2, 3, 7}) {
    set_num_threads(threads);
    RunningStats running = fresh();
    batch_norm(x, Tensor::full({channels}, 1), Tensor::zeros({channels}),
               {.momentum = 1, .running = &running});
    expect_variance(x, running, 1e-6);
  }
  set_num_threads(before);
}

/// The recomputing operator keeps the statistics of its tail.
TEST(BatchStatisticsAtTheEdge, NormReluConvFollowsDouble) {
  Generator rng(5);
  const Tensor x = map_of(1e4, DType::f32, rng), weight = Tensor::randn({4, channels, 1, 1}, rng);
  const Tensor gamma = Tensor::rand({channels}, rng, 0.5, 1.5), beta = Tensor::full({channels}, 9);
  RunningStats running = fresh(), exact_running = fresh(DType::f64);
  NormReluConv op{.tail = {.norm = {.eps = 1e-12, .momentum = 1, .running = &running}}, .conv = {}};
  const std::vector<Tensor> in{x, gamma, beta, {}, {}, {}, {}, weight};
  std::vector<Tensor> wide;
  for (const Tensor& t : in) wide.push_back(t.empty() ? t : t.to(DType::f64));
  const Tensor dy = random_gradient(op, in, rng);
  const Outcome got = run(op, in, dy);
  expect_variance(x, running, 1e-6);
  op.tail.norm.running = &exact_running;
  const Outcome wanted = run(op, wide, dy.to(DType::f64));
  EXPECT_LE(relative(got.y, wanted.y), 1e-5);
  for (const std::size_t i : {0U, 1U, 2U, 7U})
    EXPECT_LE(relative(got.grads[i], wanted.grads[i]), 1e-5) << "gradient " << i;
}

}  // namespace
}  // namespace exciton::ops
