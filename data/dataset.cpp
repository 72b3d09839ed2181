#include "data/dataset.hpp"

#include <algorithm>
#include <cmath>
#include <mutex>

#include "data/files.hpp"
#include "data/fingerprint.hpp"
#include "data/formats.hpp"
#include "data/image.hpp"

namespace exciton::data {
namespace fs = std::filesystem;

const std::vector<std::string>& dataset_kinds() {
  static const std::vector<std::string> kinds{
      "auto", "cifar10", "cifar100", "mnist", "fashion-mnist", "folder", "places365", "webdataset"};
  return kinds;
}

std::shared_ptr<const Dataset> open_dataset(const std::string& kind, const fs::path& dir,
                                            const std::string& split, const OpenOptions& options) {
  check(split == "train" || split == "test", "data: no split \"", split,
        "\"; there are train and test");
  const auto& kinds = dataset_kinds();
  if (std::find(kinds.begin(), kinds.end(), kind) == kinds.end()) {
    std::string known;
    for (const auto& k : kinds) known += (known.empty() ? "" : ", ") + k;
    fail("data: no data set kind \"", kind, "\"; there are ", known);
  }
  check(fs::is_directory(dir), "data: no folder \"", dir.string(), "\"");

  const auto wants = [&](std::string_view k) { return kind == "auto" || kind == k; };
  std::string found, looked_for;
  const auto note = [](std::string& list, const std::string& item) {
    list += (list.empty() ? "" : ", ") + item;
  };
  for (const CifarFormat& format : {cifar10_format(), cifar100_format()}) {
    if (!wants(format.kind)) continue;
    note(looked_for,
         format.train_files.front() + " (" + format.title + ", also in " + format.folder + "/)");
    if (find_cifar(format, dir)) note(found, format.kind);
  }
  if (wants("mnist") || wants("fashion-mnist")) {
    note(looked_for, "train-images-idx3-ubyte[.gz] (MNIST and Fashion-MNIST)");
    if (const auto where = find_idx(dir)) note(found, kind == "auto" ? idx_kind(*where) : kind);
  }
  if (wants("folder")) {
    note(looked_for, "train/<class>/*.jpg|png (image folder)");
    if (is_image_folder(dir)) note(found, "folder");
  }
  if (wants("places365")) {
    note(looked_for, "places365_train_standard.txt (Places365)");
    if (is_places365(dir)) note(found, "places365");
  }
  if (wants("webdataset")) {
    note(looked_for, "train*.tar (WebDataset)");
    if (!find_shards(dir, "train").empty() || !find_shards(dir, "test").empty())
      note(found, "webdataset");
  }
  const bool fetched = kind.starts_with("cifar") || kind.ends_with("mnist");
  check(!found.empty(), "data: no data set in ", dir.string(), "; looked for ", looked_for,
        "; try: exciton data fetch ", fetched ? kind : "cifar10", " --dir ", dir.string());
  check(found.find(',') == std::string::npos, "data: ", dir.string(), " holds several data sets (",
        found, "); name the one you want");

  if (found == "cifar10" || found == "cifar100") {
    const CifarFormat format = found == "cifar10" ? cifar10_format() : cifar100_format();
    return open_cifar(format, *find_cifar(format, dir), split);
  }
  if (found == "folder") return open_folder(dir, split, options.memory_limit);
  if (found == "places365") return open_places365(dir, split, options.memory_limit);
  if (found == "webdataset") return open_webdataset(dir, split);
  return open_idx(found, *find_idx(dir), split);
}

void Dataset::read_view(std::int64_t index, const Framing& framing, Image& out) const {
  Image image;
  read(index, image);
  view_of(image, name(index), framing, out);
}

void Dataset::will_read(std::int64_t) const {}

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
