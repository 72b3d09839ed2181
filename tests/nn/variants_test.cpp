// Every variant of SE in every kind of block: gradients, training, and fused against plain.
#include <algorithm>

#include "exciton/core/description.hpp"
#include "exciton/core/threads.hpp"
#include "exciton/nn/attention.hpp"
#include "exciton/nn/attention_variants.hpp"
#include "exciton/nn/blocks.hpp"
#include "exciton/nn/registry.hpp"
#include "exciton/ops/global_avg_pool.hpp"
#include "tests/error_of.hpp"
#include "tests/nn/support.hpp"

namespace exciton::nn {
namespace {

using test_support::error_of;

/// One block of each kind, strided and not, with and without a projection.
class Tiny final : public Module {
 public:
  explicit Tiny(const SESpec& se, std::uint64_t seed = 3) : Tiny(se, Generator(seed)) {}
  std::string_view kind() const override { return "Tiny"; }
  void visit(Visitor& v) override {
    v("stem", stem);
    v("basic", basic);
    v("bottleneck", bottleneck);
    v("preact", preact);
    v("preact_bottleneck", preact_bottleneck);
    v("bn", bn);
    v("fc", fc);
  }

 protected:
  Var forward(const Var& x) override {
    const Var y = preact_bottleneck(preact(bottleneck(basic(stem(x)))));
    return fc(ops::global_avg_pool(norm_relu(bn, y)));
  }

 private:
  Tiny(const SESpec& se, Generator init)
      : stem(2, 6, 3, {.padding = 1}, init),
        basic({.in = 6, .width = 8, .stride = 2, .se = se}, init),
        bottleneck({.in = 8, .width = 4, .se = se, .first = 6, .out = 8, .groups = 2}, init),
        preact({.in = 8, .width = 8, .se = se}, init),
        preact_bottleneck({.in = 8, .width = 3, .se = se, .stride_on = "3x3"}, init),
        bn(12),
        fc(12, 4, init) {}

  Conv2d stem;
  BasicBlock basic;
  Bottleneck bottleneck;
  PreActBasicBlock preact;
  PreActBottleneck preact_bottleneck;
  BatchNorm bn;
  Linear fc;
};

/// Placement, squeeze, gate, kind.
struct Variant {
  std::string placement, squeeze = "avg", gate = "sigmoid", kind = "se";
  SESpec spec() const {
    return {.enabled = true,
            .reduction = 3,
            .squeeze = squeeze,
            .gate = gate,
            .placement = placement,
            .kind = kind};
  }
  /// Gates without an upper bound want small steps.
  double lr() const { return gate == "relu" ? 0.02 : 0.1; }
};

std::vector<Variant> all_variants() {
  std::vector<Variant> all;
  for (const char* placement : {"standard", "pre", "post", "identity", "conv3x3"}) {
    for (const char* squeeze : {"avg", "max", "none"})
      for (const char* gate : {"sigmoid", "tanh", "relu", "hard_sigmoid"})
        all.push_back({placement, squeeze, gate});
    for (const std::string& kind : attention_registry().names())
      if (kind != "se")  // above, with all it can be
        all.push_back({.placement = placement, .kind = kind});
  }
  return all;
}

/// On one thread: maps of a few pixels are no work for two.
class Variants : public testing::TestWithParam<Variant> {
 protected:
  Variants() { set_num_threads(1); }
  ~Variants() override { set_num_threads(threads_); }

 private:
  int threads_ = num_threads();
};

TEST_P(Variants, GradientsMatchDifferences) {
  Tiny net(GetParam().spec());
  // A ReLU gate may close whole channels.
  check_network(net, {3, 6, 5, 2}, 4, {.probes = 1, .most_nonzero = GetParam().gate != "relu"});
}

TEST_P(Variants, TrainOnOneBatch) {
  Tiny net(GetParam().spec());
  Generator rng(5);
  const Tensor images = Tensor::randn({8, 6, 5, 2}, rng);
  const auto losses = descend(net, images, random_labels(8, 4, rng), 20, GetParam().lr());
  EXPECT_LT(*std::min_element(losses.begin(), losses.end()), 0.95 * losses.front());
}

TEST_P(Variants, TrainWithBFloat16Activations) {
  Tiny net(GetParam().spec());
  Generator rng(5);
  const Tensor images = Tensor::randn({8, 6, 5, 2}, rng).to(DType::bf16);
  const auto losses = descend(net, images, random_labels(8, 4, rng), 20, GetParam().lr());
  EXPECT_LT(*std::min_element(losses.begin(), losses.end()), 0.95 * losses.front());
}

TEST_P(Variants, FusedComputesWhatThePlainOperatorsDo) {
  const auto run = [&](bool training, bool fused, std::vector<Tensor>& gradients) {
    Tiny net(GetParam().spec());
    convert(net, DType::f64);
    set_training(net, training);
    set_fused(net, fused);
    Generator rng(6);
    const Tensor x = Tensor::randn({3, 5, 6, 2}, rng, DType::f64);
    Tape tape;
    const Var y = net(x);
    const Tensor out = y.value().clone();
    tape.backward(y, Tensor::randn(y.shape(), rng, DType::f64));
    for (const auto& [name, p] : parameters(net)) gradients.push_back(p->grad);
    return out;
  };
  const auto expect_close = [](const Tensor& a, const Tensor& b) {
    ASSERT_EQ(a.shape(), b.shape());
    for (std::int64_t i = 0; i < a.numel(); ++i)
      EXPECT_NEAR(a.at(i), b.at(i), 1e-9 * std::max(1.0, std::abs(b.at(i))));
  };
  for (const bool training : {true, false}) {
    std::vector<Tensor> fused, plain;
    expect_close(run(training, true, fused), run(training, false, plain));
    ASSERT_EQ(fused.size(), plain.size());
    for (std::size_t i = 0; i < fused.size(); ++i) expect_close(fused[i], plain[i]);
  }
}

INSTANTIATE_TEST_SUITE_P(SE, Variants, testing::ValuesIn(all_variants()), [](const auto& v) {
  return v.param.placement + '_' + v.param.squeeze + '_' + v.param.gate + '_' + v.param.kind;
});

/// How often an operator runs in a forward pass.
int count(Module& net, const Shape& images, std::string_view op) {
  Description description;
  const Tape tape(&description);
  net(Tensor::zeros(images));
  int n = 0;
  for (const EntryInfo& e : description.entries()) n += e.op == op ? 1 : 0;
  return n;
}

TEST(Fusion, IsTakenWhereTheFormAllowsIt) {
  const Shape images{2, 6, 5, 2};
  const auto scales = [&](const SESpec& se) {
    Tiny net(se);
    return count(net, images, "scale") + count(net, images, "mul");
  };
  SESpec se = Variant{"standard"}.spec();
  EXPECT_EQ(scales(se), 2) << "only the pre-activation blocks, which end in no norm";
  se.squeeze = "max";
  EXPECT_EQ(scales(se), 2);
  se.squeeze = "none";
  EXPECT_EQ(scales(se), 4);
  se = Variant{"conv3x3"}.spec();
  EXPECT_EQ(scales(se), 2);
  for (const char* placement : {"pre", "post", "identity"})
    EXPECT_EQ(scales(Variant{placement}.spec()), 4) << placement;
  EXPECT_EQ(scales({}), 0);
}

TEST(NoSqueeze, IsSqueezeOnOnePixel) {
  // With one pixel the mean is the map, so both forms agree, weight for weight.
  Generator a(1), b(1), rng(2);
  SESpec spec{.enabled = true, .reduction = 2};
  SqueezeExcite pooled(6, spec, a);
  spec.squeeze = "none";
  SqueezeExcite map(6, spec, b);
  const Tensor x = Tensor::randn({3, 1, 1, 6}, rng);
  const Tensor y = pooled(x).value(), z = map(x).value();
  for (std::int64_t i = 0; i < y.numel(); ++i) EXPECT_NEAR(y.at(i), z.at(i), 1e-6);
  // And with more it does not look beyond a pixel.
  Tensor two = Tensor::randn({1, 1, 2, 6}, rng);
  const Tensor before = map(two).value().clone();
  two.set(6, 5);
  const Tensor after = map(two).value();
  EXPECT_EQ(before.at(0), after.at(0));
  EXPECT_NE(before.at(7), after.at(7));
}

TEST(Kin, FollowTheirEquations) {
  Generator init(1), rng(2);
  Tensor x = Tensor::randn({2, 3, 2, 5}, rng, DType::f64);
  const auto mean = [&](std::int64_t n, std::int64_t c) {
    double sum = 0;
    for (std::int64_t p = 0; p < 6; ++p) sum += x.at((n * 6 + p) * 5 + c);
    return sum / 6;
  };
  const auto sigmoid = [](double u) { return 1 / (1 + std::exp(-u)); };
  const auto expect_gate = [&](ChannelAttention& unit, auto&& gate) {
    convert(unit, DType::f64);
    const Tensor y = unit(x).value();
    for (std::int64_t n = 0; n < 2; ++n)
      for (std::int64_t p = 0; p < 6; ++p)
        for (std::int64_t c = 0; c < 5; ++c) {
          const std::int64_t i = (n * 6 + p) * 5 + c;
          EXPECT_NEAR(y.at(i), x.at(i) * gate(n, c), 1e-12) << unit.kind();
        }
  };
  GatherExcite ge;
  expect_gate(ge, [&](auto n, auto c) { return sigmoid(mean(n, c)); });
  EXPECT_EQ(parameter_count(ge), 0);

  EffectiveSqueezeExcite ese(5, true, init);
  expect_gate(ese, [&](auto n, auto c) {
    double u = ese.bias.value().at(c);
    for (std::int64_t k = 0; k < 5; ++k) u += ese.weight.value().at(c * 5 + k) * mean(n, k);
    return std::min(1.0, std::max(0.0, u / 6 + 0.5));
  });

  ASSERT_EQ(EfficientAttention(512, init).weight.shape(), Shape{5});
  ASSERT_EQ(EfficientAttention(256, init).weight.shape(), Shape{5});
  ASSERT_EQ(EfficientAttention(64, init).weight.shape(), Shape{3});
  EfficientAttention eca(16, init);  // its filter slides over any number of channels
  eca.weight = uniform({3}, 1, init);
  expect_gate(eca, [&](auto n, auto c) {
    double u = 0;
    for (std::int64_t j = 0; j < 3; ++j)
      if (c + j - 1 >= 0 && c + j - 1 < 5) u += eca.weight.value().at(j) * mean(n, c + j - 1);
    return sigmoid(u);
  });

  CbamChannelAttention cbam(5, {.reduction = 2, .bias = false}, init);
  expect_gate(cbam, [&](auto n, auto c) {
    double u = 0;
    for (const bool largest : {false, true})
      for (std::int64_t r = 0; r < 2; ++r) {
        double h = 0;
        for (std::int64_t k = 0; k < 5; ++k) {
          double z = mean(n, k);
          if (largest) {
            z = x.at(n * 30 + k);
            for (std::int64_t p = 1; p < 6; ++p) z = std::max(z, x.at((n * 6 + p) * 5 + k));
          }
          h += cbam.reduce_weight.value().at(r * 5 + k) * z;
        }
        u += cbam.expand_weight.value().at(c * 2 + r) * std::max(0.0, h);
      }
    return sigmoid(u);
  });
}

TEST(Variants, OptionsThatDoNotFitAreErrors) {
  const auto message = [](const SESpec& se, const char* name = "se_resnet20") {
    return error_of([&] { make_model(name, {.se = se}); });
  };
  EXPECT_NE(message({.placement = "before"}).find("identity"), std::string::npos);
  EXPECT_NE(message({.squeeze = "sum"}).find("none"), std::string::npos);
  EXPECT_NE(message({.kind = "sa"}).find("eca"), std::string::npos);
  EXPECT_NE(message({.squeeze = "max", .kind = "ge"}).find("of its own"), std::string::npos);
  EXPECT_NE(message({.stages = {1}}).find("2 (conv2_x) to 4, got 1"), std::string::npos);
  EXPECT_NE(message({.stages = {5}}).find("to 4, got 5"), std::string::npos);
  EXPECT_EQ(message({.stages = {5}}, "se_resnet18"), "no error");
  EXPECT_NE(message({.stage_reductions = {4, 8}}).find("3 here, got 2"), std::string::npos);
}

TEST(Variants, StagesAndTheirReductions) {
  const Model model =
      make_model("se_resnet20",
                 {.se = {.stages = {2, 4}, .stage_reductions = {2, 1, 8}}, .blocks = {1, 1, 2}});
  std::vector<std::string> found;
  for (const auto& [name, p] : parameters(*model.net))
    if (name.find("se.reduce.weight") != std::string::npos)
      found.push_back(name + ' ' + p->shape().str());
  EXPECT_EQ(found, (std::vector<std::string>{"stage1.0.se.reduce.weight [8, 16]",
                                             "stage3.0.se.reduce.weight [8, 64]",
                                             "stage3.1.se.reduce.weight [8, 64]"}));
}

}  // namespace
}  // namespace exciton::nn
