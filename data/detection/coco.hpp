/// Annotations of objects in COCO's JSON (Lin et al. 2014; https://cocodataset.org, "object
/// detection"): what is in an instances_*.json.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "exciton/data/pixels.hpp"

namespace exciton::data {

struct CocoObject {
  std::int64_t id = 0;
  Box box;                    ///< as annotated: it may reach over the border or have no area
  double area = 0;            ///< in square pixels, of the mask where there is one
  std::int64_t category = 0;  ///< index of CocoAnnotations::categories
  bool crowd = false;         ///< `iscrowd`: a group, which neither trains nor counts
};

struct CocoImage {
  std::int64_t id = 0;
  std::string file;  ///< name within the folder of images
  Size size;
  std::vector<CocoObject> objects;
};

struct CocoCategory {
  std::int64_t id = 0;  ///< COCO's own go from 1 to 90 with gaps
  std::string name;
};

struct CocoAnnotations {
  std::vector<CocoCategory> categories;  ///< by id: their indices are the labels
  std::vector<CocoImage> images;         ///< by id
  std::vector<std::string> category_names() const;
};

/// Most objects of an image: a thousand times the mean of COCO.
inline constexpr std::int64_t most_objects = 10'000;
/// Most bytes of a file: that of COCO's train2017 has 449 million.
inline constexpr std::uint64_t most_coco_bytes = std::uint64_t{4} << 30;

/// Reads {"images": [...], "annotations": [...], "categories": [...]}; of an image id, file_name,
/// width and height, of an annotation id, image_id, category_id, bbox [x, y, width, height], area
/// (else that of the box) and iscrowd (else 0), of a category id and name. All else, masks above
/// all, is passed over and takes no memory. Errors, in one line that begins with `who`: malformed
/// or cut off; a missing key or one of another type; an image or category that is not there, or
/// twice; a box that is no numbers or beyond a million pixels; a file name that leads out of its
/// folder; more than most_objects in an image; no images, no categories.
CocoAnnotations parse_coco(std::string_view json, const std::string& who);
/// The same of a file. Errors: as File, and as above.
CocoAnnotations read_coco(const std::filesystem::path& file);

/// What of an object can be learned: its box cut at the border of the image. Width and height are 0
/// where nothing is left.
Box inside(const Box& box, Size image);

}  // namespace exciton::data
