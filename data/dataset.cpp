#include "exciton/data/dataset.hpp"
#include "exciton/data/kinds.hpp"

#include <algorithm>
#include <cmath>
#include <mutex>
#include <utility>

#include "exciton/core/suggest.hpp"
#include "exciton/data/fetch.hpp"
#include "exciton/data/files.hpp"
#include "exciton/data/fingerprint.hpp"
#include "exciton/data/folder_layout.hpp"
#include "exciton/data/formats.hpp"
#include "exciton/data/image.hpp"
#include "exciton/data/listing.hpp"

namespace exciton::data {
namespace fs = std::filesystem;

std::vector<std::string> dataset_kinds() {
  std::vector<std::string> out{"auto",          "cifar10", "cifar100",  "mnist",
                               "fashion-mnist", "folder",  "places365", "webdataset"};
  for (const Kind& own : kind_registry().kinds()) out.push_back(own.name);
  return out;
}

namespace {

/// What people have that is not read, when a file in `dir` tells so; ends a message.
std::string known_but_not_read(const fs::path& dir) {
  static const std::vector<std::pair<std::string, std::string>> endings{
      {".mat", "SVHN's .mat files are not read: save the images into one folder a class"},
      {".npz", "numpy's files are not read: save the images into one folder a class"},
      {".npy", "numpy's files are not read: save the images into one folder a class"},
      {".parquet", "Parquet files are not read: save the images into one folder a class"},
      {".tfrecord", "TFRecord files are not read: save the images into one folder a class"},
      {".zip", "unpack it first"},
      {".tar.gz", "unpack it first"},
      {".tgz", "unpack it first"},
      {".tar.bz2", "unpack it first"},
      {".tar.xz", "unpack it first"},
      {".tar.zst", "unpack it first"},
      {".rar", "unpack it first"},
      {".7z", "unpack it first"},
      {".tar",
       "it is an archive: unpack it first, or, where it holds samples of WebDataset, call it "
       "train.tar"}};
  for (const std::string& name : files_in(dir)) {
    if (name.starts_with("emnist-"))
      return "; there is " + name +
             ": EMNIST is not read. It is MNIST's format under other names, "
             "with transposed images, and letters numbered from 1";
    if (name.ends_with(".idx3-ubyte") || name.ends_with(".idx3-ubyte.gz")) {
      std::string wanted = name;
      wanted[name.rfind(".idx3")] = '-';
      return "; there is " + name + ": the four files are read under names like " + wanted +
             ", so rename them";
    }
    for (const auto& [ending, advice] : endings)
      if (name.ends_with(ending)) return "; there is " + name + ": " + advice;
  }
  return "";
}

/// True when nothing lies in `dir` but hidden files and a download that is not finished.
bool holds_nothing(const fs::path& dir) {
  const std::vector<std::string> files = files_in(dir);
  return folders_in(dir).empty() && std::all_of(files.begin(), files.end(), [](const auto& name) {
           return name.starts_with('.') || name.ends_with(".part");
         });
}

std::string images_text(std::int64_t count) {
  return std::to_string(count) + (count == 1 ? " image" : " images");
}

/// Why the images in `dir` are no data set; ends a message. Empty: there are none.
std::string images_found(const fs::path& dir) {
  const auto direct = [](const fs::path& where) -> std::int64_t {
    const std::vector<std::string> files = files_in(where);
    return std::count_if(files.begin(), files.end(), is_image_name);
  };
  const auto filled = [](const fs::path& where) {
    std::vector<std::string> out = folders_in(where);
    std::erase_if(out, [&](const std::string& name) { return !has_image(where / name, where); });
    return out;
  };
  std::vector<std::string> folders = filled(dir);
  if (const std::int64_t images = direct(dir); images > 0)
    return "; " + images_text(images) + (images == 1 ? " lies" : " lie") +
           " directly in it, but classes are folders: expected two or more folders <class>/*.jpg; "
           "if it is the folder of one class, name the folder that holds it";
  if (folders.empty()) return "";
  const std::string only = folders.front();
  fs::path below = dir;
  constexpr int deepest = 8;
  for (int level = 0; level < deepest && folders.size() == 1; ++level) {
    below /= folders.front();
    if (!folder_layout(below).splits.empty())
      return "; its images lie deeper: name the folder " + below.string();
    if (direct(below) > 0) break;
    folders = filled(below);
  }
  LeftOut others;
  const auto count = static_cast<std::int64_t>(image_files(dir / only, "", others, {}, dir).size());
  return "; only one folder with images lies in it, " + only + " (" + images_text(count) +
         "); expected two or more, one a class";
}

/// The kind that "auto" finds in `dir`; ends a message.
std::string other_kind(const std::string& kind, const fs::path& dir) {
  if (kind == "auto") return "";
  try {
    return "; it holds a data set of kind " + find_layout("auto", dir).kind;
  } catch (const Error&) {
    return "";
  }
}

/// What lies in `dir` in place of a data set; ends a message.
std::string found_instead(const std::string& kind, const fs::path& dir) {
  if (const std::string other = other_kind(kind, dir); !other.empty()) return other;
  const std::string text = known_but_not_read(dir) + images_found(dir);
  if (!text.empty()) return text;
  std::vector<std::string> names = files_in(dir);
  for (const std::string& folder : folders_in(dir)) names.push_back(folder + '/');
  std::erase_if(names, [](const std::string& name) { return name.starts_with('.'); });
  const std::size_t count = names.size();
  constexpr std::size_t most = 3;
  names.resize(std::min(count, most));
  return "; there are no images in it, but " + listed(names) + (count > most ? ", ..." : "");
}

/// True for a kind that fetch_dataset can bring.
bool can_be_fetched(const std::string& kind) {
  const Catalogue& known = official_catalogue();
  return std::any_of(known.begin(), known.end(),
                     [&](const RemoteDataset& d) { return d.name == kind; });
}

/// No data set of `kind` in `dir`, which is there: what to try.
[[noreturn]] void fail_to_find(const std::string& kind, const fs::path& dir,
                               const std::vector<std::string>& looked_for) {
  const std::string none =
      "data: no data set in " + dir.string() + "; looked for " + listed(looked_for);
  const bool empty = holds_nothing(dir);
  if (empty && kind == "auto") throw NotFound(none, official_catalogue().front().name, dir);
  if (empty && can_be_fetched(kind)) throw NotFound(none, kind, dir);
  fail(none, empty ? "; the folder is empty" : found_instead(kind, dir));
}

std::vector<FoundSplit> cifar_splits(const CifarFormat& format, const fs::path& where) {
  std::vector<FoundSplit> out;
  for (const char* split : {"train", "test"})
    if (has_cifar(format, where, split)) out.push_back({split, where});
  return out;
}

std::vector<FoundSplit> idx_splits(const fs::path& where) {
  std::vector<FoundSplit> out;
  for (const char* split : {"train", "test"})
    if (has_idx(where, split)) out.push_back({split, where});
  return out;
}

std::vector<FoundSplit> shard_splits(const fs::path& dir) {
  std::vector<FoundSplit> out;
  for (const char* split : {"train", "val", "test"})
    if (const auto shards = find_shards(dir, split); !shards.empty())
      out.push_back({split, shards.front().parent_path()});
  return out;
}

std::vector<FoundSplit> places_splits(const fs::path& dir) {
  std::vector<FoundSplit> out;
  for (const char* split : {"train", "val"})
    if (has_places365(dir, split)) out.push_back({split, dir});
  return out;
}

/// Why a split without labels is skipped.
std::string skipped(const FolderLayout& layout, const FolderSplit& split) {
  const std::string where = split.root.string();
  if (!has_image(split.root, layout.base)) return where + " has no images: skipped";
  std::string lists;
  for (const fs::path& place : {split.root, layout.base})
    for (const std::string& name : files_in(place))
      if (name.ends_with(".csv") || name.ends_with(".tsv"))
        lists += (lists.empty() ? "" : ", ") + (place / name).string();
  return where + " has no labels: skipped (there are neither class folders nor a list of labels " +
         split.root.filename().string() + ".txt" +
         (lists.empty() ? "" : "; " + lists + " has not the name of such a list") + ")";
}

DataLayout folder_splits(const fs::path& dir, bool alone) {
  DataLayout out{.kind = "folder", .dir = dir, .splits = {}, .notes = {}};
  const FolderLayout found = folder_layout(dir, alone);
  for (const FolderSplit& split : found.splits) {
    out.splits.push_back({split.name, split.root, split.labelled()});
    if (!split.labelled() && split.name != "train") out.notes.push_back(skipped(found, split));
  }
  if (found.flat)
    out.notes.push_back("There are no folders train, val and test in " + dir.string() + ": its " +
                        std::to_string(found.filled) + " folders are the classes");
  return out;
}

}  // namespace

bool DataLayout::has(const std::string& split) const {
  return std::any_of(splits.begin(), splits.end(), [&](const FoundSplit& found) {
    return found.name == split && found.labelled;
  });
}

DataLayout find_layout(const std::string& kind, const fs::path& dir) {
  const std::vector<std::string> kinds = dataset_kinds();
  if (std::find(kinds.begin(), kinds.end(), kind) == kinds.end())
    fail("data: no data set kind \"", kind, "\"; there are ", listed(kinds));
  if (!fs::is_directory(dir)) {
    const std::string none = "data: no folder \"" + dir.string() + "\"";
    if (can_be_fetched(kind)) throw NotFound(none, kind, dir);
    fail(none);
  }

  const auto asked = [&](std::string_view k) { return kind == "auto" || kind == k; };
  if (const Kind* own = kind_registry().find(kind)) {
    std::vector<FoundSplit> splits = own->splits(dir);
    check(!splits.empty(), "data: no ", kind, " in ", dir.string());
    return {kind, dir, false, std::move(splits), {}};
  }
  std::vector<DataLayout> found;
  std::vector<std::string> looked_for;
  for (const CifarFormat& format : {cifar10_format(), cifar100_format()}) {
    if (!asked(format.kind)) continue;
    looked_for.push_back(format.train_files.front() + " (" + format.title + ", also in " +
                         format.folder + "/)");
    looked_for.push_back(format.python.train_files.front() + " (its python version, also in " +
                         format.python.folder + "/)");
    if (const auto where = find_cifar(format, dir))
      found.push_back({format.kind, *where, true, cifar_splits(format, *where), {}});
  }
  if (asked("mnist") || asked("fashion-mnist")) {
    looked_for.emplace_back("train-images-idx3-ubyte[.gz] (MNIST and Fashion-MNIST)");
    if (const auto where = find_idx(dir))
      found.push_back(
          {kind == "auto" ? idx_kind(*where) : kind, *where, true, idx_splits(*where), {}});
  }
  if (asked("places365")) {
    looked_for.emplace_back("places365_train_standard.txt (Places365)");
    if (is_places365(dir)) found.push_back({"places365", dir, false, places_splits(dir), {}});
  }
  if (asked("webdataset")) {
    looked_for.emplace_back("train*.tar (WebDataset)");
    if (auto splits = shard_splits(dir); !splits.empty())
      found.push_back({"webdataset", dir, false, std::move(splits), {}});
  }
  if (asked("folder")) {
    looked_for.emplace_back("train/<class>/*.jpg, or two or more folders <class>/*.jpg (images)");
    DataLayout folder = folder_splits(dir, found.empty());
    const bool labelled = std::any_of(folder.splits.begin(), folder.splits.end(),
                                      [](const FoundSplit& split) { return split.labelled; });
    if (labelled || (found.empty() && !folder.splits.empty())) found.push_back(std::move(folder));
  }
  if (found.empty()) fail_to_find(kind, dir, looked_for);
  std::vector<std::string> names;
  for (const DataLayout& layout : found) names.push_back(layout.kind);
  check(found.size() == 1, "data: ", dir.string(), " holds several data sets (", listed(names),
        "); name the one you want");
  return std::move(found.front());
}

std::shared_ptr<const Dataset> open_split(const DataLayout& layout, const std::string& split,
                                          const OpenOptions& options) {
  const std::string& kind = layout.kind;
  if (const Kind* own = kind_registry().find(kind)) return own->open(layout.dir, split);
  if (kind == "folder") return open_folder(layout.dir, split, options.memory_limit);
  if (kind == "places365") return open_places365(layout.dir, split, options.memory_limit);
  if (kind == "webdataset") return open_webdataset(layout.dir, split);
  check(split != "val", "data: ", layout.dir.string(), ": ", kind,
        " has no val; data.validation holds out a share of train");
  if (kind == "cifar10") return open_cifar(cifar10_format(), layout.dir, split);
  if (kind == "cifar100") return open_cifar(cifar100_format(), layout.dir, split);
  return open_idx(kind, layout.dir, split);
}

std::shared_ptr<const Dataset> open_dataset(const std::string& kind, const fs::path& dir,
                                            const std::string& split, const OpenOptions& options) {
  check(split == "train" || split == "val" || split == "test", "data: no split \"", split,
        "\"; there are train, val and test");
  const DataLayout layout = find_layout(kind, dir);
  const bool has_val = std::any_of(layout.splits.begin(), layout.splits.end(),
                                   [](const FoundSplit& found) { return found.name == "val"; });
  const bool by_val = split == "test" && has_val && !layout.has("test");
  return open_split(layout, by_val ? "val" : split, options);
}

void Dataset::read_view(std::int64_t index, const ViewRequest& request, Image& out) const {
  Image image;
  read(index, image);
  view_of(image, name(index), request, out);
}

const LeftOut& Dataset::left_out() const {
  static const LeftOut nothing;
  return nothing;
}

void Dataset::prefetch(std::int64_t) const {}

bool Dataset::fetch(std::int64_t, std::vector<std::uint8_t>&) const { return false; }

std::uint64_t Dataset::fingerprint() const {
  std::uint64_t out = 0;
  for (std::int64_t i = 0; i < size(); ++i) {
    const std::int64_t number = label(i);
    out = hashed(out, &number, sizeof number);
  }
  return out;
}

std::string Dataset::name(std::int64_t index) const {
  return "image " + std::to_string(index) + " of " + description();
}

ChannelStats channel_stats(const Dataset& dataset, std::int64_t at_most) {
  const auto channels = static_cast<std::size_t>(dataset.channels());
  check(channels >= 1 && channels <= 3, "data: channel statistics want 1 to 3 channels, got ",
        channels);
  check(dataset.size() >= 1, "data: ", dataset.description(), ": no images to take statistics of");
  struct Sums {
    std::array<std::uint64_t, 3> first{}, second{};
    std::uint64_t pixels = 0;
  } total;
  std::mutex mutex;
  std::string failure;
  const std::int64_t looks = std::min(dataset.size(), at_most);
  for_each_index(looks, [&](std::int64_t look) {
    Image image;
    try {
      dataset.read(look * dataset.size() / looks, image);
    } catch (const Error& error) {
      const std::lock_guard lock(mutex);
      failure = error.what();
      return;
    }
    Sums sums;
    sums.pixels = image.pixels.size() / channels;
    for (std::size_t p = 0; p < image.pixels.size(); p += channels)
      for (std::size_t c = 0; c < channels; ++c) {
        const std::uint64_t v = image.pixels[p + c];
        sums.first[c] += v;
        sums.second[c] += v * v;
      }
    const std::lock_guard lock(mutex);
    total.pixels += sums.pixels;
    for (std::size_t c = 0; c < channels; ++c) {
      total.first[c] += sums.first[c];
      total.second[c] += sums.second[c];
    }
  });
  check(total.pixels > 0, "data: ", dataset.description(),
        ": not one image can be read: ", failure);
  ChannelStats stats;
  for (std::size_t c = 0; c < channels; ++c) {
    const auto count = static_cast<double>(total.pixels);
    const double mean = static_cast<double>(total.first[c]) / count;
    const double variance = static_cast<double>(total.second[c]) / count - mean * mean;
    stats.mean[c] = static_cast<float>(mean / 255);
    const double deviation = std::sqrt(std::max(variance, 0.0)) / 255;
    if (deviation > 1e-6) stats.std[c] = static_cast<float>(deviation);
  }
  return stats;
}

}  // namespace exciton::data
