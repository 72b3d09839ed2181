#include <algorithm>

#include "exciton/data/files.hpp"
#include "exciton/data/formats.hpp"
#include "exciton/data/memory_dataset.hpp"
#include "exciton/data/pickle.hpp"

namespace exciton::data {
namespace fs = std::filesystem;
namespace {

constexpr std::int64_t side = 32, plane = side * side, channels = 3;

/// One image of three planes as channels-last pixels.
void append_planes(const std::uint8_t* planes, MemoryDataset::Contents& out) {
  for (std::int64_t i = 0; i < plane; ++i)
    for (std::int64_t c = 0; c < channels; ++c) out.pixels.push_back(planes[c * plane + i]);
}

/// Copies one file's records behind what `out` holds already, planes becoming channels-last pixels.
void append_file(const CifarFormat& format, const fs::path& path, std::int64_t records,
                 MemoryDataset::Contents& out) {
  const std::int64_t label_bytes = format.coarse_classes > 0 ? 2 : 1;
  const std::int64_t record_bytes = label_bytes + channels * plane;
  const std::vector<std::uint8_t> bytes = read_file(path);
  check(static_cast<std::int64_t>(bytes.size()) == records * record_bytes, format.kind, ": ",
        path.string(), " has ", bytes.size(), " bytes, expected ", records * record_bytes, " (",
        records, " records of ", record_bytes, "); it is truncated or not ", format.title,
        ": fetch it again");
  const auto check_label = [&](std::int64_t record, const char* which, int label,
                               std::int64_t classes) {
    check(label < classes, format.kind, ": ", path.string(), ", record ", record, ": ", which,
          " byte is ", label, ", expected 0 to ", classes - 1,
          "; the file is damaged: fetch it again");
  };
  const auto classes = static_cast<std::int64_t>(out.class_names.size());
  for (std::int64_t r = 0; r < records; ++r) {
    const std::uint8_t* record = bytes.data() + r * record_bytes;
    if (format.coarse_classes > 0) check_label(r, "coarse label", record[0], format.coarse_classes);
    check_label(r, "label", record[label_bytes - 1], classes);
    out.labels.push_back(record[label_bytes - 1]);
    append_planes(record + label_bytes, out);
  }
}

Pickle read_pickled(const CifarFormat& format, const fs::path& path) {
  check(fs::is_regular_file(path), format.kind, ": no file ", path.string(), "; fetch ",
        format.title, " again");
  return Pickle(read_file(path), path.string(), plain_pickle_global);
}

/// A value of the dict in a file of the python version.
const PickleValue& pickled(const CifarFormat& format, const Pickle& pickle,
                           const std::string& key) {
  const PickleValue* value = pickle.root().find(key);
  if (!value)
    fail(format.kind, ": ", pickle.file(), " holds ", kind_of(pickle.root()), " without \"", key,
         "\"; it is not the python version of ", format.title);
  return *value;
}

std::vector<std::string> pickled_names(const CifarFormat& format, const fs::path& path) {
  const Pickle pickle = read_pickled(format, path);
  std::vector<std::string> names;
  for (const PickleValue* name : pickled(format, pickle, format.python.names).items)
    names.push_back(bytes_in(*name, format.kind + ": " + path.string()));
  return names;
}

/// The same out of a file of the python version.
void append_pickled(const CifarFormat& format, const fs::path& path, MemoryDataset::Contents& out) {
  const std::string who = format.kind + ": " + path.string();
  const Pickle pickle = read_pickled(format, path);
  const NumpyArray data = numpy_array(pickled(format, pickle, "data"), who);
  const PickleValue& labels = pickled(format, pickle, format.python.labels);
  check(data.type == "u1" && data.shape.size() == 2 && data.shape[1] == channels * plane &&
            !data.column_major,
        who, ": \"data\" is no array [N, ", channels * plane,
        "] of unsigned bytes, a row per image");
  check(labels.is(PickleValue::Kind::list) &&
            static_cast<std::int64_t>(labels.items.size()) == data.shape[0],
        who, ": \"", format.python.labels, "\" is ", kind_of(labels), " of ", labels.items.size(),
        ", expected a list of ", data.shape[0], " labels");
  const auto classes = static_cast<std::int64_t>(out.class_names.size());
  for (std::int64_t r = 0; r < data.shape[0]; ++r) {
    const PickleValue& label = *labels.items[static_cast<std::size_t>(r)];
    check(label.is(PickleValue::Kind::integer) && label.integer >= 0 && label.integer < classes,
          who, ", image ", r, ": the label is ", kind_of(label), ' ', label.integer,
          ", expected 0 to ", classes - 1);
    out.labels.push_back(label.integer);
    append_planes(reinterpret_cast<const std::uint8_t*>(data.bytes.data()) + r * channels * plane,
                  out);
  }
}

bool any_file(const fs::path& where, const std::vector<std::string>& train,
              const std::vector<std::string>& test) {
  for (const auto* files : {&train, &test})
    for (const std::string& file : *files)
      if (fs::is_regular_file(where / file)) return true;
  return false;
}
bool is_binary(const CifarFormat& format, const fs::path& where) {
  return any_file(where, format.train_files, format.test_files);
}
/// "train" and "test" are names that anything may have; the file of class names beside them is not.
bool is_python(const CifarFormat& format, const fs::path& where) {
  const auto& files = format.python;
  return any_file(where, files.train_files, files.test_files) &&
         (files.train_files.size() > 1 || fs::is_regular_file(where / files.names_file));
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
          .folder = "cifar-10-batches-bin",
          .python = {.train_files = {"data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4",
                                     "data_batch_5"},
                     .test_files = {"test_batch"},
                     .labels = "labels",
                     .names_file = "batches.meta",
                     .names = "label_names",
                     .folder = "cifar-10-batches-py"}};
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
          .folder = "cifar-100-binary",
          .python = {.train_files = {"train"},
                     .test_files = {"test"},
                     .labels = "fine_labels",
                     .names_file = "meta",
                     .names = "fine_label_names",
                     .folder = "cifar-100-python"}};
}

std::optional<fs::path> find_cifar(const CifarFormat& format, const fs::path& dir) {
  for (const fs::path& where : {dir, dir / format.folder})
    if (is_binary(format, where)) return where;
  for (const fs::path& where : {dir, dir / format.python.folder})
    if (is_python(format, where)) return where;
  return std::nullopt;
}

bool has_cifar(const CifarFormat& format, const fs::path& where, const std::string& split) {
  const bool train = split == "train", binary = is_binary(format, where);
  const auto& files = binary  ? (train ? format.train_files : format.test_files)
                      : train ? format.python.train_files
                              : format.python.test_files;
  return any_file(where, files, files);
}

std::shared_ptr<const Dataset> open_cifar(const CifarFormat& format, const fs::path& where,
                                          const std::string& split) {
  const bool train = split == "train", binary = is_binary(format, where);
  const fs::path names = where / (binary ? format.names_file : format.python.names_file);
  MemoryDataset::Contents out;
  out.height = out.width = side;
  out.channels = channels;
  out.class_names = format.class_names;
  if (fs::exists(names)) {
    out.class_names = binary ? read_lines(names) : pickled_names(format, names);
    check(out.class_names.size() == format.class_names.size(), format.kind, ": ", names.string(),
          " names ", out.class_names.size(), " classes, expected ", format.class_names.size());
  }
  if (binary) {
    const auto& files = train ? format.train_files : format.test_files;
    const std::int64_t records = train ? format.train_records : format.test_records;
    const auto images = static_cast<std::size_t>(records) * files.size();
    out.labels.reserve(images);
    out.pixels.reserve(images * static_cast<std::size_t>(channels * plane));
    for (const std::string& file : files) append_file(format, where / file, records, out);
  } else {
    for (const std::string& file : train ? format.python.train_files : format.python.test_files)
      append_pickled(format, where / file, out);
  }
  out.description = format.title + " " + split + ", " + std::to_string(out.labels.size()) +
                    " images, " + where.string();
  return std::make_shared<MemoryDataset>(std::move(out));
}

}  // namespace exciton::data
