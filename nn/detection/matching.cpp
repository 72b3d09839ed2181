#include "exciton/nn/detection/matching.hpp"

#include <algorithm>

#include "exciton/core/error.hpp"

namespace exciton::nn::detection {

std::vector<std::int64_t> Matcher::operator()(std::span<const float> ious, std::int64_t objects,
                                              std::int64_t boxes) const {
  check(std::ssize(ious) == objects * boxes, "matcher: ", ious.size(), " overlaps of ", objects,
        " objects with ", boxes, " boxes");
  check(low <= high, "matcher: low ", low, " is above high ", high);
  std::vector<std::int64_t> out(static_cast<std::size_t>(boxes), background);
  if (objects == 0) return out;
  std::vector<std::int64_t> nearest(out.size(), 0);
  std::vector<float> most(ious.begin(), ious.begin() + boxes);
  for (std::int64_t o = 1; o < objects; ++o)
    for (std::size_t b = 0; b < out.size(); ++b) {
      const float value = ious[static_cast<std::size_t>(o * boxes) + b];
      if (value > most[b]) {
        most[b] = value;
        nearest[b] = o;
      }
    }
  for (std::size_t b = 0; b < out.size(); ++b) {
    const auto value = static_cast<double>(most[b]);
    out[b] = value >= high ? nearest[b] : value < low ? background : neither;
  }
  if (!keep_best) return out;
  for (std::int64_t o = 0; o < objects; ++o) {
    const auto row = ious.subspan(static_cast<std::size_t>(o * boxes), out.size());
    const float best = *std::ranges::max_element(row);
    for (std::size_t b = 0; best > 0 && b < out.size(); ++b)
      if (row[b] == best) out[b] = nearest[b];
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
