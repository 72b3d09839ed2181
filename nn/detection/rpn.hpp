/// The region proposal network (Ren et al. 2015, section 3.1) over a pyramid.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "exciton/nn/detection/anchors.hpp"
#include "exciton/nn/detection/options.hpp"
#include "exciton/nn/detection/targets.hpp"
#include "exciton/nn/layers.hpp"

namespace exciton::nn::detection {

/// On every map of the pyramid, with the same weights: conv3x3 - relu, then of each pixel and ratio
/// a logit (conv1x1 "cls_logits") and a code of a box relative to its anchor (conv1x1 "bbox_pred").
/// Weights start normal with deviation 0.01, biases at 0.
class Rpn {
 public:
  Rpn(std::int64_t channels, const RpnOptions& options, Generator& init);
  void visit(Visitor& v, const std::string& name);

  struct Output {
    ImageSize padded;  ///< of the batch
    std::int64_t images = 0;
    std::vector<Var> logits, codes;         ///< of each level: [images * anchors, 1] and [.., 4]
    std::vector<std::vector<Box>> anchors;  ///< of each level
  };
  /// Errors: another number of maps than there are anchor sizes.
  Output operator()(const std::vector<Var>& maps, ImageSize padded);

  /// Boxes for the next stage, for each image the surest first: decoded, clipped to the image,
  /// without those below a thousandth of a pixel, suppressed by level. No gradient passes.
  std::vector<std::vector<Box>> proposals(const Output& out, const std::vector<ImageSize>& sizes,
                                          const ProposalCounts& counts) const;

  /// Means over the drawn anchors of the batch:
  ///   objectness  binary cross-entropy
  ///   box         smooth L1 of the codes of those with an object
  struct Losses {
    Var objectness, box;
  };
  Losses losses(const Output& out, const std::vector<Objects>& objects, Generator& rng) const;

  RpnOptions options;

 private:
  Conv2d conv_, logits_, codes_;
};

}  // namespace exciton::nn::detection
