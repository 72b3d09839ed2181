// Detectors through the program: training with kills between, evaluation, prediction, bad input.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <fstream>
#include <thread>

#include "exciton/core/random.hpp"
#include "exciton/data/image.hpp"
#include "tests/apps/support.hpp"
#include "tests/train/squares.hpp"

namespace exciton::apps::testing {
namespace {
namespace fs = std::filesystem;
using train::Json;
using train::testing::make_squares;
using train::testing::small_recipe;

class Detection : public ::testing::Test {
 protected:
  Detection() {
    make_squares(dir_ / "data", 7);
    std::ofstream(dir_ / "recipe.json") << small_recipe(dir_ / "data").dump();
  }
  std::string path(const std::string& name) const { return (dir_ / name).string(); }
  std::vector<std::string> training(const std::string& out) const {
    return {"train", path("recipe.json"),        "--out", path(out), "--resume",
            "--set", "checkpoint.every_steps=1", "--set", "epochs=3"};
  }
  /// The annotations, changed.
  template <class F>
  void change_annotations(const F& change) const {
    const fs::path file = dir_ / "data/annotations/instances_train2017.json";
    Json json = Json::parse(std::ifstream(file));
    change(json);
    std::ofstream(file) << json.dump();
  }
  TempDir dir_;
};

TEST_F(Detection, is_trained_evaluated_and_looked_at) {
  EXPECT_NE(succeed({"data", "info", path("data")}).out.find("7 images"), std::string::npos);
  const Json info = Json::parse(succeed({"data", "info", path("data"), "--json"}).out);
  EXPECT_EQ(info["splits"][0]["categories"][0]["category"], "light");
  const std::string said = succeed({"train", path("recipe.json"), "--out", path("run")}).out;
  for (const char* part :
       {"faster_rcnn over se_resnet18", "objectness", "train AP", "no val split"})
    EXPECT_NE(said.find(part), std::string::npos) << part << " in " << said;
  EXPECT_NE(succeed({"eval", path("run")}).out.find("AP75"), std::string::npos);
  const Json result = Json::parse(
      run({"eval", path("run"), "--json", "--csv", path("boxes.csv"), "--page", path("p.html")})
          .out);
  EXPECT_EQ(result["images"], 7);
  EXPECT_EQ(result["metrics"].size(), 12u);
  EXPECT_TRUE(read_file(dir_ / "boxes.csv").starts_with("image,category,score,x,y,width,height\n"));
  const std::string image = path("data/train2017/4.png");
  const Json seen = Json::parse(
      run({"predict", path("run"), image, "--json", "--score", "0", "--out", path("drawn")}).out);
  EXPECT_EQ(seen[0]["image"], image);
  const data::Image drawn = data::decode_image(dir_ / "drawn/4.png");
  EXPECT_EQ(drawn.pixels == data::decode_image(image).pixels, seen[0]["found"].empty());

  const std::string done = succeed({"train", path("run"), "--resume"}).out;
  EXPECT_NE(done.find("Nothing left to do"), std::string::npos) << done;
  EXPECT_NE(done.find("average precisions"), std::string::npos) << done;
  EXPECT_EQ(done.find("summary"), std::string::npos) << done;
  expect_failure({"eval", path("run"), "--split", "test"}, {"no split test", "there: train"});
  expect_failure({"train", path("data")}, {"has objects to detect", "--data"});
  expect_failure({"report", path("run")}, {"is a detector's"});
  expect_failure({"train", path("run"), "--resume", "--fit"},
                 {"memory is planned for classification"});
  expect_failure({"eval", path("run"), "--crops", "10"}, {"without --resize"});
  expect_failure({"inspect", path("run")}, {"is a detector"});
  expect_failure({"export", path("run"), "--out", path("x.onnx")}, {"is a detector"});
  expect_failure({"predict", path("run"), path("recipe.json")}, {"recipe.json"});
  check_in_browser(path("p.html"));
}

TEST_F(Detection, is_profiled_by_its_recipe) {
  for (const char* mode : {"train", "infer"}) {
    const Json p = Json::parse(succeed({"profile", path("recipe.json"), "--mode", mode, "--steps",
                                        "1", "--warmup", "0", "--json"})
                                   .out);
    EXPECT_EQ(p["model"], "faster_rcnn over se_resnet18");
    EXPECT_EQ(p["batch"], 2);
    const auto has = [&](const char* op) {
      return std::ranges::any_of(p["rows"], [&](const Json& row) { return row["op"] == op; });
    };
    EXPECT_TRUE(has("roi_align")) << mode;
    EXPECT_EQ(has("smooth_l1"), mode == std::string("train"));
  }
}

TEST_F(Detection, kills_end_in_the_same_bits) {
  succeed(training("whole"));
  Generator rng(7);
  for (int kills = 0; kills < 6; ++kills) {
    Process process(training("killed"));
    const fs::path log = dir_ / "killed/checkpoints";
    for (int i = 0; i < 2000 && process.running() && !fs::exists(log); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    std::this_thread::sleep_for(std::chrono::milliseconds(50 + rng.below(600)));
    process.signal(SIGKILL);
    process.wait();
  }
  succeed(training("killed"));
  EXPECT_TRUE(read_file(dir_ / "killed/checkpoints/epoch-0003.ckpt").size() > 1000);
  train::testing::expect_same_tensors(dir_ / "killed/checkpoints/epoch-0003.ckpt",
                                      dir_ / "whole/checkpoints/epoch-0003.ckpt");
}

TEST_F(Detection, bad_data_is_one_clear_line) {
  const std::vector<std::string> train{"train", path("recipe.json"), "--out", path("run")};
  const fs::path annotations = dir_ / "data/annotations/instances_train2017.json";
  const std::string good = read_file(annotations);
  const auto refuses = [&](const std::vector<std::string>& parts, bool begun = false) {
    expect_failure(train, parts);
    EXPECT_EQ(fs::exists(dir_ / "run/recipe.json"), begun);
    fs::remove_all(dir_ / "run");
    std::ofstream(annotations) << good;
  };
  std::ofstream(annotations) << good.substr(0, good.size() / 2);
  refuses({"instances_train2017.json", "damaged or cut off"});
  change_annotations([](Json& j) { j["annotations"][0]["category_id"] = 77; });
  refuses({"category 77"});
  change_annotations([](Json& j) { j["annotations"][0]["image_id"] = 777; });
  refuses({"image 777"});
  change_annotations([](Json& j) { j["images"][2]["file_name"] = "gone.png"; });
  refuses({"gone.png", "1 is not there"});
  change_annotations([](Json& j) { j["images"][2]["width"] = 640; });
  const std::string info = succeed({"data", "info", path("data"), "--decode"}).out;
  EXPECT_NE(info.find("2.png is 64 x 64, its annotation says 640 x 64"), std::string::npos) << info;
  refuses({"2.png", "its annotation says 640 x 64"}, /*begun=*/true);
  change_annotations([](Json& j) {
    const Json one = j["annotations"][0];
    for (int i = 0; i < 11'000; ++i) j["annotations"].push_back(one);
  });
  refuses({"more than 10000 objects"});
  change_annotations([](Json& j) { j["annotations"] = Json::array(); });
  EXPECT_NE(
      succeed({"data", "info", path("data")}).out.find("It cannot be trained on as it is: coco: "),
      std::string::npos);
  refuses({"there is no object to learn"});
  change_annotations([](Json& j) {
    for (Json& object : j["annotations"]) object["iscrowd"] = 1;
  });
  refuses({"there is no object to learn", "no crowds"});
  // What does not train is told, and the rest does.
  change_annotations([](Json& j) {
    j["annotations"][0]["bbox"] = {500, 500, 10, 10};
    j["annotations"][1]["bbox"] = {3, 3, 0, 10};
    j["annotations"][2]["bbox"] = {-20, -20, 400, 400};
  });
  const std::string said = succeed(train).out;
  EXPECT_NE(said.find("2 objects without area in the image, which do not train; the first: 11 in"),
            std::string::npos)
      << said;
  EXPECT_NE(said.find("1 boxes reach over the border"), std::string::npos) << said;
}

}  // namespace
}  // namespace exciton::apps::testing
