#include <algorithm>
#include <array>

#include "exciton/data/files.hpp"
#include "exciton/data/formats.hpp"
#include "exciton/data/memory_dataset.hpp"

namespace exciton::data {
namespace fs = std::filesystem;
namespace {

/// "train-images-idx3-ubyte" in `where`, plain before gzip.
std::optional<fs::path> find_file(const fs::path& where, const std::string& name) {
  for (const char* end : {"", ".gz"})
    if (fs::is_regular_file(where / (name + end))) return where / (name + end);
  return std::nullopt;
}

std::string prefix_of(const std::string& split) { return split == "train" ? "train" : "t10k"; }

/// The contents of an IDX file: a big-endian magic 0x000008<rank> for unsigned bytes, one extent an
/// axis as 32 bits, then the values. `dims` receives the extents.
template <std::size_t rank>
std::vector<std::uint8_t> read_idx(const std::string& kind, const fs::path& where,
                                   const std::string& name, std::array<std::int64_t, rank>& dims,
                                   std::string& file) {
  const auto path = find_file(where, name);
  check(path.has_value(), kind, ": no file ", (where / name).string(), " nor ", name, ".gz");
  file = path->string();
  // Twice the largest set in this format, EMNIST; and a small file can unpack to anything.
  constexpr std::size_t limit = std::size_t{1} << 30, header = 4 + 4 * rank;
  std::vector<std::uint8_t> bytes = read_gzip(*path, header);
  check(bytes.size() >= header, kind, ": ", file, " has ", bytes.size(),
        " bytes, expected a header of ", header, "; it is truncated");
  const auto word = [&](std::size_t i) {
    const std::uint8_t* b = bytes.data() + 4 * i;
    return std::int64_t{b[0]} << 24 | b[1] << 16 | b[2] << 8 | b[3];
  };
  check(word(0) == 0x800 + static_cast<std::int64_t>(rank), kind, ": ", file,
        " is not IDX of unsigned bytes with ", rank, " axes: magic number ", word(0), ", expected ",
        0x800 + rank);
  std::int64_t count = 1;
  for (std::size_t i = 0; i < rank; ++i) {
    dims[i] = word(i + 1);
    check(dims[i] >= 1 && dims[i] <= static_cast<std::int64_t>(limit) / count, kind, ": ", file,
          ": axis ", i, " has extent ", dims[i]);
    count *= dims[i];
  }
  const std::int64_t wanted = static_cast<std::int64_t>(header) + count;
  bytes = read_gzip(*path, static_cast<std::size_t>(wanted) + 1);
  const bool more = static_cast<std::int64_t>(bytes.size()) > wanted;
  check(static_cast<std::int64_t>(bytes.size()) == wanted, kind, ": ", file, " has ",
        more ? "at least " : "", bytes.size(), " bytes", file.ends_with(".gz") ? " unpacked" : "",
        ", expected ", wanted, " (", dims[0],
        " records); it is truncated or damaged: fetch it again");
  bytes.erase(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(header));
  return bytes;
}

}  // namespace

std::optional<fs::path> find_idx(const fs::path& dir) {
  for (const char* sub : {"", "fashion-mnist", "mnist", "FashionMNIST/raw", "MNIST/raw", "raw"}) {
    const fs::path where = *sub ? dir / sub : dir;
    for (const char* split : {"train", "test"})
      if (find_file(where, prefix_of(split) + "-images-idx3-ubyte")) return where;
  }
  return std::nullopt;
}

bool has_idx(const fs::path& where, const std::string& split) {
  return find_file(where, prefix_of(split) + "-images-idx3-ubyte").has_value();
}

std::string idx_kind(const fs::path& where) {
  constexpr std::array<std::uint8_t, 4> fashion_train{9, 0, 0, 3}, fashion_test{9, 2, 1, 1};
  for (const auto& [split, labels] :
       {std::pair{"train", fashion_train}, std::pair{"test", fashion_test}}) {
    const std::string name = prefix_of(split) + "-labels-idx1-ubyte";
    if (!find_file(where, name)) continue;
    std::array<std::int64_t, 1> dims{};
    std::string file;
    const auto values = read_idx<1>("mnist", where, name, dims, file);
    const bool fashion =
        values.size() >= labels.size() && std::equal(labels.begin(), labels.end(), values.begin());
    return fashion ? "fashion-mnist" : "mnist";
  }
  return "mnist";
}

std::shared_ptr<const Dataset> open_idx(const std::string& kind, const fs::path& where,
                                        const std::string& split) {
  const bool fashion = kind == "fashion-mnist";
  std::array<std::int64_t, 3> dims{};
  std::array<std::int64_t, 1> count{};
  std::string image_file, label_file;
  MemoryDataset::Contents out;
  out.pixels = read_idx<3>(kind, where, prefix_of(split) + "-images-idx3-ubyte", dims, image_file);
  const auto labels =
      read_idx<1>(kind, where, prefix_of(split) + "-labels-idx1-ubyte", count, label_file);
  check(count[0] == dims[0], kind, ": ", label_file, " has ", count[0], " labels, ", image_file,
        " has ", dims[0], " images");
  out.height = dims[1];
  out.width = dims[2];
  out.channels = 1;
  if (fashion)
    out.class_names = {"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
                       "Sandal",      "Shirt",   "Sneaker",  "Bag",   "Ankle boot"};
  else
    out.class_names = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};
  for (std::size_t i = 0; i < labels.size(); ++i)
    check(labels[i] < out.class_names.size(), kind, ": ", label_file, ", record ", i,
          ": label byte is ", int{labels[i]}, ", expected 0 to ", out.class_names.size() - 1,
          "; the file is damaged: fetch it again");
  out.labels.assign(labels.begin(), labels.end());
  out.description = (fashion ? "Fashion-MNIST " : "MNIST ") + split + ", " +
                    std::to_string(labels.size()) + " images, " + where.string();
  return std::make_shared<MemoryDataset>(std::move(out));
}

}  // namespace exciton::data
