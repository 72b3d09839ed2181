/// Units, models and data sets that only this program knows, by name in a recipe.
#include <gtest/gtest.h>

#include <cmath>

#include "exciton/data/memory_dataset.hpp"
#include "exciton/nn/gates.hpp"
#include "exciton/nn/layers.hpp"
#include "exciton/ops/activations.hpp"
#include "exciton/ops/se/squeeze.hpp"
#include "exciton/train/plugin.hpp"
#include "exciton/train/run.hpp"
#include "exciton/train/trained_model.hpp"
#include "tests/train/support.hpp"

namespace exciton::train::testing {
namespace {

class Halving final : public nn::ChannelAttention {
 public:
  std::string_view kind() const override { return "Halving"; }
  Var gates(const Var& x) override {
    const Var z = ops::squeeze(x);
    return Tensor::full(z.shape(), 0.5, z.value().dtype());
  }
};

class OnePixel final : public nn::Module {
 public:
  OnePixel(const nn::ModelOptions& o, Generator& init)
      : conv(o.image_channels, 8, 1, {}, init),
        unit(nn::make_attention(8, o.se, init)),
        fc(8, o.classes, init) {}
  std::string_view kind() const override { return "OnePixel"; }
  void visit(nn::Visitor& v) override {
    v("conv", conv);
    if (unit) v("se", *unit);
    v("fc", fc);
  }

 protected:
  Var forward(const Var& x) override {
    const Var y = conv(x);
    return fc(pool(unit ? (*unit)(y) : y));
  }

 private:
  nn::Conv2d conv;
  std::unique_ptr<nn::ChannelAttention> unit;
  nn::GlobalAvgPool pool;
  nn::Linear fc;
};

std::shared_ptr<const data::Dataset> shades(const std::string& split) {
  data::MemoryDataset::Contents set;
  set.description = "shades " + split;
  set.height = set.width = 4;
  set.channels = 3;
  set.class_names = {"dark", "light"};
  for (int i = 0; i < 40; ++i) {
    set.labels.push_back(i % 2);
    for (int p = 0; p < 4 * 4 * 3; ++p)
      set.pixels.push_back(static_cast<std::uint8_t>((i % 2 ? 180 : 20) + (7 * i + p) % 50));
  }
  return std::make_shared<data::MemoryDataset>(std::move(set));
}

/// p <- p (1 - lr wd) - lr sign(g)
class Signs final : public optim::Optimizer {
 public:
  Signs(std::vector<NamedParameter> parameters, double weight_decay)
      : Optimizer(std::move(parameters)), weight_decay_(weight_decay) {}
  void step(double lr) override {
    for (std::size_t i = 0; i < parameters_.size(); ++i) {
      if (!moves(i, DType::f32, "signs")) continue;
      Parameter& p = *parameters_[i].parameter;
      const auto rate = static_cast<float>(lr_of(i, lr));
      const auto decay = static_cast<float>(lr * decay_of(i, weight_decay_, true));
      float* value = p.mutable_value().data<float>();
      for (std::int64_t k = 0; k < p.numel(); ++k) {
        const auto g = static_cast<float>(p.grad.at(k));
        value[k] -= decay * value[k] + rate * static_cast<float>((g > 0) - (g < 0));
      }
    }
    clear_gradients();
  }
  std::vector<NamedTensor> state() override { return {}; }

 private:
  double weight_decay_;
};

void register_own() {
  static const bool done = [] {
    const Registries all = registries();
    all.attention.add("halving", [](std::int64_t, const nn::SESpec&, Generator&) {
      return std::make_unique<Halving>();
    });
    for (const bool se : {false, true})
      all.models.add({.name = se ? "se_one_pixel" : "one_pixel",
                      .image_size = 4,
                      .classes = 2,
                      .se = se,
                      .make = [](const nn::ModelOptions& o, Generator& init) {
                        return std::make_unique<OnePixel>(o, init);
                      }});
    all.data.add({.name = "shades",
                  .splits =
                      [](const std::filesystem::path& dir) {
                        return std::vector<data::FoundSplit>{{"train", dir}, {"test", dir}};
                      },
                  .open = [](const std::filesystem::path&,
                             const std::string& split) { return shades(split); }});
    all.optimizers.add("signs",
                       [](std::vector<NamedParameter> parameters, const optim::OptimizerSpec& o) {
                         return std::make_unique<Signs>(std::move(parameters), o.weight_decay);
                       });
    all.schedules.add("halves", [](const optim::ScheduleSpec& s, double step) {
      return s.lr * std::pow(0.5, step / static_cast<double>(s.steps_per_epoch));
    });
    return true;
  }();
  static_cast<void>(done);
}

std::string recipe_text(const std::string& dir) {
  return R"({"model": {"name": "se_one_pixel", "se": {"kind": "halving"}},
             "data": {"kind": "shades", "dir": ")" +
         dir + R"(", "batch": 8, "validation": "test"},
             "schedule": {"lr": 0.5}, "epochs": 3, "threads": 1})";
}

TEST(Registries, WhatAProgramAddsTrainsAndIsLoadedByName) {
  register_own();
  const TempDir dir;
  std::filesystem::create_directories(dir / "data");
  struct Count final : Observer {
    int started_times = 0, steps = 0, epochs = 0;
    void started(const RunInfo& info) override {
      ++started_times;
      EXPECT_EQ(info.model, "se_one_pixel");
      EXPECT_EQ(info.steps_per_epoch, 5);
    }
    bool step(const Progress& now) override {
      steps += now.phase == Progress::Phase::training;
      return true;
    }
    void epoch(const EpochLine& line) override { EXPECT_EQ(line.epoch, ++epochs); }
  } count;
  const Recipe recipe = Recipe::parse(recipe_text((dir / "data").string()));
  const Outcome outcome = run(recipe, {.out = dir / "run"}, count);
  EXPECT_TRUE(outcome.finished);
  EXPECT_EQ(outcome.last->top1(), 1);
  EXPECT_EQ(count.started_times, 1);
  EXPECT_EQ(count.steps, 15);
  EXPECT_EQ(count.epochs, 3);

  TrainedModel trained = load(dir / "run");
  ASSERT_EQ(nn::attention_units(*trained.model.net).size(), 1u);
  EXPECT_EQ(nn::attention_units(*trained.model.net)[0].unit->kind(), "Halving");
  data::Loader loader = evaluation_loader(trained, shades("test"));
  EXPECT_EQ(evaluate(*trained.model.net, loader, 2).top1(), 1);
}

TEST(Registries, AnObserverStopsARunAndItGoesOnWithTheSameBits) {
  register_own();
  const TempDir dir;
  std::filesystem::create_directories(dir / "data");
  const Recipe recipe = Recipe::parse(recipe_text((dir / "data").string()));
  Observer nobody;
  EXPECT_TRUE(run(recipe, {.out = dir / "whole"}, nobody).finished);
  struct Impatient final : Observer {
    int left = 7;
    bool step(const Progress&) override { return --left > 0; }
  } impatient;
  const Outcome stopped = run(recipe, {.out = dir / "parts"}, impatient);
  EXPECT_FALSE(stopped.finished);
  EXPECT_TRUE(std::filesystem::exists(stopped.checkpoint));
  EXPECT_TRUE(run(recipe, {.out = dir / "parts", .resume = true}, nobody).finished);
  expect_same_tensors(dir / "whole/checkpoints/epoch-0003.ckpt",
                      dir / "parts/checkpoints/epoch-0003.ckpt");
}

TEST(Registries, OptimisersAndSchedulesByName) {
  register_own();
  const TempDir dir;
  std::filesystem::create_directories(dir / "data");
  const Recipe recipe =
      Recipe::parse(R"({"model": {"name": "one_pixel"}, "data": {"kind": "shades", "dir": ")" +
                    (dir / "data").string() + R"(", "batch": 8, "validation": "test"},
          "optimizer": {"name": "signs", "weight_decay": 0.001},
          "schedule": {"name": "halves", "lr": 0.1, "warmup_epochs": 1, "gamma": 0.5},
          "epochs": 3, "threads": 1})");
  EXPECT_EQ(Recipe::parse(recipe.text()).text(), recipe.text());
  struct Rates final : Observer {
    std::vector<double> lr;
    void epoch(const EpochLine& line) override { lr.push_back(line.lr); }
  } rates;
  EXPECT_EQ(run(recipe, {.out = dir / "run"}, rates).last->top1(), 1);
  ASSERT_EQ(rates.lr.size(), 3u);
  EXPECT_NEAR(rates.lr[0], 0.1 * std::pow(0.5, 1) * 4 / 5, 1e-12) << "the warm-up leads to it";
  EXPECT_NEAR(rates.lr[2], 0.1 * std::pow(0.5, 14.0 / 5), 1e-12);
  EXPECT_NE(error_of([] {
              Recipe::parse(R"({"model": {"name": "resnet20"}, "optimizer": {"name": "adam"}})");
            }).find("expected one of sgd, adamw, muon, signs"),
            std::string::npos);
  EXPECT_NE(error_of([] {
              Recipe::parse(R"({"model": {"name": "resnet20"}, "schedule": {"name": "linear"}})");
            }).find("one_cycle_linear, triangular, halves"),
            std::string::npos);
  EXPECT_NE(error_of([] {
              Recipe::parse(
                  R"({"model": {"name": "resnet20"}, "schedule": {"name": "cosine", "gamma": 2}})");
            }).find("gamma"),
            std::string::npos)
      << "standard ones refuse what they do not read";
}

TEST(Registries, NamesAreTakenOnce) {
  register_own();
  const Registries all = registries();
  EXPECT_NE(error_of([&] { all.attention.add("se", nullptr); }).find("\"se\" is taken"),
            std::string::npos);
  EXPECT_NE(error_of([&] {
              all.data.add({.name = "cifar10", .splits = {}, .open = {}});
            }).find("\"cifar10\""),
            std::string::npos);
  EXPECT_NE(error_of([&] {
              all.models.add(
                  {.name = "resnet20", .image_size = 4, .classes = 2, .se = false, .make = {}});
            }).find("resnet20"),
            std::string::npos);
  EXPECT_NE(error_of([] {
              Recipe::parse(R"({"model": {"name": "se_resnet20", "se": {"kind": "unheard"}}})");
            }).find("expected one of se, eca, ge, ese, cbam"),
            std::string::npos);
}

TEST(Recipe, GroupsAndClipping) {
  const Recipe recipe = Recipe::parse(
      R"({"model": {"name": "resnet20"}, "clip_norm": 2,
          "parameter_groups": [{"names": "fc.*", "lr_factor": 10}, {"names": "*", "decay_factor": 0}]})");
  ASSERT_EQ(recipe.parameter_groups.size(), 2u);
  EXPECT_EQ(recipe.parameter_groups[0].lr_factor, 10);
  EXPECT_EQ(recipe.parameter_groups[1].decay_factor, 0);
  EXPECT_EQ(recipe.clip_norm, 2);
  EXPECT_EQ(Recipe::parse(recipe.text()).text(), recipe.text());
  EXPECT_EQ(recipe.with({"clip_norm=3"}).clip_norm, 3);
  EXPECT_NE(
      error_of([] {
        Recipe::parse(R"({"model": {"name": "resnet20"}, "parameter_groups": [{"lr_factor": 2}]})");
      }).find("parameter_groups.0.names"),
      std::string::npos);
  EXPECT_NE(
      error_of([] {
        Recipe::parse(
            R"({"model": {"name": "resnet20"}, "parameter_groups": [{"names": "*", "lr": 2}]})");
      }).find("parameter_groups.0.lr"),
      std::string::npos);
}

}  // namespace
}  // namespace exciton::train::testing
