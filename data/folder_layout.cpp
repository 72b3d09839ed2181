#include "exciton/data/folder_layout.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

#include "exciton/core/error.hpp"
#include "exciton/data/listing.hpp"

namespace exciton::data {
namespace fs = std::filesystem;
namespace {

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

/// "train", "val" or "test" for the folder of a split, "" for another.
std::string split_called(const std::string& folder) {
  const std::string name = lower(folder);
  if (name == "train" || name == "training") return "train";
  if (name == "val" || name == "valid" || name == "validation" || name == "dev") return "val";
  if (name == "test" || name == "testing") return "test";
  return "";
}

/// Folders of classes: all, but for a single one that only holds what has no labels: the "images"
/// of Tiny-ImageNet, "unknown", or the split's name again (Kaggle).
std::vector<std::string> class_folders(const fs::path& root) {
  std::vector<std::string> names = folders_in(root);
  if (names.size() != 1) return names;
  const std::string only = lower(names.front());
  if (only == "images" || only == "unknown" || split_called(only) != "") names.clear();
  return names;
}

/// Where Kaggle puts the lists of its ImageNet: beside the folder ILSVRC.
std::optional<fs::path> beside_ilsvrc(const fs::path& base) {
  const fs::path whole = fs::absolute(base / "x").lexically_normal().parent_path();
  const fs::path data = whole.parent_path(), ilsvrc = data.parent_path();
  const bool kaggle = whole.filename() == "CLS-LOC" && data.filename() == "Data";
  return kaggle ? std::optional(ilsvrc.parent_path()) : std::nullopt;
}

/// The list that belongs to a flat folder of images. Lists whose names say nothing of a split are
/// those of val, or of the folder they lie in.
std::optional<fs::path> find_list(const fs::path& base, const fs::path& root,
                                  const std::string& split) {
  const std::string called = root.filename().string();
  std::vector<std::string> own{called + "_annotations.txt", called + ".txt",
                               called + "_synset_labels.txt", "LOC_" + called + "_solution.csv"};
  const std::array<std::string, 4> general{"imagenet_2012_validation_synset_labels.txt",
                                           "ILSVRC2012_validation_synset_labels.txt",
                                           "synset_labels.txt", "labels.txt"};
  std::vector<fs::path> places{root, base};
  if (const auto kaggle = beside_ilsvrc(base)) places.push_back(*kaggle);
  for (const fs::path& where : places) {
    for (const std::string& name : own)
      if (fs::is_regular_file(where / name)) return where / name;
    if (where != root && split != "val") continue;
    for (const std::string& name : general)
      if (fs::is_regular_file(where / name)) return where / name;
  }
  return std::nullopt;
}

/// The splits that lie in `base`.
std::vector<FolderSplit> splits_in(const fs::path& base) {
  std::vector<FolderSplit> out;
  const std::vector<std::string> folders = folders_in(base);
  for (const char* split : {"train", "val", "test"})
    for (const std::string& folder : folders) {
      if (split_called(folder) != split) continue;
      const fs::path root = base / folder;
      check(out.empty() || out.back().name != split, "folder: ", base.string(), " has ",
            out.empty() ? "" : out.back().root.filename().string(), " and ", folder,
            ", which are both ", split, "; rename one of them");
      out.push_back({split, root, class_folders(root), std::nullopt});
      if (out.back().folders.empty()) out.back().list = find_list(base, root, split);
    }
  return out;
}

/// True when other folders than those of splits hold images, and none is train: then "test" is the
/// name of a class among others.
bool among_classes(const fs::path& base, const std::vector<FolderSplit>& splits) {
  if (splits.empty() || splits.front().name == "train") return false;
  const std::vector<std::string> folders = folders_in(base);
  return std::any_of(folders.begin(), folders.end(), [&](const std::string& folder) {
    return split_called(folder).empty() && has_image(base / folder);
  });
}

}  // namespace

const FolderSplit* FolderLayout::find(const std::string& name) const {
  const auto found = std::find_if(splits.begin(), splits.end(),
                                  [&](const FolderSplit& split) { return split.name == name; });
  return found == splits.end() ? nullptr : &*found;
}

FolderLayout folder_layout(const fs::path& dir) {
  for (const char* below : {"", "ILSVRC/Data/CLS-LOC", "Data/CLS-LOC", "tiny-imagenet-200"}) {
    const fs::path base = *below ? dir / below : dir;
    std::error_code none;
    if (!fs::is_directory(base, none)) continue;
    std::vector<FolderSplit> splits = splits_in(base);
    if (!splits.empty() && !among_classes(base, splits)) return {base, false, std::move(splits)};
  }
  std::vector<std::string> classes;
  for (const std::string& folder : folders_in(dir))
    if (has_image(dir / folder)) classes.push_back(folder);
  if (classes.size() < 2) return {dir, false, {}};
  return {dir, true, {{"train", dir, std::move(classes), std::nullopt}}};
}

bool has_image(const fs::path& dir) {
  using Options = fs::directory_options;
  std::error_code error;
  fs::recursive_directory_iterator it(
      dir, Options::skip_permission_denied | Options::follow_directory_symlink, error);
  for (const fs::recursive_directory_iterator end; !error && it != end; it.increment(error)) {
    std::error_code none;
    if (is_image_name(it->path().filename().string()) && !it->is_directory(none)) return true;
  }
  return false;
}

}  // namespace exciton::data
