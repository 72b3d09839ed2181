/// What people expect of a training tool: uneven classes, stopping, accumulation, clipping, a
/// changed course; each with a stop at every place and the same bits.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "exciton/core/random.hpp"
#include "exciton/data/order.hpp"
#include "exciton/nn/layers.hpp"
#include "exciton/ops/reshape.hpp"
#include "exciton/optim/sgd.hpp"
#include "exciton/train/balance.hpp"
#include "exciton/train/changes.hpp"
#include "exciton/train/loop.hpp"
#include "exciton/train/recipe_json.hpp"
#include "exciton/train/run.hpp"
#include "tests/train/support.hpp"

namespace exciton::train::testing {
namespace {

namespace fs = std::filesystem;

class Habits : public ::testing::Test {
 protected:
  void SetUp() override {
    write_tiny_data(dir / "data", 52, 20);
    write_tiny_recipe(dir / "recipe.json", dir / "data");
  }
  Recipe recipe(const std::vector<std::string>& set = {}) const {
    return Recipe::read(dir / "recipe.json").with(set);
  }
  Outcome train(const std::string& name, const Recipe& r, Listener& listener, bool resume = false,
                bool change = false) const {
    return run(r, {.out = dir / name, .resume = resume, .change = change}, listener);
  }
  fs::path newest(const std::string& name) const { return RunFolder(dir / name).newest()->path; }
  /// Stopped after each number of steps and resumed, a run ends in the same bits.
  void expect_same_after_stops(const Recipe& r) const {
    Listener whole;
    ASSERT_TRUE(train("whole", r, whole).finished);
    for (int steps = 1; steps < 8; ++steps) {
      const std::string name = "stopped" + std::to_string(steps);
      Listener part, rest;
      part.steps_left = steps;
      const bool done = train(name, r, part).finished;
      if (!done) {
        ASSERT_TRUE(train(name, r, rest, true).finished);
      }
      expect_same_tensors(newest("whole"), newest(name));
      EXPECT_EQ(read_log(dir / "whole").size(), read_log(dir / name).size());
    }
  }
  TempDir dir;
};

TEST_F(Habits, ClassWeightsAreGivenInFourWays) {
  const auto set = data::open_dataset("fashion-mnist", dir / "data", "train");
  using By = ClassWeightsRecipe::By;
  EXPECT_TRUE(weights_of({}, *set).empty());
  ClassWeightsRecipe r{.by = By::balanced, .list = {}, .names = {}};
  // 52 images of ten classes in turn: six of classes 0 and 1, five of the others.
  EXPECT_DOUBLE_EQ(weights_of(r, *set).at(0), 5.2 / 6);
  EXPECT_DOUBLE_EQ(weights_of(r, *set).at(9), 5.2 / 5);
  const Recipe listed = recipe({"class_weights=[1,2,3,4,5,6,7,8,9,10]"});
  EXPECT_EQ(weights_of(listed.class_weights, *set).at(3), 4);
  EXPECT_EQ(Recipe::parse(listed.text()).class_weights.list, listed.class_weights.list);
  EXPECT_NE(error_of([&] {
              weights_of(recipe({"class_weights=[1,2]"}).class_weights, *set);
            }).find("2 weights for 10 classes"),
            std::string::npos);
  std::string named = "class_weights={";
  for (const std::string& name : set->class_names())
    named += (named.back() == '{' ? "\"" : ", \"") + name + "\": 2.5";
  EXPECT_EQ(weights_of(recipe({named + '}'}).class_weights, *set).at(7), 2.5);
  EXPECT_NE(error_of([&] {
              weights_of(recipe({"class_weights={\"Trouserz\": 1}"}).class_weights, *set);
            }).find("did you mean Trouser"),
            std::string::npos);
  EXPECT_NE(error_of([&] {
              weights_of(recipe({"class_weights={\"Trouser\": 1}"}).class_weights, *set);
            }).find("name all 10"),
            std::string::npos);
  EXPECT_NE(error_of([&] { recipe({"class_weights=[1,0]"}); }).find("class_weights"),
            std::string::npos);
}

TEST(Order, BalancedDrawsEveryClassAlike) {
  const std::vector<std::vector<std::int64_t>> classes{{0, 1, 2, 3, 4, 5, 6, 7}, {}, {8}, {9, 10}};
  Generator rng(3);
  const std::vector<std::int64_t> order = data::balanced(classes, 31, rng);
  ASSERT_EQ(order.size(), 31u);
  std::vector<int> times(11);
  for (const std::int64_t i : order) ++times[static_cast<std::size_t>(i)];
  const int first = std::accumulate(times.begin(), times.begin() + 8, 0);
  for (const int of_class : {first, times[8], times[9] + times[10]}) {
    EXPECT_GE(of_class, 10);
    EXPECT_LE(of_class, 11);
  }
  // Within a class every image comes once before any comes again.
  EXPECT_LE(std::abs(times[9] - times[10]), 1);
  for (int i = 0; i < 8; ++i)
    EXPECT_LE(std::abs(times[static_cast<std::size_t>(i)] - first / 8), 1);
}

TEST_F(Habits, ABalancedSamplerGoesOnExactly) {
  expect_same_after_stops(recipe({"data.sampler=balanced", "data.augment.mixup=0.2"}));
}

TEST_F(Habits, UnevenClassesAreSaid) {
  // Two classes, one of two images.
  for (const char* const part : {"train", "test"})
    for (int i = 0; i < 14; ++i)
      write_file(dir / "photos" / part / (i < 12 ? "cat" : "dog") / (std::to_string(i) + ".ppm"),
                 "P6 8 8 255\n" + std::string(192, static_cast<char>(i * 10)));
  Listener told, balanced;
  const std::string data = "data.dir=" + (dir / "photos").string();
  ASSERT_TRUE(train("a", recipe({data, "data.kind=folder", "epochs=1"}), told).finished);
  EXPECT_TRUE(told.said("cat has 12 images, dog has 2 images"));
  EXPECT_TRUE(told.said("class_weights \"balanced\""));
  EXPECT_FALSE(told.epochs.at(0).worst_class.empty());
  ASSERT_TRUE(
      train("b", recipe({data, "data.kind=folder", "epochs=1", "class_weights=balanced"}), balanced)
          .finished);
  EXPECT_TRUE(balanced.said("cat has 12 images"));
  EXPECT_FALSE(balanced.said("try class_weights"));
}

TEST_F(Habits, EarlyStoppingStopsAndGoesOnExactly) {
  // Nothing is ever better by so much.
  const Recipe r = recipe({"early_stopping.patience=2", "early_stopping.metric=loss",
                           "early_stopping.min_delta=10", "data.validation=0.2", "epochs=9"});
  Listener whole;
  const Outcome outcome = train("whole", r, whole);
  EXPECT_TRUE(outcome.finished);
  EXPECT_EQ(outcome.epochs, 3);
  ASSERT_TRUE(outcome.stopped_early);
  EXPECT_EQ(outcome.stopped_early->epoch, 1);
  for (int steps = 1; steps < 9; ++steps) {
    const std::string name = "stopped" + std::to_string(steps);
    Listener part, rest;
    part.steps_left = steps;
    const bool done = train(name, r, part).finished;
    EXPECT_EQ(done ? 3 : train(name, r, rest, true).epochs, 3) << steps;
    expect_same_tensors(newest("whole"), newest(name));
  }
  Listener again;
  const Outcome nothing = train("whole", r, again, true);
  EXPECT_TRUE(nothing.finished);
  EXPECT_TRUE(again.epochs.empty());
  EXPECT_NE(error_of([&] {
              train("x", recipe({"early_stopping.patience=2"}), again);
            }).find("never goes by test images"),
            std::string::npos);
  EXPECT_NE(error_of([&] {
              train("y", recipe({"early_stopping.patience=2", "data.validation=0"}), again);
            }).find("there are none"),
            std::string::npos);
}

TEST_F(Habits, TheBestEpochIsChosenByAnyMetric) {
  Listener listener;
  const Outcome outcome = train(
      "run", recipe({"checkpoint.best_by=loss", "data.validation=0.3", "epochs=4"}), listener);
  ASSERT_TRUE(outcome.best);
  const auto least = std::ranges::min_element(listener.epochs, {}, &EpochLine::loss);
  EXPECT_EQ(outcome.best->epoch, least->epoch);
  EXPECT_DOUBLE_EQ(outcome.best->value, least->loss);
  EXPECT_EQ(outcome.best->by, "loss");
}

TEST_F(Habits, AccumulationCountsStepsAndGoesOnExactly) {
  const Recipe r = recipe({"accumulate=3", "data.batch=8"});
  Listener whole;
  ASSERT_TRUE(train("counted", r, whole).finished);
  // 52 images are 7 batches: two updates of three and one of one.
  const Json last = parse_json(RunFolder(dir / "counted").newest()->checkpoint.meta, "meta");
  EXPECT_EQ(last["step"], 6);
  EXPECT_EQ(last["position"]["epoch"], 2);
  expect_same_after_stops(r);
}

optim::Schedule constant_rate() {
  optim::ScheduleSpec spec;
  spec.kind = "constant";
  spec.lr = 0.1;
  spec.total_steps = 4;
  return optim::Schedule(spec);
}

/// Without batch norm.
class Plain final : public nn::Module {
 public:
  explicit Plain(Generator& init) : conv(1, 4, 3, {.padding = 1}, init), fc(4 * 64, 3, init) {}
  std::string_view kind() const override { return "Plain"; }
  void visit(nn::Visitor& v) override {
    v("conv", conv);
    v("fc", fc);
  }
  nn::Conv2d conv;
  nn::Linear fc;

 protected:
  Var forward(const Var& x) override { return fc(ops::flatten(conv(x))); }
};

TEST(Accumulation, IsOneLargeBatch) {
  for (const bool weighted : {false, true}) {
    Generator rng(9);
    data::Batch all;
    all.images = Tensor::randn({10, 8, 8, 1}, rng);
    std::vector<double> labels;
    for (int i = 0; i < 10; ++i) labels.push_back(i % 3);
    all.labels = Tensor::from({10}, labels, DType::i64);
    const auto part = [&](std::int64_t begin, std::int64_t end) {
      data::Batch out;
      out.images = Tensor({end - begin, 8, 8, 1});
      std::copy_n(all.images.data<float>() + begin * 64, (end - begin) * 64,
                  out.images.data<float>());
      out.labels = Tensor({end - begin}, DType::i64);
      std::copy_n(all.labels.data<std::int64_t>() + begin, end - begin,
                  out.labels.data<std::int64_t>());
      return out;
    };
    LoopOptions options;
    options.clip_norm = 0.5;
    if (weighted) options.class_weights = Tensor::from({3}, {0.5, 2, 4}, DType::f64);
    const auto trained = [&](const std::vector<data::Batch>& batches) {
      Generator init(4);
      Plain net(init);
      optim::Sgd sgd(nn::parameters(net), {.momentum = 0.9});
      Loop loop(net, sgd, constant_rate(), options);
      StepResult result;
      for (int step = 0; step < 2; ++step) {
        for (const data::Batch& batch : batches) loop.accumulate(batch);
        result = loop.update();
      }
      EXPECT_EQ(loop.steps(), 2);
      EXPECT_EQ(result.images, 10);
      return net.conv.weight.value().clone();
    };
    const Tensor one = trained({all}), three = trained({part(0, 4), part(4, 8), part(8, 10)});
    for (std::int64_t i = 0; i < one.numel(); ++i) EXPECT_NEAR(one.at(i), three.at(i), 1e-6);
  }
}

TEST(Clipping, ByValueAndByNorm) {
  Parameter a(Tensor::zeros({3}));
  a.grad = Tensor::from({3}, {-4, 0.5, 3});
  const std::vector<NamedParameter> all{{"a", &a}};
  optim::clip_values(all, 1);
  EXPECT_EQ(a.grad.at(0), -1);
  EXPECT_EQ(a.grad.at(1), 0.5);
  EXPECT_EQ(a.grad.at(2), 1);
  EXPECT_NEAR(optim::clip_gradients(all, 0.75), 1.5, 1e-6);
  EXPECT_NEAR(a.grad.at(0), -0.5, 1e-5);
}

TEST(Clipping, AStepWhoseNormIsNoNumberIsLeftOut) {
  Generator rng(9);
  data::Batch batch;
  batch.images = Tensor::randn({4, 8, 8, 1}, rng);
  batch.labels = Tensor::from({4}, {0, 1, 2, 0}, DType::i64);
  Plain net(rng);
  optim::Sgd sgd(nn::parameters(net), {});
  Loop loop(net, sgd, constant_rate(), {.clip_norm = 1});
  EXPECT_FALSE(loop.step(batch).skipped);
  const Tensor before = net.conv.weight.value().clone();
  loop.accumulate(batch);
  net.fc.weight.grad.set(0, NAN);
  EXPECT_TRUE(loop.update().skipped);
  for (std::int64_t i = 0; i < before.numel(); ++i)
    EXPECT_EQ(net.conv.weight.value().at(i), before.at(i));
  EXPECT_EQ(loop.steps(), 2);
  EXPECT_FALSE(loop.step(batch).skipped);
}

TEST_F(Habits, ClippingGoesOnExactly) {
  expect_same_after_stops(recipe({"clip_norm=0.5", "clip_value=0.01"}));
}

TEST_F(Habits, ALossThatIsNoNumberNamesTheImages) {
  Listener listener;
  const std::string error = error_of([&] {
    train("run", recipe({"schedule.lr=1e30", "schedule.name=constant"}), listener);
  });
  EXPECT_NE(error.find("image "), std::string::npos) << error;
  EXPECT_NE(error.find("others"), std::string::npos) << error;
}

TEST_F(Habits, AChangedCourseIsJournaledAndReplayed) {
  const Recipe first = recipe({"epochs=3"});
  const Recipe second = recipe({"epochs=4", "schedule.lr=0.01", "data.augment.flip=false"});
  for (const int steps : {1, 3, 5, 9}) {
    SCOPED_TRACE(steps);
    const std::string name = "run" + std::to_string(steps),
                      again = "replay" + std::to_string(steps);
    Listener part, refused, rest, replay;
    part.steps_left = steps;
    ASSERT_FALSE(train(name, first, part).finished);
    EXPECT_NE(error_of([&] { train(name, second, refused, true); }).find("was started with"),
              std::string::npos);
    EXPECT_FALSE(fs::exists(dir / name / "changes.jsonl"));
    ASSERT_TRUE(train(name, second, rest, true, true).finished);
    EXPECT_TRUE(rest.said("schedule.lr is 0.01, was 0.05"));
    const std::vector<Change> changes = read_changes(dir / name / "changes.jsonl");
    ASSERT_EQ(changes.size(), 3u);
    EXPECT_EQ(changes[0].step, steps);
    // The recipe of the folder says how it is now.
    EXPECT_EQ(Recipe::read(dir / name / "recipe.json", Recipe::Source::stored).schedule.lr, 0.01);
    ASSERT_TRUE(run(first, {.out = dir / again, .replay = changes}, replay).finished);
    expect_same_tensors(newest(name), newest(again));
    EXPECT_EQ(read_log(dir / name).size(), 4u);
  }
}

TEST_F(Habits, AChangedCourseGoesOnExactlyAfterAnotherStop) {
  const Recipe first = recipe({"epochs=2"}), second = recipe({"epochs=2", "schedule.lr=0.01"});
  Listener a, b;
  a.steps_left = 2;
  ASSERT_FALSE(train("whole", first, a).finished);
  ASSERT_TRUE(train("whole", second, b, true, true).finished);
  Listener c, d, e;
  c.steps_left = 2;
  d.steps_left = 3;
  ASSERT_FALSE(train("parts", first, c).finished);
  ASSERT_FALSE(train("parts", second, d, true, true).finished);
  ASSERT_TRUE(train("parts", second, e, true).finished);  // no longer a change
  expect_same_tensors(newest("whole"), newest("parts"));
  EXPECT_EQ(read_changes(dir / "parts" / "changes.jsonl").size(), 1u);
}

TEST_F(Habits, AKillWhileTheCourseChangesLosesNothing) {
  const Recipe first = recipe({"epochs=2"}), second = recipe({"epochs=2", "schedule.lr=0.01"});
  Listener a, b, c;
  a.steps_left = 2;
  ASSERT_FALSE(train("run", first, a).finished);
  const std::string before = read_file(dir / "run" / "recipe.json");
  b.steps_left = 1;
  ASSERT_FALSE(train("run", second, b, true, true).finished);
  // As if the process had died between its checkpoint and recipe.json.
  write_file(dir / "run" / "recipe.json", before);
  fs::remove(dir / "run" / "changes.jsonl");
  const Recipe of_folder = Recipe::read(dir / "run" / "recipe.json", Recipe::Source::stored);
  ASSERT_TRUE(train("run", of_folder, c, true).finished);
  EXPECT_EQ(read_changes(dir / "run" / "changes.jsonl").size(), 1u);
  EXPECT_EQ(Recipe::read(dir / "run" / "recipe.json", Recipe::Source::stored).schedule.lr, 0.01);
}

TEST_F(Habits, OnlyBetweenEpochsAnotherBatch) {
  Listener a, b, c, d;
  a.steps_left = 2;
  ASSERT_FALSE(train("run", recipe(), a).finished);
  EXPECT_NE(error_of([&] {
              train("run", recipe({"data.batch=8"}), b, true, true);
            }).find("only change between epochs"),
            std::string::npos);
  ASSERT_TRUE(train("done", recipe(), c).finished);
  ASSERT_TRUE(train("done", recipe({"data.batch=8", "epochs=3"}), d, true, true).finished);
  EXPECT_EQ(read_log(dir / "done").size(), 3u);
  // What makes another network, or other data, stays refused.
  Listener e;
  EXPECT_NE(error_of([&] {
              train("done", recipe({"data.batch=8", "epochs=4", "seed=7"}), e, true, true);
            }).find("seed"),
            std::string::npos);
}

TEST(Changes, JournalsAreRead) {
  const TempDir dir;
  write_file(dir / "j",
             "{\"epoch\":1,\"batch\":0,\"step\":4,\"key\":\"schedule.lr\",\"from\":1,\"to\":2}\n");
  EXPECT_EQ(read_changes(dir / "j").at(0).to, "2");
  for (const char* bad :
       {"[]", "{}", "{",
        "{\"epoch\":1,\"batch\":0,\"step\":4,\"key\":\"seed\",\"from\":1,\"to\":2}"}) {
    write_file(dir / "j", bad);
    EXPECT_THROW(read_changes(dir / "j"), Error) << bad;
  }
}

}  // namespace
}  // namespace exciton::train::testing
