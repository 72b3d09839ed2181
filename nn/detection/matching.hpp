/// Which boxes learn what: matching them with the objects, and drawing some of them.
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "exciton/core/random.hpp"
#include "exciton/nn/detection/boxes.hpp"

namespace exciton::nn::detection {

/// What a match is when it is no object.
inline constexpr std::int64_t background = -1, neither = -2;

/// A box is matched with the object of its highest IoU (the first of several), and is
///   that object      at an IoU of `high` or more,
///   background       below `low`,
///   neither          between: it learns nothing.
/// With `keep_best` the boxes that have the highest IoU with an object (all of them that do) are
/// theirs at any IoU, so that no object is without one (Ren et al. 2015, section 3.1.2).
struct Matcher {
  double high = 0.5, low = 0.5;
  bool keep_best = false;
  /// `ious` is [objects, boxes]. Without objects all is background.
  std::vector<std::int64_t> operator()(std::span<const float> ious, std::int64_t objects,
                                       std::int64_t boxes) const;
  /// The same without a table of all overlaps, which many objects and anchors would make large.
  std::vector<std::int64_t> operator()(std::span<const Box> objects,
                                       std::span<const Box> boxes) const;

 private:
  /// The overlaps of one object with all boxes; asked for once, with keep_best twice.
  using Row = std::function<std::span<const float>(std::int64_t object)>;
  std::vector<std::int64_t> match(const Row& row, std::int64_t objects, std::int64_t boxes) const;
};

/// Draws up to `count` matched boxes: at most count * positive_fraction (rounded down) of those
/// with an object, and as many of the background as then fit, each set of a size as likely as any
/// other.
struct Sampler {
  std::int64_t count = 256;
  double positive_fraction = 0.5;
  struct Drawn {
    std::vector<std::int64_t> positive, negative;  ///< indices, ascending
  };
  Drawn operator()(std::span<const std::int64_t> matches, Generator& rng) const;
};

}  // namespace exciton::nn::detection
