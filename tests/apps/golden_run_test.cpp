/// A run folder of an older program goes on as that program would have gone on.
#include <gtest/gtest.h>

#include <sstream>

#include "exciton/train/recipe_json.hpp"
#include "tests/apps/support.hpp"

namespace exciton::apps::testing {
namespace {
namespace fs = std::filesystem;

class GoldenRun : public ::testing::Test {
 protected:
  void SetUp() override {
    fs::copy(golden_ / "run", dir_ / "run", fs::copy_options::recursive);
    std::istringstream lines(read_file(golden_ / "expected.jsonl"));
    for (std::string line; std::getline(lines, line);)
      expected_.push_back(train::Json::parse(line));
  }
  std::string run() const { return (dir_ / "run").string(); }
  std::string data() const { return (golden_ / "data").string(); }
  /// The same steps, rates and images as the old program's; losses as near as mended numerics
  /// allow.
  void expect_as_begun() const {
    const std::vector<train::Json> log = read_log(run());
    ASSERT_EQ(log.size(), 4u);
    for (std::size_t i = 0; i < log.size(); ++i) {
      EXPECT_EQ(log[i]["lr"], expected_[i]["lr"]);
      for (const char* key : {"train_loss", "test_loss"})
        EXPECT_NEAR(log[i][key].get<double>(), expected_[i][key].get<double>(), 2e-3) << key;
    }
    EXPECT_FALSE(log[3].contains("val_top1"));
    const train::Checkpoint last = train::read_checkpoint(run() + "/checkpoints/epoch-0004.ckpt");
    const train::Json meta = train::parse_json(last.meta, "test");
    EXPECT_EQ(meta["step"], 4 * (60 / 16));
    EXPECT_EQ(meta["recipe"]["data"]["last_batch"], "drop");
    EXPECT_EQ(meta["recipe"]["data"]["validation"], "test");
  }

  const fs::path golden_ = EXCITON_GOLDEN_RUN;
  TempDir dir_;
  std::vector<train::Json> expected_;
};

TEST_F(GoldenRun, resumes_with_the_steps_and_rates_it_had) {
  const Result result = succeed({"train", run(), "--resume", "--data", data()});
  EXPECT_NE(result.out.find("4 epochs of 3 steps"), std::string::npos) << result.out;
  EXPECT_NE(result.out.find("Begun by a program that rounded differently"), std::string::npos);
  expect_as_begun();
  // Once gone on with, it is a run of today's program.
  const Result again = succeed({"train", run(), "--resume", "--data", data()});
  EXPECT_EQ(again.out.find("rounded differently"), std::string::npos) << again.out;
}

TEST_F(GoldenRun, resumes_from_the_recipe_it_was_begun_with) {
  succeed(
      {"train", (golden_ / "recipe.json").string(), "--out", run(), "--resume", "--data", data()});
  expect_as_begun();
}

TEST_F(GoldenRun, refuses_another_way_of_training_asked_for_by_name) {
  const Result result = expect_failure(
      {"train", run(), "--resume", "--data", data(), "--set", "data.last_batch=train"},
      {"data.last_batch", "\"drop\"", "\"train\""});
  EXPECT_EQ(read_log(run()).size(), 2u);
}

TEST_F(GoldenRun, evaluates_as_it_was_logged) {
  const train::Json eval =
      train::Json::parse(succeed({"eval", run(), "--data", data(), "--json"}).out);
  EXPECT_EQ(eval["images"], 20);
  EXPECT_NEAR(eval["loss"].get<double>(), expected_[1]["test_loss"].get<double>(), 2e-3);
}

TEST_F(GoldenRun, a_recipe_has_the_old_defaults_only_where_it_is_an_old_runs) {
  const train::Json stored = train::read_json(run() + "/recipe.json");
  EXPECT_EQ(
      to_json(train::recipe_from(stored, train::Recipe::Source::stored))["data"]["last_batch"],
      "drop");
  EXPECT_EQ(to_json(train::recipe_from(stored))["data"]["last_batch"], "train");
  train::Json given = train::read_json(golden_ / "recipe.json");
  given["data"]["last_batch"] = "train";
  train::fill_as_begun(given, stored);
  EXPECT_EQ(given["data"]["last_batch"], "train") << "what is said counts";
  EXPECT_EQ(given["data"]["validation"], "test");
  EXPECT_EQ(to_json(train::as_begun(train::recipe_from(given), stored))["data"]["last_batch"],
            "drop");
  train::Json today = to_json(train::recipe_from(stored));
  EXPECT_EQ(to_json(train::recipe_from(today, train::Recipe::Source::stored)), today);
}

}  // namespace
}  // namespace exciton::apps::testing
