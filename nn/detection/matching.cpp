#include "exciton/nn/detection/matching.hpp"

#include <algorithm>

#include "exciton/core/error.hpp"

namespace exciton::nn::detection {

std::vector<std::int64_t> Matcher::operator()(std::span<const float> ious, std::int64_t objects,
                                              std::int64_t boxes) const {
  check(std::ssize(ious) == objects * boxes, "matcher: ", ious.size(), " overlaps of ", objects,
        " objects with ", boxes, " boxes");
  const auto row = [&](std::int64_t o) {
    return ious.subspan(static_cast<std::size_t>(o * boxes), static_cast<std::size_t>(boxes));
  };
  return match(row, objects, boxes);
}

std::vector<std::int64_t> Matcher::operator()(std::span<const Box> objects,
                                              std::span<const Box> boxes) const {
  std::vector<float> own;
  const auto row = [&](std::int64_t o) -> std::span<const float> {
    own = iou_matrix(objects.subspan(static_cast<std::size_t>(o), 1), boxes);
    return own;
  };
  return match(row, std::ssize(objects), std::ssize(boxes));
}

std::vector<std::int64_t> Matcher::match(const Row& row, std::int64_t objects,
                                         std::int64_t boxes) const {
  check(low <= high, "matcher: low ", low, " is above high ", high);
  std::vector<std::int64_t> out(static_cast<std::size_t>(boxes), background);
  if (objects == 0 || boxes == 0) return out;
  std::vector<std::int64_t> nearest(out.size(), 0);
  std::vector<float> most(out.size(), -1), best;  // of a box, of an object
  for (std::int64_t o = 0; o < objects; ++o) {
    const std::span<const float> overlaps = row(o);
    for (std::size_t b = 0; b < out.size(); ++b)
      if (overlaps[b] > most[b]) {
        most[b] = overlaps[b];
        nearest[b] = o;
      }
    best.push_back(*std::ranges::max_element(overlaps));
  }
  for (std::size_t b = 0; b < out.size(); ++b) {
    const auto value = static_cast<double>(most[b]);
    out[b] = value >= high ? nearest[b] : value < low ? background : neither;
  }
  for (std::int64_t o = 0; keep_best && o < objects; ++o) {
    const float of_object = best[static_cast<std::size_t>(o)];
    if (of_object <= 0) continue;  // it meets none of them
    const std::span<const float> overlaps = row(o);
    for (std::size_t b = 0; b < out.size(); ++b)
      if (overlaps[b] == of_object) out[b] = nearest[b];
  }
  return out;
}

Sampler::Drawn Sampler::operator()(std::span<const std::int64_t> matches, Generator& rng) const {
  Drawn out;
  for (std::size_t i = 0; i < matches.size(); ++i) {
    if (matches[i] >= 0) out.positive.push_back(static_cast<std::int64_t>(i));
    if (matches[i] == background) out.negative.push_back(static_cast<std::int64_t>(i));
  }
  // The first places of a shuffle by Fisher and Yates.
  const auto draw = [&](std::vector<std::int64_t>& from, std::int64_t most) {
    if (std::ssize(from) <= most) return;
    for (std::int64_t i = 0; i < most; ++i) {
      const auto left = static_cast<std::uint64_t>(std::ssize(from) - i);
      std::swap(from[static_cast<std::size_t>(i)],
                from[static_cast<std::size_t>(i) + rng.below(left)]);
    }
    from.resize(static_cast<std::size_t>(most));
    std::ranges::sort(from);
  };
  draw(out.positive, static_cast<std::int64_t>(static_cast<double>(count) * positive_fraction));
  draw(out.negative, count - std::ssize(out.positive));
  return out;
}

}  // namespace exciton::nn::detection
