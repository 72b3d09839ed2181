/// `exciton weights`, `import`, `export`, `finetune` as a user runs them.
#include <gtest/gtest.h>

#include <fstream>

#include "exciton/train/json.hpp"
#include "tests/apps/support.hpp"

namespace exciton::apps::testing {
namespace {

std::string made(const std::string& name) { return std::string(EXCITON_WEIGHT_FILES) + '/' + name; }

class Weights : public ::testing::Test {
 protected:
  void SetUp() override {
    write_tiny_data(dir / "data");
    write_tiny_recipe(dir / "recipe.json", dir / "data");
    succeed({"train", (dir / "recipe.json").string(), "--out", base()});
  }
  std::string base() const { return (dir / "base").string(); }
  std::string at(const std::string& name) const { return (dir / name).string(); }
  TempDir dir;
};

TEST_F(Weights, GoOutAndComeBackWithTheSameAccuracy) {
  const Result out = succeed({"export", base(), "--out", at("x.safetensors")});
  EXPECT_NE(out.out.find("read back, 8 images"), std::string::npos) << out.out;
  const train::Json seen =
      train::Json::parse(succeed({"weights", at("x.safetensors"), "--json"}).out);
  EXPECT_EQ(seen["container"], "safetensors");
  EXPECT_EQ(seen["sources"][0]["source"], "exciton");
  succeed({"import", at("x.safetensors"), "--out", at("back")});
  const auto accuracy = [&](const std::string& run) {
    const train::Json json = train::Json::parse(
        succeed({"eval", run, "--data", at("data"), "--batch", "16", "--json"}).out);
    return std::pair(json["top1"], json["loss"]);
  };
  EXPECT_EQ(accuracy(base()), accuracy(at("back")));
  // Nothing is written over, and an imported run has no data of its own.
  expect_failure({"import", at("x.safetensors"), "--out", at("back")}, {"is not empty"});
  expect_failure({"eval", at("back")}, {"imported", "--data DIR"});
}

TEST_F(Weights, BecomeAnOnnxFileThatIsProven) {
  const train::Json json = train::Json::parse(
      succeed({"export", base(), "--out", at("x.onnx"), "--fold", "--input", "pixels", "--json"})
          .out);
  EXPECT_LE(json["compared"]["largest_difference"].get<double>(),
            1e-4 * std::max(1.0, json["compared"]["largest_logit"].get<double>()));
  EXPECT_FALSE(json["compared"]["noise"].get<bool>());
  EXPECT_TRUE(std::filesystem::exists(at("x.onnx")));
  EXPECT_FALSE(std::filesystem::exists(at("x.unproven.onnx")));
  expect_failure({"weights", at("x.onnx")}, {"ONNX is written, not read"});
  expect_failure({"export", base(), "--out", at("x.pb")}, {".safetensors or .onnx"});
  expect_failure({"export", base(), "--out", at("y.safetensors"), "--fold"}, {"for ONNX"});
  expect_failure({"export", base(), "--out", at("no/such/folder/x.safetensors")},
                 {"no/such/folder"});
}

TEST_F(Weights, BeginARunInOneCommand) {
  const Result first = succeed({"finetune", at("data"), "--from", base(), "--out", at("tuned"),
                                "--epochs", "1", "--freeze", "conv1,bn1", "--threads", "1"});
  EXPECT_NE(first.out.find("Begins with"), std::string::npos) << first.out;
  const train::Json recipe = train::Json::parse(read_file(dir / "tuned/recipe.json"));
  EXPECT_EQ(recipe["freeze"], (train::Json{"conv1", "bn1"}));
  EXPECT_EQ(recipe["init"]["weights"], base());
  succeed({"finetune", at("data"), "--from", base(), "--out", at("tuned"), "--resume"});
  expect_failure(
      {"finetune", at("data"), "--from", base(), "--out", at("other"), "--freeze", "stage9"},
      {"nothing is named \"stage9\""});
  expect_failure({"finetune", at("data"), "--from", at("none"), "--out", at("other")}, {"none"});
  succeed(
      {"train", at("recipe.json"), "--init", at("tuned"), "--out", at("again"), "--epochs", "1"});
}

TEST(WeightFiles, AreToldOfOrRefusedInOneLine) {
  const Result seen = succeed({"weights", made("training.pth")});
  for (const char* part :
       {"PyTorch (zip)", "state_dict", "module.", "conv.weight", "fits no source"})
    EXPECT_NE(seen.out.find(part), std::string::npos) << part << '\n' << seen.out;
  const TempDir dir;
  const std::string out = (dir / "run").string();
  expect_failure({"import", made("training.pth"), "--model", "resnet20", "--out", out},
                 {"fits no source of resnet20", "missing"});
  expect_failure({"import", made("averaged.pth"), "--model", "resnet20", "--out", out},
                 {"choose one by its key"});
  expect_failure({"import", made("script.pt"), "--model", "resnet20", "--out", out},
                 {"TorchScript"});
  expect_failure({"import", made("state.pt"), "--from", "timm/resnet51", "--out", out},
                 {"no source", "did you mean"});
  expect_failure({"import", (dir / "none").string(), "--out", out}, {"none"});
  EXPECT_FALSE(std::filesystem::exists(out));
}

}  // namespace
}  // namespace exciton::apps::testing
