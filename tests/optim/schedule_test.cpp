#include "exciton/optim/schedule.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "exciton/core/error.hpp"

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

TEST_F(ScheduleGolden, EdgesOfShortRunsAndLongWarmups) {
  ASSERT_GT(golden_["edges"].size(), 50u);
  for (const auto& edge : golden_["edges"]) {
    spec_.kind = edge["kind"];
    spec_.steps_per_epoch = 1;
    spec_.step_size = 2;
    spec_.gamma = spec_.kind == "step" ? 0.1 : 0.2;
    spec_.milestones = {1, 3};
    spec_.total_steps = edge["total_steps"];
    spec_.warmup_steps = edge["warmup_steps"];
    spec_.warmup_start_lr = 0.1;
    const Schedule schedule(spec_);
    for (std::int64_t s = 0; s < spec_.total_steps; ++s)
      EXPECT_NEAR(schedule.lr(s), edge["rates"][static_cast<std::size_t>(s)].get<double>(), 1e-12)
          << spec_.kind << ", " << spec_.total_steps << " steps, warm-up " << spec_.warmup_steps
          << ", step " << s;
  }
}

/// What holds for every schedule, run and warm-up: the first, second, last but one and last rates.
TEST(Schedule, EveryRunReachesItsHighestRateAndEndsInItsLast) {
  const double lr = 0.4;
  for (const std::string kind : {"constant", "step", "multistep", "cosine", "one_cycle_linear"})
    for (const std::string warmup : {"linear", "constant"})
      for (const double final_lr : {0.0, 0.01})
        for (const std::int64_t total : {1, 2, 3, 4, 100})
          for (std::int64_t warm = 0; warm <= total; ++warm) {
            if (kind == "one_cycle_linear" && warm > 0) continue;  // it has a rise of its own
            const Schedule s({.kind = kind,
                              .lr = lr,
                              .total_steps = total,
                              .steps_per_epoch = 1000,
                              .milestones = {1, 2},
                              .final_lr = final_lr,
                              .warmup_steps = warm,
                              .warmup_start_lr = 0.04,
                              .warmup = warmup});
            SCOPED_TRACE(kind + ", warm-up " + warmup + " of " + std::to_string(warm) + " in " +
                         std::to_string(total) + " steps, to " + std::to_string(final_lr));
            const std::int64_t last = total - 1, end = std::min(warm, last);
            double highest = 0;
            for (std::int64_t i = 0; i < total; ++i) {
              ASSERT_GE(s.lr(i), 0);
              highest = std::max(highest, s.lr(i));
            }
            const bool one_cycle = kind == "one_cycle_linear";
            // A peak between two steps may be missed by the part of a step.
            EXPECT_NEAR(highest, lr, one_cycle ? lr / static_cast<double>(total) : 1e-12);
            if (one_cycle) continue;
            if (warm > 0 && total > 1) {
              EXPECT_DOUBLE_EQ(s.lr(0), 0.04);
            }
            if (end > 1) {
              EXPECT_NEAR(
                  s.lr(1),
                  warmup == "constant" ? 0.04 : 0.04 + (lr - 0.04) / static_cast<double>(end),
                  1e-12);
            }
            EXPECT_NEAR(s.lr(end), lr, 1e-12);
            if (kind != "cosine") {
              EXPECT_NEAR(s.lr(last), lr, 1e-12);
            } else if (final_lr > 0 && end < last) {
              EXPECT_NEAR(s.lr(last), final_lr, 1e-12);
            } else if (end + 1 < last) {
              EXPECT_LT(s.lr(last), s.lr(last - 1));
              EXPECT_NEAR(s.lr(total), 0, 1e-12);
            }
          }
}

TEST(Schedule, FractionsOfEpochsFallOnTheStepTheyName) {
  for (const std::int64_t steps : {1, 7, 30, 50, 97, 390, 391, 5004})
    for (std::int64_t at = 1; at < 700; ++at)
      for (const double tenths : {10.0, 100.0, 1000.0}) {
        const double milestone = static_cast<double>(at) / tenths;
        const Schedule s({.kind = "multistep",
                          .lr = 1,
                          .total_steps = 1'000'000'000,
                          .steps_per_epoch = steps,
                          .milestones = {milestone}});
        const auto whole = static_cast<std::int64_t>(tenths);
        const std::int64_t first = (at * steps + whole - 1) / whole;  // in integers
        ASSERT_NEAR(s.lr(first), 0.1, 1e-12) << milestone << " x " << steps;
        ASSERT_EQ(s.lr(first - 1), first > 0 ? 1 : s.lr(0)) << milestone << " x " << steps;
      }
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
  EXPECT_DOUBLE_EQ(rises.lr(1), 1.0 / 3);
  EXPECT_DOUBLE_EQ(rises.lr(3), 1);  // the highest rate lies within the run
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
  EXPECT_NEAR(s.lr(32000), 0.01, 1e-15);
  EXPECT_NEAR(s.lr(47999), 0.01, 1e-15);
  EXPECT_NEAR(s.lr(48000), 0.001, 1e-15);
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

TEST(Schedule, TriangularByHand) {
  const Schedule s({.kind = "triangular",
                    .lr = 1,
                    .total_steps = 10,
                    .final_lr = 0.1,
                    .warmup_fraction = 0.2,
                    .warmup_start_lr = 0.2});
  EXPECT_DOUBLE_EQ(s.lr(0), 0.2);
  EXPECT_DOUBLE_EQ(s.lr(1), 0.6);
  EXPECT_DOUBLE_EQ(s.lr(2), 1);
  EXPECT_DOUBLE_EQ(s.lr(6), 0.55);
  EXPECT_DOUBLE_EQ(s.lr(10), 0.1);
  const Schedule falls({.kind = "triangular", .lr = 1, .total_steps = 4, .warmup_fraction = 0});
  for (int step = 0; step < 4; ++step) EXPECT_DOUBLE_EQ(falls.lr(step), 1 - step / 4.0);
}

}  // namespace
}  // namespace exciton::optim
