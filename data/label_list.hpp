/// Text files that say which image shows what.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <unordered_map>
#include <vector>

namespace exciton::data {

/// Number of each class, by its name, or by a decimal number.
class ClassNumbers {
 public:
  explicit ClassNumbers(const std::vector<std::string>& names);
  /// A name counts before a number. -1: neither a name nor a number of one.
  std::int64_t of(const std::string& label) const;

 private:
  std::unordered_map<std::string, std::int64_t> numbers_;
};

/// One line of a list.
struct LabelLine {
  std::string file;  ///< empty where the list has labels only
  std::string label;
};

/// Lines "FILE LABEL...", parted by spaces, tabs or commas, of which the first two words count; or
/// only "LABEL", which is meant for the files in byte order of their names. A first line
/// "ImageId,..." (Kaggle) is a heading. That covers val.txt of Caffe, val_annotations.txt of
/// Tiny-ImageNet, LOC_val_solution.csv, the synset lists of ILSVRC and the lists of Places365.
/// Errors: the file cannot be read, no lines, lines of both kinds.
std::vector<LabelLine> read_label_list(const std::filesystem::path& path);

}  // namespace exciton::data
