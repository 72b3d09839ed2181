// Places365 keeps its images in folders named after their size: data_256, val_256 or data_large,
// val_large. Class numbers are those of categories_places365.txt.
#include <optional>
#include <utility>

#include "exciton/data/file_dataset.hpp"
#include "exciton/data/formats.hpp"
#include "exciton/data/label_list.hpp"

namespace exciton::data {
namespace fs = std::filesystem;
namespace {

constexpr const char* categories = "categories_places365.txt";

std::optional<fs::path> places_list(const fs::path& dir, const std::string& split) {
  const std::vector<const char*> names =
      split == "train"
          ? std::vector{"places365_train_standard.txt", "places365_train_challenge.txt"}
          : std::vector{"places365_val.txt"};
  for (const char* name : names)
    for (const fs::path& where : {dir, dir / "filelist_places365-standard"})
      if (fs::is_regular_file(where / name)) return where / name;
  return std::nullopt;
}

fs::path places_root(const fs::path& dir, const std::string& split) {
  const std::string stem = split == "train" ? "data" : "val";
  for (const std::string& name : {stem + "_256", stem + "_large", stem + "_256_standard",
                                  stem + "_large_standard", split, stem})
    if (fs::is_directory(dir / name)) return dir / name;
  fail("places365: no folder ", stem, "_256 nor ", stem, "_large in ", dir.string());
}

}  // namespace

bool is_places365(const fs::path& dir) {
  return places_list(dir, "train") || places_list(dir, "test");
}

bool has_places365(const fs::path& dir, const std::string& split) {
  return places_list(dir, split).has_value();
}

std::shared_ptr<const Dataset> open_places365(const fs::path& dir, const std::string& split,
                                              std::size_t memory_limit) {
  const auto list_file = places_list(dir, split);
  check(list_file.has_value(), "places365: no list ",
        split == "train" ? "places365_train_standard.txt" : "places365_val.txt", " in ",
        dir.string());
  const fs::path names = list_file->parent_path() / categories;
  const std::vector<LabelLine> named = read_label_list(names);
  std::vector<std::string> classes(named.size());
  for (std::size_t i = 0; i < named.size(); ++i) {
    check(named[i].label == std::to_string(i), "places365: ", names.string(), ": \"", named[i].file,
          "\" has number \"", named[i].label, "\", expected ", i);
    classes[i] = named[i].file;
    while (classes[i].starts_with('/')) classes[i].erase(0, 1);
    if (classes[i].size() > 2 && classes[i][1] == '/') classes[i].erase(0, 2);  // "a/airfield"
  }
  const ClassNumbers numbers(classes);
  FileIndex index;
  for (const LabelLine& line : read_label_list(*list_file)) {
    std::string file = line.file;
    while (file.starts_with('/')) file.erase(0, 1);
    check(!file.empty() && fs::path(file).lexically_normal() == fs::path(file) &&
              !file.starts_with(".."),
          "places365: ", list_file->string(), ": no file name: \"", line.file, "\"");
    const std::int64_t number = numbers.of(line.label);
    check(number >= 0, "places365: ", list_file->string(), ": ", file, ": \"", line.label,
          "\" is no number of a class");
    index.add(file, number);
  }
  const fs::path root = places_root(dir, split);
  const std::string what = described("Places365 " + split, index.size(), root);
  return in_memory_if_small(
      std::make_shared<FileDataset>(root, std::move(index), std::move(classes), what),
      memory_limit);
}

}  // namespace exciton::data
