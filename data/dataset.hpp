/// Data sets: indexed images with labels.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/tensor.hpp"

namespace exciton::data {

/// One decoded image, row-major [height, width, channels], 8 bits a channel.
struct Image {
  std::int64_t height = 0, width = 0, channels = 0;
  std::vector<std::uint8_t> pixels;
};

/// Indexed images with labels. All const members may be called from several threads at once.
class Dataset {
 public:
  Dataset() = default;
  virtual ~Dataset() = default;
  Dataset(const Dataset&) = delete;
  Dataset& operator=(const Dataset&) = delete;

  virtual std::int64_t size() const = 0;
  virtual std::int64_t label(std::int64_t index) const = 0;
  /// Decodes image `index` into `out`, reusing its storage. Errors name the file.
  virtual void read(std::int64_t index, Image& out) const = 0;
  virtual const std::vector<std::string>& class_names() const = 0;
  std::int64_t classes() const { return static_cast<std::int64_t>(class_names().size()); }
  virtual std::int64_t channels() const = 0;
  /// Height and width of every image, or 0 when they differ.
  virtual std::int64_t image_size() const = 0;
  /// What it is and where it came from, for the log: "CIFAR-10 train, 50000 images, DIR".
  virtual std::string description() const = 0;
};

}  // namespace exciton::data
