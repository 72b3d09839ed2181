// Boxes, anchors, matching, and a small Faster R-CNN against torchvision's
// (tests/golden/make_detection_golden.py).
#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>

#include "exciton/core/threads.hpp"
#include "exciton/nn/detection/faster_rcnn.hpp"
#include "golden_noise.hpp"
#include "support.hpp"
#include "tests/error_of.hpp"

namespace exciton::nn::detection {
namespace {

using nlohmann::json;
using test_support::error_of;

const json& golden() {
  static const json all = json::parse(std::ifstream(EXCITON_GOLDEN_DIR "/detection.json"));
  return all;
}

std::vector<Box> boxes_of(const json& rows) {
  std::vector<Box> out;
  for (const json& r : rows) out.push_back({r[0], r[1], r[2], r[3]});
  return out;
}

/// An edge is the difference of numbers as large as the box.
void expect_near(const Box& got, const Box& wanted, double tolerance) {
  const float extent = std::max(wanted.x2 - wanted.x1, wanted.y2 - wanted.y1);
  const auto near = [&](float a, float b) {
    EXPECT_NEAR(a, b, tolerance * std::max({1.0F, std::abs(b), extent}));
  };
  near(got.x1, wanted.x1);
  near(got.y1, wanted.y1);
  near(got.x2, wanted.x2);
  near(got.y2, wanted.y2);
}

TEST(DetectionBoxes, iou_is_torchvisions) {
  const json& g = golden()["iou"];
  const std::vector<float> got = iou_matrix(boxes_of(g["a"]), boxes_of(g["b"]));
  const std::vector<float> wanted = g["iou"];
  ASSERT_EQ(got.size(), wanted.size());
  for (std::size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], wanted[i], 1e-6);
  EXPECT_EQ(iou({0, 0, 1, 1}, {1, 0, 2, 1}), 0);
  EXPECT_EQ(iou({0, 0, 0, 0}, {0, 0, 0, 0}), 0) << "no area, and no NaN";
}

TEST(DetectionBoxes, coder_is_torchvisions_and_inverts_itself) {
  for (const json& g : golden()["coder"]) {
    const BoxCoder coder{{g["weights"][0], g["weights"][1], g["weights"][2], g["weights"][3]}};
    const auto anchors = boxes_of(g["anchors"]), objects = boxes_of(g["objects"]),
               codes = boxes_of(g["codes"]), decoded = boxes_of(g["decoded"]);
    for (std::size_t i = 0; i < anchors.size(); ++i) {
      const auto code = coder.encode(objects[i], anchors[i]);
      expect_near({code[0], code[1], code[2], code[3]}, codes[i], 1e-5);
      expect_near(coder.decode(code, anchors[i]), objects[i], 1e-5);
      const json& raw = g["raw"][i];
      const std::array<float, 4> any{raw[0], raw[1], raw[2], raw[3]};
      expect_near(coder.decode(any, anchors[i]), decoded[i], 1e-5);
    }
  }
}

TEST(DetectionBoxes, suppression_is_torchvisions) {
  const json& g = golden()["nms"];
  const auto boxes = boxes_of(g["boxes"]);
  const std::vector<float> scores = g["scores"];
  const std::vector<std::int64_t> classes = g["classes"];
  EXPECT_EQ(nms(boxes, scores, 0.5), g["keep_05"].get<std::vector<std::int64_t>>());
  EXPECT_EQ(nms(boxes, scores, 0.7), g["keep_07"].get<std::vector<std::int64_t>>());
  EXPECT_EQ(nms_by_class(boxes, scores, classes, 0.5),
            g["by_class"].get<std::vector<std::int64_t>>());
}

TEST(DetectionBoxes, equal_scores_are_taken_by_index) {
  const std::vector<Box> boxes{{0, 0, 2, 2}, {0, 0, 2, 2}, {5, 5, 6, 6}};
  const std::vector<float> scores{0.5F, 0.5F, 0.5F};
  EXPECT_EQ(nms(boxes, scores, 0.5), (std::vector<std::int64_t>{0, 2}));
  EXPECT_EQ(nms_by_class(boxes, scores, std::vector<std::int64_t>{0, 1, 0}, 0.5),
            (std::vector<std::int64_t>{0, 1, 2}));
  const std::vector<float> with_nan{NAN, 1, 3, 3};
  EXPECT_EQ(highest(with_nan, 9), (std::vector<std::int64_t>{2, 3, 1, 0}));
}

TEST(Anchors, are_torchvisions) {
  for (const json& g : golden()["anchors"]) {
    const auto got = anchors_of_level(g["size"], g["ratios"].get<std::vector<double>>(),
                                      {g["map"][0], g["map"][1]}, {g["image"][0], g["image"][1]});
    EXPECT_EQ(got, boxes_of(g["anchors"]));
  }
}

TEST(Matching, is_torchvisions) {
  for (const json& g : golden()["matcher"]) {
    const Matcher matcher{g["high"], g["low"], g["keep_best"]};
    const std::vector<float> ious = g["iou"];
    EXPECT_EQ(matcher(ious, g["objects"], g["boxes"]),
              g["matches"].get<std::vector<std::int64_t>>());
  }
  EXPECT_EQ(Matcher{}({}, 0, 3), (std::vector<std::int64_t>(3, background)));
  const auto boxes = boxes_of(golden()["nms"]["boxes"]);
  const std::vector<Box> objects(boxes.begin(), boxes.begin() + 7);
  for (const bool best : {false, true}) {
    const Matcher matcher{0.9, 0.4, best};
    EXPECT_EQ(matcher(objects, boxes),
              matcher(iou_matrix(objects, boxes), std::ssize(objects), std::ssize(boxes)));
  }
}

TEST(Matching, the_sampler_draws_every_box_alike_and_repeats) {
  std::vector<std::int64_t> matches(40, background);
  for (std::size_t i = 0; i < 10; ++i) matches[i] = static_cast<std::int64_t>(i % 3);
  matches[39] = neither;
  const Sampler sampler{16, 0.25};
  std::vector<int> drawn(40);
  Generator rng(3), again(3);
  for (int round = 0; round < 3000; ++round) {
    const auto got = sampler(matches, rng);
    ASSERT_EQ(got.positive.size(), 4u);
    ASSERT_EQ(got.negative.size(), 12u);
    ASSERT_TRUE(std::ranges::is_sorted(got.positive) && std::ranges::is_sorted(got.negative));
    EXPECT_EQ(sampler(matches, again).negative, got.negative);
    for (const auto& part : {got.positive, got.negative})
      for (const std::int64_t i : part) ++drawn[static_cast<std::size_t>(i)];
  }
  for (std::size_t i = 0; i < 10; ++i) EXPECT_NEAR(drawn[i], 1200, 150);
  for (std::size_t i = 10; i < 39; ++i) EXPECT_NEAR(drawn[i], 3000.0 * 12 / 29, 150);
  EXPECT_EQ(drawn[39], 0);
  // Few objects leave their places to the background.
  EXPECT_EQ(Sampler({30, 0.5})(matches, rng).negative.size(), 20u);
}

TEST(LevelOfARegion, goes_by_its_area) {
  EXPECT_EQ(level_of({0, 0, 224, 224}, 2, 4), 2);
  EXPECT_EQ(level_of({0, 0, 223, 223}, 2, 4), 1);
  EXPECT_EQ(level_of({0, 0, 1, 1}, 2, 4), 0);
  EXPECT_EQ(level_of({0, 0, 5000, 5000}, 2, 4), 3);
  EXPECT_EQ(level_of({0, 0, 112, 112}, 3, 3), 0);
}

// The small detector of the golden values: resnet18 with a pyramid of 16 channels.

FasterRcnn small_detector(double threshold = 0.05) {
  FasterRcnnOptions o{.classes = 5, .channels = 16};
  o.rpn.anchors.sizes = {16, 32, 64, 96, 128};
  o.rpn.sampler.count = o.roi.sampler.count = 1'000'000;
  o.rpn.training = {300, 100};
  o.rpn.evaluation = {200, 80};
  o.roi.width = 32;
  o.roi.score_threshold = threshold;
  o.roi.detections = 50;
  Generator init(4);
  return {make_model("resnet18", {.pool = "padded"}), o, init};
}

/// Values that the script gives to parameters, by their names.
void fill_by_name(FasterRcnn& net) {
  const json& names = golden()["faster_rcnn"]["names"];
  std::int64_t filled = 0;
  const auto fill = [&](const std::string& name, Tensor& t) {
    if (t.dtype() == DType::i64) return;
    ASSERT_TRUE(names.contains(name)) << name;
    std::uint32_t key = 7;
    for (const char c : name) key = (key * 31 + static_cast<unsigned char>(c)) % 99991;
    const std::string last = name.substr(name.rfind('.') + 1);
    const bool near_one = t.rank() == 1 && (last == "weight" || last == "running_var");
    double factor = 0.2;
    if (t.rank() > 1) {
      const double fan_in = static_cast<double>(t.numel()) / static_cast<double>(t.dim(0));
      factor = std::sqrt((t.rank() == 4 ? 6 : 3) / fan_in);
      const std::map<std::string, double> smaller{{"rpn.bbox_pred.weight", 0.02},
                                                  {"roi.cls_score.weight", 0.1},
                                                  {"roi.bbox_pred.weight", 0.3}};
      if (const auto found = smaller.find(name); found != smaller.end()) factor *= found->second;
    }
    t.copy_from(noise(t.shape(), key, factor, near_one ? 1 : 0).to(DType::f32));
    ++filled;
  };
  for (const auto& [name, p] : parameters(net)) fill(name, p->mutable_value());
  for (const auto& [name, t] : buffers(net)) fill(name, *t);
  EXPECT_EQ(filled, std::ssize(names));
}

Tensor noise_images(std::int64_t count, std::int64_t height, std::int64_t width,
                    std::uint32_t key = 100'000) {
  Tensor x({count, height, width, 3});
  for (std::int64_t n = 0; n < count; ++n) {
    const Tensor one =
        noise({height, width, 3}, key + static_cast<std::uint32_t>(n), 1).to(DType::f32);
    std::ranges::copy(one.span<float>(), x.data<float>() + n * one.numel());
  }
  return x;
}

struct GoldenBatch {
  Tensor images;
  std::vector<ImageSize> sizes;
  std::vector<Objects> objects;
};

GoldenBatch golden_batch() {
  const json& g = golden()["faster_rcnn"];
  GoldenBatch out{.images = noise_images(2, g["image"][0], g["image"][1], g["noise"])};
  for (const json& target : g["targets"]) {
    out.sizes.push_back({g["image"][0], g["image"][1]});
    out.objects.push_back({boxes_of(target["boxes"]), target["labels"]});
  }
  return out;
}

/// Every box of `wanted` is among `got`, and there are equally many.
void expect_same(const std::vector<Box>& got, const std::vector<Box>& wanted) {
  ASSERT_EQ(got.size(), wanted.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    SCOPED_TRACE(i);
    expect_near(got[i], wanted[i], 1e-4);
  }
}

TEST(FasterRcnnGolden, losses_proposals_and_detections_are_torchvisions) {
  const json& g = golden()["faster_rcnn"];
  FasterRcnn net = small_detector(g["score_threshold"]);
  fill_by_name(net);
  make_norms_constant(net);
  const GoldenBatch batch = golden_batch();
  set_training(net, true);
  const DetectionLosses losses = net.losses(batch.images, batch.sizes, batch.objects);
  EXPECT_NEAR(losses.classifier.value().item(), g["loss_classifier"], 1e-4);
  EXPECT_NEAR(losses.box.value().item(), g["loss_box_reg"], 1e-4);
  EXPECT_NEAR(losses.objectness.value().item(), g["loss_objectness"], 1e-4);
  EXPECT_NEAR(losses.rpn_box.value().item(), g["loss_rpn_box_reg"], 1e-4);

  set_training(net, false);
  const auto proposals = net.propose(batch.images, batch.sizes);
  const auto found = net.detect(batch.images, batch.sizes);
  for (std::size_t n = 0; n < 2; ++n) {
    SCOPED_TRACE(n);
    expect_same(proposals[n], boxes_of(g["proposals"][n]));
    const json& wanted = g["detections"][n];
    ASSERT_GT(wanted["boxes"].size(), 5u) << "the golden values see too little";
    expect_same(found[n].boxes, boxes_of(wanted["boxes"]));
    EXPECT_EQ(found[n].labels, wanted["labels"].get<std::vector<std::int64_t>>());
    for (std::size_t i = 0; i < found[n].scores.size(); ++i)
      EXPECT_NEAR(found[n].scores[i], wanted["scores"][i].get<float>(), 1e-4);
  }
}

TEST(FasterRcnn, sampling_goes_on_from_its_buffer_on_any_number_of_threads) {
  FasterRcnnOptions o{.classes = 5, .channels = 16};
  o.rpn.anchors.sizes = {32, 64, 128, 256};
  o.first_stage = 2;
  o.rpn.sampler.count = 16;
  o.roi.sampler.count = 16;
  o.roi.width = 16;
  Generator init(4);
  FasterRcnn net(make_model("se_resnet18"), o, init);
  const Tensor images = noise_images(2, 64, 96);
  const std::vector<ImageSize> sizes{{64, 96}, {50, 81}};
  const std::vector<Objects> objects{{{{4, 4, 40, 50}, {30, 10, 60, 30}}, {0, 4}}, {}};
  Tensor* state = nullptr;
  for (const auto& [name, t] : buffers(net))
    if (name == "sampling") state = t;
  ASSERT_NE(state, nullptr);
  const Tensor start = state->clone();
  const int threads = num_threads();
  std::vector<double> seen;
  std::vector<Tensor> grads;
  for (const int count : {1, 3, 2}) {
    set_num_threads(count);
    state->copy_from(start);
    Tape tape;
    const Var loss = net.losses(images, sizes, objects).total();
    seen.push_back(loss.value().item());
    tape.backward(loss);
    Tensor grad;
    for (const auto& [name, p] : parameters(net)) {
      EXPECT_FALSE(p->grad.empty()) << name;
      if (name == "backbone.stage2.0.conv1.weight") grad = p->grad.clone();
      p->grad = Tensor();
    }
    grads.push_back(grad);
  }
  set_num_threads(threads);
  EXPECT_NE(state->at(2), start.at(2)) << "nothing was drawn";
  EXPECT_EQ(seen[0], seen[1]);
  EXPECT_EQ(seen[0], seen[2]);
  EXPECT_TRUE(std::ranges::equal(grads[0].span<float>(), grads[1].span<float>()));
}

TEST(FasterRcnn, wrong_use_is_told) {
  Generator init(1);
  const auto made = [&](const std::string& backbone, const FasterRcnnOptions& o) {
    return error_of([&] { FasterRcnn(make_model(backbone), o, init); });
  };
  EXPECT_NE(made("vgg16_bn", {}).find("has no stages"), std::string::npos);
  EXPECT_NE(made("resnet18", {.first_stage = 5}).find("stages 1 to 4"), std::string::npos);
  EXPECT_NE(made("resnet18", {.first_stage = 2}).find("4 levels"), std::string::npos);
  FasterRcnn net = small_detector();
  const Tensor images = Tensor::zeros({1, 64, 64, 3});
  const auto with = [&](const Objects& objects) {
    return error_of([&] { net.losses(images, {{64, 64}}, {objects}); });
  };
  EXPECT_NE(with({{{0, 0, 9, 9}}, {5}}).find("label 5"), std::string::npos);
  EXPECT_NE(with({{{9, 0, 9, 9}}, {1}}).find("0 x 9"), std::string::npos);
  EXPECT_NE(error_of([&] { net.detect(images, {{64, 65}}); }).find("64 x 65"), std::string::npos);
}

TEST(FasterRcnn, the_classifier_is_gone_and_the_backbone_keeps_its_names) {
  FasterRcnn net = small_detector();
  std::vector<std::string> names;
  for (const auto& p : parameters(net)) names.push_back(p.name);
  EXPECT_EQ(std::ranges::count(names, "backbone.stage1.0.conv1.weight"), 1);
  EXPECT_TRUE(std::ranges::none_of(
      names, [](const std::string& name) { return name.starts_with("backbone.fc"); }));
  EXPECT_NE(error_of([&] {
              net.backbone()(Tensor::zeros({1, 64, 64, 3}));
            }).find("classifier"),
            std::string::npos);
}

}  // namespace
}  // namespace exciton::nn::detection
