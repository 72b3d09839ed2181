/// A run ends in the same bits on any number of threads, also when it goes on with another number.
#include <gtest/gtest.h>

#include <ostream>

#include "exciton/core/threads.hpp"
#include "exciton/train/run.hpp"
#include "tests/train/support.hpp"

namespace exciton::train::testing {
namespace {

namespace fs = std::filesystem;

/// A network whose layers take other paths, and how it is trained.
struct Kind {
  const char* name;
  const char* model;
  std::vector<std::string> set;
};

void PrintTo(const Kind& kind, std::ostream* out) { *out << kind.name; }

class SameBits : public ::testing::TestWithParam<Kind> {
 protected:
  void TearDown() override { set_num_threads(before_); }
  Recipe recipe(const char* dtype, int threads, int workers) const {
    std::vector<std::string> set = GetParam().set;
    set.push_back(std::string("dtype=") + dtype);
    set.push_back("threads=" + std::to_string(threads));
    set.push_back("data.workers=" + std::to_string(workers));
    return Recipe::read(dir / "recipe.json").with(set);
  }
  fs::path newest(const std::string& run) const { return RunFolder(dir / run).newest()->path; }
  TempDir dir;

 private:
  const int before_ = num_threads();
};

TEST_P(SameBits, OnAnyNumberOfThreads) {
  write_tiny_data(dir / "data", 20, 9);  // the last batch has four images
  write_tiny_recipe(dir / "recipe.json", dir / "data", GetParam().model);
  for (const char* const dtype : {"f32", "bf16"}) {
    std::string one;
    int workers = 0;
    for (const int threads : {1, 16}) {  // 5, then 2 below
      SCOPED_TRACE(::testing::Message() << dtype << ", " << threads << " threads");
      const std::string name = std::string(dtype) + '-' + std::to_string(threads);
      Listener all;
      ASSERT_TRUE(run(recipe(dtype, threads, workers++ * 3), {.out = dir / name}, all).finished);
      if (one.empty()) one = name;
      expect_same_tensors(newest(name), newest(one));
    }
    // Stopped in the middle of an epoch, and on with other threads.
    const std::string parts = std::string(dtype) + "-parts";
    Listener few;
    few.steps_left = 3;
    ASSERT_FALSE(run(recipe(dtype, 5, 1), {.out = dir / parts}, few).finished);
    Listener rest;
    ASSERT_TRUE(run(recipe(dtype, 2, 0), {.out = dir / parts, .resume = true}, rest).finished);
    expect_same_tensors(newest(parts), newest(one));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Networks, SameBits,
    ::testing::Values(
        Kind{"basic", "se_resnet20", {"ema_decay=0.9", "data.augment.mixup=0.2"}},
        Kind{"bottleneck",
             "se_resnet50",
             {"model.blocks=[1,1,1,1]", "data.image_size=24", "optimizer.name=adamw",
              "schedule.lr=0.001"}},
        Kind{"grouped", "se_resnext50_32x4d", {"model.blocks=[1,1,1,1]", "data.image_size=24"}},
        Kind{"depthwise", "mobilenet", {"data.image_size=40", "model.dropout=0.3"}},
        Kind{"inception", "bn_inception", {"data.image_size=64"}},
        Kind{"speedrun",
             "se_speednet94",
             {"data.image_size=24", "model.widths=[16,16,16]", "model.se.min_width=2",
              "data.augment.pad_crop=2", "data.augment.padding_mode=reflect",
              "data.augment.flip=alternating", "optimizer.name=muon", "optimizer.momentum=0.6",
              "schedule.lr=0.1",
              "parameter_groups=[{\"names\":\"whiten.bias\",\"optimizer\":\"sgd\",\"epochs\":1},"
              "{\"names\":\"*.bn*.bias\",\"optimizer\":\"sgd\",\"momentum\":0.85},"
              "{\"names\":\"fc.*\",\"optimizer\":\"sgd\"},"
              "{\"names\":\"*.se.*\",\"optimizer\":\"sgd\"}]"}}),
    [](const auto& kind) { return std::string(kind.param.name); });

}  // namespace
}  // namespace exciton::train::testing
