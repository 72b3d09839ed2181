#include "exciton/train/checkpoint.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <map>
#include <set>
#include <span>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "exciton/core/error.hpp"
#include "exciton/core/file.hpp"
#include "exciton/train/json.hpp"

namespace exciton::train {
namespace fs = std::filesystem;
namespace {

static_assert(std::endian::native == std::endian::little, "checkpoints are little endian");

constexpr std::array<char, 8> magic{'E', 'X', 'C', 'I', 'T', 'O', 'N', '\x1a'};
constexpr std::uint32_t version = 1;
constexpr std::size_t prefix_bytes = 32, digest_bytes = 16, alignment = 64;
/// A thousand-layer network needs less than 1 MiB of header.
constexpr std::uint64_t max_header_bytes = 8u << 20;

/// Writes and digests at once.
class DigestingFile {
 public:
  explicit DigestingFile(File& file) : file_(file) { XXH3_128bits_reset(&state_); }
  void write(const void* data, std::size_t bytes) {
    XXH3_128bits_update(&state_, data, bytes);
    file_.write(data, bytes);
    position_ += bytes;
  }
  void pad_to(std::uint64_t offset) {
    static constexpr std::array<char, alignment> zeros{};
    write(zeros.data(), static_cast<std::size_t>(offset - position_));
  }
  XXH128_canonical_t digest() const {
    XXH128_canonical_t out;
    XXH128_canonicalFromHash(&out, XXH3_128bits_digest(&state_));
    return out;
  }

 private:
  File& file_;
  XXH3_state_t state_;
  std::uint64_t position_ = 0;
};

std::uint64_t aligned(std::uint64_t offset) {
  return (offset + alignment - 1) / alignment * alignment;
}

template <class T>
T read_as(const char* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

/// Where the tensors of `checkpoint` go if the data begins at `offset`; sets the end.
Json layout(const Checkpoint& checkpoint, std::uint64_t& offset) {
  Json tensors = Json::array();
  for (const auto& [name, tensor] : checkpoint.tensors) {
    offset = aligned(offset);
    Json shape = Json::array();
    for (const std::int64_t d : tensor.shape()) shape.push_back(d);
    tensors.push_back({{"name", name},
                       {"dtype", name_of(tensor.dtype())},
                       {"shape", shape},
                       {"offset", offset},
                       {"bytes", tensor.bytes()}});
    offset += tensor.bytes();
  }
  return tensors;
}

struct Placed {
  std::string name;
  DType dtype;
  Shape shape;
  std::uint64_t offset, bytes;
};

/// One entry of the header's table, believed in nothing.
Placed parse_entry(const Json& entry, std::uint64_t begin, std::uint64_t end,
                   const std::string& path) {
  const auto want = [&](bool ok, const auto&... why) {
    check(ok, "checkpoint: ", path, ": damaged header: ", why...);
  };
  want(entry.is_object(), "a tensor is no object");
  for (const char* key : {"name", "dtype", "shape", "offset", "bytes"})
    want(entry.contains(key), "a tensor has no ", key);
  want(entry["name"].is_string() && entry["dtype"].is_string() && entry["shape"].is_array() &&
           entry["offset"].is_number_unsigned() && entry["bytes"].is_number_unsigned(),
       "a tensor's entry has a wrong type");
  const auto type = entry["dtype"].get<std::string>();
  want(type == "f32" || type == "bf16" || type == "f64" || type == "i64" || type == "u8",
       "a tensor of type ", type);
  Placed out{entry["name"].get<std::string>(),
             parse_dtype(type),
             {},
             entry["offset"].get<std::uint64_t>(),
             entry["bytes"].get<std::uint64_t>()};
  want(entry["shape"].size() <= static_cast<std::size_t>(Shape::max_rank), out.name, " has rank ",
       entry["shape"].size());
  std::uint64_t bytes = size_of(out.dtype);
  for (const Json& d : entry["shape"]) {
    want(d.is_number_unsigned(), out.name, " has a shape that is none");
    const auto extent = d.get<std::uint64_t>();
    want(extent <= end && (extent == 0 || bytes <= end / extent), out.name,
         " is larger than the file");
    bytes *= extent;
    out.shape.push_back(static_cast<std::int64_t>(extent));
  }
  want(bytes == out.bytes, out.name, " ", out.shape, " has ", bytes, " bytes, the table says ",
       out.bytes);
  want(out.offset % alignment == 0 && out.offset >= begin && out.offset <= end &&
           out.bytes <= end - out.offset,
       out.name, " lies outside the file");
  return out;
}

Json parse_header(const std::string& text, const std::string& path) {
  Json header =
      parse_json(text, "checkpoint: " + path + ": damaged header", {.bytes = max_header_bytes});
  check(header.is_object() && header.contains("meta") && header["meta"].is_object() &&
            header.contains("tensors") && header["tensors"].is_array(),
        "checkpoint: ", path, ": damaged header: no table of tensors");
  return header;
}

/// Errors: the first `bytes` of the file do not have the checksum that follows them.
void check_digest(const File& file, std::uint64_t bytes) {
  XXH3_state_t state;
  XXH3_128bits_reset(&state);
  std::vector<char> chunk(1u << 20);
  for (std::uint64_t at = 0; at < bytes;) {
    const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(bytes - at, chunk.size()));
    file.read(at, chunk.data(), n);
    XXH3_128bits_update(&state, chunk.data(), n);
    at += n;
  }
  XXH128_canonical_t stored;
  file.read(bytes, stored.digest, sizeof stored.digest);
  check(XXH128_isEqual(XXH128_hashFromCanonical(&stored), XXH3_128bits_digest(&state)) != 0,
        "checkpoint: ", file.path().string(), ": damaged: its checksum does not fit its contents");
}

struct Extent {
  std::uint64_t header_bytes, data_end;
};

/// Errors: the file is no checkpoint, of another version, cut short, or damaged.
Extent check_whole(const File& file) {
  const std::string name = file.path().string();
  const std::uint64_t size = file.bytes();
  check(size >= prefix_bytes + digest_bytes, "checkpoint: ", name, ": cut short or no checkpoint (",
        size, " bytes)");
  std::array<char, prefix_bytes> prefix{};
  file.read(0, prefix.data(), prefix.size());
  check(std::equal(magic.begin(), magic.end(), prefix.begin()), "checkpoint: ", name,
        ": not an Exciton checkpoint");
  const auto file_version = read_as<std::uint32_t>(prefix.data() + 8);
  const auto header_bytes = read_as<std::uint64_t>(prefix.data() + 16);
  const auto file_bytes = read_as<std::uint64_t>(prefix.data() + 24);
  check(file_version == version, "checkpoint: ", name, ": version ", file_version,
        ", this program reads version ", version);
  check(file_bytes == size, "checkpoint: ", name, ": cut short or damaged: expected ", file_bytes,
        " bytes, it has ", size);
  const std::uint64_t data_end = size - digest_bytes;
  check(header_bytes <= max_header_bytes && header_bytes <= data_end - prefix_bytes,
        "checkpoint: ", name, ": damaged: a header of ", header_bytes, " bytes");
  check_digest(file, data_end);
  return {header_bytes, data_end};
}

/// Infinities and NaN are the numbers whose exponent is all ones: without the sign, as integers,
/// they are the largest.
template <class Bits>
bool all_below(const void* numbers, std::int64_t count, Bits infinity) {
  const auto* bits = static_cast<const Bits*>(numbers);
  constexpr Bits sign = static_cast<Bits>(Bits{1} << (8 * sizeof(Bits) - 1));
  Bits highest = 0;
#pragma omp simd reduction(max : highest)
  for (std::int64_t i = 0; i < count; ++i)
    highest = std::max(highest, static_cast<Bits>(bits[i] & static_cast<Bits>(~sign)));
  return highest < infinity;
}

bool all_finite(const Tensor& tensor) {
  switch (tensor.dtype()) {
    case DType::f32:
      return all_below<std::uint32_t>(tensor.raw(), tensor.numel(), 0x7f80'0000u);
    case DType::bf16:
      return all_below<std::uint16_t>(tensor.raw(), tensor.numel(), 0x7f80);
    case DType::f64:
      return all_below<std::uint64_t>(tensor.raw(), tensor.numel(), 0x7ff0'0000'0000'0000u);
    default:
      return true;
  }
}

}  // namespace

const SavedTensor* Checkpoint::first_not_finite() const {
  for (const SavedTensor& t : tensors)
    if (!all_finite(t.tensor)) return &t;
  return nullptr;
}

const Tensor* Checkpoint::find(const std::string& name) const {
  for (const SavedTensor& t : tensors)
    if (t.name == name) return &t.tensor;
  return nullptr;
}

void write_checkpoint(const fs::path& path, const Checkpoint& checkpoint,
                      const std::string& advice) {
  // Offsets are part of the header and depend on its length: lay out until the length stands still.
  std::string header;
  const Json meta = parse_json(checkpoint.meta, "checkpoint: " + path.string() + ": meta",
                               {.bytes = max_header_bytes});
  check(meta.is_object(), "checkpoint: ", path.string(), ": meta: expected an object, got ",
        shown(meta));
  std::uint64_t end = 0;
  for (std::size_t length = 0;;) {
    end = prefix_bytes + length;
    Json json;
    json["meta"] = meta;
    json["tensors"] = layout(checkpoint, end);
    header = json.dump(-1, ' ', false, Json::error_handler_t::replace);
    if (header.size() <= length) {
      header.resize(length, ' ');
      break;
    }
    length = header.size();
  }
  check(header.size() <= max_header_bytes, "checkpoint: header of ", header.size(),
        " bytes, at most ", max_header_bytes);

  std::array<char, prefix_bytes> prefix{};
  const std::uint64_t header_bytes = header.size(), file_bytes = end + digest_bytes;
  std::memcpy(prefix.data(), magic.data(), magic.size());
  std::memcpy(prefix.data() + 8, &version, sizeof version);
  std::memcpy(prefix.data() + 16, &header_bytes, sizeof header_bytes);
  std::memcpy(prefix.data() + 24, &file_bytes, sizeof file_bytes);

  replace_file(path, "checkpoint", advice, [&](File& file) {
    DigestingFile out(file);
    out.write(prefix.data(), prefix.size());
    out.write(header.data(), header.size());
    std::uint64_t offset = prefix_bytes + header.size();
    for (const SavedTensor& t : checkpoint.tensors) {
      out.pad_to(offset = aligned(offset));
      out.write(t.tensor.raw(), t.tensor.bytes());
      offset += t.tensor.bytes();
    }
    const XXH128_canonical_t digest = out.digest();
    file.write(digest.digest, sizeof digest.digest);
  });
}

Checkpoint read_checkpoint(const fs::path& path, Keep keep) {
  const std::string name = path.string();
  const File file(path, File::Mode::read, "checkpoint");
  const auto [header_bytes, data_end] = check_whole(file);

  std::string text(static_cast<std::size_t>(header_bytes), '\0');
  file.read(prefix_bytes, text.data(), text.size());
  Json header = parse_header(text, name);

  std::vector<Placed> table;
  std::set<std::string> names;
  for (const Json& entry : header["tensors"]) {
    table.push_back(parse_entry(entry, prefix_bytes + header_bytes, data_end, name));
    check(names.insert(table.back().name).second, "checkpoint: ", name,
          ": damaged header: two tensors ", table.back().name);
  }
  // Without overlaps the tensors together are no larger than the file.
  std::vector<Placed> by_offset = table;
  std::sort(by_offset.begin(), by_offset.end(),
            [](const Placed& a, const Placed& b) { return a.offset < b.offset; });
  for (std::size_t i = 1; i < by_offset.size(); ++i)
    check(by_offset[i - 1].offset + by_offset[i - 1].bytes <= by_offset[i].offset,
          "checkpoint: ", name, ": damaged header: ", by_offset[i - 1].name, " and ",
          by_offset[i].name, " overlap");

  Checkpoint out;
  out.meta = header["meta"].dump();
  for (const Placed& placed : table) {
    if (keep == Keep::weights && placed.name.starts_with("optimizer.")) continue;
    Tensor tensor(placed.shape, placed.dtype);
    file.read(placed.offset, tensor.raw(), tensor.bytes());
    out.tensors.push_back({placed.name, std::move(tensor)});
  }
  return out;
}

void verify_checkpoint(const fs::path& path) {
  check_whole(File(path, File::Mode::read, "checkpoint"));
}

void save_model(nn::Module& net, Checkpoint& checkpoint) {
  for (const auto& [name, parameter] : nn::parameters(net))
    checkpoint.tensors.push_back({"model." + name, parameter->value()});
  save_tensors(nn::buffers(net), "model", checkpoint);
}

namespace {

std::vector<NamedTensor> tensors_of(nn::Module& net) {
  std::vector<NamedTensor> out;
  for (const auto& [name, parameter] : nn::parameters(net))
    out.push_back({name, &parameter->mutable_value()});
  for (const NamedTensor& buffer : nn::buffers(net)) out.push_back(buffer);
  return out;
}

/// What of a group belongs into which tensor, in their order. Errors: as of load_model.
std::vector<const Tensor*> matched(const Checkpoint& checkpoint, const std::string& group,
                                   const std::vector<NamedTensor>& into, const fs::path& path) {
  std::map<std::string, const Tensor*> saved;
  for (const SavedTensor& t : checkpoint.tensors)
    if (t.name.rfind(group + '.', 0) == 0) saved[t.name] = &t.tensor;
  std::vector<const Tensor*> from;
  for (const auto& [name, tensor] : into) {
    const auto found = saved.find(group + '.' + name);
    check(found != saved.end(), "checkpoint: ", path.string(), ": of another model: it has no ",
          group, '.', name, ' ', tensor->shape());
    from.push_back(found->second);
    check(from.back()->shape() == tensor->shape() && from.back()->dtype() == tensor->dtype(),
          "checkpoint: ", path.string(), ": of another model: ", group, '.', name, " is ",
          from.back()->dtype(), ' ', from.back()->shape(), ", this model expects ", tensor->dtype(),
          ' ', tensor->shape());
    saved.erase(found);
  }
  check(saved.empty(), "checkpoint: ", path.string(), ": of another model: it also has ",
        saved.empty() ? "" : saved.begin()->first, ", which this model has not");
  return from;
}

}  // namespace

MemoryLimit limit_of_network(const Checkpoint& checkpoint, const std::string& who,
                             std::size_t beside) {
  std::size_t stored = 0;
  for (const SavedTensor& t : checkpoint.tensors) stored += t.tensor.bytes();
  return MemoryLimit(4 * stored + beside,
                     who +
                         ": of another model: its recipe describes a network far larger than the "
                         "weights in it, " +
                         std::to_string(stored) + " bytes");
}

void load_model(const Checkpoint& checkpoint, nn::Module& net, const fs::path& path) {
  load_tensors(checkpoint, "model", tensors_of(net), path);
}

void adopt_model(const Checkpoint& checkpoint, nn::Module& net, const fs::path& path) {
  const std::vector<NamedTensor> into = tensors_of(net);
  const std::vector<const Tensor*> from = matched(checkpoint, "model", into, path);
  for (std::size_t i = 0; i < into.size(); ++i) *into[i].tensor = *from[i];
}

void save_tensors(const std::vector<NamedTensor>& tensors, const std::string& group,
                  Checkpoint& checkpoint) {
  for (const auto& [name, tensor] : tensors)
    checkpoint.tensors.push_back({group + '.' + name, *tensor});
}

void load_tensors(const Checkpoint& checkpoint, const std::string& group,
                  const std::vector<NamedTensor>& into, const fs::path& path) {
  const std::vector<const Tensor*> from = matched(checkpoint, group, into, path);
  for (std::size_t i = 0; i < into.size(); ++i) into[i].tensor->copy_from(*from[i]);
}

}  // namespace exciton::train
