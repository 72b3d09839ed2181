#include "exciton/optim/muon.hpp"

#include <cmath>

#include "exciton/optim/mixed.hpp"
#include "exciton/optim/registry.hpp"
#include "exciton/optim/sgd.hpp"
#include "tests/error_of.hpp"
#include "tests/optim/support.hpp"

namespace exciton::optim {
namespace {

Shape shape_of(const nlohmann::json& extents) {
  Shape shape;
  for (const std::int64_t e : extents) shape.push_back(e);
  return shape;
}

class MuonGolden : public testing::TestWithParam<DType> {};

TEST_P(MuonGolden, FollowsPyTorch) {
  const DType type = GetParam();
  const double tolerance = type == DType::f64 ? 1e-12 : 5e-6;
  std::ifstream file(EXCITON_GOLDEN_DIR "/speedrun.json");
  const nlohmann::json cases = nlohmann::json::parse(file)["muon"];
  ASSERT_EQ(cases.size(), 4u);
  for (const auto& c : cases) {
    const Shape shape = shape_of(c["shape"]);
    SCOPED_TRACE(c["shape"].dump());
    Parameter p(Tensor::from(shape, c["weight"][0], type));
    Muon muon({{"w", &p}}, {.momentum = c["momentum"],
                            .nesterov = c["nesterov"],
                            .steps = c["steps"],
                            .weight_decay = c["weight_decay"],
                            .normalize = c["normalize"]});
    const std::size_t steps = c["grad"].size();
    for (std::size_t s = 0; s < steps; ++s) {
      p.grad = Tensor::from(shape, c["grad"][s], type);
      muon.step(0.1 * (1 - static_cast<double>(s) / static_cast<double>(steps)));
      for (std::int64_t i = 0; i < p.numel(); ++i)
        ASSERT_NEAR(p.value().at(i), c["weight"][s + 1][static_cast<std::size_t>(i)].get<double>(),
                    tolerance)
            << "step " << s;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Types, MuonGolden, testing::Values(DType::f32, DType::f64));

// Behind the iteration X X' is near the identity: singular values of 0.7 to 1.2.
TEST(Muon, StepsAreNearlyOrthogonal) {
  constexpr std::int64_t rows = 6, columns = 20;
  Generator rng(3);
  const Tensor x = Tensor::randn({rows, columns}, rng).to(DType::f64).clone();
  Tensor y = x.clone();
  orthogonalize(y.data<double>(), rows, columns, 5);
  for (std::int64_t i = 0; i < rows; ++i) {
    double square = 0;
    for (std::int64_t k = 0; k < columns; ++k) square += std::pow(y.at(i * columns + k), 2);
    EXPECT_GT(square, 0.45);
    EXPECT_LT(square, 1.5);
  }
}

TEST(Muon, NormalizedWeightsHaveRowsOfNorm1OnAverage) {
  Generator rng(3);
  Parameter p(Tensor::randn({8, 3, 3, 3}, rng));
  p.grad = Tensor::zeros({8, 3, 3, 3});
  Muon muon({{"w", &p}}, {.normalize = true});
  muon.step(0.1);
  double squares = 0;
  for (const double v : values(p.value())) squares += v * v;
  EXPECT_NEAR(squares, 8, 1e-4) << "a gradient of 0 has no direction";
}

TEST(Muon, GoesOnWithTheSameBits) {
  expect_resumes({"momentum.w"}, [](std::vector<NamedParameter> parameters) {
    return Muon(std::move(parameters), {.normalize = true});
  });
}

TEST(Muon, ThreadsChangeNoBit) {
  const int before = num_threads();
  std::vector<double> one;
  for (const int threads : {1, 2, 5}) {
    set_num_threads(threads);
    Generator rng(9);
    Parameter wide(Tensor::randn({40, 30, 3, 3}, rng)), tall(Tensor::randn({300, 17}, rng));
    Muon muon({{"wide", &wide}, {"tall", &tall}}, {.normalize = true});
    for (int step = 0; step < 2; ++step) {
      for (Parameter* p : {&wide, &tall}) p->grad = p->value().clone();
      muon.step(0.1);
    }
    std::vector<double> all = values(wide.value());
    for (const double v : values(tall.value())) all.push_back(v);
    if (one.empty()) one = all;
    EXPECT_EQ(all, one) << threads;
  }
  set_num_threads(before);
}

TEST(Muon, ErrorsAreForPeople) {
  Parameter vector(Tensor::zeros({4})), matrix(Tensor::zeros({4, 2}));
  const std::string said = test_support::error_of([&] { Muon({{"stage1.bn1.bias", &vector}}); });
  EXPECT_NE(said.find("stage1.bn1.bias"), std::string::npos) << said;
  EXPECT_NE(said.find("\"optimizer\": \"sgd\""), std::string::npos) << said;
  EXPECT_THROW(Muon({{"w", &matrix}}, {.momentum = 1}), Error);
  EXPECT_THROW(Muon({{"w", &matrix}}, {.steps = 0}), Error);
  EXPECT_THROW(Muon({{"w", &matrix}}, {.momentum = 0}), Error) << "nesterov";
  EXPECT_THROW(Muon({{"w", &matrix}}).step(-1), Error);
  vector.trainable = false;  // a frozen one is nobody's business
  EXPECT_TRUE(Muon({{"stage1.bn1.weight", &vector}}).state().empty());
}

struct Net {
  Parameter filters, bias, head;
  explicit Net(std::uint64_t seed) {
    Generator rng(seed);
    filters = Parameter(Tensor::randn({4, 3, 3, 3}, rng));
    bias = Parameter(Tensor::randn({4}, rng));
    head = Parameter(Tensor::randn({2, 4}, rng));
  }
  std::vector<NamedParameter> all() {
    return {{"conv.weight", &filters}, {"conv.bias", &bias}, {"fc.weight", &head}};
  }
  void set_gradients() {
    for (Parameter* p : {&filters, &bias, &head}) p->grad = p->value().clone();
  }
};

const std::vector<ParameterGroup> groups{
    {.names = "*.bias", .lr_factor = 2, .optimizer = "sgd", .momentum = 0.5},
    {.names = "fc.*", .optimizer = "sgd", .momentum = 0.5}};

// Groups with optimisers of their own: as if each had been made for its parameters.
TEST(Mixed, GroupsNameTheOptimizer) {
  Net mixed(4), alone(4);
  const OptimizerSpec spec{.name = "muon", .momentum = 0.6, .weight_decay = 0.01};
  auto both = make_optimizer(spec, mixed.all(), groups);
  ASSERT_NE(dynamic_cast<Mixed*>(both.get()), nullptr);
  Muon muon({{"conv.weight", &alone.filters}}, {.momentum = 0.6, .steps = 3, .normalize = true});
  const SgdOptions options{.momentum = 0.5, .nesterov = true, .weight_decay = 0.01};
  Sgd twice({{"conv.bias", &alone.bias}}, options), once({{"fc.weight", &alone.head}}, options);
  for (int step = 0; step < 3; ++step) {
    mixed.set_gradients();
    alone.set_gradients();
    both->step(0.1);
    muon.step(0.1);
    twice.step(0.2);
    once.step(0.1);
  }
  EXPECT_EQ(values(mixed.filters.value()), values(alone.filters.value()));
  EXPECT_EQ(values(mixed.bias.value()), values(alone.bias.value()));
  EXPECT_EQ(values(mixed.head.value()), values(alone.head.value()));
  std::vector<std::string> names;
  for (const NamedTensor& t : both->state()) names.push_back(t.name);
  EXPECT_EQ(names, (std::vector<std::string>{"momentum.conv.weight", "momentum.conv.bias",
                                             "momentum.fc.weight"}));
  EXPECT_THROW(make_optimizer(spec, mixed.all(), {{.names = "nothing.*"}}), Error);
  EXPECT_THROW(make_optimizer({.name = "muon"}, mixed.all(), {{.names = "fc.*"}}), Error)
      << "the bias is no matrix";
}

TEST(Mixed, WithoutThemItIsTheOneOptimizer) {
  Net net(4);
  EXPECT_EQ(dynamic_cast<Mixed*>(make_optimizer({}, net.all(), {{.names = "*"}}).get()), nullptr);
}

TEST(GroupRates, AreOfTheGroupAndFreezeIt) {
  Net net(4);
  net.filters.trainable = false;  // frozen by another key
  auto sgd = make_optimizer({.momentum = 0, .nesterov = false, .weight_decay = 0}, net.all(),
                            {{.names = "conv.*"}, {.names = "fc.*", .lr_factor = 3}});
  const std::vector<double> bias = values(net.bias.value()), head = values(net.head.value());
  sgd->set_group(0, 0.5);
  net.set_gradients();
  sgd->step(0.1);
  EXPECT_NEAR(net.bias.value().at(0), bias[0] * 0.5, 1e-6) << "its own rate";
  EXPECT_NEAR(net.head.value().at(0), head[0] * 0.7, 1e-6) << "the step's, by the factor";
  sgd->set_group(0, std::nullopt);
  EXPECT_FALSE(net.bias.trainable);
  sgd->set_group(0, 0.5);
  EXPECT_TRUE(net.bias.trainable);
  EXPECT_FALSE(net.filters.trainable) << "stays frozen";
  EXPECT_THROW(sgd->set_group(2, 0.5), Error);
}

}  // namespace
}  // namespace exciton::optim
