#include "exciton/nn/detection/rpn.hpp"

#include <algorithm>
#include <cmath>

#include "exciton/core/threads.hpp"
#include "exciton/nn/detection/initial.hpp"
#include "exciton/ops/activations.hpp"
#include "exciton/ops/binary_cross_entropy.hpp"
#include "exciton/ops/gather_rows.hpp"
#include "exciton/ops/reshape.hpp"
#include "exciton/ops/smooth_l1.hpp"

namespace exciton::nn::detection {
namespace {

/// Rows [K, columns] of every pixel's channels.
Var rows_of(const Var& map, std::int64_t columns) {
  return ops::reshape(map, {map.shape().numel() / columns, columns});
}

std::span<const float> row_of(const Tensor& rows, std::int64_t row) {
  const std::int64_t columns = rows.dim(1);
  return {rows.data<float>() + row * columns, static_cast<std::size_t>(columns)};
}

}  // namespace

Rpn::Rpn(std::int64_t channels, const RpnOptions& o, Generator& init)
    : options(o),
      conv_(channels, channels, 3, {.padding = 1}, init, /*bias=*/true),
      logits_(channels, std::ssize(o.anchors.ratios), 1, {}, init, /*bias=*/true),
      codes_(channels, 4 * std::ssize(o.anchors.ratios), 1, {}, init, /*bias=*/true) {
  for (Conv2d* conv : {&conv_, &logits_, &codes_})
    conv->weight = normal(conv->weight.shape(), 0.01, init);
}

void Rpn::visit(Visitor& v, const std::string& name) {
  v(name + ".conv", conv_);
  v(name + ".cls_logits", logits_);
  v(name + ".bbox_pred", codes_);
}

Rpn::Output Rpn::operator()(const std::vector<Var>& maps, ImageSize padded) {
  check(maps.size() == options.anchors.sizes.size(), "rpn: ", maps.size(), " maps and ",
        options.anchors.sizes.size(), " sizes of anchors, expected one for each");
  Output out{.padded = padded, .images = maps.front().dim(0)};
  for (std::size_t l = 0; l < maps.size(); ++l) {
    const Var h = ops::relu(conv_(maps[l]));
    out.logits.push_back(rows_of(logits_(h), 1));
    out.codes.push_back(rows_of(codes_(h), 4));
    out.anchors.push_back(anchors_of_level(options.anchors.sizes[l], options.anchors.ratios,
                                           {maps[l].dim(1), maps[l].dim(2)}, padded));
  }
  return out;
}

std::vector<std::vector<Box>> Rpn::proposals(const Output& out, const std::vector<ImageSize>& sizes,
                                             const ProposalCounts& counts) const {
  constexpr float least_side = 1e-3F;
  const BoxCoder coder;
  std::vector<Tensor> logits, codes;
  for (std::size_t l = 0; l < out.logits.size(); ++l) {
    logits.push_back(out.logits[l].value().to(DType::f32));
    codes.push_back(out.codes[l].value().to(DType::f32));
  }
  std::vector<std::vector<Box>> all(static_cast<std::size_t>(out.images));
  parallel_tasks(out.images, [&](std::int64_t n, int) {
    std::vector<Box> boxes;
    std::vector<float> scores;
    std::vector<std::int64_t> levels;
    for (std::size_t l = 0; l < logits.size(); ++l) {
      const auto count = std::ssize(out.anchors[l]), first = n * count;
      const std::span<const float> own(logits[l].data<float>() + first,
                                       static_cast<std::size_t>(count));
      for (const std::int64_t i : highest(own, counts.before_nms)) {
        const auto at = static_cast<std::size_t>(i);
        const Box box =
            clip(coder.decode(row_of(codes[l], first + i).first<4>(), out.anchors[l][at]),
                 sizes[static_cast<std::size_t>(n)]);
        if (!(box.width() >= least_side && box.height() >= least_side)) continue;
        boxes.push_back(box);
        scores.push_back(1 / (1 + std::exp(-own[at])));
        levels.push_back(static_cast<std::int64_t>(l));
      }
    }
    std::vector<Box>& kept = all[static_cast<std::size_t>(n)];
    for (const std::int64_t i : nms_by_class(boxes, scores, levels, options.nms)) {
      if (std::ssize(kept) == counts.after_nms) break;
      kept.push_back(boxes[static_cast<std::size_t>(i)]);
    }
  });
  return all;
}

Rpn::Losses Rpn::losses(const Output& out, const std::vector<Objects>& objects,
                        Generator& rng) const {
  const BoxCoder coder;
  const Matcher matcher{options.foreground_iou, options.background_iou, /*keep_best=*/true};
  std::vector<Box> anchors;
  for (const auto& level : out.anchors) anchors.insert(anchors.end(), level.begin(), level.end());
  // The row of an anchor of an image, in the levels one behind the other.
  const auto row_in_batch = [&](std::int64_t n, std::int64_t i) {
    std::int64_t before = 0;
    for (const auto& level : out.anchors) {
      const auto count = std::ssize(level);
      if (i < count) return before + n * count + i;
      i -= count;
      before += out.images * count;
    }
    fail("rpn: there is no anchor ", i);
  };
  std::vector<std::int64_t> rows, positive_rows;
  std::vector<double> labels;
  std::vector<float> codes;
  for (std::int64_t n = 0; n < out.images; ++n) {
    const std::vector<Box>& boxes = objects[static_cast<std::size_t>(n)].boxes;
    const auto matches = matcher(boxes, anchors);
    const Sampler::Drawn drawn = options.sampler(matches, rng);
    for (const std::int64_t i : drawn.positive) {
      const auto at = static_cast<std::size_t>(i);
      rows.push_back(row_in_batch(n, i));
      positive_rows.push_back(rows.back());
      labels.push_back(1);
      const auto code = coder.encode(boxes[static_cast<std::size_t>(matches[at])], anchors[at]);
      codes.insert(codes.end(), code.begin(), code.end());
    }
    for (const std::int64_t i : drawn.negative) {
      rows.push_back(row_in_batch(n, i));
      labels.push_back(0);
    }
  }
  const DType type = acc_type(out.logits.front().value().dtype());
  Losses losses{Tensor::zeros({1}, type), Tensor::zeros({1}, type)};
  if (rows.empty()) return losses;
  const auto count = std::ssize(rows);
  losses.objectness =
      ops::binary_cross_entropy(ops::gather_rows(out.logits, indices(rows)),
                                Tensor::from({count, 1}, labels), static_cast<double>(count));
  if (!positive_rows.empty())
    losses.box = ops::smooth_l1(ops::gather_rows(out.codes, indices(positive_rows)),
                                codes_tensor(codes), options.beta, static_cast<double>(count));
  return losses;
}

}  // namespace exciton::nn::detection
