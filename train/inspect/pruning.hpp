/// Pruning by gates, the last sentence of the SENet paper: channels that SE lets through least are
/// cut out, and what is left is a smaller dense network.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "exciton/train/trained_model.hpp"

namespace exciton::train {

/// Which channels stay, in ascending order.
struct KeptChannels {
  /// A stage's residual stream: what its blocks add to, ranked by the mean gate over images and
  /// over the blocks of the stage.
  std::vector<std::vector<std::int64_t>> stream;
  /// [stages][blocks] between the two convolutions of a block. No gate sits there, so channel j is
  /// ranked by what SE lets through of it: sum over kept c of gate[c] |gamma[c]| / sigma[c]
  /// ||w2[c, j]||_1.
  std::vector<std::vector<std::vector<std::int64_t>>> inner;
  /// [stages][blocks] hidden units of SE; fewer only where no reduction gives the old number.
  std::vector<std::vector<std::vector<std::int64_t>>> hidden;
};

struct Pruned {
  KeptChannels kept;
  Recipe recipe;    ///< with model.widths and the reductions that go with them
  nn::Model model;  ///< weights and statistics of the kept channels
};

/// Keeps keep * width channels, rounded to the nearest `multiple` (at least one of it, at most the
/// width), of every stage of a CIFAR network of basic blocks with SE in its standard place. Vectors
/// hold eight channels, and odd widths can run slower than wider ones. Gates are the means over
/// `images` of `set`, evenly spread.
/// Errors: another kind of network, keep outside (0, 1], multiple < 1.
Pruned prune(TrainedModel& trained, const std::shared_ptr<const data::Dataset>& set, double keep,
             std::int64_t images, std::int64_t multiple = 1);

}  // namespace exciton::train
