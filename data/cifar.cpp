#include <algorithm>

#include "data/files.hpp"
#include "data/formats.hpp"
#include "data/memory_dataset.hpp"

namespace exciton::data {
namespace fs = std::filesystem;
namespace {

constexpr std::int64_t side = 32, plane = side * side, channels = 3;

/// Copies one file's records behind what `out` holds already, planes becoming channels-last pixels.
void append_file(const CifarFormat& format, const fs::path& path, std::int64_t records,
                 MemoryDataset::Contents& out) {
  const std::int64_t label_bytes = format.coarse_classes > 0 ? 2 : 1;
  const std::int64_t record_bytes = label_bytes + channels * plane;
  const std::vector<std::uint8_t> bytes = read_file(path);
  check(static_cast<std::int64_t>(bytes.size()) == records * record_bytes, format.kind, ": ",
        path.string(), " has ", bytes.size(), " bytes, wants ", records * record_bytes, " (",
        records, " records of ", record_bytes, "); it is truncated or not ", format.title,
        ": fetch it again");
  const auto check_label = [&](std::int64_t record, const char* which, int label,
                               std::int64_t classes) {
    check(label < classes, format.kind, ": ", path.string(), ", record ", record, ": ", which,
          " byte is ", label, ", wants 0 to ", classes - 1,
          "; the file is damaged: fetch it again");
  };
  const auto classes = static_cast<std::int64_t>(out.class_names.size());
  for (std::int64_t r = 0; r < records; ++r) {
    const std::uint8_t* record = bytes.data() + r * record_bytes;
    if (format.coarse_classes > 0) check_label(r, "coarse label", record[0], format.coarse_classes);
    check_label(r, "label", record[label_bytes - 1], classes);
    out.labels.push_back(record[label_bytes - 1]);
    const std::uint8_t* pixels = record + label_bytes;
    for (std::int64_t i = 0; i < plane; ++i)
      for (std::int64_t c = 0; c < channels; ++c) out.pixels.push_back(pixels[c * plane + i]);
  }
}

}  // namespace

CifarFormat cifar10_format() {
  return {.kind = "cifar10",
          .title = "CIFAR-10",
          .train_files = {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin",
                          "data_batch_4.bin", "data_batch_5.bin"},
          .test_files = {"test_batch.bin"},
          .train_records = 10000,
          .test_records = 10000,
          .coarse_classes = 0,
          .class_names = {"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse",
                          "ship", "truck"},
          .names_file = "batches.meta.txt",
          .folder = "cifar-10-batches-bin"};
}

CifarFormat cifar100_format() {
  return {.kind = "cifar100",
          .title = "CIFAR-100",
          .train_files = {"train.bin"},
          .test_files = {"test.bin"},
          .train_records = 50000,
          .test_records = 10000,
          .coarse_classes = 20,
          .class_names = {"apple",    "aquarium_fish", "baby",       "bear",         "beaver",
                          "bed",      "bee",           "beetle",     "bicycle",      "bottle",
                          "bowl",     "boy",           "bridge",     "bus",          "butterfly",
                          "camel",    "can",           "castle",     "caterpillar",  "cattle",
                          "chair",    "chimpanzee",    "clock",      "cloud",        "cockroach",
                          "couch",    "crab",          "crocodile",  "cup",          "dinosaur",
                          "dolphin",  "elephant",      "flatfish",   "forest",       "fox",
                          "girl",     "hamster",       "house",      "kangaroo",     "keyboard",
                          "lamp",     "lawn_mower",    "leopard",    "lion",         "lizard",
                          "lobster",  "man",           "maple_tree", "motorcycle",   "mountain",
                          "mouse",    "mushroom",      "oak_tree",   "orange",       "orchid",
                          "otter",    "palm_tree",     "pear",       "pickup_truck", "pine_tree",
                          "plain",    "plate",         "poppy",      "porcupine",    "possum",
                          "rabbit",   "raccoon",       "ray",        "road",         "rocket",
                          "rose",     "sea",           "seal",       "shark",        "shrew",
                          "skunk",    "skyscraper",    "snail",      "snake",        "spider",
                          "squirrel", "streetcar",     "sunflower",  "sweet_pepper", "table",
                          "tank",     "telephone",     "television", "tiger",        "tractor",
                          "train",    "trout",         "tulip",      "turtle",       "wardrobe",
                          "whale",    "willow_tree",   "wolf",       "woman",        "worm"},
          .names_file = "fine_label_names.txt",
          .folder = "cifar-100-binary"};
}

std::optional<fs::path> find_cifar(const CifarFormat& format, const fs::path& dir) {
  for (const fs::path& where : {dir, dir / format.folder})
    for (const auto* files : {&format.train_files, &format.test_files})
      for (const std::string& file : *files)
        if (fs::is_regular_file(where / file)) return where;
  return std::nullopt;
}

std::shared_ptr<const Dataset> open_cifar(const CifarFormat& format, const fs::path& where,
                                          const std::string& split) {
  const bool train = split == "train";
  const auto& files = train ? format.train_files : format.test_files;
  const std::int64_t records = train ? format.train_records : format.test_records;

  MemoryDataset::Contents out;
  out.height = out.width = side;
  out.channels = channels;
  out.class_names = format.class_names;
  if (const fs::path names = where / format.names_file; fs::exists(names)) {
    out.class_names = read_lines(names);
    check(out.class_names.size() == format.class_names.size(), format.kind, ": ", names.string(),
          " names ", out.class_names.size(), " classes, wants ", format.class_names.size());
  }
  const auto images = static_cast<std::size_t>(records) * files.size();
  out.labels.reserve(images);
  out.pixels.reserve(images * static_cast<std::size_t>(channels * plane));
  for (const std::string& file : files) append_file(format, where / file, records, out);
  out.description =
      format.title + " " + split + ", " + std::to_string(images) + " images, " + where.string();
  return std::make_shared<MemoryDataset>(std::move(out));
}

}  // namespace exciton::data
