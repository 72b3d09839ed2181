#include "exciton/data/dataset.hpp"
#include "exciton/data/kinds.hpp"

#include <algorithm>
#include <cmath>
#include <mutex>
#include <utility>

#include "exciton/core/suggest.hpp"
#include "exciton/data/files.hpp"
#include "exciton/data/fingerprint.hpp"
#include "exciton/data/folder_layout.hpp"
#include "exciton/data/formats.hpp"
#include "exciton/data/given_file.hpp"
#include "exciton/data/image.hpp"
#include "exciton/data/listing.hpp"
#include "exciton/data/not_found.hpp"

namespace exciton::data {
namespace fs = std::filesystem;

std::vector<std::string> dataset_kinds() {
  std::vector<std::string> out{"auto",          "cifar10", "cifar100",  "mnist",
                               "fashion-mnist", "folder",  "places365", "webdataset"};
  for (const Kind& own : kind_registry().kinds()) out.push_back(own.name);
  return out;
}

namespace {

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
    if (fs::exists(dir)) {
      const GivenFile given = look_at_file(dir);
      fail(none, ": it is ", given.what, given.advice);
    }
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
  check(at_most >= 1, "data: channel statistics want at least 1 image, got ", at_most);
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
