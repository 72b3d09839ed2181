/// Where an image folder has its splits, classes and lists of labels. Nothing is decoded here.
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace exciton::data {

/// A split of an image folder.
struct FolderSplit {
  std::string name;  ///< "train", "val" or "test"
  std::filesystem::path root;
  std::vector<std::string> folders;           ///< of classes, in byte order of their names
  std::optional<std::filesystem::path> list;  ///< of labels, for images without class folders

  bool labelled() const { return !folders.empty() || list.has_value(); }
};

struct FolderLayout {
  std::filesystem::path base;  ///< the folder of the splits; with `flat` that of the classes
  bool flat = false;       ///< there are no splits: the folders in `base` are classes to train on
  std::size_t filled = 0;  ///< with `flat`: how many of the folders hold images
  std::vector<FolderSplit> splits;  ///< train, val, test, as far as they are there

  const FolderSplit* find(const std::string& name) const;
};

/// What lies in `dir`, or where archives put it: in ILSVRC/Data/CLS-LOC (Kaggle) or in
/// tiny-imagenet-200. Splits are folders of these names, in any case: train, training; val, valid,
/// validation, dev; test, testing. Without any of them two or more folders with images are classes.
/// Lists of labels lie in the split, beside it, or where Kaggle has them. `alone` is false where
/// another data set was found in `dir`: then only splits are looked for. Errors: two folders for
/// one split, a folder that cannot be listed; with `alone`, a "train" that is a class among others.
FolderLayout folder_layout(const std::filesystem::path& dir, bool alone = true);

/// True for the name of a split's folder.
bool names_split(const std::string& folder);

}  // namespace exciton::data
