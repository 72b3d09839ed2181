/// study, report, prune, trace and TensorBoard files as their user sees them.
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "apps/study/families.hpp"
#include "apps/study/statistics.hpp"
#include "exciton/data/dataset.hpp"
#include "exciton/nn/summary.hpp"
#include "exciton/train/inspect/pruning.hpp"
#include "exciton/train/recipe_json.hpp"
#include "exciton/train/tensorboard.hpp"
#include "tests/apps/support.hpp"

namespace exciton::apps::testing {
namespace {
namespace fs = std::filesystem;

TEST(Statistics, AgreesWithTables) {
  // Quantiles from published tables of Student's distribution.
  EXPECT_NEAR(t_quantile(0.05, 1), 12.7062047, 1e-6);
  EXPECT_NEAR(t_quantile(0.05, 2), 4.3026527, 1e-6);
  EXPECT_NEAR(t_quantile(0.05, 9), 2.2621572, 1e-6);
  EXPECT_NEAR(t_quantile(0.01, 30), 2.7499957, 1e-6);
  EXPECT_NEAR(two_sided_p(0, 5), 1, 1e-12);
  EXPECT_NEAR(two_sided_p(1, 1), 0.5, 1e-12);                      // Cauchy
  EXPECT_NEAR(two_sided_p(-2, 2), 1 - 2 / std::sqrt(6.0), 1e-12);  // closed form for 2
  EXPECT_NEAR(half_interval({1, 2, 3}), 4.3026527 / std::sqrt(3.0), 1e-6);
  EXPECT_TRUE(std::isinf(half_interval({1})));
}

TEST(Statistics, StudentsTailsByClosedFormsAndByTheDensity) {
  for (const double t : {0.01, 0.3, 1.0, 2.5, 7.0, 40.0}) {
    // Closed forms for 3 and 4 degrees, with the angle atan(t / sqrt(freedom)).
    const double three = std::atan(t / std::sqrt(3.0)), four = std::atan(t / 2);
    EXPECT_NEAR(two_sided_p(t, 3), 1 - (three + std::sin(three) * std::cos(three)) * 2 / M_PI,
                1e-13);
    EXPECT_NEAR(two_sided_p(t, 4), 1 - std::sin(four) * (1 + std::pow(std::cos(four), 2) / 2),
                1e-13);
    for (const double freedom : {1.3, 5.882, 61.0, 1e4}) {
      // Simpson's rule over the density from 0 to t.
      const double scale = std::exp(std::lgamma((freedom + 1) / 2) - std::lgamma(freedom / 2)) /
                           std::sqrt(freedom * M_PI);
      constexpr int pieces = 20'000;
      double inside = 0;
      for (int i = 0; i <= pieces; ++i) {
        const double at = t * i / pieces;
        const double weight = i == 0 || i == pieces ? 1 : i % 2 ? 4 : 2;
        inside += weight * scale * std::pow(1 + at * at / freedom, -(freedom + 1) / 2);
      }
      inside *= t / pieces / 3;
      EXPECT_NEAR(two_sided_p(t, freedom), 1 - 2 * inside, 1e-9) << t << ' ' << freedom;
    }
  }
  for (const double freedom : {1.0, 2.7, 30.0, 500.0})
    for (const double p : {1.0, 0.5, 0.05, 1e-6})
      EXPECT_NEAR(two_sided_p(t_quantile(p, freedom), freedom), p, 1e-12 + p * 1e-9);
}

TEST(Statistics, WelchAndHolm) {
  // Means 3 and 7, variances 2.5 and 10 of 5 values each: t = -4 / sqrt(2.5), freedom by hand
  // (0.5 + 2)^2 / (0.25 / 4 + 4 / 4) = 5.882...
  const Welch w = welch_test({1, 2, 3, 4, 5}, {3, 5, 7, 9, 11});
  EXPECT_NEAR(w.difference, -4, 1e-12);
  EXPECT_NEAR(w.t, -4 / std::sqrt(2.5), 1e-12);
  EXPECT_NEAR(w.freedom, 6.25 / 1.0625, 1e-12);
  EXPECT_GT(w.p, 0.04);
  EXPECT_LT(w.p, 0.05);
  EXPECT_EQ(welch_test({1}, {5, 6}).p, 1);
  const std::vector<double> p = holm({0.03, 0.01, 0.04});
  EXPECT_NEAR(p[1], 0.03, 1e-12);
  EXPECT_NEAR(p[0], 0.06, 1e-12);
  EXPECT_NEAR(p[2], 0.06, 1e-12);
}

TEST(Study, ClaimsOnlyWhatTheSeedsSupport) {
  Family family = study_family("baseline");
  std::vector<VariantResult> results(2);
  results[0].errors = {8.0, 8.4, 8.2};
  results[1].errors = {8.1, 8.3, 8.0};
  EXPECT_EQ(compare(family, results)[1].verdict, "no difference shown");
  results[1].errors = {7.0, 7.1, 7.05};
  EXPECT_EQ(compare(family, results)[1].verdict, "lower error");
  EXPECT_EQ(compare(family, results)[0].verdict, "");
  results[0].errors = {8.0};
  results[1].errors = {1.0};
  EXPECT_EQ(compare(family, results)[1].verdict, "no difference shown");
}

TEST(Study, EveryFamilyTrainsSomethingElse) {
  for (const std::string& name : study_names()) {
    const Family family = study_family(name);
    const train::Json base =
        train::read_json(std::string(EXCITON_RECIPES) + "/cifar10_se_resnet20_fast.json");
    std::vector<std::string> seen;
    ASSERT_LT(family.reference, family.variants.size());
    for (const Variant& variant : family.variants) {
      const train::Recipe recipe = variant_recipe(base, variant, 7);
      EXPECT_EQ(recipe.seed, 7u);
      const std::string text = to_json(recipe)["model"].dump();
      EXPECT_EQ(std::count(seen.begin(), seen.end(), text), 0) << name << ' ' << variant.name;
      seen.push_back(text);
      nn::make_model(recipe.model.name, recipe.model.options);
    }
  }
  EXPECT_NE(error_of([] { study_family("squeez"); }).find("squeeze"), std::string::npos);
}

TEST(TensorBoard, ChecksumIsThatOfTheRfc) {
  EXPECT_EQ(train::crc32c("123456789"), 0xe3069283u);
  EXPECT_EQ(train::crc32c(std::string(32, '\0')), 0x8a9136aau);
}

class Studies : public ::testing::Test {
 protected:
  void SetUp() override {
    write_tiny_data(dir_ / "data");
    write_tiny_recipe(dir_ / "recipe.json", dir_ / "data");
  }
  std::string path(const std::string& name) const { return (dir_ / name).string(); }
  std::vector<std::string> study(const std::string& out) const {
    return {"study", "baseline", "--seeds",           "2",     "--epochs",
            "2",     "--recipe", path("recipe.json"), "--out", path(out)};
  }
  TempDir dir_;
};

TEST_F(Studies, AKilledStudyEndsInTheSameTable) {
  const Result whole = succeed(study("whole"));
  EXPECT_NE(whole.out.find("±"), std::string::npos) << whole.out;
  EXPECT_NE(whole.out.find("22.28"), std::string::npos) << "the paper's row";
  Process process(study("cut"));
  while (process.running() && !fs::exists(path("cut") + "/se-seed1/log.jsonl"))
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  process.signal(SIGKILL);
  EXPECT_EQ(process.wait().code, 128 + SIGKILL);
  EXPECT_FALSE(fs::exists(path("cut") + "/study.json"));
  succeed(study("cut"));
  train::Json a = train::read_json(path("whole") + "/study.json"),
              b = train::read_json(path("cut") + "/study.json");
  ASSERT_EQ(a["variants"].size(), 2u);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(a["variants"][i]["errors"], b["variants"][i]["errors"]);
    EXPECT_EQ(a["variants"][i]["errors"].size(), 2u);
  }
  // Nothing is trained twice.
  const Result again = succeed(study("cut"));
  EXPECT_EQ(again.out.find("epoch 1/"), std::string::npos) << again.out;
  const std::string markdown = read_file(path("cut") + "/study.md");
  for (const char* part : {"| variant |", "Welch", "exciton study baseline --seeds 2"})
    EXPECT_NE(markdown.find(part), std::string::npos) << part << " in " << markdown;
  const std::string csv = read_file(path("cut") + "/study.csv");
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 5);
  std::vector<std::string> as_json = study("cut");
  as_json.push_back("--json");
  EXPECT_EQ(train::Json::parse(run(as_json).out)["variants"], b["variants"]);
  check_in_browser(path("cut") + "/study.html");
}

// The speed-run's own recipes, on tiny images and with tiny networks.
TEST_F(Studies, SpeedrunTrainsEvaluatesByViewsAndGoesOn) {
  std::vector<std::string> call{
      "study",       "speedrun",   "--targets",
      "94",          "--se",       "--seeds",
      "2",           "--epochs",   "1",
      "--data",      path("data"), "--out",
      path("speed"), "--recipe",   std::string(EXCITON_RECIPES) + "/speedrun"};
  for (const char* setting : {"data.kind=auto", "data.image_size=16", "data.batch=16",
                              "data.validation=test", "data.workers=0", "model.widths=[8,8,8]"})
    call.insert(call.end(), {"--set", setting});
  const Result first = succeed(call);
  for (const char* part : {"94-se", "±", "with six views", "PFLOP", "points with views"})
    EXPECT_NE(first.out.find(part), std::string::npos) << part << " in " << first.out;
  const train::Json json = train::read_json(path("speed") + "/study.json");
  ASSERT_EQ(json["networks"].size(), 2u);
  for (const train::Json& network : json["networks"]) {
    EXPECT_EQ(network["top1"].size(), 2u);
    EXPECT_EQ(network["top1_views"].size(), 2u);
    EXPECT_GT(network["pflop"].get<double>(), 0);
  }
  EXPECT_EQ(json["se"].size(), 1u);
  const Result again = succeed(call);
  EXPECT_EQ(again.out.find("epoch 1/"), std::string::npos) << again.out;
  EXPECT_EQ(again.out.find("Six views of"), std::string::npos) << "measured once";
  EXPECT_EQ(train::read_json(path("speed") + "/study.json"), json);
  call.push_back("--json");
  EXPECT_EQ(train::Json::parse(run(call).out)["networks"], json["networks"]);
  const Result wrong = run({"study", "baseline", "--targets", "94"});
  EXPECT_NE(wrong.code, 0);
  EXPECT_NE(wrong.err.find("speedrun"), std::string::npos) << wrong.err;
  const Result views =
      succeed({"eval", path("speed") + "/94-seed1", "--views", "mirror_translate"});
  EXPECT_NE(views.out.find("moved by a pixel"), std::string::npos) << views.out;
}

TEST_F(Studies, SpeedrunComparesVariantsOfSE) {
  std::vector<std::string> call{"study",     "speedrun",
                                "--targets", "94",
                                "--seeds",   "2",
                                "--epochs",  "1",
                                "--data",    path("data"),
                                "--out",     path("variants"),
                                "--recipe",  std::string(EXCITON_RECIPES) + "/speedrun"};
  for (const char* setting : {"data.kind=auto", "data.image_size=16", "data.batch=16",
                              "data.validation=test", "data.workers=0", "model.widths=[8,8,8]"})
    call.insert(call.end(), {"--set", setting});
  for (const char* variant :
       {"model.se.placement=post model.se.reduction=4", " label_smoothing=0.1  "})
    call.insert(call.end(), {"--variant", variant});
  succeed(call);
  const train::Json json = train::read_json(path("variants") + "/study.json");
  ASSERT_EQ(json["networks"].size(), 3u) << "the plain one and two variants";
  EXPECT_EQ(json["networks"][1]["name"], "94-se placement=post reduction=4");
  EXPECT_EQ(json["networks"][2]["name"], "94-se label_smoothing=0.1");
  // 8 channels and, at the recipe's least, 8 hidden units in both.
  EXPECT_EQ(json["networks"][1]["parameters"], json["networks"][2]["parameters"]);
  ASSERT_EQ(json["se"].size(), 2u);
  for (const train::Json& gain : json["se"]) {
    EXPECT_EQ(gain["of"], "94");
    EXPECT_GE(gain["p_corrected"].get<double>(), gain["p"].get<double>());
  }
  const train::Json recipe =
      train::read_json(path("variants") + "/94-se,placement=post,reduction=4-seed2/recipe.json");
  EXPECT_EQ(recipe["model"]["se"]["placement"], "post");
  EXPECT_EQ(recipe["model"]["se"]["reduction"], 4);
  const auto fails = [&](const std::vector<std::string>& variants,
                         const std::vector<std::string>& parts) {
    std::vector<std::string> wrong{"study", "speedrun", "--recipe",
                                   std::string(EXCITON_RECIPES) + "/speedrun"};
    for (const std::string& variant : variants) wrong.insert(wrong.end(), {"--variant", variant});
    expect_failure(wrong, parts);
  };
  fails({"  "}, {"changes nothing", "model.se.placement"});
  fails({"model.se.reduction=4", "model.se.reduction=4"}, {"reduction=4", "twice"});
  fails({"model.se.place=post"}, {"place", "placement"});
  expect_failure({"study", "speedrun", "--recipe", std::string(EXCITON_RECIPES) + "/speedrun",
                  "--targets", "94,94"},
                 {"94", "twice"});
  expect_failure({"study", "gate", "--variant", "model.se.reduction=4"}, {"speedrun"});
}

TEST_F(Studies, ReportShowsRunsSideBySide) {
  for (const char* name : {"a", "b"})
    succeed({"train", path("recipe.json"), "--out", path(name), "--epochs",
             name[0] == 'a' ? "2" : "3"});
  const Result text = succeed({"report", path("a"), path("b"), "--out", path("report.html")});
  EXPECT_NE(text.out.find(path("b")), std::string::npos);
  const train::Json json =
      train::Json::parse(succeed({"report", path("a"), path("b"), "--json"}).out);
  const std::vector<train::Json> log = read_log(path("b"));
  EXPECT_EQ(json["runs"][1]["test_top1"], log.back()["test_top1"]);
  EXPECT_EQ(json["runs"][1]["curves"]["lr"].size(), 3u);
  expect_failure({"report", path("data")}, {"no recipe.json", "run folder"});
  check_in_browser(path("report.html"));
}

TEST_F(Studies, EventFilesAndGateCounts) {
  const std::vector<std::string> train{"train",         path("recipe.json"), "--out",
                                       path("run"),     "--tensorboard",     "--set",
                                       "log.gates=true"};
  succeed(train);
  const std::vector<train::Json> log = read_log(path("run"));
  EXPECT_EQ(log[0]["gates"]["channels"], 336);
  EXPECT_EQ(log[1]["gates"]["blocks"].size(), 9u);
  const std::string check = std::string("python3 ") + EXCITON_TEST_SCRIPTS + "/check_events.py " +
                            path("run") + "/tensorboard/*tfevents* " + path("run") + "/log.jsonl";
  EXPECT_EQ(std::system(check.c_str()), 0);
  // A resume goes on in the same file.
  succeed({"train", path("run"), "--resume", "--epochs", "2", "--tensorboard"});
  EXPECT_EQ(std::system(check.c_str()), 0);
}

TEST_F(Studies, PrunedNetworksAreDenseAndSmaller) {
  succeed({"train", path("recipe.json"), "--out", path("run")});
  // Fine-tuning tells of itself on stderr.
  const Result pruned =
      run({"prune", path("run"), "--keep", "0.5", "--fine-tune", "2", "--threads", "1", "--json"});
  ASSERT_EQ(pruned.code, 0) << pruned.err;
  const train::Json json = train::Json::parse(pruned.out);
  EXPECT_EQ(json["widths"], (train::Json{8, 16, 32}));
  const train::Json counted = train::Json::parse(
      succeed({"summary", "se_resnet20", "--channels", "1", "--image", "8", "--set",
               "widths=[8,16,32]", "--set", "se.reduction=[8,8,8]", "--json"})
          .out);
  EXPECT_EQ(json["after"]["parameters"], counted["parameters"]);
  EXPECT_EQ(json["after"]["multiply_adds"], counted["multiply_adds"]);
  EXPECT_LT(2 * json["after"]["parameters"].get<int>(), json["before"]["parameters"].get<int>());
  EXPECT_EQ(read_log(path("run-pruned")).size(), 2u);
  const train::Json eval = train::Json::parse(succeed({"eval", path("run-pruned"), "--json"}).out);
  EXPECT_EQ(eval["top1"], json["fine_tuned"]["top1"]);
  succeed({"bench", "infer", path("run-pruned"), "--batch", "2", "--steps", "1", "--threads", "1"});
  expect_failure({"prune", path("run"), "--keep", "0.5"}, {"not empty"});
  // Widths are rounded to what vectors hold, unless told otherwise.
  const auto widths = [&](const char* out, const char* multiple) {
    return train::Json::parse(succeed({"prune", path("run"), "--keep", "0.8", "--multiple",
                                       multiple, "--out", path(out), "--threads", "1", "--json"})
                                  .out)["widths"];
  };
  EXPECT_EQ(widths("eights", "8"), (train::Json{16, 24, 48}));
  EXPECT_EQ(widths("exact", "1"), (train::Json{13, 26, 51}));
  expect_failure({"prune", path("run"), "--multiple", "0", "--out", path("none")}, {"--multiple"},
                 2);
}

/// Channels whose gates are nothing can go without a trace in the output.
TEST_F(Studies, PruningKeepsWhatIsLeftAsItWas) {
  succeed({"train", path("recipe.json"), "--out", path("run")});
  train::TrainedModel trained = train::load(path("run"));
  const auto set = data::open_dataset("fashion-mnist", path("data"), "test");
  // All kept: the same network.
  train::Pruned whole = prune(trained, set, 1, 0);
  Generator rng(3);
  const Tensor x = Tensor::randn({4, 8, 8, 1}, rng);
  const Tensor a = (*trained.model.net)(x).value(), b = (*whole.model.net)(x).value();
  for (std::int64_t i = 0; i < a.numel(); ++i) EXPECT_EQ(a.at(i), b.at(i));
  // Half kept: weights are those of the kept channels, in order.
  train::Pruned half = prune(trained, set, 0.5, 0);
  const auto of = [](nn::Module& net, const std::string& name) {
    for (const auto& [own, p] : nn::parameters(net))
      if (own == name) return p->value();
    return Tensor();
  };
  const Tensor before = of(*trained.model.net, "stage2.0.conv2.weight");
  const Tensor after = of(*half.model.net, "stage2.0.conv2.weight");
  ASSERT_EQ(after.shape(), (Shape{16, 16, 3, 3}));
  const auto &rows = half.kept.stream[1], &columns = half.kept.inner[1][0];
  for (std::int64_t i = 0; i < 16; ++i)
    for (std::int64_t j = 0; j < 16; ++j)
      EXPECT_EQ(after.at((i * 16 + j) * 9 + 4), before.at((rows[static_cast<std::size_t>(i)] * 32 +
                                                           columns[static_cast<std::size_t>(j)]) *
                                                              9 +
                                                          4));
}

TEST(Trace, WritesTheTape) {
  const Result text =
      succeed({"trace", "--set", "blocks=[1,1,1]", "--image", "8", "--threads", "1"});
  for (const char* part : {"residual_tail", "cross_entropy", "Backward",
                           "adds to grad of fc.weight", "ops/se/residual_tail.hpp"})
    EXPECT_NE(text.out.find(part), std::string::npos) << part << " in " << text.out;
  const train::Json json =
      train::Json::parse(succeed({"trace", "--plain", "--set", "blocks=[1,1,1]", "--image", "8",
                                  "--threads", "1", "--json"})
                             .out);
  int scales = 0;
  for (const train::Json& entry : json["entries"]) scales += entry["operation"] == "scale";
  EXPECT_EQ(scales, 3);
  EXPECT_EQ(json["entries"].back()["operation"], "cross_entropy");
}

}  // namespace
}  // namespace exciton::apps::testing
