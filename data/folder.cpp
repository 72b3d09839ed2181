#include <algorithm>
#include <atomic>
#include <cctype>
#include <cstring>
#include <utility>

#include "data/files.hpp"
#include "data/formats.hpp"
#include "data/image.hpp"
#include "data/memory_dataset.hpp"

namespace exciton::data {
namespace fs = std::filesystem;
namespace {

constexpr std::int64_t rgb = 3;

struct Entry {
  std::string file;
  std::int64_t label = 0;
};

/// Decodes each image when it is read.
class FolderDataset : public Dataset {
 public:
  FolderDataset(std::vector<Entry> entries, std::vector<std::string> classes, std::string what)
      : entries_(std::move(entries)), classes_(std::move(classes)), what_(std::move(what)) {}

  std::int64_t size() const override { return static_cast<std::int64_t>(entries_.size()); }
  std::int64_t label(std::int64_t index) const override { return entry(index).label; }
  void read(std::int64_t index, Image& out) const override {
    const std::string& file = entry(index).file;
    decode_image(read_file(file), file, rgb, out);
  }
  const std::vector<std::string>& class_names() const override { return classes_; }
  std::int64_t channels() const override { return rgb; }
  std::int64_t image_size() const override { return 0; }
  std::string description() const override { return what_; }

 private:
  const Entry& entry(std::int64_t index) const {
    check(index >= 0 && index < size(), "data: ", what_, ": no image ", index);
    return entries_[static_cast<std::size_t>(index)];
  }
  std::vector<Entry> entries_;
  std::vector<std::string> classes_;
  std::string what_;
};

bool is_image_name(const fs::path& path) {
  std::string end = path.extension().string();
  for (char& c : end) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return end == ".jpg" || end == ".jpeg" || end == ".png";
}

/// Names in `dir`, in byte order, without hidden ones: folders, or image files.
std::vector<std::string> list(const fs::path& dir, bool folders) {
  std::error_code error;
  std::vector<std::string> names;
  for (fs::directory_iterator it(dir, error), end; !error && it != end; it.increment(error)) {
    std::string name = it->path().filename().string();
    std::error_code none;
    if (name.starts_with('.')) continue;
    if (folders ? it->is_directory(none) : is_image_name(name) && it->is_regular_file(none))
      names.push_back(std::move(name));
  }
  check(!error, "folder: cannot list ", dir.string(), ": ", error.message());
  std::sort(names.begin(), names.end());
  return names;
}

/// All images decoded, or nothing when they are not of one size or take more than `limit` bytes.
std::optional<MemoryDataset::Contents> decode_all(const std::vector<Entry>& entries,
                                                  std::size_t limit) {
  const Image first = decode_image(fs::path(entries.front().file), rgb);
  const std::size_t bytes = first.pixels.size();
  if (bytes > limit / entries.size()) return std::nullopt;
  MemoryDataset::Contents out;
  out.height = first.height;
  out.width = first.width;
  out.channels = rgb;
  out.pixels.resize(bytes * entries.size());
  std::atomic<bool> equal = true;
  for_each_index(static_cast<std::int64_t>(entries.size()), [&](std::int64_t i) {
    if (!equal) return;
    const Image image = decode_image(fs::path(entries[static_cast<std::size_t>(i)].file), rgb);
    if (image.height != first.height || image.width != first.width)
      equal = false;
    else
      std::memcpy(out.pixels.data() + static_cast<std::size_t>(i) * bytes, image.pixels.data(),
                  bytes);
  });
  if (!equal) return std::nullopt;
  return out;
}

}  // namespace

bool is_image_folder(const fs::path& dir) {
  for (const char* split : {"train", "test", "val"})
    if (fs::is_directory(dir / split) && !list(dir / split, true).empty()) return true;
  return false;
}

std::shared_ptr<const Dataset> open_folder(const fs::path& dir, const std::string& split,
                                           std::size_t memory_limit) {
  fs::path root = dir / split;
  if (split == "test" && !fs::is_directory(root)) root = dir / "val";
  check(fs::is_directory(root), "folder: no folder ", (dir / split).string(),
        split == "test" ? " nor val beside it" : "", "; wants ", split, "/<class>/<image>.jpg");

  const bool has_train = fs::is_directory(dir / "train");
  std::vector<std::string> classes = list(has_train ? dir / "train" : root, true);
  check(!classes.empty(), "folder: ", (has_train ? dir / "train" : root).string(),
        " has no class folders; wants ", split, "/<class>/<image>.jpg");
  std::vector<Entry> entries;
  for (const std::string& name : list(root, true)) {
    const auto found = std::lower_bound(classes.begin(), classes.end(), name);
    check(found != classes.end() && *found == name, "folder: ", (root / name).string(),
          " is no class of ", (dir / "train").string());
    const std::vector<std::string> files = list(root / name, false);
    check(!files.empty(), "folder: ", (root / name).string(),
          " has no images; wants .jpg, .jpeg or .png files");
    for (const std::string& file : files)
      entries.push_back({(root / name / file).string(), found - classes.begin()});
  }
  check(!entries.empty(), "folder: ", root.string(), " has no class folders");

  const std::string what =
      "folder " + split + ", " + std::to_string(entries.size()) + " images, " + dir.string();
  if (auto contents = decode_all(entries, memory_limit)) {
    for (const Entry& entry : entries) contents->labels.push_back(entry.label);
    contents->class_names = std::move(classes);
    contents->description = what;
    return std::make_shared<MemoryDataset>(std::move(*contents));
  }
  return std::make_shared<FolderDataset>(std::move(entries), std::move(classes), what);
}

}  // namespace exciton::data
