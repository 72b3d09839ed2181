#include "10_gates.hpp"

#include <gtest/gtest.h>

#include "exciton/nn/registry.hpp"

using namespace exciton;

TEST(Gates, dead_saturated_and_stuck_channels) {
  // Three images (rows), seven channels.
  const Tensor gates = Tensor::from({3, 7}, {0.01, 0.02, 0.96, 0.99, 0.50, 0.2, 0.04,  //
                                             0.02, 0.04, 0.99, 0.99, 0.50, 0.6, 0.90,  //
                                             0.04, 0.02, 0.97, 0.99, 0.50, 0.9, 0.04});
  const course::GateCounts counts = course::count_gates(gates);
  EXPECT_EQ(counts.dead, 2);
  EXPECT_EQ(counts.saturated, 2);
  EXPECT_EQ(counts.stuck, 2);
}

TEST(Gates, means_in_place_of_gates) {
  const Tensor s = course::mean_gates(Tensor::from({2, 3}, {0.25, 0.5, 1, 0.75, 0.5, 0})).value();
  ASSERT_EQ(s.shape(), (Shape{2, 3}));
  for (int i = 0; i < 6; ++i) EXPECT_FLOAT_EQ(static_cast<float>(s.at(i)), 0.5F);
}

TEST(Gates, a_tap_in_a_network) {
  nn::Model model = nn::make_model("se_resnet20", {.se = {.reduction = 2}, .blocks = {1, 1, 1}});
  nn::set_training(*model.net, false);
  Generator rng(1);
  const Tensor images = Tensor::randn({4, 16, 16, 3}, rng);
  const auto units = nn::attention_units(*model.net);
  const nn::HookScope means(units[1].unit->hook, course::mean_gates);
  const nn::GateRecorder recorder(*model.net);
  (*model.net)(images);
  const Tensor hooked = recorder.gates(1), free = recorder.gates(2);
  for (std::int64_t i = 0; i < hooked.numel(); ++i)
    EXPECT_EQ(hooked.at(i), hooked.at(i % hooked.dim(1)));
  bool differ = false;
  for (std::int64_t i = 0; i < free.numel(); ++i)
    differ = differ || free.at(i) != free.at(i % free.dim(1));
  EXPECT_TRUE(differ) << "a unit without the hook tells images apart";
}
