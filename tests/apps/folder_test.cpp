/// Training on a folder of photographs of several sizes, as a user does.
#include <gtest/gtest.h>

#include "exciton/train/recipe_json.hpp"
#include "tests/apps/support.hpp"

namespace exciton::apps::testing {
namespace {
namespace fs = std::filesystem;

/// Two classes of 61 x 47 and smaller pictures, turned, grey and CMYK ones among them.
class Folder : public ::testing::Test {
 protected:
  void SetUp() override {
    const fs::path golden = fs::path(EXCITON_GOLDEN_DIR) / "images";
    const std::pair<const char*, std::vector<const char*>> classes[] = {
        {"cat", {"baseline.jpg", "grey.jpg", "exif6.jpg", "exif3.jpg"}},
        {"dog", {"progressive.jpg", "cmyk.jpg", "exif8.jpg", "full_chroma.jpg"}}};
    for (const char* split : {"train", "val"})
      for (const auto& [name, files] : classes) {
        fs::create_directories(dir_ / ("data/" + std::string(split) + '/' + name));
        for (const char* file : files)
          fs::copy_file(golden / file,
                        dir_ / ("data/" + std::string(split) + '/' + name + '/' + file));
      }
    write_file(dir_ / "recipe.json", R"({
      "model": {"name": "se_resnet20"},
      "data": {"dir": ")" + (dir_ / "data").string() +
                                         R"(", "batch": 3, "image_size": 16,
               "eval": {"resize": 18},
               "augment": {"random_resized_crop": {"scale": [0.2, 1]}, "flip": true,
                           "jitter": {"brightness": 0.4}, "lighting": 0.1, "erasing": 0.3,
                           "mixup": 0.2, "cutmix": 1}},
      "schedule": {"name": "constant", "lr": 0.01}, "epochs": 2, "threads": 1})");
  }
  std::string path(const std::string& name) const { return (dir_ / name).string(); }
  std::vector<std::string> train(const std::string& run, std::vector<std::string> more = {}) const {
    std::vector<std::string> out{"train", path("recipe.json"), "--out", path(run)};
    out.insert(out.end(), more.begin(), more.end());
    return out;
  }
  /// Cuts a train image in the middle of its data.
  void damage() const {
    const fs::path file = dir_ / "data/train/dog/progressive.jpg";
    fs::resize_file(file, fs::file_size(file) / 3);
  }

  TempDir dir_;
};

TEST_F(Folder, trains_evaluates_and_predicts) {
  const Result result = succeed(train("run"));
  EXPECT_NE(result.out.find("by 1 thread beside the step"), std::string::npos) << result.out;
  const auto log = read_log(path("run"));
  ASSERT_EQ(log.size(), 2u);
  EXPECT_EQ(log[1]["skipped_images"], 0);
  EXPECT_GE(log[1]["data_wait_share"], 0.0);
  EXPECT_LE(log[1]["data_wait_share"], 1.0);
  EXPECT_EQ(log[1]["data_workers"], 1);
  const train::Json eval = train::Json::parse(succeed({"eval", path("run"), "--json"}).out);
  EXPECT_EQ(eval["images"], 8);
  const bool first = log[0]["val_top1"] >= log[1]["val_top1"];  // that epoch is the best
  EXPECT_NEAR(eval["loss"].get<double>(), log[first ? 0 : 1]["val_loss"].get<double>(), 1e-5);
  // An ensemble takes the run's own test view; told apart by how far JPEGs are decoded.
  for (const std::vector<std::string>& more :
       {std::vector<std::string>{path("run")}, {"--resize", "18"}}) {
    std::vector<std::string> arguments{"eval", path("run"), "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const train::Json views = train::Json::parse(succeed(arguments).out);
    EXPECT_EQ(views["models"][0]["views"],
              train::Json::parse(R"({"resize":[18],"crop":16,"crops":1})"));
    EXPECT_NEAR(views["loss"].get<double>(), eval["loss"].get<double>(), 0.02);
  }
  const train::Json resolved = train::read_json(path("run/recipe.json"));
  EXPECT_EQ(resolved["data"]["workers"], "auto");
  EXPECT_EQ(resolved["data"]["augment"]["random_resized_crop"]["scale"], train::Json({0.2, 1.0}));
  EXPECT_EQ(to_json(train::recipe_from(resolved)), resolved);
  const std::string image = path("data/val/cat/exif6.jpg");
  EXPECT_NE(succeed({"predict", path("run"), image}).out.find("cat"), std::string::npos);
}

TEST_F(Folder, same_bits_whatever_the_workers_and_across_a_resume) {
  succeed(train("a", {"--set", "data.workers=0"}));
  for (const char* workers : {"1", "2", "5", "auto"}) {
    const std::string run = std::string("w") + workers;
    succeed(train(run, {"--set", std::string("data.workers=") + workers}));
    expect_same_tensors(path("a/checkpoints/epoch-0002.ckpt"),
                        path(run + "/checkpoints/epoch-0002.ckpt"));
  }
  succeed(train("r", {"--set", "checkpoint.every_steps=1", "--set", "checkpoint.keep_last=100"}));
  const fs::path checkpoints = dir_ / "r/checkpoints";  // as if killed after a step of epoch 2
  ASSERT_TRUE(fs::exists(checkpoints / "epoch-0001-batch-000001.ckpt"));
  fs::remove(checkpoints / "epoch-0002.ckpt");
  fs::remove(checkpoints / "best.ckpt");
  succeed({"train", path("r"), "--resume"});
  expect_same_tensors(path("a/checkpoints/epoch-0002.ckpt"), path("r/checkpoints/epoch-0002.ckpt"));
}

TEST_F(Folder, a_damaged_image_ends_the_run_or_is_left_out) {
  damage();
  expect_failure(
      train("fail", {"--set", "data.batch=4"}),
      {"data/train/dog/progressive.jpg", "truncated", "data.on_error \"skip\" leaves out"});
  const Result result =
      succeed(train("skip", {"--set", "data.batch=4", "--set", "data.on_error=skip"}));
  EXPECT_NE(result.out.find("left out: image: "), std::string::npos) << result.out;
  EXPECT_NE(result.out.find("1 train and 0 val images could not be read"), std::string::npos);
  EXPECT_EQ(read_log(path("skip"))[0]["skipped_images"], 1);
  const std::vector<std::string> eval{"eval", path("skip"), "--split", "train", "--crops", "10"};
  const std::string said = succeed(eval).out;
  EXPECT_NE(said.find("without 1 images that could not be read"), std::string::npos);
  EXPECT_NE(said.find("progressive.jpg"), std::string::npos) << said;
  std::vector<std::string> with_json = eval;
  with_json.emplace_back("--json");
  const train::Json json = train::Json::parse(succeed(with_json).out);
  EXPECT_EQ(json["images"], 7);
  EXPECT_EQ(json["skipped_images"], 1);
  EXPECT_NE(json["skipped"][0].get<std::string>().find("progressive.jpg"), std::string::npos);
}

TEST_F(Folder, a_damaged_image_that_is_only_looked_at_is_named_once) {
  const fs::path file = dir_ / "data/val/cat/exif6.jpg";
  fs::resize_file(file, fs::file_size(file) / 3);
  expect_failure(train("fail"), {"val/cat/exif6.jpg", "data.on_error \"skip\""});
  const std::string said = succeed(train("skip", {"--set", "data.on_error=skip"})).out;
  const std::size_t at = said.find("left out: image: ");
  ASSERT_NE(at, std::string::npos) << said;
  EXPECT_NE(said.find("exif6.jpg", at), std::string::npos) << said;
  EXPECT_EQ(said.find("left out: image: ", at + 1), std::string::npos) << said;
  EXPECT_NE(said.find("0 train and 1 val images could not be read"), std::string::npos) << said;
  EXPECT_NE(succeed({"eval", path("skip")}).out.find("exif6.jpg"), std::string::npos);
}

TEST_F(Folder, nothing_to_resume_is_said_so) {
  expect_failure({"train", path("data"), "--resume", "--out", path("none")},
                 {"there is no run to resume", "none is not there",
                  "begin one with: ", "train " + path("data") + " --out " + path("none")});
  EXPECT_FALSE(fs::exists(path("none")));
}

TEST_F(Folder, names_of_classes_do_not_break_tables) {
  fs::rename(dir_ / "data/train/cat", dir_ / "data/train/ca\nt");
  fs::rename(dir_ / "data/val/cat", dir_ / "data/val/ca\nt");
  EXPECT_NE(succeed({"data", "info", path("data")}).out.find("  ca\\nt\n"), std::string::npos);
  succeed(train("run"));
  const std::string table = succeed({"eval", path("run"), "--confusion"}).out;
  EXPECT_NE(table.find("ca\\nt"), std::string::npos) << table;
  EXPECT_EQ(table.find("ca\nt"), std::string::npos) << table;
}

TEST_F(Folder, images_of_several_sizes_want_a_size) {
  expect_failure(train("run", {"--set", "data.image_size=0", "--set", "data.eval.resize=0", "--set",
                               "data.augment.random_resized_crop=null"}),
                 {"data.image_size"});
  expect_failure(train("run", {"--set", "data.image_size=0"}),
                 {"random_resized_crop needs data.image_size"});
  expect_failure(train("run", {"--set", "data.eval.resize=10"}),
                 {"data.eval.resize", "16", "got 10"});
  expect_failure(train("run", {"--set", "data.augment.random_resized_crop.scale=[0.5,0.2]"}),
                 {"random_resized_crop.scale", "ascending"});
  expect_failure(train("run", {"--set", "data.augment.random_resized_crop=3"}),
                 {"random_resized_crop", "expected null or"});
  expect_failure(train("run", {"--set", "data.workers=many"}), {"data.workers", "\"auto\""});
  expect_failure(train("run", {"--set", "data.on_error=ignore"}), {"fail, skip", "ignore"});
}

TEST_F(Folder, data_info_tells_what_is_there) {
  damage();
  write_file(dir_ / "data/val/cat/empty.jpg", "");
  const train::Json info =
      train::Json::parse(succeed({"data", "info", path("data"), "--json"}).out);
  ASSERT_EQ(info["splits"].size(), 2u);
  const train::Json &train = info["splits"][0], &test = info["splits"][1];
  EXPECT_EQ(train["images"], 8);
  EXPECT_EQ(train["classes"],
            train::Json::parse(R"([{"class":"cat","images":4},{"class":"dog","images":4}])"));
  EXPECT_EQ(train["smallest"], train::Json({13, 13}));
  EXPECT_EQ(train["largest"], train::Json({47, 61}));
  EXPECT_EQ(train["stored_channels"], train::Json::parse(R"({"1":1,"3":6,"4":1})"));
  EXPECT_TRUE(train["unreadable"].empty()) << "its header is good";
  EXPECT_NE(test["unreadable"][0].get<std::string>().find("empty.jpg is empty"), std::string::npos);
  const train::Json deep =
      train::Json::parse(succeed({"data", "info", path("data"), "--decode", "--json"}).out);
  ASSERT_EQ(deep["splits"][0]["unreadable"].size(), 1u);
  EXPECT_EQ(deep["splits"][0]["mean"].size(), 3u);
  const Result text = succeed({"data", "info", path("data")});
  for (const char* part : {"size from 13 x 13 to 47 x 61", "1 cannot be read", "4  dog"})
    EXPECT_NE(text.out.find(part), std::string::npos) << part << " in " << text.out;
  const std::string images = succeed({"data", "info", path("data/val/dog")}).out;
  EXPECT_NE(images.find("images 4, channels"), std::string::npos) << images;
  EXPECT_NE(images.find("no data set to train on"), std::string::npos) << images;
  // A split that cannot be opened is an error, whatever the others are.
  fs::create_directories(path("broken"));
  fs::copy(path("data"), path("broken"), fs::copy_options::recursive);
  write_file(dir_ / "broken/val/cow/a.png", "");
  const Result broken =
      expect_failure({"data", "info", path("broken")}, {"val:", "cow", "no class"});
  EXPECT_NE(broken.out.find("4  dog"), std::string::npos) << broken.out;
}

/// photos/<class>/*: trained, evaluated and predicted without a script.
TEST_F(Folder, a_newcomers_own_folder) {
  for (const char* name : {"cat", "dog"}) {
    fs::create_directories(path(std::string("photos/") + name));
    for (const char* split : {"train", "val"})
      for (const auto& entry :
           fs::directory_iterator(path(std::string("data/") + split + '/' + name)))
        fs::copy_file(entry.path(), path(std::string("photos/") + name + '/' + split +
                                         entry.path().filename().string()));
  }
  write_file(dir_ / "photos/cat/notes.txt", "mine");
  const Result result = succeed(train("run", {"--data", path("photos")}));
  for (const char* part : {"its 2 folders are the classes", "a share of 0.1 is held out",
                           "left out 1 file", "cat/notes.txt", "val top-1"})
    EXPECT_NE(result.out.find(part), std::string::npos) << part << " in " << result.out;
  EXPECT_TRUE(fs::exists(path("run/checkpoints/best.ckpt")));
  const train::Json eval = train::Json::parse(succeed({"eval", path("run"), "--json"}).out);
  EXPECT_EQ(eval["images"], 2) << "one of each class is held out";
  EXPECT_EQ(train::Json::parse(
                succeed({"eval", path("run"), "--split", "train", "--json"}).out)["images"],
            14);
  EXPECT_NE(succeed({"predict", path("run"), path("photos/cat/valgrey.jpg")}).out.find("%"),
            std::string::npos);
  EXPECT_EQ(train::read_json(path("run/recipe.json"))["data"]["validation"], 0.1);
  succeed(train("run", {"--data", path("photos"), "--resume", "--epochs", "3"}));
}

TEST_F(Folder, images_in_the_place_of_a_recipe_are_never_taken_for_a_run) {
  const std::string images = path("data"), run = path("own");
  const std::vector<std::string> begin{
      "train", images, "--out", run, "--set", "model.widths=[4,4,4]", "--set", "epochs=1"};
  succeed(begin);
  succeed({"train", images, "--out", run, "--resume", "--set", "epochs=2"});  // as it was begun
  EXPECT_EQ(read_log(run).size(), 2u);
  EXPECT_EQ(train::read_json(path("own/recipe.json"))["model"]["widths"], train::Json({4, 4, 4}));
  // A run goes on where it is.
  expect_failure({"train", run, "--resume", "--out", path("other"), "--epochs", "3"},
                 {"is resumed where it is"});
  EXPECT_FALSE(fs::exists(path("other")));
}

TEST_F(Folder, what_is_held_out_is_told_from_what_was_when_the_run_trained) {
  fs::remove_all(dir_ / "data/val");
  succeed(train("run", {"--set", "epochs=1", "--set", "data.validation=0.25"}));
  const auto count = [&](const std::vector<std::string>& command) {
    return train::Json::parse(succeed(command).out)["images"];
  };
  EXPECT_EQ(count({"eval", path("run"), "--json"}), 2);
  fs::copy_file(dir_ / "data/train/cat/grey.jpg", dir_ / "data/train/cat/another.jpg");
  expect_failure({"eval", path("run"), "--json"}, {"it had 6 train images", "may have trained"});
  EXPECT_EQ(count({"eval", path("run"), "--data", path("data"), "--json"}), 2) << "if it is meant";
}

TEST_F(Folder, what_is_left_out_is_counted_once) {
  fs::remove_all(dir_ / "data/val");
  write_file(dir_ / "data/train/cat/notes.txt", "mine");
  const Result result =
      succeed(train("run", {"--set", "epochs=1", "--set", "data.validation=0.25"}));
  const std::size_t first = result.out.find("cat/notes.txt");
  ASSERT_NE(first, std::string::npos) << result.out;
  EXPECT_EQ(result.out.find("cat/notes.txt", first + 1), std::string::npos) << result.out;
  EXPECT_EQ(read_log(path("run"))[0]["left_out_files"], 1);
}

TEST_F(Folder, predict_passes_over_what_it_cannot_read) {
  succeed(train("run"));
  write_file(dir_ / "bad.jpg", "");
  const std::string good = path("data/val/cat/grey.jpg");
  const Result text = run({"predict", path("run"), path("bad.jpg"), good});
  EXPECT_EQ(text.code, 1);
  EXPECT_NE(text.out.find(good), std::string::npos) << text.out;
  EXPECT_NE(text.err.find("bad.jpg is empty"), std::string::npos) << text.err;
  const Result json = run({"predict", path("run"), "--json", path("bad.jpg"), good});
  EXPECT_EQ(json.code, 1);
  const train::Json all = train::Json::parse(json.out);
  ASSERT_EQ(all.size(), 2u);
  EXPECT_TRUE(all[0].contains("error"));
  EXPECT_EQ(all[1]["top5"].size(), 2u);
  // A folder stands for the images in it.
  EXPECT_EQ(
      train::Json::parse(succeed({"predict", path("run"), "--json", path("data/val/dog")}).out)
          .size(),
      4u);
}

TEST_F(Folder, val_chooses_and_test_is_reported_once) {
  fs::copy(path("data/val"), path("data/test"), fs::copy_options::recursive);
  const Result result = succeed(train("run"));
  EXPECT_NE(result.out.find("val chooses the best epoch, test is reported at the end"),
            std::string::npos)
      << result.out;
  EXPECT_NE(result.out.find("test, by the weights of epoch"), std::string::npos) << result.out;
  const auto log = read_log(path("run"));
  EXPECT_TRUE(log[1].contains("val_top1"));
  EXPECT_FALSE(log[1].contains("test_top1")) << "test steers nothing, so it is not looked at";
  const train::Json stored = train::read_json(path("run/result.json"));
  EXPECT_EQ(stored["on"], "test");
  const train::Json eval = train::Json::parse(succeed({"eval", path("run"), "--json"}).out);
  EXPECT_EQ(eval["images"], 8);
  EXPECT_NEAR(eval["loss"].get<double>(), stored["loss"].get<double>(), 1e-5);
  EXPECT_EQ(
      train::Json::parse(succeed({"report", path("run"), "--json"}).out)["runs"][0]["measured_on"],
      "val");
}

TEST_F(Folder, bench_data_reports_every_stage) {
  const std::vector<std::string> bench{"bench", "data",   path("data"), "--images",
                                       "8",     "--size", "20",         "--json"};
  const train::Json result = train::Json::parse(succeed(bench).out);
  EXPECT_EQ(result["images"], 8);
  EXPECT_GT(result["loader_images_per_second"], 0.0);
  for (const char* stage : {"read", "decode", "augment", "collate", "all"})
    EXPECT_GT(result["stages"][stage]["ms_per_image"], 0.0) << stage;
  const Result text =
      succeed({"bench", "data", path("data"), "--images", "4", "--recipe", path("recipe.json")});
  EXPECT_NE(text.out.find("to 16 x 16"), std::string::npos) << text.out;
  expect_failure({"bench", "data", path("nowhere")}, {"no folder"});
  expect_failure({"bench", "train"}, {"MODEL"}, 2);
}

}  // namespace
}  // namespace exciton::apps::testing
