#include "exciton/train/recipe_json.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "exciton/nn/layers.hpp"
#include "exciton/ops/processor.hpp"
#include "tests/train/support.hpp"

namespace exciton::train::testing {
namespace {

Json minimal() { return {{"model", {{"name", "se_resnet20"}}}}; }

std::string error_with(const std::string& assignment) {
  Json json = minimal();
  set_value(json, assignment);
  return error_of([&] { recipe_from(json); });
}

TEST(Recipe, defaults_are_filled_in) {
  const Recipe recipe = recipe_from(minimal());
  EXPECT_EQ(recipe.data.batch, 128);
  EXPECT_EQ(recipe.model.options.se.reduction, 16);
  EXPECT_TRUE(recipe.data.normalize.from_dataset);
  const Json json = to_json(recipe);
  EXPECT_EQ(json["optimizer"]["momentum"], 0.9);
  EXPECT_EQ(json["data"]["normalize"], "auto");
}

TEST(Recipe, resolved_recipe_reads_back_as_itself) {
  Json json = minimal();
  set_value(json, "data.normalize.mean=[0.5]");
  set_value(json, "data.normalize.std=[0.25]");
  set_value(json, "seed=18446744073709551615");
  set_value(json, "schedule.name=multistep");
  set_value(json, "schedule.milestones=[1,2.5]");
  const Json resolved = to_json(recipe_from(json));
  EXPECT_EQ(to_json(recipe_from(resolved)), resolved);
  EXPECT_EQ(resolved["seed"], 18446744073709551615ull);
  EXPECT_EQ(resolved["schedule"]["milestones"][1], 2.5);
}

TEST(Recipe, every_recipe_that_comes_along_is_valid) {
  int count = 0;
  std::set<std::string> built;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(EXCITON_RECIPES)) {
    if (entry.path().extension() != ".json") continue;
    const Recipe recipe = recipe_from(read_json(entry.path()));
    nn::ModelOptions options = recipe.model.options;
    const auto known = nn::model_registry().find(recipe.model.name);
    ASSERT_TRUE(known) << entry.path();
    options.blocks.assign(static_cast<std::size_t>(known->stages), 1);  // as large as need be
    options.image_size = 32;                                            // of VGG
    ++count;
    if (!built.insert(to_json(recipe)["model"].dump()).second) continue;
    const nn::SkipInitialization shapes_alone;
    EXPECT_NO_THROW(nn::make_model(recipe.model.name, options)) << entry.path();
  }
  EXPECT_GE(count, 50);
}

TEST(Recipe, unknown_key_names_the_nearest) {
  EXPECT_EQ(error_with("optimizer.momentun=0.9"),
            "recipe: unknown key optimizer.momentun; did you mean momentum?");
  EXPECT_NE(error_with("epoch=3").find("unknown key epoch; did you mean epochs?"),
            std::string::npos);
  EXPECT_NE(error_with("model.se.ratio=3").find("unknown key model.se.ratio"), std::string::npos);
}

TEST(Recipe, wrong_types_name_path_wanted_and_got) {
  EXPECT_EQ(
      error_with("optimizer.momentum=\"0.9\""),
      "recipe: optimizer.momentum: expected a number from 0 to 0.999999, got a string (\"0.9\")");
  EXPECT_EQ(error_with("epochs=2.5"),
            "recipe: epochs: expected an integer from 1 to 1000000, got a number (2.5)");
  EXPECT_EQ(
      error_with("data.augment.flip=1"),
      "recipe: data.augment.flip: expected true, false or \"alternating\", got an integer (1)");
  EXPECT_EQ(error_with("seed=-1"),
            "recipe: seed: expected an integer of 0 or more, got an integer "
            "(-1)");
  EXPECT_EQ(error_with("schedule=[]"), "recipe: schedule: expected an object, got a list ([])");
  EXPECT_EQ(error_with("schedule.milestones=[1,null]"),
            "recipe: schedule.milestones: expected a list of numbers of 0 or more, got a list "
            "([1,null])");
  EXPECT_NE(error_with("data.normalize=imagenet").find("\"dataset\" or {"), std::string::npos);
  EXPECT_NE(error_of([] { recipe_from(Json::array()); }).find("expected an object"),
            std::string::npos);
}

TEST(Recipe, numbers_that_are_none_name_the_range) {
  const std::string up_to = "a number from 0 to 0.999999, got ";
  const std::vector<std::pair<std::string, std::string>> keys{
      {"schedule.lr", "a number of 0 or more, got "},
      {"optimizer.momentum", up_to},
      {"ema_decay", up_to},
      {"clip_norm", "a number of 0 or more, got "},
      {"optimizer.weight_decay", "a number from 0 to 1, got "},
      {"label_smoothing", "a number from 0 to 0.999, got "},
      {"data.augment.mixup", "a number from 0 to 100, got "},
      {"layer_decay", "a number from 0.001 to 1, got "}};
  for (const auto& [key, expected] : keys) {
    for (const char* value : {"nan", "NaN", "inf", "-inf", "1e999"})
      EXPECT_EQ(error_with(key + '=' + value),
                "recipe: " + key + ": expected " + expected + "a string (\"" + value + "\")");
    EXPECT_NE(error_with(key + "=-1").find("recipe: " + key + ": expected "), std::string::npos);
  }
  for (const char* value : {"nan", "-1e999"})
    EXPECT_NE(error_with(std::string("epochs=") + value).find("an integer from 1 to 1000000"),
              std::string::npos);
  EXPECT_NE(error_with(R"(data.normalize={"mean":["nan"],"std":[1]})").find("numbers from 0 to 1"),
            std::string::npos);
  // All digits are shown, so that what is beyond a limit does not look as if it were within.
  EXPECT_EQ(error_with("ema_decay=0.9999999"),
            "recipe: ema_decay: expected 0 to 0.999999, got 0.9999999");
}

TEST(Recipe, values_have_ranges) {
  EXPECT_EQ(error_with("data.batch=0"), "recipe: data.batch: expected 1 to 65536, got 0");
  EXPECT_EQ(error_with("schedule.lr=-0.1"), "recipe: schedule.lr: expected 0 or more, got -0.1");
  EXPECT_NE(error_with("model.se.gate=softmax").find("expected one of sigmoid, tanh, relu"),
            std::string::npos);
  EXPECT_NE(error_with("schedule={\"name\":\"multistep\",\"milestones\":[3,1]}").find("ascending"),
            std::string::npos);
  EXPECT_NE(error_with("optimizer.momentum=0").find("nesterov"), std::string::npos);
  EXPECT_NE(error_with("optimizer.name=adam").find("sgd, adamw"), std::string::npos);
  EXPECT_NE(error_with("optimizer.beta2=1").find("optimizer.beta2: expected 0 to"),
            std::string::npos);
  EXPECT_NE(error_with("freeze_norm_epochs=20").find("leaves no epoch of 20"), std::string::npos);
  EXPECT_NE(error_with("data.normalize={\"mean\":[0.5],\"std\":[1,1]}").find("1 and 2"),
            std::string::npos);
  EXPECT_NE(error_of([] { recipe_from(Json::object()); }).find("model.name is missing"),
            std::string::npos);
}

// A key that nothing would read, or that undoes another, is refused by name.
TEST(Recipe, combinations_without_a_meaning_are_refused) {
  const auto refused = [](const char* schedule, const char* part) {
    const std::string message = error_with(std::string("schedule=") + schedule);
    EXPECT_NE(message.find(part), std::string::npos) << schedule << ": " << message;
  };
  refused(R"({"name":"one_cycle_linear","warmup_epochs":2})", "use schedule.warmup_fraction");
  refused(R"({"name":"cosine","warmup_fraction":0.3})",
          "only one_cycle_linear and triangular use it");
  refused(R"({"name":"cosine","milestones":[1]})", "only multistep");
  refused(R"({"name":"cosine","step_epochs":2})", "only step");
  refused(R"({"name":"cosine","gamma":0.5})", "only step and multistep");
  refused(R"({"name":"step","final_lr":0.01})", "only cosine");
  refused(R"({"name":"cosine","warmup_start_lr":0.01})", "warmup_epochs is 0");
  refused(R"({"name":"cosine","warmup":"constant"})", "warmup_epochs is 0");
  refused(R"({"name":"cosine","warmup_epochs":2,"warmup":"constant"})", "trains nothing");
  refused(R"({"name":"cosine","lr":0.1,"warmup_epochs":2,"warmup_start_lr":0.2})", "at most");
  refused(R"({"name":"cosine","lr":0.1,"final_lr":0.2})", "at most");
  refused(R"({"name":"cosine","warmup_epochs":21})", "is more than epochs");
  refused(R"({"name":"multistep","milestones":[1,9],"warmup_epochs":2})", "not behind the warm-up");
  EXPECT_NE(error_with(R"(optimizer={"name":"adamw","momentum":0.8})").find("beta1 instead"),
            std::string::npos);
  EXPECT_NE(error_with("optimizer.beta2=0.9").find("only adamw"), std::string::npos);
  EXPECT_NE(error_with("data.augment.rand_augment.magnitude=7").find("no operations"),
            std::string::npos);
  // A run that began before this was asked goes on.
  Json stored = minimal();
  set_value(stored, "schedule.warmup_epochs=2");
  EXPECT_NO_THROW(recipe_from(stored, Recipe::Source::stored));
}

TEST(Recipe, averages_of_weights_are_warmed_up_but_not_those_of_older_runs) {
  EXPECT_TRUE(recipe_from(minimal()).ema_warmup);
  EXPECT_FALSE(recipe_from(minimal(), Recipe::Source::stored).ema_warmup);
}

TEST(Recipe, unknown_keys_are_answered_with_what_they_may_have_meant) {
  EXPECT_NE(error_with("optimizer.momentun=0.9").find("did you mean momentum?"), std::string::npos);
  const std::string far = error_with("zebra_stripes=1");
  EXPECT_EQ(far.find("did you mean"), std::string::npos) << far;
  EXPECT_NE(far.find("known here are"), std::string::npos) << far;
}

TEST(Recipe, set_takes_json_or_text_and_makes_objects) {
  Json json = Json::object();
  set_value(json, "a.b=1e-3");
  set_value(json, "a.c=cosine");
  set_value(json, "a.d=x=y");
  EXPECT_EQ(json.dump(), R"({"a":{"b":0.001,"c":"cosine","d":"x=y"}})");
  EXPECT_NE(error_of([&] { set_value(json, "a.b.c=1"); }).find("inside a number"),
            std::string::npos);
  EXPECT_NE(error_of([&] { set_value(json, "a.b"); }).find("expected key=value"),
            std::string::npos);
}

TEST(Recipe, model_assignments_are_relative_to_the_model) {
  const ModelRecipe model =
      model_recipe("se_resnet20", 7, {"se.reduction=4", "model.se.bias=false"});
  EXPECT_EQ(model.options.se.reduction, 4);
  EXPECT_FALSE(model.options.se.bias);
  EXPECT_EQ(model.options.classes, 7);
  EXPECT_NE(error_of([] { model_recipe("resnet20", 0, {"se.redaction=4"}); }).find("reduction"),
            std::string::npos);
}

TEST(Recipe, variants_of_se) {
  Json json = minimal();
  set_value(json, "model.se.reduction=[4,8,16]");
  set_value(json, "model.se.stages=[2,4]");
  set_value(json, "model.se.squeeze=none");
  set_value(json, "model.se.placement=identity");
  set_value(json, "model.blocks=[1,2,1]");
  const Recipe recipe = recipe_from(json);
  const nn::SESpec& se = recipe.model.options.se;
  EXPECT_EQ(se.stage_reductions, (std::vector<std::int64_t>{4, 8, 16}));
  EXPECT_EQ(se.reduction, 16);
  EXPECT_EQ(se.stages, (std::vector<std::int64_t>{2, 4}));
  EXPECT_EQ(se.squeeze, "none");
  EXPECT_EQ(se.placement, "identity");
  EXPECT_EQ(recipe.model.options.blocks, (std::vector<std::int64_t>{1, 2, 1}));
  EXPECT_EQ(to_json(recipe)["model"]["se"]["reduction"], Json::parse("[4,8,16]"));
  EXPECT_EQ(to_json(recipe_from(to_json(recipe))), to_json(recipe));
  EXPECT_NE(error_with("model.se.stages=[2.5]").find("expected a list of integers"),
            std::string::npos);
  EXPECT_NE(error_with("model.se.reduction=[4,0]").find("model.se.reduction: expected 1 to 65536"),
            std::string::npos);
  EXPECT_NE(error_with("model.se.kind=cbm").find("ge, ese, cbam"), std::string::npos);
}

TEST(Recipe, remembers_what_the_paper_prints) {
  Json json = minimal();
  EXPECT_FALSE(recipe_from(json).paper);
  EXPECT_FALSE(to_json(recipe_from(json)).contains("paper"));
  json["paper"] = {{"table", "10"}, {"row", "r = 4"}, {"top1_error", 22.25}, {"parameters", 7}};
  const Recipe recipe = recipe_from(json);
  ASSERT_TRUE(recipe.paper);
  EXPECT_EQ(recipe.paper->row, "r = 4");
  EXPECT_EQ(recipe.paper->top1_error, 22.25);
  EXPECT_EQ(recipe.paper->parameters, 7);
  EXPECT_EQ(recipe.paper->gflops, 0);
  EXPECT_EQ(to_json(recipe_from(to_json(recipe))), to_json(recipe));
  EXPECT_NE(error_with("paper.top1_eror=3").find("paper.top1_eror; did you mean top1_error?"),
            std::string::npos);
  EXPECT_NE(error_with("paper.top1_error=103").find("expected 0 to 100"), std::string::npos);
}

TEST(Recipe, first_difference_is_a_path) {
  Json a = minimal(), b = minimal();
  EXPECT_FALSE(first_difference(a, b));
  set_value(b, "model.se.bias=false");
  EXPECT_EQ(first_difference(a, b).value().path, "model.se");
  set_value(a, "model.se.bias=true");
  EXPECT_EQ(first_difference(a, b).value().path, "model.se.bias");
}

TEST(Recipe, dtype_follows_the_processor) {
  EXPECT_EQ(activation_dtype("f32"), DType::f32);
  EXPECT_EQ(activation_dtype("auto"), ops::processor().bf16 ? DType::bf16 : DType::f32);
  EXPECT_NE(error_of([] { activation_dtype("f64"); }).find("f32, bf16 or auto"), std::string::npos);
  EXPECT_EQ(activation_dtype("bf16"), DType::bf16);
  // Where it is no faster than f32 it says so.
  EXPECT_EQ(ops::choose_precision("bf16").warning, !ops::processor().bf16);
}

// Everything the speed-run's recipes say is read, written and read back; what nothing reads is not.
TEST(Recipe, SpeedrunKeys) {
  const std::string text = R"({
    "model": {"name": "se_speednet94", "activation": "silu", "norm": {"momentum": 0.3, "eps": 1e-6}},
    "data": {"augment": {"pad_crop": 2, "padding_mode": "reflect", "flip": "alternating"}},
    "optimizer": {"name": "muon", "momentum": 0.6, "newton_schulz": 5, "normalize": false},
    "parameter_groups": [{"names": "fc.*", "optimizer": "sgd", "momentum": 0.85, "epochs": 3}],
    "schedule": {"name": "triangular", "lr": 0.2, "warmup_start_lr": 0.04, "final_lr": 0.01,
                 "warmup_fraction": 0.23}, "epochs": 8})";
  const Recipe r = Recipe::parse(text);
  EXPECT_EQ(r.model.options.activation, "silu");
  EXPECT_EQ(r.model.options.norm_momentum, 0.3);
  EXPECT_TRUE(r.data.augment.reflect && r.data.augment.flip && r.data.augment.alternating);
  EXPECT_EQ(r.optimizer.newton_schulz, 5);
  EXPECT_FALSE(r.optimizer.normalize);
  ASSERT_EQ(r.parameter_groups.size(), 1u);
  EXPECT_EQ(
      r.parameter_groups[0],
      (optim::ParameterGroup{.names = "fc.*", .optimizer = "sgd", .momentum = 0.85, .epochs = 3}));
  EXPECT_EQ(Recipe::parse(r.text(), Recipe::Source::stored).text(), r.text());
  EXPECT_EQ(Recipe::parse(r.text()).text(), r.text());
  const auto refused = [&](const std::vector<std::string>& set, const std::string& part) {
    const std::string said = error_of([&] { Recipe::parse(text).with(set); });
    EXPECT_NE(said.find(part), std::string::npos) << said;
  };
  refused({"data.augment.pad_crop=0"}, "padding_mode");
  refused({"data.augment.flip=sometimes"}, "alternating");
  refused({"optimizer.name=sgd"}, "only muon");
  refused({"schedule.final_lr=1"}, "triangular");
  refused({"parameter_groups=[{\"names\":\"fc.*\",\"optimizer\":\"nobody\"}]"}, "optimizer");
}

}  // namespace
}  // namespace exciton::train::testing
