/// Data sets of images with objects, in the layout of COCO.
#pragma once
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "exciton/data/dataset.hpp"
#include "exciton/data/detection/coco.hpp"

namespace exciton::data {

/// The images of a split and their objects. Const use from several threads is safe.
class DetectionSet {
 public:
  /// `images` is the folder of the files. Errors: those of read_coco; image files that are missing.
  DetectionSet(const std::filesystem::path& annotations, std::filesystem::path images);

  std::int64_t size() const { return std::ssize(annotations_.images); }
  const CocoImage& image(std::int64_t index) const {
    return annotations_.images[static_cast<std::size_t>(index)];
  }
  const CocoAnnotations& annotations() const { return annotations_; }
  std::filesystem::path file(std::int64_t index) const { return folder_ / image(index).file; }
  /// Decodes an image to RGB, grey ones too. Errors name the file: it cannot be read, or has
  /// another size than its annotation says.
  Image read(std::int64_t index) const;

  /// A number that tells these images and objects from others, wherever they lie.
  std::uint64_t fingerprint() const;
  /// "COCO train2017, 86 images, 688 objects in 66 of 80 categories, DIR".
  std::string description() const;
  /// Sentences about what of the annotations does not train, with how many there are.
  std::vector<std::string> notes() const;
  /// Only the first so many images (0: all), or only the others.
  void keep(std::int64_t first);
  void leave_out(std::int64_t first);

 private:
  std::filesystem::path folder_;
  std::string name_;
  CocoAnnotations annotations_;
};

/// Errors: no detector can be trained on `train`, for there is no object; or be measured on `val`
/// (which may be null), for it has other categories.
void check_trains(const DetectionSet& train, const DetectionSet* val);

/// The images alone, for what looks at any set of images (statistics, surveys): in one class.
std::shared_ptr<const Dataset> images_of(std::shared_ptr<const DetectionSet> set);

/// Where a split lies.
struct CocoSplit {
  std::string name;  ///< "train" or "val"
  std::filesystem::path annotations, images;
};

/// The splits in `dir`: annotations/instances_<split>.json with the images in <split>/ (or
/// images/<split>/), where a split is called train2017, val2014, or just train, ...; train first.
/// Nothing: it is no such folder. Errors: two files for one split, no folder of images.
std::vector<CocoSplit> find_coco(const std::filesystem::path& dir);

/// The split "train" or "val". Errors: there is none; as DetectionSet.
std::shared_ptr<DetectionSet> open_coco(const std::filesystem::path& dir, const std::string& split);

}  // namespace exciton::data
