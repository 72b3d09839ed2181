/// Average precision of detections, by the rules of COCO's evaluator
/// (https://cocodataset.org, "detection evaluation").
#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "exciton/data/detection/coco.hpp"

namespace exciton::train {

/// Something found in an image; indices are those of the annotations.
struct CocoDetection {
  std::int64_t image = 0, category = 0;
  data::Box box;
  double score = 0;
};

/// The names of the twelve numbers, as COCO has them: AP over IoUs of .5 to .95 in steps of .05, at
/// .5 and .75, of small (area below 32^2), medium and large (above 96^2) objects; AR with 1, 10 and
/// 100 detections an image, and by area.
inline constexpr std::array<std::string_view, 12> coco_metric_names{
    "AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl"};

struct CocoMetrics {
  std::array<double, 12> values{};    ///< -1 where there is no object to be found
  std::vector<double> ap, ap50;       ///< of each category; -1 likewise
  std::vector<std::int64_t> objects;  ///< of each category, crowds not counted
  double ap50_mean() const { return values[1]; }
  double value(std::string_view name) const;  ///< Errors: none of that name.
};

/// In every image and category the detections, at most 100 and the surest first, are matched one by
/// one: each takes the object of the highest IoU that is free and reaches the threshold, one that
/// counts before one that is ignored. Crowds are ignored and may be taken by several; their IoU is
/// the intersection over the detection's own area. Objects of another area are ignored, and so are
/// detections of another area that took nothing. Precision is the highest at this recall or more,
/// averaged over 101 recalls; the means are over categories that have objects. Errors: an image or
/// a category that is not there.
CocoMetrics coco_metrics(const data::CocoAnnotations& annotations,
                         std::span<const CocoDetection> detections);

}  // namespace exciton::train
