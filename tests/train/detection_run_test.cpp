// Runs of detectors, as a user has them: the same bits across stops, weights from a classifier, and
// what is refused.
#include "exciton/core/threads.hpp"
#include "exciton/train/detection/detector.hpp"
#include "exciton/train/recipe_json.hpp"
#include "exciton/train/run.hpp"
#include "exciton/train/trained_model.hpp"
#include "squares.hpp"
#include "support.hpp"

namespace exciton::train {
namespace {

namespace fs = std::filesystem;
using test_support::TempDir;
using testing::error_of;
using testing::make_squares;
using testing::small_recipe;

std::string weights_of(const fs::path& run) {
  const FoundCheckpoint found = open_checkpoint(run);
  std::string bytes;
  for (const SavedTensor& t : found.checkpoint.tensors)
    bytes.append(static_cast<const char*>(t.tensor.raw()), t.tensor.bytes());
  return bytes;
}

struct StopAfter final : Observer {
  explicit StopAfter(std::int64_t s) : left(s) {}
  bool step(const Progress& now) override {
    EXPECT_EQ(now.losses.size(), 4u);
    return now.phase == Progress::Phase::testing || --left > 0;
  }
  void epoch(const EpochLine& line) override { lines.push_back(line); }
  std::int64_t left;
  std::vector<EpochLine> lines;
};

TEST(DetectionRun, ends_in_the_same_bits_however_often_it_is_stopped) {
  const TempDir dir;
  make_squares(dir / "data", 7);
  const Recipe recipe = recipe_from(small_recipe(dir / "data"));
  StopAfter whole(1000);
  const Outcome outcome = run(recipe, {.out = dir / "whole"}, whole);
  EXPECT_TRUE(outcome.finished);
  ASSERT_EQ(whole.lines.size(), 2u);
  EXPECT_EQ(whole.lines[1].average_precision.size(), 12u);
  EXPECT_EQ(whole.lines[1].losses[2].name, "loss_objectness");
  EXPECT_GT(whole.lines[1].losses[2].value, 0);
  EXPECT_EQ(outcome.average_precision.size(), 12u);

  const int threads = num_threads();
  int stops = 0;
  for (bool finished = false; !finished && stops < 20; ++stops) {
    set_num_threads(1 + stops % 3);
    StopAfter soon(3);
    finished = run(recipe, {.out = dir / "often", .resume = stops > 0}, soon).finished;
  }
  set_num_threads(threads);
  EXPECT_GT(stops, 2);
  EXPECT_TRUE(weights_of(dir / "often") == weights_of(dir / "whole"));
  const auto log = RunFolder(dir / "often").read_log();
  ASSERT_EQ(log.size(), 2u);
  EXPECT_TRUE(Json::parse(log[1]).contains("train_AP50"));
  EXPECT_TRUE(Json::parse(log[1]).contains("train_loss_rpn_box_reg"));

  EXPECT_TRUE(is_detector(dir / "whole"));
  const TrainedDetector trained = load_detector(dir / "whole");
  EXPECT_EQ(trained.preprocessing.class_names, (std::vector<std::string>{"light", "dark"}));
  const auto set = data::open_coco(dir / "data", "train");
  for (const CocoDetection& d : detect(trained, set->read(4))) {
    EXPECT_GE(d.box.left, 0);
    EXPECT_LE(d.box.left + d.box.width, 64.001);
  }
  EXPECT_NE(error_of([&] { load(dir / "whole"); }).find("is a detector"), std::string::npos);
}

TEST(DetectionRun, the_backbone_begins_with_a_classifiers_weights) {
  const TempDir dir;
  make_squares(dir / "data", 4);
  Json classifier{{"model", small_recipe("")["model"]}, {"data", {{"image_size", 32}}}};
  const Recipe own = recipe_from(classifier);
  Preprocessing seen{.class_names = {"a", "b", "c"}, .image_size = 32, .channels = 3};
  seen.mean = {0.5F, 0.4F, 0.3F};
  nn::Model model = make_model(own, seen);
  write_checkpoint(dir / "classifier.ckpt", initial_checkpoint(own, seen, *model.net));

  Json json = small_recipe(dir / "data");
  json["init"] = {{"weights", (dir / "classifier.ckpt").string()}};
  json["schedule"]["lr"] = 0;  // nothing moves
  json["optimizer"]["weight_decay"] = 0;
  json["detection"]["norms"] = "frozen";
  json["freeze"] = {"backbone.conv1", "backbone.stage1"};
  json["epochs"] = 1;
  StopAfter watch(1000);
  run(recipe_from(json), {.out = dir / "run"}, watch);
  const TrainedDetector trained = load_detector(dir / "run");
  EXPECT_EQ(trained.preprocessing.mean, seen.mean);
  std::map<std::string, Tensor> wanted;
  for (const auto& [name, p] : nn::parameters(*model.net)) wanted[name] = p->value();
  std::int64_t compared = 0;
  for (const auto& [name, p] : nn::parameters(trained.net->backbone())) {
    ASSERT_TRUE(wanted.contains(name)) << name;
    EXPECT_TRUE(
        std::ranges::equal(p->value().span<float>(), std::as_const(wanted[name]).span<float>()))
        << name;
    ++compared;
  }
  EXPECT_EQ(compared, std::ssize(wanted) - 2) << "all but the classifier";
  json["model"]["blocks"] = {1, 1, 1, 2};
  EXPECT_NE(
      error_of([&] { run(recipe_from(json), {.out = dir / "other"}, watch); }).find("model.blocks"),
      std::string::npos);
}

TEST(DetectionRun, learns_what_little_there_is) {
  const TempDir dir;
  make_squares(dir / "data", 6);
  Json json = small_recipe(dir / "data");
  json["data"]["augment"]["flip"] = false;
  json["optimizer"] = {{"name", "adamw"}, {"nesterov", false}, {"weight_decay", 0}};
  json["schedule"] = {{"name", "cosine"}, {"lr", 0.003}};
  json["detection"]["eval_epochs"] = 100;
  json["freeze_norm_epochs"] = 10;
  json["epochs"] = 40;
  StopAfter watch(100'000);
  const Outcome outcome = run(recipe_from(json), {.out = dir / "run"}, watch);
  EXPECT_LT(watch.lines.back().train_loss, 0.4 * watch.lines.front().train_loss);
  EXPECT_GT(outcome.average_precision.at(1).value, 0.5) << "AP50";
}

TEST(DetectionRun, wants_an_object_to_learn) {
  const TempDir dir;
  make_squares(dir / "data", 1);  // the first image has none
  Observer silent;
  const Recipe recipe = recipe_from(small_recipe(dir / "data"));
  EXPECT_NE(error_of([&] {
              run(recipe, {.out = dir / "run"}, silent);
            }).find("there is no object to learn"),
            std::string::npos);
}

TEST(DetectionRun, what_nothing_would_read_is_refused) {
  const auto refused = [](const char* path, const Json& value) {
    Json json = small_recipe("data");
    json[Json::json_pointer(path)] = value;
    return error_of([&] { recipe_from(json); });
  };
  EXPECT_NE(refused("/label_smoothing", 0.1).find("label_smoothing is for classification"),
            std::string::npos);
  EXPECT_NE(refused("/data/image_size", 224).find("detection.min_size"), std::string::npos);
  EXPECT_NE(refused("/data/augment/mixup", 0.2).find("data.augment"), std::string::npos);
  EXPECT_NE(refused("/dtype", "bf16").find("run in f32"), std::string::npos);
  EXPECT_NE(refused("/detection/max_size", 32).find("detection.max_size"), std::string::npos);
  EXPECT_NE(refused("/detection/anchors", 3).find("unknown key detection.anchors"),
            std::string::npos);
  Json json = small_recipe("data");
  json["task"] = "classification";
  EXPECT_NE(error_of([&] { recipe_from(json); }).find("unknown key detection"), std::string::npos);
  json["task"] = "detect";
  EXPECT_NE(error_of([&] { recipe_from(json); }).find("classification, detection"),
            std::string::npos);
}

}  // namespace
}  // namespace exciton::train
