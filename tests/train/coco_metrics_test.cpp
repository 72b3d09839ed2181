// COCO's average precision: cases by hand, and what COCO's own evaluator says of made detections.
#include <array>
#include <cstdlib>
#include <fstream>
#include <map>

#include "exciton/interop/weight_file.hpp"
#include "exciton/nn/detection/anchors.hpp"
#include "exciton/nn/detection/matching.hpp"
#include "exciton/ops/roi_align.hpp"
#include "exciton/ops/smooth_l1.hpp"
#include "exciton/train/detection/coco_metrics.hpp"
#include "support.hpp"

namespace exciton::train {
namespace {

namespace fs = std::filesystem;
namespace det = nn::detection;

/// One image with these objects of category 0 of two.
data::CocoAnnotations one_image(std::vector<data::CocoObject> objects) {
  data::CocoAnnotations out;
  out.categories = {{1, "a"}, {2, "b"}};
  out.images = {{1, "x.jpg", {500, 500}, std::move(objects)}};
  return out;
}
data::CocoObject square(double left, double side, bool crowd = false) {
  return {.box = {left, 0, side, side}, .area = side * side, .crowd = crowd};
}

TEST(CocoMetrics, by_hand) {
  const auto gt = one_image({square(0, 40), square(100, 40)});
  // Nothing found: every AP is 0 where there are objects, -1 where there are none.
  const CocoMetrics none = coco_metrics(gt, {});
  EXPECT_EQ(none.value("AP"), 0);
  EXPECT_EQ(none.value("APs"), -1);
  EXPECT_EQ(none.ap[1], -1);
  EXPECT_EQ(none.objects, (std::vector<std::int64_t>{2, 0}));

  // One object, then a miss, then the other at an IoU of 0.6: precision 1 up to recall .5, then
  // 2/3.
  std::vector<CocoDetection> found{
      {0, 0, {0, 0, 40, 40}, 0.9}, {0, 0, {300, 0, 40, 40}, 0.8}, {0, 0, {110, 0, 40, 40}, 0.7}};
  const CocoMetrics m = coco_metrics(gt, found);
  const double half = (51 * 1.0 + 50 * 2.0 / 3) / 101;
  EXPECT_NEAR(m.value("AP50"), half, 1e-12);
  EXPECT_NEAR(m.value("AP75"), 51.0 / 101, 1e-12);
  EXPECT_NEAR(m.value("AP"), (3 * half + 7 * 51.0 / 101) / 10, 1e-12) << "0.6 reaches .5 to .6";
  EXPECT_NEAR(m.value("AR1"), 0.5, 1e-12);
  EXPECT_NEAR(m.value("AR100"), (3 * 1.0 + 7 * 0.5) / 10, 1e-12);
  EXPECT_EQ(m.value("APm"), m.value("AP")) << "all are medium";

  // A second box on the same object is wrong; on a crowd it is ignored.
  found = {{0, 0, {0, 0, 40, 40}, 0.9}, {0, 0, {0, 0, 40, 40}, 0.8}};
  EXPECT_NEAR(coco_metrics(one_image({square(0, 40)}), found).value("AP"), 1, 1e-12);
  found[1].score = 0.95;
  found.push_back({0, 0, {60, 0, 10, 10}, 0.99});
  EXPECT_NEAR(coco_metrics(one_image({square(0, 40)}), found).value("AP50"), 0.5, 1e-12);
  EXPECT_NEAR(coco_metrics(one_image({square(0, 40), square(60, 200, true)}), found).value("AP50"),
              1, 1e-12);

  EXPECT_THROW(coco_metrics(gt, std::vector<CocoDetection>{{1, 0, {}, 1}}), Error);
  EXPECT_THROW(coco_metrics(gt, std::vector<CocoDetection>{{0, 2, {}, 1}}), Error);
  EXPECT_THROW(m.value("AP99"), Error);
}

// EXCITON_DETECTION_GOLDEN names a folder with detections and the twelve numbers of COCO's
// evaluator for each, and with arrays of torchvision's operators; EXCITON_COCO_SAMPLE the images
// they are of.

std::optional<fs::path> folder_in(const char* variable) {
  const char* dir = std::getenv(variable);
  return dir ? std::optional<fs::path>(dir) : std::nullopt;
}

TEST(CocoMetrics, are_those_of_cocos_own_evaluator) {
  const auto golden = folder_in("EXCITON_DETECTION_GOLDEN"),
             sample = folder_in("EXCITON_COCO_SAMPLE");
  if (!golden || !sample)
    GTEST_SKIP() << "EXCITON_DETECTION_GOLDEN or EXCITON_COCO_SAMPLE is not set";
  const auto gt = data::read_coco(*sample / "annotations/instances_train2017.json");
  const Json wanted = Json::parse(std::ifstream(*golden / "coco_ap.json"))["results"];
  ASSERT_EQ(wanted.size(), 5u);
  for (const auto& [name, values] : wanted.items()) {
    SCOPED_TRACE(name);
    std::vector<CocoDetection> found;
    for (const Json& d : Json::parse(std::ifstream(*golden / ("coco_" + name + ".json")))) {
      const auto index = [](const auto& list, std::int64_t id) {
        return std::ranges::find(list, id, [](const auto& x) { return x.id; }) - list.begin();
      };
      const Json& b = d["bbox"];
      found.push_back(
          {index(gt.images, d["image_id"].get<std::int64_t>()),
           index(gt.categories, d["category_id"].get<std::int64_t>()),
           {b[0].get<double>(), b[1].get<double>(), b[2].get<double>(), b[3].get<double>()},
           d["score"].get<double>()});
    }
    const CocoMetrics got = coco_metrics(gt, found);
    for (std::size_t i = 0; i < got.values.size(); ++i)
      EXPECT_NEAR(got.values[i], values[i].get<double>(), 1e-9) << coco_metric_names[i];
  }
}

struct Arrays {
  std::map<std::string, Tensor> all;
  explicit Arrays(const fs::path& npz) {
    const auto file = interop::open_weights(npz);
    for (const interop::StoredTensor& t : file->tensors) {
      Shape shape;
      for (const std::int64_t d : t.shape) shape.push_back(d);
      all[t.name] = Tensor(shape);
    }
    file->read(std::vector<bool>(file->tensors.size(), true),
               [&](std::size_t t, std::int64_t first, std::span<const float> values) {
                 std::ranges::copy(values, all.at(file->tensors[t].name).data<float>() + first);
               });
  }
  const Tensor& operator[](const std::string& name) const { return all.at(name); }
  std::vector<det::Box> boxes(const std::string& name) const {
    std::vector<det::Box> out;
    const Tensor& t = all.at(name);
    for (std::int64_t i = 0; i < t.dim(0); ++i) {
      const float* const b = t.data<float>() + 4 * i;
      out.push_back({b[0], b[1], b[2], b[3]});
    }
    return out;
  }
  std::vector<std::int64_t> integers(const std::string& name) const {
    std::vector<std::int64_t> out;
    for (const float v : all.at(name).span<float>()) out.push_back(static_cast<std::int64_t>(v));
    return out;
  }
};

void expect_values(std::span<const float> got, std::span<const float> wanted,
                   const std::string& what) {
  ASSERT_EQ(got.size(), wanted.size()) << what;
  for (std::size_t i = 0; i < got.size(); ++i)
    EXPECT_NEAR(got[i], wanted[i], 1e-5 * std::max(1.0F, std::abs(wanted[i]))) << what << ' ' << i;
}

std::vector<float> flat(const std::vector<det::Box>& boxes) {
  std::vector<float> out;
  for (const det::Box& b : boxes) out.insert(out.end(), {b.x1, b.y1, b.x2, b.y2});
  return out;
}

/// [N, C, H, W] as [N, H, W, C].
Tensor channels_last(const Tensor& t) {
  const std::int64_t n = t.dim(0), c = t.dim(1), h = t.dim(2), w = t.dim(3);
  Tensor out({n, h, w, c}, t.dtype());
  for (std::int64_t i = 0; i < out.numel(); ++i) {
    const std::int64_t k = i % c, x = i / c % w, y = i / c / w % h, m = i / c / w / h;
    out.set(i, t.at(((m * c + k) * h + y) * w + x));
  }
  return out;
}

TEST(DetectionOperators, are_torchvisions) {
  const auto golden = folder_in("EXCITON_DETECTION_GOLDEN");
  if (!golden) GTEST_SKIP() << "EXCITON_DETECTION_GOLDEN is not set";
  const Arrays a(*golden / "detection.npz");
  const Tensor x = channels_last(a["roi_x"]).to(DType::f64), rois = a["roi_rois"].to(DType::f64);
  for (const bool aligned : {false, true})
    for (const std::int64_t sampling : {std::int64_t{2}, std::int64_t{0}}) {
      const std::string name =
          "roi_align_aligned" + std::to_string(aligned) + "_sampling" + std::to_string(sampling);
      const Tensor y = channels_last(a[name + "_y"]), dx = channels_last(a[name + "_dx"]);
      Tape tape;
      const Var v = tape.watch(x);
      const Var got = ops::roi_align({v}, {.rois = rois,
                                           .height = y.dim(1),
                                           .width = y.dim(2),
                                           .scales = {0.25},
                                           .sampling = sampling,
                                           .aligned = aligned});
      const Tensor out = got.value().to(DType::f32);
      expect_values(out.span<float>(), y.span<float>(), name);
      // The gradient that came was linspace(-1, 1, 144) in the order [K, C, H, W].
      std::vector<double> steps;
      for (int i = 0; i < 144; ++i) steps.push_back(-1 + 2.0 * i / 143);
      const Shape first{y.dim(0), y.dim(3), y.dim(1), y.dim(2)};
      tape.backward(got, channels_last(Tensor::from(first, steps, DType::f64)));
      const Tensor back = tape.gradient(v).to(DType::f32);
      expect_values(back.span<float>(), dx.span<float>(), name + " backward");
    }
  const auto boxes = a.boxes("nms_boxes");
  const auto scores = a["nms_scores"].span<float>();
  expect_values(det::iou_matrix(std::span(boxes).first(7), std::span(boxes).subspan(7, 8)),
                a["iou"].span<float>(), "iou");
  EXPECT_EQ(det::nms(boxes, scores, 0.5), a.integers("nms_keep_05"));
  EXPECT_EQ(det::nms(boxes, scores, 0.7), a.integers("nms_keep_07"));
  for (const auto& [name, weights] : std::map<std::string, std::array<float, 4>>{
           {"1_1_1_1", {1, 1, 1, 1}}, {"10_10_5_5", {10, 10, 5, 5}}}) {
    const det::BoxCoder coder{weights};
    const auto objects = a.boxes("coder_gt"), anchors = a.boxes("coder_anchors");
    std::vector<float> codes;
    std::vector<det::Box> decoded;
    for (std::size_t i = 0; i < objects.size(); ++i) {
      std::array<float, 4> code = coder.encode(objects[i], anchors[i]);
      codes.insert(codes.end(), code.begin(), code.end());
      for (float& c : code) c *= 1.5F;
      code[2] += 9;  // beyond the limit of the logarithm where the weight is 1
      code[3] -= 3;
      decoded.push_back(coder.decode(code, anchors[i]));
    }
    expect_values(codes, a["coder_" + name + "_encode"].span<float>(), name);
    expect_values(flat(decoded), a["coder_" + name + "_decode"].span<float>(), name + " decoded");
  }
  std::vector<det::Box> anchors;
  for (const auto& [size, map] : {std::pair{32.0, det::ImageSize{8, 12}}, {64.0, {4, 6}}})
    for (const det::Box& box : det::anchors_of_level(size, {0.5, 1, 2}, map, {64, 96}))
      anchors.push_back(box);
  EXPECT_EQ(anchors, a.boxes("anchors_fpn_8_16"));
  const float differences[] = {0, 0.05F, 0.2F, 3};
  for (std::int64_t i = 0; i < 4; ++i)
    EXPECT_NEAR(ops::smooth_l1(Tensor::full({1}, differences[i]), Tensor::zeros({1}), 1.0 / 9, 1)
                    .value()
                    .item(),
                a["smooth_l1_beta19"].at(i), 1e-5);
  EXPECT_EQ((det::Matcher{0.7, 0.3, true}(a["matcher_iou"].span<float>(), 2, 5)),
            a.integers("matcher"));
}

}  // namespace
}  // namespace exciton::train
