/// Faster R-CNN with a feature pyramid (Ren et al. 2015; Lin et al. 2017) over any backbone in
/// stages: the detector of section 5.3 of the paper.
#pragma once
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "exciton/nn/detection/fpn.hpp"
#include "exciton/nn/detection/roi_heads.hpp"
#include "exciton/nn/detection/rpn.hpp"
#include "exciton/nn/registry.hpp"
#include "exciton/nn/stage_maps.hpp"

namespace exciton::nn::detection {

/// The four losses of a step, each [1].
struct DetectionLosses {
  Var classifier, box, objectness, rpn_box;
  /// Their sum.
  Var total() const;
};

/// Parameters and buffers are named backbone.* (as the classifier has them), fpn.inner.0.*,
/// fpn.layer.0.*, rpn.conv.*, rpn.cls_logits.*, rpn.bbox_pred.*, roi.fc6.*, roi.fc7.*,
/// roi.cls_score.*, roi.bbox_pred.*, and "sampling" [3] i64, the position of the random stream that
/// draws anchors and proposals, so that a checkpoint resumes it exactly.
class FasterRcnn final : public Module {
 public:
  /// Takes the classifier of `backbone` away. Errors: a backbone without stages; anchors for
  /// another number of levels than the pyramid has, one more than stages; no class.
  FasterRcnn(Model backbone, const FasterRcnnOptions& options, Generator& init);
  std::string_view kind() const override { return "FasterRcnn"; }
  void visit(Visitor& v) override;

  /// Images [N, H, W, C], normalised, and of each the part that is no padding. Draws anchors and
  /// proposals, so that each call goes on in the random stream. Errors: another number of sizes or
  /// objects than of images, a label that is no class, an object without area.
  DetectionLosses losses(const Var& images, const std::vector<ImageSize>& sizes,
                         const std::vector<Objects>& objects);
  /// What is found, in pixels of the input.
  std::vector<Detections> detect(const Var& images, const std::vector<ImageSize>& sizes);
  /// What the first stage proposes.
  std::vector<std::vector<Box>> propose(const Var& images, const std::vector<ImageSize>& sizes);

  /// The pyramid's maps, the finest first.
  std::vector<Var> pyramid(const Var& images);
  Module& backbone() { return *backbone_.net; }
  const FasterRcnnOptions& options() const { return options_; }

  RoiHeads& roi_heads() { return roi_; }

 protected:
  /// Images to the finest map of the pyramid: what summaries and exporters can follow.
  Var forward(const Var& images) override { return pyramid(images).front(); }

 private:
  FasterRcnnOptions options_;
  Model backbone_;
  StageMaps* stages_;  ///< the same network
  Fpn fpn_;
  Rpn rpn_;
  RoiHeads roi_;
  Tensor sampling_;
};

/// Batch norms of the module use their running statistics, and neither those nor weight and bias
/// change: they are affine maps with constants, as detectors on few images have them.
void make_norms_constant(Module& module);

}  // namespace exciton::nn::detection
