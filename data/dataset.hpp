/// Data sets: indexed images with labels.
#pragma once
#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
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
  /// Side of every image, or 0 when they differ, are not square, or were not looked at.
  virtual std::int64_t image_size() const = 0;
  /// What it is and where it came from, for the log: "CIFAR-10 train, 50000 images, DIR".
  virtual std::string description() const = 0;
};

/// Opens the data set in `dir`. `split` is "train" or "test". `kind` is one of
///   "cifar10", "cifar100"       the official binary files, in `dir` or its usual subfolder
///   "mnist", "fashion-mnist"    the four IDX files, plain or gzip, in `dir` or its usual subfolder
///   "folder"                    train/<class>/*.jpg|png, and test/ or val/ beside it
///   "auto"                      whichever of these is found
/// Pixels are decoded into memory, except those of folders too large for it, which are decoded when
/// read. Errors: nothing found (tells what it looked for), several kinds found, bad files.
std::shared_ptr<const Dataset> open_dataset(const std::string& kind,
                                            const std::filesystem::path& dir,
                                            const std::string& split);

/// The kinds that open_dataset knows, "auto" first.
const std::vector<std::string>& dataset_kinds();

/// Mean and standard deviation (of the population) over all pixels of all images, per channel, of
/// values scaled to 0..1. Unused channels have mean 0 and deviation 1; so has the deviation of a
/// constant channel, by which nobody can divide.
struct ChannelStats {
  std::array<float, 3> mean{0, 0, 0}, std{1, 1, 1};
};

/// Reads every image once, on all threads. The sums are exact integers, so the result does not
/// depend on the thread count.
ChannelStats channel_stats(const Dataset& dataset);

}  // namespace exciton::data
