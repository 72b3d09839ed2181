// Ten training steps of SE-ResNet-20 against PyTorch in double
// (tests/golden/make_network_golden.py). Operator tests cannot see a wrong momentum rule, a stale
// running mean or a packed weight that was not refreshed; ten losses and an evaluation can.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "exciton/nn/registry.hpp"
#include "exciton/ops/cross_entropy.hpp"
#include "exciton/optim/sgd.hpp"

namespace exciton {
namespace {

using nlohmann::json;

/// Element i of stream `key` in [-1, 1): the integer hash of the Python script.
double noise(std::uint64_t i, std::uint64_t key) {
  auto h = static_cast<std::uint32_t>((i + 1) * 2654435761u + (key + 1) * 2246822519u);
  h = (h ^ h >> 16) * 2246822507u;
  h = (h ^ h >> 13) * 3266489909u;
  h ^= h >> 16;
  return h / 0x1p31 - 1;
}

double initial(const std::string& name, const Shape& s, double v) {
  const auto ends_with = [&](std::string_view end) { return name.ends_with(end); };
  if (s.rank() == 4) return v * std::sqrt(6 / static_cast<double>(s[0] * s[2] * s[3]));
  if (s.rank() == 2) return v / std::sqrt(static_cast<double>(s[1]));
  if (name.find("bn") != std::string::npos)
    return ends_with("weight") ? 0.3 + 0.06 * v : 0.5 + 0.2 * v;
  return ends_with("reduce.bias") ? 1 + 0.2 * v : 0.2 * v;
}

/// SE-ResNet-20 with the weights of the script, in `type`.
nn::Model make(DType type) {
  nn::Model model =
      nn::make_model("se_resnet20", {.classes = 10, .se = {.reduction = 16, .bias = true}});
  nn::convert(*model.net, DType::f64);
  std::uint64_t key = 0;
  for (auto& [name, p] : nn::parameters(*model.net)) {
    Tensor& t = p->mutable_value();
    for (std::int64_t i = 0; i < t.numel(); ++i)
      t.set(i, initial(name, t.shape(), noise(static_cast<std::uint64_t>(i), key)));
    ++key;
  }
  nn::convert(*model.net, type);
  return model;
}

/// Norm, first, middle and last element against what the script recorded.
void expect_probe(const std::string& what, const Tensor& t, const json& wanted, double tolerance) {
  ASSERT_FALSE(t.empty()) << what;
  const std::int64_t n = t.numel();
  const double norm = wanted[0];
  const double got[] = {std::sqrt(dot(t, t)), t.at(0), t.at(n / 2), t.at(n - 1)};
  for (std::size_t i = 0; i < 4; ++i)
    EXPECT_NEAR(got[i], wanted[i].get<double>(), tolerance * std::max(norm, 1e-3))
        << what << ' ' << t.shape() << ", probe " << i;
}

struct Case {
  std::string name;
  DType type;
  bool fused;
  double tolerance;
};

class SEResNet20 : public testing::TestWithParam<Case> {};

TEST_P(SEResNet20, TrainsLikePyTorch) {
  const auto& [_, type, fused, tolerance] = GetParam();
  std::ifstream file(EXCITON_GOLDEN_DIR "/se_resnet20_steps.json");
  const json golden = json::parse(file);
  nn::Model model = make(type);
  nn::set_fused(*model.net, fused);

  Tensor images({golden["images"][0], golden["images"][1], golden["images"][2], 3}, type);
  for (std::int64_t i = 0; i < images.numel(); ++i)
    images.set(i, 1.7 * noise(static_cast<std::uint64_t>(i), 1000));
  const Tensor labels = Tensor::from({images.dim(0)}, golden["labels"], DType::i64);
  const auto parameters = nn::parameters(*model.net);
  ASSERT_EQ(parameters.size(), golden["gradients"].size());
  optim::Sgd sgd(parameters, {.lr = golden["lr"],
                              .momentum = golden["momentum"],
                              .nesterov = true,
                              .weight_decay = golden["weight_decay"]});

  nn::set_training(*model.net, true);
  for (std::size_t step = 0; step < golden["losses"].size(); ++step) {
    Tape tape;
    const Var loss = ops::cross_entropy((*model.net)(images), labels);
    const double wanted = golden["losses"][step];
    EXPECT_NEAR(loss.value().item(), wanted, tolerance * wanted) << "step " << step;
    tape.backward(loss);
    if (step == 0)
      for (const auto& [name, p] : parameters)
        expect_probe("gradient of " + name, p->grad, golden["gradients"][name], tolerance);
    sgd.step();
  }

  for (const auto& [name, p] : parameters)
    expect_probe(name, p->value(), golden["weights"][name], tolerance);
  for (const auto& [name, t] : nn::buffers(*model.net))
    expect_probe(name, *t, golden["running"][name], tolerance);
  nn::set_training(*model.net, false);
  const double wanted = golden["eval_loss"];
  EXPECT_NEAR(ops::cross_entropy((*model.net)(images), labels).value().item(), wanted,
              tolerance * wanted);
}

INSTANTIATE_TEST_SUITE_P(, SEResNet20,
                         testing::Values(Case{"f32", DType::f32, true, 1e-4},
                                         Case{"f32_plain", DType::f32, false, 1e-4},
                                         Case{"f64", DType::f64, true, 1e-8}),
                         [](const auto& param) { return param.param.name; });

}  // namespace
}  // namespace exciton
