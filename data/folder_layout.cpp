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

/// The folders with images that are none of splits.
std::vector<std::string> beside_splits(const fs::path& base) {
  std::vector<std::string> out;
  for (const std::string& folder : folders_in(base))
    if (!names_split(folder) && has_image(base / folder, base)) out.push_back(folder);
  return out;
}

/// True when other folders than those of splits hold images, and none is train: then "test" is the
/// name of a class among others.
bool among_classes(const fs::path& base, const std::vector<FolderSplit>& splits) {
  return !splits.empty() && splits.front().name != "train" && !beside_splits(base).empty();
}

/// Errors: train holds images but no classes, and lies beside folders that look like classes.
void check_train_is_no_class(const fs::path& base, const std::vector<FolderSplit>& splits) {
  const FolderSplit& train = splits.front();
  if (train.name != "train" || train.labelled()) return;
  const std::vector<std::string> files = files_in(train.root);
  const auto images = std::count_if(files.begin(), files.end(), is_image_name);
  if (images == 0) return;
  if (const std::vector<std::string> others = beside_splits(base); !others.empty())
    fail("folder: ", train.root.string(), " is taken for the split train, but holds ", images,
         " images and no class folders. If it is a class, as ", others.front(),
         " beside it, rename it; if it is train, put its images into one folder a class");
}

}  // namespace

bool names_split(const std::string& folder) { return !split_called(folder).empty(); }

const FolderSplit* FolderLayout::find(const std::string& name) const {
  const auto found = std::find_if(splits.begin(), splits.end(),
                                  [&](const FolderSplit& split) { return split.name == name; });
  return found == splits.end() ? nullptr : &*found;
}

FolderLayout folder_layout(const fs::path& dir, bool alone) {
  for (const char* below : {"", "ILSVRC/Data/CLS-LOC", "Data/CLS-LOC", "tiny-imagenet-200"}) {
    const fs::path base = *below ? dir / below : dir;
    std::error_code none;
    if (!fs::is_directory(base, none)) continue;
    std::vector<FolderSplit> splits = splits_in(base);
    if (splits.empty() || among_classes(base, splits)) continue;
    if (alone) check_train_is_no_class(base, splits);
    return {.base = base, .splits = std::move(splits)};
  }
  if (!alone) return {.base = dir, .splits = {}};
  std::vector<std::string> classes = folders_in(dir);
  const auto filled = static_cast<std::size_t>(
      std::count_if(classes.begin(), classes.end(),
                    [&](const std::string& folder) { return has_image(dir / folder, dir); }));
  if (filled < 2) return {.base = dir, .splits = {}};
  return {dir, true, filled, {{"train", dir, std::move(classes), std::nullopt}}};
}

}  // namespace exciton::data
