#include "data/dataset.hpp"

#include <algorithm>
#include <cmath>
#include <mutex>

#include "data/files.hpp"
#include "data/formats.hpp"

namespace exciton::data {
namespace fs = std::filesystem;

const std::vector<std::string>& dataset_kinds() {
  static const std::vector<std::string> kinds{"auto",  "cifar10",       "cifar100",
                                              "mnist", "fashion-mnist", "folder"};
  return kinds;
}

std::shared_ptr<const Dataset> open_dataset(const std::string& kind, const fs::path& dir,
                                            const std::string& split) {
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
  check(!found.empty(), "data: no data set in ", dir.string(), "; looked for ", looked_for,
        "; try: exciton data fetch ", kind == "auto" || kind == "folder" ? "cifar10" : kind,
        " --dir ", dir.string());
  check(found.find(',') == std::string::npos, "data: ", dir.string(), " holds several data sets (",
        found, "); name the one you want");

  if (found == "cifar10" || found == "cifar100") {
    const CifarFormat format = found == "cifar10" ? cifar10_format() : cifar100_format();
    return open_cifar(format, *find_cifar(format, dir), split);
  }
  if (found == "folder") return open_folder(dir, split);
  return open_idx(found, *find_idx(dir), split);
}

ChannelStats channel_stats(const Dataset& dataset) {
  const auto channels = static_cast<std::size_t>(dataset.channels());
  check(channels >= 1 && channels <= 3, "data: channel statistics want 1 to 3 channels, got ",
        channels);
  check(dataset.size() >= 1, "data: ", dataset.description(), ": no images to take statistics of");
  struct Sums {
    std::array<std::uint64_t, 3> first{}, second{};
    std::uint64_t pixels = 0;
  } total;
  std::mutex mutex;
  for_each_index(dataset.size(), [&](std::int64_t i) {
    Image image;
    dataset.read(i, image);
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
