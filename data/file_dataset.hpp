/// Data sets whose images are files, decoded each time they are read.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "exciton/data/dataset.hpp"

namespace exciton::data {

/// Names and labels of many files: 12 bytes per file beside the name itself.
class FileIndex {
 public:
  void add(std::string_view name, std::int64_t label);
  std::int64_t size() const { return static_cast<std::int64_t>(ends_.size()); }
  std::string_view name(std::int64_t index) const;
  std::int64_t label(std::int64_t index) const { return labels_[static_cast<std::size_t>(index)]; }
  /// Of all names and labels in their order.
  std::uint64_t fingerprint() const;

 private:
  std::string text_;  ///< all names, one after another
  std::vector<std::uint64_t> ends_;
  std::vector<std::int32_t> labels_;
};

/// Images as RGB out of files in a folder, or out of something else that overrides `fetch`.
class FileDataset : public Dataset {
 public:
  /// Names in `index` are relative to `root`. Errors: no files, a label without a class.
  FileDataset(std::filesystem::path root, FileIndex index, std::vector<std::string> class_names,
              std::string description, LeftOut left_out = {});

  std::int64_t size() const override { return index_.size(); }
  std::int64_t label(std::int64_t index) const override;
  void read(std::int64_t index, Image& out) const override;
  void read_view(std::int64_t index, const ViewRequest& request, Image& out) const override;
  bool fetch(std::int64_t index, std::vector<std::uint8_t>& out) const override;
  std::string name(std::int64_t index) const override;
  const std::vector<std::string>& class_names() const override { return class_names_; }
  std::int64_t channels() const override { return 3; }
  std::int64_t image_size() const override { return 0; }
  std::uint64_t fingerprint() const override { return index_.fingerprint(); }
  std::string description() const override { return description_; }
  const LeftOut& left_out() const override { return left_out_; }

 protected:
  void check_index(std::int64_t index) const;

 private:
  std::filesystem::path root_;
  FileIndex index_;
  std::vector<std::string> class_names_;
  std::string description_;
  LeftOut left_out_;
};

/// The same with all images decoded, when they are of one size, all good, and together no larger
/// than `memory_limit`; else what was given.
std::shared_ptr<const Dataset> in_memory_if_small(std::shared_ptr<const FileDataset> files,
                                                  std::size_t memory_limit);

/// "WHAT, 50 images, WHERE": what a data set is called in the log.
std::string described(const std::string& what, std::int64_t images,
                      const std::filesystem::path& where);

}  // namespace exciton::data
