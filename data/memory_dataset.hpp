/// A data set of equal images held in memory; what the CIFAR, IDX and small-folder readers return.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "exciton/data/dataset.hpp"

namespace exciton::data {

class MemoryDataset : public Dataset {
 public:
  struct Contents {
    std::string description;
    std::int64_t height = 0, width = 0, channels = 0;
    std::vector<std::uint8_t> pixels;  ///< [size, height, width, channels]
    std::vector<std::int64_t> labels;  ///< [size], each below the number of class names
    std::vector<std::string> class_names;
    std::optional<std::uint64_t> fingerprint;  ///< of the files they were decoded from
    LeftOut left_out{};
    std::shared_ptr<const Dataset> named;  ///< has the images' names; may be empty
  };

  /// Errors: extents below 1, a pixel count that does not fit, a label without a class.
  explicit MemoryDataset(Contents contents);

  std::int64_t size() const override;
  std::int64_t label(std::int64_t index) const override;
  void read(std::int64_t index, Image& out) const override;
  const std::vector<std::string>& class_names() const override;
  std::int64_t channels() const override;
  std::int64_t image_size() const override;
  std::uint64_t fingerprint() const override;
  std::string description() const override;
  std::string name(std::int64_t index) const override;
  const LeftOut& left_out() const override { return contents_.left_out; }

 private:
  void check_index(std::int64_t index) const;
  Contents contents_;
};

}  // namespace exciton::data
