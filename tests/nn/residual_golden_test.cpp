// Forward and backward of a small relative of every residual family against PyTorch, in double; see
// tests/golden/make_residual_golden.py.
#include <fstream>
#include <nlohmann/json.hpp>

#include "exciton/nn/registry.hpp"
#include "tests/nn/golden_noise.hpp"
#include "tests/nn/support.hpp"

namespace exciton::nn {
namespace {

using nlohmann::json;

/// FNV-1a, 32 bits.
std::uint32_t key_of(const std::string& name) {
  std::uint32_t h = 2166136261U;
  for (const char c : name) h = (h ^ static_cast<unsigned char>(c)) * 16777619U;
  return h;
}

Tensor initial(const std::string& name, const Shape& shape) {
  if (shape.rank() > 1) {
    const auto inputs = static_cast<double>(shape.numel() / shape[0]);
    return noise(shape, key_of(name), std::sqrt((shape.rank() == 4 ? 6 : 3) / inputs));
  }
  return noise(shape, key_of(name), 0.2, name.ends_with("weight") ? 1 : 0);
}

/// Shake-Shake by halves while batch norm trains, as in the recording.
struct StillMix final : Visitor {
  void enter(const std::string&, Module& m) override {
    if (m.kind() == "Mix") m.training = false;
  }
};

class ResidualGolden : public testing::TestWithParam<const char*> {};

TEST_P(ResidualGolden, ForwardAndBackwardFollowPyTorch) {
  std::ifstream file(EXCITON_GOLDEN_DIR "/residual.json");
  const json golden = json::parse(file)[GetParam()];
  const auto side = golden["image_size"].get<std::int64_t>();
  const auto batch = golden["batch"].get<std::int64_t>();
  const Model model = make_model(
      GetParam(),
      {.classes = 10, .dropout = 0, .blocks = golden["blocks"].get<std::vector<std::int64_t>>()});
  convert(*model.net, DType::f64);
  StillMix().walk(*model.net);
  const auto all = parameters(*model.net);
  ASSERT_EQ(all.size(), golden["gradients"].size());
  for (const auto& [name, p] : all) p->mutable_value() = initial(name, p->shape());

  Tensor labels({batch}, DType::i64);
  for (std::int64_t i = 0; i < batch; ++i) labels.span<std::int64_t>()[i] = i * 3 % 10;
  Tape tape;
  const Var logits = (*model.net)(noise({batch, side, side, 3}, 1000, 1.7));
  const Var loss = ops::cross_entropy(logits, labels);
  EXPECT_NEAR(loss.value().item(), golden["loss"].get<double>(), 1e-9);
  for (std::int64_t i = 0; i < logits.value().numel(); ++i)
    EXPECT_NEAR(logits.value().at(i), golden["logits"][static_cast<std::size_t>(i)].get<double>(),
                1e-8);
  tape.backward(loss);
  for (const auto& [name, p] : all) {
    ASSERT_TRUE(golden["gradients"].contains(name)) << name;
    ASSERT_FALSE(p->grad.empty()) << name;
    const json& expected = golden["gradients"][name];
    const double norm = std::sqrt(dot(p->grad, p->grad)), wanted = expected[0];
    EXPECT_NEAR(norm, wanted, 1e-7 * std::max(1e-3, wanted)) << name;
    EXPECT_NEAR(p->grad.at(p->numel() / 2), expected[1].get<double>(),
                1e-7 * std::max(1e-3, wanted))
        << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Networks, ResidualGolden,
                         testing::Values("se_resnet18", "se_resnet50", "se_resnext50_32x4d",
                                         "senet154", "se_resnet164", "se_preresnet110",
                                         "se_preresnet164", "se_wrn16_8", "se_shake_shake26_2x32d",
                                         "se_shake_even29_2x4x64d"),
                         [](const auto& network) { return std::string(network.param); });

}  // namespace
}  // namespace exciton::nn
