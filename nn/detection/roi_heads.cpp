#include "exciton/nn/detection/roi_heads.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "exciton/core/threads.hpp"
#include "exciton/nn/detection/initial.hpp"
#include "exciton/ops/activations.hpp"
#include "exciton/ops/cross_entropy.hpp"
#include "exciton/ops/gather_rows.hpp"
#include "exciton/ops/reshape.hpp"
#include "exciton/ops/roi_align.hpp"
#include "exciton/ops/smooth_l1.hpp"

namespace exciton::nn::detection {

std::int64_t level_of(const Box& region, std::int64_t first, std::int64_t count) {
  constexpr float canonical = 224, level_there = 4, little = 1e-6F;
  const float level =
      std::floor(level_there + std::log2(std::sqrt(region.area()) / canonical) + little);
  const auto most = static_cast<float>(first + count - 1);
  return static_cast<std::int64_t>(std::clamp(level, static_cast<float>(first), most)) - first;
}

RoiHeads::RoiHeads(std::int64_t channels, std::int64_t classes, const RoiOptions& o,
                   Generator& init)
    : options(o),
      classes_(classes),
      fc6_(channels * o.pool * o.pool, o.width, init),
      fc7_(o.width, o.width, init),
      cls_score_(o.width, classes + 1, init),
      bbox_pred_(o.width, 4 * (classes + 1), init) {}

void RoiHeads::visit(Visitor& v, const std::string& name) {
  v(name + ".fc6", fc6_);
  v(name + ".fc7", fc7_);
  v(name + ".cls_score", cls_score_);
  v(name + ".bbox_pred", bbox_pred_);
}

RoiHeads::Scores RoiHeads::scores_of(const std::vector<Var>& maps, ImageSize padded,
                                     const std::vector<std::vector<Box>>& regions) {
  ops::RoiAlign align{
      .height = options.pool, .width = options.pool, .scales = {}, .sampling = options.sampling};
  for (const Var& map : maps)
    align.scales.push_back(static_cast<double>(map.dim(1)) / static_cast<double>(padded.height));
  const std::int64_t first = std::llround(-std::log2(align.scales.front()));
  std::vector<float> rois;
  std::vector<std::int64_t> levels;
  for (std::size_t n = 0; n < regions.size(); ++n)
    for (const Box& box : regions[n]) {
      rois.insert(rois.end(), {static_cast<float>(n), box.x1, box.y1, box.x2, box.y2});
      levels.push_back(level_of(box, first, std::ssize(maps)));
    }
  align.rois = Tensor({std::ssize(levels), 5});
  std::ranges::copy(rois, align.rois.data<float>());
  align.levels = indices(levels);
  const Var pooled = ops::flatten(ops::roi_align(maps, std::move(align)));
  const Var h = ops::relu(fc7_(ops::relu(fc6_(pooled))));
  return {cls_score_(h), bbox_pred_(h)};
}

RoiHeads::Losses RoiHeads::losses(const std::vector<Var>& maps, ImageSize padded,
                                  std::vector<std::vector<Box>> proposals,
                                  const std::vector<Objects>& objects, Generator& rng) {
  const Matcher matcher{options.foreground_iou, options.background_iou};
  std::vector<std::vector<Box>> regions(proposals.size());
  std::vector<double> labels;
  std::vector<std::int64_t> code_rows;
  std::vector<float> codes;
  for (std::size_t n = 0; n < proposals.size(); ++n) {
    const Objects& own = objects[n];
    std::vector<Box>& boxes = proposals[n];
    boxes.insert(boxes.end(), own.boxes.begin(), own.boxes.end());
    const auto matches = matcher(own.boxes, boxes);
    const Sampler::Drawn drawn = options.sampler(matches, rng);
    for (const std::int64_t i : drawn.positive) {
      const auto at = static_cast<std::size_t>(i), object = static_cast<std::size_t>(matches[at]);
      const std::int64_t label = own.labels[object] + 1;  // 0 is the background
      code_rows.push_back(std::ssize(labels) * (classes_ + 1) + label);
      labels.push_back(static_cast<double>(label));
      const auto code = options.coder.encode(own.boxes[object], boxes[at]);
      codes.insert(codes.end(), code.begin(), code.end());
      regions[n].push_back(boxes[at]);
    }
    for (const std::int64_t i : drawn.negative) {
      labels.push_back(0);
      regions[n].push_back(boxes[static_cast<std::size_t>(i)]);
    }
  }
  const DType type = acc_type(maps.front().value().dtype());
  Losses losses{Tensor::zeros({1}, type), Tensor::zeros({1}, type)};
  if (labels.empty()) return losses;
  const Scores scores = scores_of(maps, padded, regions);
  const auto count = std::ssize(labels);
  losses.classifier = ops::cross_entropy(scores.logits, Tensor::from({count}, labels, DType::i64));
  if (!code_rows.empty())
    losses.box =
        ops::smooth_l1(ops::gather_rows({ops::reshape(scores.codes, {count * (classes_ + 1), 4})},
                                        indices(code_rows)),
                       codes_tensor(codes), options.beta, static_cast<double>(count));
  return losses;
}

std::vector<Detections> RoiHeads::detect(const std::vector<Var>& maps, ImageSize padded,
                                         const std::vector<std::vector<Box>>& proposals,
                                         const std::vector<ImageSize>& sizes) {
  std::vector<Detections> all(proposals.size());
  if (std::ranges::all_of(proposals, [](const auto& boxes) { return boxes.empty(); })) return all;
  constexpr float least_side = 1e-2F;
  const Scores scores = scores_of(maps, padded, proposals);
  const Tensor p = ops::softmax(scores.logits.value()).to(DType::f32);
  const Tensor codes = scores.codes.value().to(DType::f32);
  std::vector<std::int64_t> first{0};
  for (const auto& boxes : proposals) first.push_back(first.back() + std::ssize(boxes));
  parallel_tasks(std::ssize(proposals), [&](std::int64_t image, int) {
    const auto n = static_cast<std::size_t>(image);
    Detections found;
    for (std::size_t i = 0; i < proposals[n].size(); ++i)
      for (std::int64_t c = 1; c <= classes_; ++c) {
        const std::int64_t at = (first[n] + static_cast<std::int64_t>(i)) * (classes_ + 1) + c;
        const float score = p.data<float>()[at];
        if (!(static_cast<double>(score) > options.score_threshold)) continue;
        const std::span<const float, 4> code(codes.data<float>() + 4 * at, 4);
        const Box box = clip(options.coder.decode(code, proposals[n][i]), sizes[n]);
        if (!(box.width() >= least_side && box.height() >= least_side)) continue;
        found.boxes.push_back(box);
        found.scores.push_back(score);
        found.labels.push_back(c - 1);
      }
    for (const std::int64_t i :
         nms_by_class(found.boxes, found.scores, found.labels, options.nms)) {
      if (std::ssize(all[n].boxes) == options.detections) break;
      const auto at = static_cast<std::size_t>(i);
      all[n].boxes.push_back(found.boxes[at]);
      all[n].scores.push_back(found.scores[at]);
      all[n].labels.push_back(found.labels[at]);
    }
  });
  return all;
}

}  // namespace exciton::nn::detection
