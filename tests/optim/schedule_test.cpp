#include "optim/schedule.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "core/error.hpp"

namespace exciton::optim {
namespace {

class ScheduleGolden : public testing::Test {
 protected:
  ScheduleGolden() {
    std::ifstream file(EXCITON_GOLDEN_DIR "/optim.json");
    golden_ = nlohmann::json::parse(file)["schedules"];
    spec_.lr = 0.4;
    spec_.total_steps = golden_["total_steps"];
    spec_.steps_per_epoch = golden_["steps_per_epoch"];
  }
  void expect_rates(const char* name) {
    const Schedule schedule(spec_);
    for (std::int64_t s = 0; s < spec_.total_steps; ++s)
      EXPECT_NEAR(schedule.lr(s), golden_[name][s].get<double>(), 1e-12) << name << " step " << s;
  }
  nlohmann::json golden_;
  ScheduleSpec spec_;
};

TEST_F(ScheduleGolden, Step) {
  spec_.kind = "step";
  spec_.step_size = 2;
  expect_rates("step");
}

TEST_F(ScheduleGolden, MultistepWithAFractionalMilestone) {
  spec_.kind = "multistep";
  spec_.gamma = 0.2;
  spec_.milestones = {9.5 / 7, 4};  // the tenth step is the first past 9.5
  expect_rates("multistep");
}

TEST_F(ScheduleGolden, Cosine) {
  spec_.kind = "cosine";
  spec_.final_lr = 0.01;
  expect_rates("cosine");
}

TEST_F(ScheduleGolden, LinearWarmup) {
  spec_.warmup_steps = 8;
  spec_.warmup_start_lr = 0.1;
  expect_rates("warmup");
}

TEST(Schedule, OneCycleRisesAndFallsLinearly) {
  const Schedule s({.kind = "one_cycle_linear", .lr = 0.2, .total_steps = 100});
  EXPECT_DOUBLE_EQ(s.lr(0), 0);
  EXPECT_DOUBLE_EQ(s.lr(10), 0.1);
  EXPECT_DOUBLE_EQ(s.lr(20), 0.2);
  EXPECT_DOUBLE_EQ(s.lr(60), 0.1);
  EXPECT_DOUBLE_EQ(s.lr(99), 0.2 / 80);
  EXPECT_DOUBLE_EQ(s.lr(100), 0);
  EXPECT_DOUBLE_EQ(s.lr(1000), 0);
}

TEST(Schedule, OneCycleAtTheEdges) {
  const Schedule falls(
      {.kind = "one_cycle_linear", .lr = 1, .total_steps = 4, .warmup_fraction = 0});
  EXPECT_DOUBLE_EQ(falls.lr(0), 1);
  EXPECT_DOUBLE_EQ(falls.lr(1), 0.75);
  const Schedule rises(
      {.kind = "one_cycle_linear", .lr = 1, .total_steps = 4, .warmup_fraction = 1});
  EXPECT_DOUBLE_EQ(rises.lr(3), 0.75);
  EXPECT_DOUBLE_EQ(rises.lr(4), 1);
}

TEST(Schedule, CosineAfterWarmupStartsAtTheTop) {
  const Schedule s({.kind = "cosine", .lr = 1, .total_steps = 110, .warmup_steps = 10});
  EXPECT_DOUBLE_EQ(s.lr(5), 0.5);
  EXPECT_DOUBLE_EQ(s.lr(10), 1);
  EXPECT_NEAR(s.lr(60), 0.5, 1e-12);
  EXPECT_NEAR(s.lr(110), 0, 1e-12);
}

TEST(Schedule, WarmupCountsInMilestones) {
  // He et al. 2016 for ResNet-110: 0.01 for 400 iterations, then 0.1, tenth at 32k and 48k.
  const Schedule s({.kind = "multistep",
                    .lr = 0.1,
                    .total_steps = 64000,
                    .steps_per_epoch = 391,
                    .milestones = {32000.0 / 391, 48000.0 / 391},
                    .warmup_steps = 400,
                    .warmup_start_lr = 0.01,
                    .warmup = "constant"});
  EXPECT_DOUBLE_EQ(s.lr(399), 0.01);
  EXPECT_DOUBLE_EQ(s.lr(400), 0.1);
  EXPECT_DOUBLE_EQ(s.lr(31999), 0.1);
  EXPECT_NEAR(s.lr(32001), 0.01, 1e-15);
  EXPECT_NEAR(s.lr(48001), 0.001, 1e-15);
}

TEST(Schedule, SaysWhatIsWrong) {
  EXPECT_THROW(Schedule({.kind = "linear"}), Error);
  EXPECT_THROW(Schedule({.lr = -1}), Error);
  EXPECT_THROW(Schedule({.total_steps = 0}), Error);
  EXPECT_THROW(Schedule({.kind = "step", .step_size = 0}), Error);
  EXPECT_THROW(Schedule({.kind = "multistep", .milestones = {2, 1}}), Error);
  EXPECT_THROW(Schedule({.total_steps = 10, .warmup_steps = 11}), Error);
  EXPECT_THROW(Schedule({.warmup = "slow"}), Error);
  EXPECT_THROW(Schedule({.kind = "one_cycle_linear", .warmup_fraction = 1.5}), Error);
}

}  // namespace
}  // namespace exciton::optim
