#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <utility>

#include "data/file_dataset.hpp"
#include "data/files.hpp"
#include "data/formats.hpp"
#include "data/label_list.hpp"

namespace exciton::data {
namespace fs = std::filesystem;
namespace {

/// Names in `dir`, in byte order, without hidden ones: folders, or image files.
std::vector<std::string> list(const fs::path& dir, bool folders) {
  std::error_code error;
  std::vector<std::string> names;
  for (fs::directory_iterator it(dir, error), end; !error && it != end; it.increment(error)) {
    std::string name = it->path().filename().string();
    std::error_code none;
    if (name.starts_with('.')) continue;
    if (folders ? it->is_directory(none) : is_image_name(name) && !it->is_directory(none))
      names.push_back(std::move(name));
  }
  check(!error, "folder: cannot list ", dir.string(), ": ", error.message());
  std::sort(names.begin(), names.end());
  return names;
}

/// The folder of a split: train, or test, or val in its place.
fs::path split_folder(const fs::path& dir, const std::string& split) {
  fs::path root = dir / split;
  if (split == "test" && !fs::is_directory(root)) root = dir / "val";
  return root;
}

/// Folders of classes: all, but for the "images" beside Tiny-ImageNet's list.
std::vector<std::string> class_folders(const fs::path& root) {
  std::vector<std::string> names = list(root, true);
  if (names == std::vector<std::string>{"images"}) names.clear();
  return names;
}

/// Where a class keeps its files: in its folder, or in "images" there (Tiny-ImageNet).
fs::path image_folder(const fs::path& of_class) {
  return fs::is_directory(of_class / "images") ? of_class / "images" : of_class;
}

/// The list that belongs to a flat folder of images.
std::optional<fs::path> find_list(const fs::path& dir, const fs::path& root) {
  const std::string split = root.filename().string();
  const std::array<std::string, 8> names{split + "_annotations.txt",
                                         split + ".txt",
                                         "imagenet_2012_validation_synset_labels.txt",
                                         "ILSVRC2012_validation_synset_labels.txt",
                                         split + "_synset_labels.txt",
                                         "synset_labels.txt",
                                         "labels.txt",
                                         "LOC_" + split + "_solution.csv"};
  for (const fs::path& where : {root, dir})
    for (const std::string& name : names)
      if (fs::is_regular_file(where / name)) return where / name;
  return std::nullopt;
}

/// Class names when there is no folder that has them: from a file, or from the list itself.
std::vector<std::string> listed_classes(const fs::path& dir, const std::vector<LabelLine>& lines) {
  for (const char* name : {"synsets.txt", "synset_words.txt", "classes.txt"}) {
    if (!fs::is_regular_file(dir / name)) continue;
    std::vector<std::string> names;
    for (const std::string& line : read_lines(dir / name))
      names.push_back(line.substr(0, line.find_first_of(" \t")));
    return names;
  }
  std::set<std::string> names;
  for (const LabelLine& line : lines) names.insert(line.label);
  return {names.begin(), names.end()};
}

/// Adds a flat folder of images to `index`, with the labels of a list.
void add_listed(const fs::path& dir, const fs::path& root, const fs::path& list_file,
                const std::vector<LabelLine>& lines, const std::vector<std::string>& classes,
                FileIndex& index) {
  const fs::path folder = image_folder(root);
  const std::vector<std::string> files = list(folder, false);
  const ClassNumbers numbers(classes);
  const std::string below = folder.lexically_relative(dir).string() + '/';
  const auto add = [&](const std::string& file, const std::string& label) {
    const std::int64_t number = numbers.of(label);
    check(number >= 0, "folder: ", list_file.string(), ": ", file, ": \"", label,
          "\" is none of the ", classes.size(), " classes");
    index.add(below + file, number);
  };
  if (lines.front().file.empty()) {
    check(lines.size() == files.size(), "folder: ", list_file.string(), " has ", lines.size(),
          " labels, ", folder.string(), " has ", files.size(), " images");
    for (std::size_t i = 0; i < files.size(); ++i) add(files[i], lines[i].label);
    return;
  }
  std::unordered_map<std::string, std::string> label_of;  // by name without folder and extension
  for (const LabelLine& line : lines) label_of[fs::path(line.file).stem().string()] = line.label;
  for (const std::string& file : files) {
    const auto found = label_of.find(fs::path(file).stem().string());
    check(found != label_of.end(), "folder: ", list_file.string(), " has no label for ",
          (folder / file).string());
    add(file, found->second);
  }
}

/// Adds split/<class>/<image>.
void add_classes(const fs::path& root, const std::string& below,
                 const std::vector<std::string>& folders, const std::vector<std::string>& classes,
                 const fs::path& class_root, FileIndex& index) {
  for (const std::string& name : folders) {
    const auto found = std::lower_bound(classes.begin(), classes.end(), name);
    check(found != classes.end() && *found == name, "folder: ", (root / name).string(),
          " is no class of ", class_root.string());
    const fs::path folder = image_folder(root / name);
    const std::vector<std::string> files = list(folder, false);
    check(!files.empty(), "folder: ", (root / name).string(),
          " has no images; wants .jpg, .jpeg or .png files");
    const std::string prefix = below + folder.lexically_relative(root).string() + '/';
    for (const std::string& file : files) index.add(prefix + file, found - classes.begin());
  }
}

}  // namespace

bool is_image_folder(const fs::path& dir) {
  for (const char* split : {"train", "test", "val"}) {
    const fs::path root = dir / split;
    if (!fs::is_directory(root)) continue;
    if (!class_folders(root).empty() || find_list(dir, root)) return true;
  }
  return false;
}

std::shared_ptr<const Dataset> open_folder(const fs::path& dir, const std::string& split,
                                           std::size_t memory_limit) {
  const fs::path root = split_folder(dir, split);
  check(fs::is_directory(root), "folder: no folder ", (dir / split).string(),
        split == "test" ? " nor val beside it" : "", "; wants ", split, "/<class>/<image>.jpg");
  const std::vector<std::string> folders = class_folders(root);
  const auto list_file = folders.empty() ? find_list(dir, root) : std::nullopt;
  const std::vector<LabelLine> lines =
      list_file ? read_label_list(*list_file) : std::vector<LabelLine>{};

  const fs::path class_root = fs::is_directory(dir / "train") ? dir / "train" : root;
  std::vector<std::string> classes = class_folders(class_root);
  if (classes.empty() && list_file) classes = listed_classes(dir, lines);
  check(!classes.empty(), "folder: ", class_root.string(), " has no class folders; wants ", split,
        "/<class>/<image>.jpg");
  check(!folders.empty() || list_file, "folder: ", root.string(),
        " has no class folders, and no list of labels lies beside it; see docs/data.md");

  FileIndex index;
  if (list_file)
    add_listed(dir, root, *list_file, lines, classes, index);
  else
    add_classes(root, root.filename().string() + '/', folders, classes, class_root, index);
  const std::string what = described("folder " + split, index.size(), dir);
  return in_memory_if_small(
      std::make_shared<FileDataset>(dir, std::move(index), std::move(classes), what), memory_limit);
}

std::shared_ptr<const Dataset> open_images(const fs::path& dir) {
  check(fs::is_directory(dir), "data: no folder \"", dir.string(), "\"");
  std::vector<std::string> files;
  std::error_code error;
  fs::recursive_directory_iterator it(dir, fs::directory_options::skip_permission_denied, error);
  for (const fs::recursive_directory_iterator end; !error && it != end; it.increment(error)) {
    std::error_code none;
    if (is_image_name(it->path().filename().string()) && !it->is_directory(none))
      files.push_back(it->path().lexically_relative(dir).string());
  }
  check(!error, "data: cannot list ", dir.string(), ": ", error.message());
  check(!files.empty(), "data: ", dir.string(), " has no images; wants .jpg, .jpeg or .png files");
  std::sort(files.begin(), files.end());
  FileIndex index;
  for (const std::string& file : files) index.add(file, 0);
  const std::string what = described("images", index.size(), dir);
  const fs::path absolute = fs::absolute(dir).lexically_normal();
  const fs::path last = absolute.has_filename() ? absolute : absolute.parent_path();
  return std::make_shared<FileDataset>(dir, std::move(index),
                                       std::vector<std::string>{last.filename().string()}, what);
}

}  // namespace exciton::data
