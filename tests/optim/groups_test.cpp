/// Rates of their own for some parameters, and gradients cut to a norm, as every optimiser has
/// them.
#include <cmath>

#include "exciton/optim/adamw.hpp"
#include "exciton/optim/ema.hpp"
#include "exciton/optim/sgd.hpp"
#include "tests/optim/support.hpp"

namespace exciton::optim {
namespace {

struct Named {
  Parameter stem{Tensor::full({2}, 1, DType::f64)}, head{Tensor::full({2}, 1, DType::f64)},
      other{Tensor::full({2}, 1, DType::f64)};
  std::vector<NamedParameter> all() {
    return {{"stem.weight", &stem}, {"stage1.0.head.weight", &head}, {"other", &other}};
  }
  void set_gradients() {
    for (Parameter* p : {&stem, &head, &other}) p->grad = Tensor::full({2}, 0.5, DType::f64);
  }
};

TEST(ParameterGroups, ScaleRateAndDecay) {
  for (const bool decoupled : {false, true}) {
    Named n;
    Sgd sgd(n.all(), {.momentum = 0, .weight_decay = 0.1, .decoupled = decoupled});
    sgd.set_groups({{"stem.*", 0, 1}, {"*.head.*", 10, 0}, {"*", 1, 2}});
    n.set_gradients();
    sgd.step(0.01);
    EXPECT_EQ(n.stem.value().at(0), 1);
    EXPECT_NEAR(n.head.value().at(0), 1 - 0.1 * 0.5, 1e-15);
    EXPECT_NEAR(n.other.value().at(0), 1 - 0.01 * (0.5 + 0.2 * 1), 1e-15);
  }
  Named n;
  AdamW adamw(n.all(), {.weight_decay = 0.1});
  adamw.set_groups({{"stem.weight", 0, 1}, {"*head*", 10, 0}});
  n.set_gradients();
  adamw.step(0.01);
  EXPECT_EQ(n.stem.value().at(0), 1);
  EXPECT_NEAR(n.head.value().at(0), 1 - 0.1, 1e-6) << "the first step of Adam is the rate";
  EXPECT_NEAR(n.other.value().at(0), (1 - 0.01 * 0.1) - 0.01, 1e-6);
}

TEST(ParameterGroups, WithoutThemNothingChanges) {
  Named a, b;
  Sgd with(a.all(), {.momentum = 0.9, .weight_decay = 0.1}),
      without(b.all(), {.momentum = 0.9, .weight_decay = 0.1});
  with.set_groups({{"*", 1, 1}});
  for (int step = 0; step < 3; ++step) {
    a.set_gradients();
    b.set_gradients();
    with.step(0.03);
    without.step(0.03);
  }
  EXPECT_EQ(values(a.head.value()), values(b.head.value()));
}

TEST(ParameterGroups, ErrorsAreForPeople) {
  Named n;
  Sgd sgd(n.all());
  EXPECT_THROW(sgd.set_groups({{"stage9.*", 1, 1}}), Error);
  EXPECT_THROW(sgd.set_groups({{"*", -1, 1}}), Error);
  EXPECT_THROW(sgd.set_groups({{"*", 1, 1}, {"stem.*", 1, 1}}), Error)
      << "the second has nothing left";
}

TEST(ClipGradients, BringsTheCommonNormDown) {
  Parameter a(Tensor::full({2}, 0)), b(Tensor::full({1}, 0, DType::f64)),
      none(Tensor::full({3}, 0));
  const auto fill = [&] {
    a.grad = Tensor::from({2}, {3, 0});
    b.grad = Tensor::from({1}, {4}, DType::f64);
  };
  const std::vector<NamedParameter> all{{"a", &a}, {"b", &b}, {"none", &none}};
  fill();
  EXPECT_DOUBLE_EQ(clip_gradients(all, 1), 5);
  EXPECT_NEAR(a.grad.at(0), 3 / (5 + 1e-6), 1e-7);
  EXPECT_NEAR(b.grad.at(0), 4 / (5 + 1e-6), 1e-15);
  fill();
  EXPECT_DOUBLE_EQ(clip_gradients(all, 6), 5);
  EXPECT_EQ(a.grad.at(0), 3);
  EXPECT_THROW(clip_gradients(all, 0), Error);
}

TEST(ClipGradients, BitsDoNotDependOnTheThreadCount) {
  Generator rng(5);
  const Tensor gradient = Tensor::randn({300'001}, rng);
  std::vector<double> norms;
  const int before = num_threads();
  for (const int threads : {1, 2, 3}) {
    set_num_threads(threads);
    Parameter p(Tensor::zeros({300'001}));
    p.grad = gradient.clone();
    norms.push_back(clip_gradients({{"p", &p}}, 1));
  }
  set_num_threads(before);
  EXPECT_EQ(norms[0], norms[1]);
  EXPECT_EQ(norms[0], norms[2]);
  EXPECT_NEAR(norms[0], std::sqrt(dot(gradient, gradient)), 1e-6);
}

TEST(Parameters, AreGivenOnce) {
  Named n;
  auto all = n.all();
  all.push_back({"tied", &n.head});
  const auto expect_told = [](const auto& use) {
    try {
      use();
      ADD_FAILURE() << "nothing was said";
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what())
                    .find("the parameter tied is given twice, also as stage1.0.head.weight"),
                std::string::npos)
          << error.what();
    }
  };
  expect_told([&] { const Sgd sgd(all); });
  expect_told([&] { const AdamW adamw(all); });
  expect_told([&] { const Ema ema(all, {}, {}); });
  n.set_gradients();
  expect_told([&] { clip_gradients(all, 1); });
  EXPECT_EQ(n.head.grad.at(0), 0.5);
}

TEST(Parameters, RatesAreNumbers) {
  Named n;
  for (const double bad : {-0.1, std::nan(""), HUGE_VAL}) {
    EXPECT_THROW(Sgd(n.all(), {.lr = bad}), Error);
    EXPECT_THROW(Sgd(n.all(), {.weight_decay = bad}), Error);
    EXPECT_THROW(AdamW(n.all(), {.lr = bad}), Error);
    EXPECT_THROW(AdamW(n.all(), {.eps = bad}), Error);
    EXPECT_THROW(AdamW(n.all(), {.weight_decay = bad}), Error);
    Sgd sgd(n.all());
    EXPECT_THROW(sgd.step(bad), Error);
  }
}

}  // namespace
}  // namespace exciton::optim
