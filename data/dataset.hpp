/// Data sets: indexed images with labels.
#pragma once
#include <array>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "exciton/core/error.hpp"
#include "exciton/core/tensor.hpp"
#include "exciton/data/left_out.hpp"
#include "exciton/data/pixels.hpp"

namespace exciton::data {

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
  /// What `request` wants of image `index`. Errors name the file.
  virtual void read_view(std::int64_t index, const ViewRequest& request, Image& out) const;
  /// For sets of files: the bytes of image `index` into `out`, undecoded. Sets of pixels return
  /// false. Errors name the file.
  virtual bool fetch(std::int64_t index, std::vector<std::uint8_t>& out) const;
  /// A hint that image `index` will be read soon, so that its bytes can be on their way from the
  /// disk. Sets that cannot use it ignore it.
  virtual void prefetch(std::int64_t index) const;
  /// The image's file, or what it is called where it has none.
  virtual std::string name(std::int64_t index) const;
  virtual const std::vector<std::string>& class_names() const = 0;
  std::int64_t classes() const { return static_cast<std::int64_t>(class_names().size()); }
  virtual std::int64_t channels() const = 0;
  /// Side of every image, or 0 when they differ, are not square, or were not looked at.
  virtual std::int64_t image_size() const = 0;
  /// A number that tells these images and their labels from others: of the names within the set
  /// where images are files, of the pixels where they are held in memory from the start. The same
  /// wherever the set lies. What other sets return tells their labels apart.
  virtual std::uint64_t fingerprint() const;
  /// Files that lie where the images are and are not used.
  virtual const LeftOut& left_out() const;
  /// What it is and where it came from, for the log: "CIFAR-10 train, 50000 images, DIR".
  virtual std::string description() const = 0;
};

struct OpenOptions {
  /// Equal images of a folder of together at most so many bytes are decoded when it is opened.
  std::size_t memory_limit = std::size_t{512} << 20;
};

/// A split that lies in a folder.
struct FoundSplit {
  std::string name;             ///< "train", "val" or "test"
  std::filesystem::path where;  ///< for people
  bool labelled = true;
};

/// A data set in a folder, before any image is read.
struct DataLayout {
  std::string kind;  ///< as open_dataset has it, never "auto"
  std::filesystem::path dir;
  bool official = false;           ///< published with a train and a test set, and no val
  std::vector<FoundSplit> splits;  ///< train, val, test, as far as they are there
  std::vector<std::string> notes;  ///< sentences about how the folder is read

  /// True when that split is there and has labels.
  bool has(const std::string& split) const;
};

/// There is no data set in a folder; one can be downloaded into it (data/fetch.hpp).
class NotFound : public Error {
 public:
  NotFound(const std::string& what, std::string fetchable, std::filesystem::path dir)
      : Error(what), fetchable_(std::move(fetchable)), dir_(std::move(dir)) {}
  const std::string& fetchable() const { return fetchable_; }  ///< its kind
  const std::filesystem::path& dir() const { return dir_; }

 private:
  std::string fetchable_;
  std::filesystem::path dir_;
};

/// Errors: as open_dataset.
DataLayout find_layout(const std::string& kind, const std::filesystem::path& dir);

/// Opens the data set in `dir`. `split` is "train", "val" or "test", which is val where there is no
/// labelled test. `kind` is one of
///   "cifar10", "cifar100"       the official binary or pickled files, in `dir` or its usual
///                               subfolder
///   "mnist", "fashion-mnist"    the four IDX files, plain or gzip, in `dir` or its usual subfolder
///   "folder"                    train/<class>/**/*.jpg|png|..., with val/ and test/ beside it, or
///                               flat with a list of labels; or <class>/**/*.jpg alone
///   "places365"                 the file lists of Places365, and the folders they are about
///   "webdataset"                tar files: train*.tar, val*.tar (or train/*.tar, ...)
///   "auto"                      whichever of these is found
/// docs/data.md describes each, and the order of the classes. Small sets of equal images are
/// decoded into memory at once, others when they are read. Errors: nothing found (tells what it
/// looked for), several kinds found, bad files.
std::shared_ptr<const Dataset> open_dataset(const std::string& kind,
                                            const std::filesystem::path& dir,
                                            const std::string& split, const OpenOptions& = {});

/// That split of a layout, to the letter. Errors: it is not there, has no labels, bad files.
std::shared_ptr<const Dataset> open_split(const DataLayout& layout, const std::string& split,
                                          const OpenOptions& = {});

/// Every image file in `dir` and the folders below it, in byte order of their paths, in one class
/// named after `dir`. For looking at images and for timing them: not a data set to learn from.
std::shared_ptr<const Dataset> open_images(const std::filesystem::path& dir);

/// The kinds that open_dataset knows, "auto" first.
std::vector<std::string> dataset_kinds();

/// Mean and standard deviation (of the population) over all pixels of all images, per channel, of
/// values scaled to 0..1. Unused channels have mean 0 and deviation 1; so has the deviation of a
/// constant channel, by which nobody can divide.
struct ChannelStats {
  std::array<float, 3> mean{0, 0, 0}, std{1, 1, 1};
};

/// Reads every image once, on all threads; of a set with more than `at_most` images, so many at
/// equal distances. Images that cannot be read are left out. The sums are exact integers, so the
/// result does not depend on the thread count. Errors: not one image can be read.
ChannelStats channel_stats(const Dataset& dataset,
                           std::int64_t at_most = std::numeric_limits<std::int64_t>::max());

}  // namespace exciton::data
