/// Beginning with trained weights, and what stays frozen; weights of runs to files and back.
#include "exciton/train/fine_tuning.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <set>

#include "exciton/core/file.hpp"
#include "exciton/core/random.hpp"
#include "exciton/interop/npy.hpp"
#include "exciton/interop/safetensors.hpp"
#include "exciton/nn/layers.hpp"
#include "exciton/optim/sgd.hpp"
#include "exciton/train/checkpoint.hpp"
#include "exciton/train/export.hpp"
#include "exciton/train/import.hpp"
#include "exciton/train/recipe_json.hpp"
#include "exciton/train/run.hpp"
#include "exciton/train/run_folder.hpp"
#include "tests/train/support.hpp"

namespace exciton::train::testing {
namespace {

namespace fs = std::filesystem;

class FineTuning : public ::testing::Test {
 protected:
  void SetUp() override {
    write_tiny_data(dir / "data");
    write_tiny_recipe(dir / "recipe.json", dir / "data");
    Listener listener;
    ASSERT_TRUE(run(recipe(), {.out = dir / "base"}, listener).finished);
  }
  Recipe recipe(const std::vector<std::string>& set = {}) const {
    return Recipe::read(dir / "recipe.json").with(set);
  }
  std::string init() const { return "init.weights=" + (dir / "base").string(); }
  /// Tensors of the newest checkpoint of a run by name.
  std::map<std::string, Tensor> tensors(const std::string& run) const {
    std::map<std::string, Tensor> out;
    const auto newest = RunFolder(dir / run).newest();
    for (const SavedTensor& t : newest->checkpoint.tensors) out[t.name] = t.tensor;
    return out;
  }
  static bool same(const Tensor& a, const Tensor& b) {
    if (a.shape() != b.shape()) return false;
    for (std::int64_t i = 0; i < a.numel(); ++i)
      if (a.at(i) != b.at(i)) return false;
    return true;
  }
  TempDir dir;
};

TEST_F(FineTuning, FrozenPartsKeepWeightsAndStatisticsThroughAKillAndAResume) {
  const Recipe frozen = recipe({init(), "freeze=[\"conv1\",\"bn1\",\"stage1\"]", "epochs=3"});
  Listener whole;
  ASSERT_TRUE(run(frozen, {.out = dir / "whole"}, whole).finished);
  EXPECT_TRUE(whole.said("tensors of"));
  EXPECT_TRUE(whole.said("classifier is kept"));
  Listener impatient;
  impatient.steps_left = 6;
  ASSERT_FALSE(run(frozen, {.out = dir / "parts"}, impatient).finished);
  Listener rest;
  ASSERT_TRUE(run(frozen, {.out = dir / "parts", .resume = true}, rest).finished);
  const auto base = tensors("base"), after = tensors("whole"), parts = tensors("parts");
  int kept = 0, moved = 0;
  for (const auto& [name, tensor] : after) {
    EXPECT_TRUE(same(tensor, parts.at(name))) << name;
    if (!name.starts_with("model.") || tensor.dtype() == DType::i64) continue;
    const bool is_frozen = name.starts_with("model.conv1.") || name.starts_with("model.bn1.") ||
                           name.starts_with("model.stage1.");
    EXPECT_EQ(same(tensor, base.at(name)), is_frozen) << name;
    ++(is_frozen ? kept : moved);
  }
  EXPECT_GT(kept, 20);
  EXPECT_GT(moved, 20);
}

TEST_F(FineTuning, AFrozenStageInTheMiddlePassesGradientsOn) {
  Listener listener;
  ASSERT_TRUE(
      run(recipe({init(), "freeze=[\"stage2\"]", "epochs=1"}), {.out = dir / "run"}, listener)
          .finished);
  const auto base = tensors("base"), after = tensors("run");
  EXPECT_FALSE(same(after.at("model.conv1.weight"), base.at("model.conv1.weight")));
  EXPECT_TRUE(
      same(after.at("model.stage2.0.conv1.weight"), base.at("model.stage2.0.conv1.weight")));
  EXPECT_TRUE(same(after.at("model.stage2.0.bn1.running_mean"),
                   base.at("model.stage2.0.bn1.running_mean")));
}

TEST_F(FineTuning, TheHeadIsNewForOtherClassesAndKeptForTheSame) {
  Preprocessing now = load(dir / "base").preprocessing;
  const Initial initial = load_initial((dir / "base").string(), "", "");
  const auto begun = [&](Recipe r) {
    nn::Model model = make_model(r, now);
    begin_with(initial, r, now, *model.net);
    return model;
  };
  const auto weight = [](nn::Model& model, const std::string& name) {
    for (const auto& [own, parameter] : nn::parameters(*model.net))
      if (own == name) return parameter->value();
    return Tensor();
  };
  nn::Model kept = begun(recipe());
  EXPECT_TRUE(same(weight(kept, "fc.weight"), tensors("base").at("model.fc.weight")));
  now.class_names[3] = "something else";
  nn::Model renewed = begun(recipe());
  EXPECT_FALSE(same(weight(renewed, "fc.weight"), tensors("base").at("model.fc.weight")));
  EXPECT_TRUE(same(weight(renewed, "conv1.weight"), tensors("base").at("model.conv1.weight")));
  now.class_names.push_back("one more");
  const std::string why = error_of([&] { begun(recipe({init(), "init.head=keep"})); });
  EXPECT_NE(why.find("10 classes, the data 11"), std::string::npos) << why;
}

TEST_F(FineTuning, FollowsImagesOfOtherChannels) {
  const Initial initial = load_initial((dir / "base").string(), "", "");  // of grey images
  Preprocessing colour = initial.preprocessing;
  colour.channels = 3;
  nn::Model model = make_model(recipe(), colour);
  begin_with(initial, recipe(), colour, *model.net);
  const Tensor grey = tensors("base").at("model.conv1.weight");
  Tensor three;
  for (const auto& [name, parameter] : nn::parameters(*model.net))
    if (name == "conv1.weight") three = parameter->value();
  ASSERT_EQ(three.shape(), (Shape{16, 3, 3, 3}));
  for (std::int64_t o = 0; o < 16; ++o)
    for (std::int64_t c = 0; c < 3; ++c)
      for (std::int64_t p = 0; p < 9; ++p)
        EXPECT_FLOAT_EQ(static_cast<float>(three.at((o * 3 + c) * 9 + p)),
                        static_cast<float>(grey.at(o * 9 + p)) / 3);
  EXPECT_EQ(normalization_for(initial.preprocessing, 3).mean.size(), 3u);
}

TEST_F(FineTuning, RefusesWhatWouldComputeSomethingElse) {
  Listener nobody;
  const auto refused = [&](const std::vector<std::string>& set, const std::string& says) {
    std::vector<std::string> all = set;
    all.insert(all.begin(), init());
    const std::string why = error_of([&] { run(recipe(all), {.out = dir / "no"}, nobody); });
    EXPECT_NE(why.find(says), std::string::npos) << why;
    EXPECT_FALSE(fs::exists(dir / "no" / "recipe.json")) << says;
  };
  refused({"model.se.gate=\"tanh\""}, "model.se.gate \"sigmoid\", the recipe says \"tanh\"");
  refused({"model.name=resnet20"}, "is a se_resnet20, the recipe says resnet20");
  refused({"freeze=[\"stagge1\"]"}, "did you mean stage1");
  refused({"freeze=[\"conv1\",\"bn1\",\"stage1\",\"stage2\",\"stage3\",\"fc\"]"},
          "nothing to train");
}

TEST_F(FineTuning, NormalisesAsTheWeightsWere) {
  Listener listener;
  ASSERT_TRUE(run(recipe({"data.normalize={\"mean\":[0.25],\"std\":[0.5]}", "epochs=1"}),
                  {.out = dir / "other"}, listener)
                  .finished);
  ASSERT_TRUE(run(recipe({"init.weights=" + (dir / "other").string(), "epochs=1"}),
                  {.out = dir / "tuned"}, listener)
                  .finished);
  EXPECT_TRUE(listener.said("normalised as the weights were trained"));
  EXPECT_EQ(load(dir / "tuned").preprocessing.mean[0], 0.25f);
  ASSERT_TRUE(run(recipe({"init.weights=" + (dir / "other").string(), "epochs=1",
                          "data.normalize=dataset"}),
                  {.out = dir / "own"}, listener)
                  .finished);
  EXPECT_EQ(load(dir / "own").preprocessing.mean[0], load(dir / "base").preprocessing.mean[0]);
}

TEST(LayerDecay, FallsTowardsTheImages) {
  nn::Model model = nn::make_model("se_resnet20", {.classes = 10});
  const auto groups = with_layer_decay({{"fc.bias", 3, 1}}, *model.net, 0.5);
  std::map<std::string, double> factors;
  for (const optim::ParameterGroup& g : groups) factors[g.names] = g.lr_factor;
  EXPECT_EQ(groups.front().names, "fc.bias");
  EXPECT_EQ(factors.at("fc.*"), 1);
  EXPECT_EQ(factors.at("stage3.*"), 0.5);
  EXPECT_EQ(factors.at("stage1.*"), 0.125);
  EXPECT_EQ(factors.at("conv1.*"), 0.0625);
  EXPECT_EQ(factors.at("bn1.*"), 0.0625);
  for (const char* name : {"mobilenet", "bn_inception", "vgg16_bn", "se_resnet50"}) {
    const nn::SkipInitialization names_only;
    nn::Model other = nn::make_model(name);
    optim::Sgd(nn::parameters(*other.net), {}).set_groups(with_layer_decay({}, *other.net, 0.9));
  }
}

TEST(Comparison, CountsWhatMatters) {
  const Tensor a = Tensor::from({2, 3}, {1, 2, 30, 5, 4, 3});
  const Comparison same = compare_logits(a, a);
  EXPECT_TRUE(same.agrees());
  EXPECT_EQ(same.largest, 30);
  const Comparison near = compare_logits(a, Tensor::from({2, 3}, {1, 2.002, 30, 5, 4, 3}));
  EXPECT_TRUE(near.agrees()) << near.text();
  EXPECT_FALSE(compare_logits(a, Tensor::from({2, 3}, {1, 2.004, 30, 5, 4, 3})).agrees());
  EXPECT_FALSE(compare_logits(a, Tensor::from({2, 3}, {1, 2, NAN, 5, 4, 3})).agrees());
  EXPECT_EQ(compare_logits(a, Tensor::from({2, 3}, {1, 2, 30, 4, 5, 3})).changed,
            0);  // within twice the difference
}

TEST_F(FineTuning, ExportsComeBackWithTheSameBits) {
  const Exported done = export_run(dir / "base", dir / "x.safetensors", {});
  EXPECT_TRUE(done.proof.agrees()) << done.proof.text();
  EXPECT_EQ(done.proof.difference, 0);
  EXPECT_FALSE(done.proof.noise);
  const Imported again = import_weights(dir / "x.safetensors", {});
  write_run(dir / "again", again);
  const auto base = tensors("base"), back = tensors("again");
  int compared = 0;
  for (const auto& [name, tensor] : back) {
    if (tensor.dtype() == DType::i64) continue;
    EXPECT_TRUE(same(tensor, base.at(name))) << name;
    ++compared;
  }
  EXPECT_GT(compared, 100);
  EXPECT_EQ(again.preprocessing.class_names, load(dir / "base").preprocessing.class_names);
  EXPECT_EQ(again.preprocessing.mean, load(dir / "base").preprocessing.mean);
  // To a library with the same network; and not to one whose differs.
  EXPECT_NE(error_of([&] {
              export_run(dir / "base", dir / "y.safetensors", {.to = "moskomule/se_resnet20"});
            }).find("se.bias=false"),
            std::string::npos);
  EXPECT_FALSE(fs::exists(dir / "y.safetensors"));
  Listener nobody;
  EXPECT_NE(error_of([&] {
              run(Recipe::read(dir / "again" / "recipe.json", Recipe::Source::stored)
                      .with({"data.dir=" + (dir / "data").string()}),
                  {.out = dir / "again", .resume = true}, nobody);
            }).find("imported"),
            std::string::npos);
  EXPECT_NE(error_of([&] { write_run(dir / "again", again); }).find("not empty"),
            std::string::npos);
}

/// A copy of a run that computes the same but for rounding, by large numbers that cancel each
/// other.
void write_ill_conditioned(const fs::path& run, const fs::path& to) {
  fs::copy(run, to, fs::copy_options::recursive);
  const fs::path path = RunFolder(to).newest()->path;
  Checkpoint checkpoint = read_checkpoint(path);
  std::map<std::string, Tensor> of;
  for (const SavedTensor& t : checkpoint.tensors) of[t.name] = t.tensor;  // sharing its storage
  const auto at = [&](const char* name) { return of.at(std::string("model.bn1.") + name); };
  Tensor mean = at("running_mean"), bias = at("bias");
  for (std::int64_t c = 0; c < mean.numel(); ++c) {
    const double much = 1e5 + 111, scale = at("weight").at(c) / std::sqrt(at("running_var").at(c));
    mean.set(c, mean.at(c) + much);
    bias.set(c, bias.at(c) + much * scale);
  }
  write_checkpoint(path, checkpoint);
}

TEST_F(FineTuning, ExportsOfRoundedWeightsAreHeldToWhatRoundingMay) {
  const Exported done = export_run(dir / "base", dir / "x.safetensors", {.dtype = "bf16"});
  EXPECT_EQ(done.proof.difference, 0);  // the same plain path from the same rounded weights
  ASSERT_EQ(done.notes.size(), 1u);
  EXPECT_NE(done.notes[0].find("rounded to bf16"), std::string::npos) << done.notes[0];
  // A network that hangs on the last bits of its weights.
  write_ill_conditioned(dir / "base", dir / "ill");
  write_text(dir / "kept.safetensors", "as it was", "test");
  EXPECT_NE(error_of([&] {
              export_run(dir / "ill", dir / "kept.safetensors", {.dtype = "bf16"});
            }).find("compute something else"),
            std::string::npos);
  EXPECT_EQ(read_text(dir / "kept.safetensors", "test", 100), "as it was");
  EXPECT_FALSE(fs::exists(dir / "kept.unproven.safetensors"));
  export_run(dir / "ill", dir / "ill.safetensors", {});
}

TEST_F(FineTuning, ExportsRefuseOptionsThatNothingReads) {
  const auto refusal = [&](const char* file, const ExportOptions& options) {
    const std::string said = error_of([&] { export_run(dir / "base", dir / file, options); });
    EXPECT_FALSE(fs::exists(dir / file));
    return said;
  };
  EXPECT_NE(refusal("x.onnx", {.dtype = "bf16"}).find("ONNX is written in f32"), std::string::npos);
  EXPECT_NE(refusal("x.safetensors", {.dtype = "f16"}).find("expected f32 or bf16, got f16"),
            std::string::npos);
  EXPECT_NE(refusal("x.onnx", {.input = "pixel"}).find("expected normalized or pixels, got pixel"),
            std::string::npos);
}

TEST(Import, PlaceholdersAreKnownAsSuch) {
  EXPECT_TRUE(are_placeholders({"class 0", "class 1"}));
  EXPECT_FALSE(are_placeholders({"class 0", "dog"}));
  EXPECT_FALSE(are_placeholders({}));
}

}  // namespace
}  // namespace exciton::train::testing
