/// Models in several threads of a user's program at a time; run under ThreadSanitizer, too.
#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "exciton/core/random.hpp"
#include "exciton/core/threads.hpp"
#include "exciton/nn/registry.hpp"
#include "exciton/optim/sgd.hpp"
#include "exciton/train/loop.hpp"

namespace exciton::train {
namespace {

/// The weights of the classifier after some steps on batches of its own.
Tensor trained(std::uint64_t seed, int steps) {
  nn::Model model = nn::make_model("se_resnet20", {.classes = 4, .blocks = {1, 1, 1}}, seed);
  optim::Sgd sgd(nn::parameters(*model.net), {});
  optim::ScheduleSpec rate;
  rate.lr = 0.05;
  rate.total_steps = steps;
  Loop loop(*model.net, sgd, optim::Schedule(rate));
  Generator rng(seed);
  for (int i = 0; i < steps; ++i) {
    data::Batch batch;
    batch.images = Tensor::randn({8, 16, 16, 3}, rng);
    batch.labels = Tensor::from({8}, {0, 1, 2, 3, 0, 1, 2, 3}, DType::i64);
    loop.step(batch);
  }
  return nn::parameters(*model.net).back().parameter->value().clone();
}

Tensor predicted(int times) {
  nn::Model model = nn::make_model("se_resnet20", {.classes = 4, .blocks = {1, 1, 1}}, 5);
  nn::set_training(*model.net, false);
  Generator rng(5);
  const Tensor images = Tensor::randn({6, 16, 16, 3}, rng);
  Tensor out;
  for (int i = 0; i < times; ++i) out = model(images).value();
  return out;
}

void expect_same(const Tensor& a, const Tensor& b) {
  ASSERT_EQ(a.shape(), b.shape());
  for (std::int64_t i = 0; i < a.numel(); ++i) EXPECT_EQ(a.at(i), b.at(i));
}

TEST(SeveralThreads, TwoTrainAndOnePredictsWithTheBitsOfOneAfterAnother) {
  const int before = num_threads();
  for (const int threads : {1, 3}) {
    set_num_threads(threads);
    const Tensor first = trained(1, 4), second = trained(2, 4), third = predicted(6);
    Tensor a, b, c;
    {
      std::jthread one([&] { a = trained(1, 4); });
      std::jthread two([&] { b = trained(2, 4); });
      std::jthread three([&] { c = predicted(6); });
    }
    expect_same(a, first);
    expect_same(b, second);
    expect_same(c, third);
  }
  set_num_threads(before);
}

}  // namespace
}  // namespace exciton::train
