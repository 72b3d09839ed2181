#include "apps/checkpoint.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <limits>
#include <map>
#include <set>
#include <span>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "core/error.hpp"

namespace exciton::apps {
namespace fs = std::filesystem;
namespace {

static_assert(std::endian::native == std::endian::little, "checkpoints are little endian");

constexpr std::array<char, 8> magic{'E', 'X', 'C', 'I', 'T', 'O', 'N', '\x1a'};
constexpr std::uint32_t version = 1;
constexpr std::size_t prefix_bytes = 32, digest_bytes = 16, alignment = 64;
/// A thousand-layer network needs less than 1 MiB of header.
constexpr std::uint64_t max_header_bytes = 8u << 20;

std::string reason() { return std::strerror(errno); }

class File {
 public:
  File(fs::path path, int flags) : path_(std::move(path)) {
    fd_ = ::open(path_.c_str(), flags | O_CLOEXEC, 0644);
    check(fd_ >= 0, "checkpoint: cannot ", (flags & O_CREAT) ? "write " : "open ", path_.string(),
          ": ", reason());
  }
  ~File() { ::close(fd_); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  void write(const void* data, std::size_t bytes) {
    const char* at = static_cast<const char*>(data);
    while (bytes > 0) {
      const ::ssize_t n = ::write(fd_, at, bytes);
      if (n < 0 && errno == EINTR) continue;
      check(n > 0, "checkpoint: cannot write ", path_.string(), ": ", reason(),
            "; what was saved before is intact: make room and go on with --resume");
      at += n;
      bytes -= static_cast<std::size_t>(n);
    }
  }
  void read(void* data, std::size_t bytes) {
    char* at = static_cast<char*>(data);
    while (bytes > 0) {
      const ::ssize_t n = ::read(fd_, at, bytes);
      if (n < 0 && errno == EINTR) continue;
      check(n >= 0, "checkpoint: cannot read ", path_.string(), ": ", reason());
      check(n > 0, "checkpoint: ", path_.string(), ": cut short");
      at += n;
      bytes -= static_cast<std::size_t>(n);
    }
  }
  void seek(std::uint64_t offset) {
    check(::lseek(fd_, static_cast<::off_t>(offset), SEEK_SET) >= 0, "checkpoint: cannot read ",
          path_.string(), ": ", reason());
  }
  void sync() {
    check(::fsync(fd_) == 0, "checkpoint: cannot write ", path_.string(), ": ", reason());
  }
  std::uint64_t size() const {
    struct ::stat info {};
    check(::fstat(fd_, &info) == 0, "checkpoint: cannot read ", path_.string(), ": ", reason());
    check(S_ISREG(info.st_mode), "checkpoint: ", path_.string(), " is not a file");
    return static_cast<std::uint64_t>(info.st_size);
  }

 private:
  fs::path path_;
  int fd_;
};

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

void sync_folder(const fs::path& path) {
  const fs::path folder = path.parent_path().empty() ? fs::path(".") : path.parent_path();
  File(folder, O_RDONLY | O_DIRECTORY).sync();
}

fs::path temporary_beside(const fs::path& path) {
  fs::path out = path;
  return out += ".tmp";
}

/// Runs `write(file)` on a temporary file and moves it to `path`, both made durable.
template <class F>
void replace_atomically(const fs::path& path, F&& write) {
  const fs::path temporary = temporary_beside(path);
  try {
    File file(temporary, O_WRONLY | O_CREAT | O_TRUNC);
    write(file);
    file.sync();
    check(::rename(temporary.c_str(), path.c_str()) == 0, "checkpoint: cannot write ",
          path.string(), ": ", reason());
  } catch (...) {
    ::unlink(temporary.c_str());  // give the space back; the error itself goes on to the caller
    throw;
  }
  sync_folder(path);
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

}  // namespace

const Tensor* Checkpoint::find(const std::string& name) const {
  for (const SavedTensor& t : tensors)
    if (t.name == name) return &t.tensor;
  return nullptr;
}

void write_checkpoint(const fs::path& path, const Checkpoint& checkpoint) {
  // Offsets are part of the header and depend on its length: lay out until the length stands still.
  std::string header;
  std::uint64_t end = 0;
  for (std::size_t length = 0;;) {
    end = prefix_bytes + length;
    Json json;
    json["meta"] = checkpoint.meta;
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

  replace_atomically(path, [&](File& file) {
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

Checkpoint read_checkpoint(const fs::path& path) {
  const std::string name = path.string();
  File file(path, O_RDONLY);
  const std::uint64_t size = file.size();
  check(size >= prefix_bytes + digest_bytes, "checkpoint: ", name, ": cut short or no checkpoint (",
        size, " bytes)");
  std::array<char, prefix_bytes> prefix{};
  file.read(prefix.data(), prefix.size());
  check(std::equal(magic.begin(), magic.end(), prefix.begin()), "checkpoint: ", name,
        ": not an Exciton checkpoint");
  const auto file_version = read_as<std::uint32_t>(prefix.data() + 8);
  const auto header_bytes = read_as<std::uint64_t>(prefix.data() + 16);
  const auto file_bytes = read_as<std::uint64_t>(prefix.data() + 24);
  check(file_version == version, "checkpoint: ", name, ": version ", file_version,
        ", this program reads version ", version);
  check(file_bytes == size, "checkpoint: ", name, ": cut short or damaged: wants ", file_bytes,
        " bytes, has ", size);
  const std::uint64_t data_end = size - digest_bytes;
  check(header_bytes <= max_header_bytes && header_bytes <= data_end - prefix_bytes,
        "checkpoint: ", name, ": damaged: a header of ", header_bytes, " bytes");

  XXH3_state_t state;
  XXH3_128bits_reset(&state);
  file.seek(0);
  std::vector<char> chunk(1u << 20);
  for (std::uint64_t left = data_end; left > 0;) {
    const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(left, chunk.size()));
    file.read(chunk.data(), n);
    XXH3_128bits_update(&state, chunk.data(), n);
    left -= n;
  }
  XXH128_canonical_t stored;
  file.read(stored.digest, sizeof stored.digest);
  check(XXH128_isEqual(XXH128_hashFromCanonical(&stored), XXH3_128bits_digest(&state)) != 0,
        "checkpoint: ", name, ": damaged: its checksum does not fit its contents");

  std::string text(static_cast<std::size_t>(header_bytes), '\0');
  file.seek(prefix_bytes);
  file.read(text.data(), text.size());
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
  out.meta = std::move(header["meta"]);
  for (const Placed& placed : table) {
    Tensor tensor(placed.shape, placed.dtype);
    file.seek(placed.offset);
    file.read(tensor.raw(), tensor.bytes());
    out.tensors.push_back({placed.name, std::move(tensor)});
  }
  return out;
}

void write_text_atomically(const fs::path& path, const std::string& text) {
  replace_atomically(path, [&](File& file) { file.write(text.data(), text.size()); });
}

void link_atomically(const fs::path& target, const fs::path& link) {
  const fs::path temporary = temporary_beside(link);
  ::unlink(temporary.c_str());
  if (::link(target.c_str(), temporary.c_str()) != 0) {
    std::error_code error;
    fs::copy_file(target, temporary, fs::copy_options::overwrite_existing, error);
    check(!error, "checkpoint: cannot write ", temporary.string(), ": ", error.message());
    File(temporary, O_RDONLY).sync();
  }
  check(::rename(temporary.c_str(), link.c_str()) == 0, "checkpoint: cannot write ", link.string(),
        ": ", reason());
  ::unlink(temporary.c_str());  // rename leaves both names when they already were one file
  sync_folder(link);
}

void save_model(nn::Module& net, Checkpoint& checkpoint) {
  for (const auto& [name, parameter] : nn::parameters(net))
    checkpoint.tensors.push_back({"model." + name, parameter->value()});
  save_tensors(nn::buffers(net), "model", checkpoint);
}

void load_model(const Checkpoint& checkpoint, nn::Module& net, const fs::path& path) {
  std::vector<NamedTensor> into;
  for (const auto& [name, parameter] : nn::parameters(net))
    into.push_back({name, &parameter->mutable_value()});
  for (const NamedTensor& buffer : nn::buffers(net)) into.push_back(buffer);
  load_tensors(checkpoint, "model", into, path);
}

void save_tensors(const std::vector<NamedTensor>& tensors, const std::string& group,
                  Checkpoint& checkpoint) {
  for (const auto& [name, tensor] : tensors)
    checkpoint.tensors.push_back({group + '.' + name, *tensor});
}

void load_tensors(const Checkpoint& checkpoint, const std::string& group,
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
          from.back()->dtype(), ' ', from.back()->shape(), ", this model wants ", tensor->dtype(),
          ' ', tensor->shape());
    saved.erase(found);
  }
  check(saved.empty(), "checkpoint: ", path.string(), ": of another model: it also has ",
        saved.empty() ? "" : saved.begin()->first, ", which this model has not");
  for (std::size_t i = 0; i < into.size(); ++i) into[i].tensor->copy_from(*from[i]);
}

}  // namespace exciton::apps
