#include "exciton/nn/layers.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "exciton/core/threads.hpp"
#include "exciton/nn/squeeze_excite.hpp"

namespace exciton::nn {
namespace {

struct Moments {
  double mean, deviation, lowest, highest;
};
Moments moments(const Tensor& t) {
  double sum = 0, squares = 0, lowest = t.at(0), highest = t.at(0);
  for (std::int64_t i = 0; i < t.numel(); ++i) {
    sum += t.at(i);
    squares += t.at(i) * t.at(i);
    lowest = std::min(lowest, t.at(i));
    highest = std::max(highest, t.at(i));
  }
  const auto n = static_cast<double>(t.numel());
  return {sum / n, std::sqrt(squares / n - sum / n * (sum / n)), lowest, highest};
}

std::vector<double> values(const Tensor& t) {
  std::vector<double> v;
  for (std::int64_t i = 0; i < t.numel(); ++i) v.push_back(t.at(i));
  return v;
}

TEST(Init, ConvolutionsStartKaimingNormal) {
  Generator init(1);
  const Conv2d conv(32, 64, 3, {}, init);
  const Moments m = moments(conv.weight.value());
  const double wanted =
      std::sqrt(2.0 / (9 * 64));  // 18432 values: 3 sigma of the estimate is 1.6 %
  EXPECT_NEAR(m.deviation, wanted, 0.02 * wanted);
  EXPECT_NEAR(m.mean, 0, 0.03 * wanted);
  EXPECT_GT(m.highest, 3 * wanted);  // normal, not uniform
  EXPECT_TRUE(conv.bias.empty());
}

TEST(Init, DepthwiseFanOutIsOneChannel) {
  Generator init(1);
  const Conv2d conv(512, 512, 3, {.groups = 512}, init, true);
  EXPECT_EQ(conv.weight.shape(), Shape({512, 1, 3, 3}));
  const double wanted = std::sqrt(2.0 / 9);
  EXPECT_NEAR(moments(conv.weight.value()).deviation, wanted, 0.05 * wanted);
  EXPECT_EQ(values(conv.bias.value()), std::vector<double>(512, 0.0));
}

TEST(Init, LinearAndSEStartUniform) {
  Generator init(1);
  const Linear fc(100, 60, init);
  const SqueezeExcite se(64, {.reduction = 16}, init);
  const auto expect_within = [](const Parameter& p, double bound) {
    const Moments m = moments(p.value());
    EXPECT_GE(m.lowest, -bound);
    EXPECT_LT(m.highest, bound);
    EXPECT_GT(m.highest - m.lowest, 1.2 * bound);
  };
  expect_within(fc.weight, 0.1);
  expect_within(fc.bias, 0.1);
  expect_within(se.reduce_weight, 1.0 / 8);
  expect_within(se.expand_weight, 1.0 / 2);
  expect_within(se.expand_bias, 1.0 / 2);
  EXPECT_EQ(se.reduce_weight.shape(), Shape({4, 64}));
  EXPECT_EQ(se.expand_weight.shape(), Shape({64, 4}));
}

TEST(Init, ThreadsDoNotChangeTheValues) {
  const auto draw = [](int threads) {
    const int before = num_threads();
    set_num_threads(threads);
    Generator init(3);
    init.bits();  // not at the start of a block
    Parameter a = kaiming_normal({101, 17, 3, 3}, 9, init), b = uniform({13000}, 1, init);
    set_num_threads(before);
    auto all = values(a.value());
    for (const double v : values(b.value())) all.push_back(v);
    all.push_back(static_cast<double>(init.state().counter));
    return all;
  };
  EXPECT_EQ(draw(1), draw(3));
  Generator init(3), serial(3);
  const Parameter a = kaiming_normal({5}, 2, init);
  EXPECT_FLOAT_EQ(static_cast<float>(a.value().at(0)), static_cast<float>(serial.normal()));
  EXPECT_FLOAT_EQ(static_cast<float>(a.value().at(1)), static_cast<float>(serial.normal()));
}

TEST(Conv2d, SeesAChangedWeight) {
  Generator rng(1);
  Conv2d conv(3, 16, 3, {.padding = 1}, rng);
  const Tensor x = Tensor::randn({2, 5, 7, 3}, rng);
  const Tensor before = conv(x).value().clone();
  Tensor& w = conv.weight.mutable_value();
  for (float& v : w.span<float>()) v *= 2;
  const Tensor after = conv(x).value();
  for (std::int64_t i = 0; i < before.numel(); ++i)
    EXPECT_NEAR(after.at(i), 2 * before.at(i), 1e-5);
}

TEST(Conv2d, SaysWhatIsWrong) {
  Generator init(1);
  EXPECT_THROW(Conv2d(3, 8, 0, {}, init), Error);
  EXPECT_THROW(Conv2d(6, 8, 3, {.groups = 4}, init), Error);
  EXPECT_THROW(Linear(0, 8, init), Error);
  EXPECT_THROW(Dropout(1, init), Error);
}

TEST(BatchNorm, TrainsOnTheBatchAndEvaluatesOnRunningStatistics) {
  Generator rng(1);
  BatchNorm bn(3);
  const Tensor x = Tensor::randn({4, 5, 3, 3}, rng);
  const Tensor trained = bn(x).value();
  EXPECT_NEAR(moments(trained).deviation, 1, 1e-3);
  EXPECT_NE(bn.running.mean.at(0), 0);
  const auto kept = values(bn.running.mean);
  bn.training = false;
  const Tensor evaluated = bn(x).value();
  EXPECT_EQ(values(bn.running.mean), kept);
  const double r = 1 / std::sqrt(bn.running.var.at(0) + 1e-5);
  EXPECT_NEAR(evaluated.at(0), (x.at(0) - kept[0]) * r, 1e-5);
}

TEST(BatchNorm, FrozenStatisticsAreConstantsAndWeightsGoOn) {
  Generator rng(5);
  Sequential net;
  auto& bn = net.add<BatchNorm>(3);
  bn.weight = Parameter(Tensor::from({3}, {2, -1, 0.5}));
  bn.running = {Tensor::from({3}, {1, 0, -1}), Tensor::from({3}, {4, 1, 0.25})};
  const Tensor x = Tensor::randn({2, 4, 4, 3}, rng), dy = Tensor::randn({2, 4, 4, 3}, rng);
  const std::vector<double> mean = values(bn.running.mean), var = values(bn.running.var);
  freeze_norms(net, true);
  {
    Tape tape;
    const Var y = net(x);
    set_training(net, false);
    EXPECT_EQ(values(y.value()), values(net(x).value())) << "as in evaluation";
    set_training(net, true);
    tape.backward(y, dy.clone());
  }
  EXPECT_EQ(values(bn.running.mean), mean);
  EXPECT_EQ(values(bn.running.var), var);
  for (std::int64_t c = 0; c < 3; ++c) {
    double dgamma = 0, dbeta = 0;
    for (std::int64_t i = c; i < x.numel(); i += 3) {
      dgamma += dy.at(i) * (x.at(i) - mean[c]) / std::sqrt(var[c] + 1e-5);
      dbeta += dy.at(i);
    }
    EXPECT_NEAR(bn.weight.grad.at(c), dgamma, 1e-4);
    EXPECT_NEAR(bn.bias.grad.at(c), dbeta, 1e-4);
  }
  freeze_norms(net, false);
  net(x);
  EXPECT_NE(values(bn.running.mean), mean);
}

TEST(Dropout, IsTheIdentityInEvaluationAndReplaysFromItsState) {
  Generator rng(1);
  Dropout dropout(0.4, rng);
  const Tensor x = Tensor::full({64, 100}, 1);
  dropout.training = false;
  EXPECT_EQ(values(dropout(x).value()), values(x));
  dropout.training = true;
  const Tensor saved = dropout.state.clone();
  const auto first = values(dropout(x).value()), second = values(dropout(x).value());
  EXPECT_NE(first, second);
  const auto zeros = static_cast<double>(std::count(first.begin(), first.end(), 0.0));
  EXPECT_NEAR(zeros / 6400, 0.4, 0.03);
  EXPECT_NEAR(*std::max_element(first.begin(), first.end()), 1 / 0.6, 1e-5);
  dropout.state.copy_from(saved);
  EXPECT_EQ(values(dropout(x).value()), first);
  EXPECT_EQ(values(dropout(x).value()), second);
}

TEST(Dropout, StateIsABuffer) {
  Generator rng(1);
  Dropout dropout(0.4, rng), off(0, rng);
  ASSERT_EQ(buffers(dropout).size(), 1u);
  EXPECT_EQ(buffers(dropout)[0].name, "state");
  EXPECT_EQ(buffers(dropout)[0].tensor->shape(), Shape({3}));
  EXPECT_TRUE(buffers(off).empty());
}

TEST(Pooling, CeilModeKeepsTheLastWindow) {
  Tensor x({1, 4, 4, 1});
  for (std::int64_t i = 0; i < 16; ++i) x.set(i, static_cast<double>(i));
  MaxPool floor({.kernel = 3, .stride = 2}), ceil({.kernel = 3, .stride = 2, .ceil_mode = true});
  EXPECT_EQ(values(floor(x).value()), (std::vector<double>{10}));
  EXPECT_EQ(values(ceil(x).value()), (std::vector<double>{10, 11, 14, 15}));
  AvgPool mean({.kernel = 2, .stride = 2});
  EXPECT_EQ(values(mean(x).value()), (std::vector<double>{2.5, 4.5, 10.5, 12.5}));
  GlobalAvgPool all;
  EXPECT_EQ(values(all(x).value()), (std::vector<double>{7.5}));
}

TEST(Sequential, RunsInOrderAndNamesByPosition) {
  Generator rng(1);
  Sequential net;
  net.add<Linear>(4, 3, rng);
  net.add<Relu>();
  net.add<Linear>(3, 2, rng, false);
  std::vector<std::string> names;
  for (const auto& p : parameters(net)) names.push_back(p.name);
  EXPECT_EQ(names, (std::vector<std::string>{"0.weight", "0.bias", "2.weight"}));
  EXPECT_EQ(net(Tensor::randn({5, 4}, rng)).shape(), Shape({5, 2}));
  EXPECT_EQ(net.size(), 3u);
}

/// What a layer says in evaluation is that of a new layer with the same weights, whatever it has
/// packed before.
TEST(Conv2d, PackedWeightsFollowTheParameter) {
  Generator rng(1);
  struct Layer {
    std::int64_t in, out, window;
    ops::ConvSpec spec;
  };
  for (const Layer& f : {Layer{16, 16, 3, {.padding = 1}}, Layer{16, 32, 1, {}},
                         Layer{32, 16, 3, {.stride = 2, .padding = 1}},
                         Layer{12, 12, 3, {.padding = 1, .groups = 12}}, Layer{5, 7, 3, {}}}) {
    Conv2d layer(f.in, f.out, f.window, f.spec, rng);
    set_training(layer, false);
    const auto expect_fresh = [&](DType type, const char* what) {
      const Tensor x = Tensor::randn({16, 12, 12, f.in}, rng).to(type);
      Conv2d fresh(f.in, f.out, f.window, f.spec, rng);
      set_training(fresh, false);
      fresh.weight = Parameter(layer.weight.value().clone());
      const Tensor got = layer(x).value(), expected = fresh(x).value();
      for (std::int64_t i = 0; i < got.numel(); ++i)
        ASSERT_EQ(got.at(i), expected.at(i))
            << what << ", " << type << ", " << f.in << " to " << f.out;
    };
    for (const DType type : {DType::f32, DType::bf16, DType::f32}) expect_fresh(type, "first");
    layer.weight = Parameter(Tensor::randn(layer.weight.shape(), rng));
    expect_fresh(DType::f32, "another parameter");
    Parameter other(Tensor::randn(layer.weight.shape(), rng));
    std::swap(layer.weight, other);
    expect_fresh(DType::bf16, "swapped");
    layer.weight.mutable_value().fill(0.5);
    expect_fresh(DType::bf16, "written to");
    std::swap(layer.weight, other);
    expect_fresh(DType::bf16, "swapped back");
  }
}

TEST(Parameter, NoTwoValuesHaveOneVersion) {
  Parameter a(Tensor::zeros({2})), b(Tensor::zeros({2}));
  EXPECT_NE(a.version(), b.version());
  const std::uint64_t before = a.version();
  a.mutable_value();
  EXPECT_NE(a.version(), before);
  EXPECT_NE(a.version(), b.version());
  const std::uint64_t of_a = a.version();
  b = std::move(a);
  EXPECT_EQ(b.version(), of_a);
}

TEST(SqueezeExcite, ScalesEveryChannelByItsGate) {
  Generator rng(1);
  SqueezeExcite se(6, {.reduction = 2}, rng);
  const Tensor x = Tensor::randn({2, 3, 5, 6}, rng);
  const Tensor gates = se.gates(x).value(), y = se(x).value();
  ASSERT_EQ(gates.shape(), Shape({2, 6}));
  for (std::int64_t i = 0; i < y.numel(); ++i) {
    const std::int64_t image = i / 90, channel = i % 6;
    EXPECT_NEAR(y.at(i), x.at(i) * gates.at(image * 6 + channel), 1e-6);
  }
  // Equation 3 by hand, for the first image.
  for (std::int64_t c = 0; c < 6; ++c) {
    double u = se.expand_bias.value().at(c);
    for (std::int64_t r = 0; r < 3; ++r) {
      double h = se.reduce_bias.value().at(r);
      for (std::int64_t k = 0; k < 6; ++k) {
        double z = 0;
        for (std::int64_t p = 0; p < 15; ++p) z += x.at(p * 6 + k) / 15;
        h += se.reduce_weight.value().at(r * 6 + k) * z;
      }
      u += se.expand_weight.value().at(c * 3 + r) * std::max(h, 0.0);
    }
    EXPECT_NEAR(gates.at(c), 1 / (1 + std::exp(-u)), 1e-5);
  }
}

}  // namespace
}  // namespace exciton::nn
