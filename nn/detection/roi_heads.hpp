/// The second stage: what a proposal shows, and where exactly (Girshick 2015, "Fast R-CNN"; the
/// head of two layers and the choice of the level are those of Lin et al. 2017).
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "exciton/nn/detection/options.hpp"
#include "exciton/nn/detection/targets.hpp"
#include "exciton/nn/layers.hpp"

namespace exciton::nn::detection {

/// fc6 - relu - fc7 - relu, then of each proposal the logits of background and classes
/// ("cls_score") and for each of them a code of a box ("bbox_pred"). A region of w x h pixels is
/// read from level floor(4 + log2(sqrt(w h) / 224)), where level l has stride 2^l, or the nearest
/// that there is.
class RoiHeads {
 public:
  RoiHeads(std::int64_t channels, std::int64_t classes, const RoiOptions& options, Generator& init);
  void visit(Visitor& v, const std::string& name);

  /// Means over the drawn proposals of the batch:
  ///   classifier  cross-entropy
  ///   box         smooth L1 of the codes of those with an object, of its class
  struct Losses {
    Var classifier, box;
  };
  /// `maps` are the pyramid's without its last level. The objects' own boxes are among the
  /// proposals.
  Losses losses(const std::vector<Var>& maps, ImageSize padded,
                std::vector<std::vector<Box>> proposals, const std::vector<Objects>& objects,
                Generator& rng);
  std::vector<Detections> detect(const std::vector<Var>& maps, ImageSize padded,
                                 const std::vector<std::vector<Box>>& proposals,
                                 const std::vector<ImageSize>& sizes);

  RoiOptions options;

 private:
  struct Scores {
    Var logits, codes;  ///< [K, classes + 1] and [K, 4 (classes + 1)]
  };
  Scores scores_of(const std::vector<Var>& maps, ImageSize padded,
                   const std::vector<std::vector<Box>>& regions);

  std::int64_t classes_;
  Linear fc6_, fc7_, cls_score_, bbox_pred_;
};

/// The level, counted from the first one, from which a region is read; the levels have strides
/// 2^first, 2^(first + 1), ... `count` in number.
std::int64_t level_of(const Box& region, std::int64_t first, std::int64_t count);

}  // namespace exciton::nn::detection
