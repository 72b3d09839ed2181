#include "exciton/interop/safetensors.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "exciton/core/dtype.hpp"
#include "exciton/core/error.hpp"
#include "exciton/core/file.hpp"
#include "exciton/interop/containers.hpp"
#include "exciton/interop/elements.hpp"

namespace exciton::interop {
namespace {

using Json = nlohmann::json;

/// The reference's.
constexpr std::uint64_t max_header_bytes = 100'000'000;

struct Entry {
  StoredTensor tensor;
  std::uint64_t begin = 0, end = 0;
};

/// Takes the header as it is parsed: nothing is kept but the table, a key that comes twice is seen.
class HeaderReader final : public nlohmann::json_sax<Json> {
 public:
  explicit HeaderReader(std::string who) : who_(std::move(who)) {}

  std::vector<Entry> entries() {
    check(done_, who_, "a header that is no JSON object");
    std::vector<Entry> out;
    for (auto& [name, entry] : entries_) out.push_back(std::move(entry));
    return out;
  }
  std::map<std::string, std::string> metadata;

  bool null() override {
    if (depth_ == 1 && name_ == "__metadata__") return true;
    return other("null");
  }
  bool boolean(bool) override { return other("a truth value"); }
  bool number_integer(number_integer_t) override { return other("a negative number"); }
  bool number_float(number_float_t, const string_t&) override { return other("a fraction"); }
  bool binary(binary_t&) override { return other("bytes"); }
  bool number_unsigned(number_unsigned_t value) override {
    if (!list_) return other("a number");
    if (list_ == &unknown_) return true;
    list_->push_back(value);
    return true;
  }
  bool string(string_t& value) override {
    if (depth_ == 2 && in_metadata_) {
      metadata[field_] = value;
      return true;
    }
    if (depth_ != 2 || list_ || field_ != "dtype") return other("a text");
    dtype_ = value;
    return true;
  }
  bool start_object(std::size_t) override {
    if (depth_ == 1) {
      in_metadata_ = name_ == "__metadata__";
      fields_.clear();
      dtype_.reset();
      shape_.clear();
      offsets_.clear();
    } else if (depth_ > 1 && !unknown_field()) {
      return other("an object");
    }
    nest();
    return true;
  }
  bool end_object() override {
    --depth_;
    if (depth_ == 1 && !in_metadata_) finish();
    if (depth_ == 0) done_ = true;
    return true;
  }
  bool start_array(std::size_t) override {
    if (depth_ == 2 && !in_metadata_ && field_ == "shape") {
      list_ = &shape_;
    } else if (depth_ == 2 && !in_metadata_ && field_ == "data_offsets") {
      list_ = &offsets_;
    } else if (unknown_field()) {
      list_ = &unknown_;
    } else {
      return other("a list");
    }
    nest();
    return true;
  }
  bool end_array() override {
    --depth_;
    if (depth_ == 2) list_ = nullptr;
    return true;
  }
  bool key(string_t& key) override {
    if (depth_ == 1) {
      name_ = key;
      if (key == "__metadata__") {
        check(!metadata_seen_, who_, "two entries __metadata__");
        metadata_seen_ = true;
      }
    } else if (depth_ == 2) {
      field_ = key;
      // The reference keeps the last of two texts of metadata, and refuses two fields of a tensor.
      check(fields_.insert(key).second || in_metadata_, who_, place(), "has ", shortened(key, 40),
            " twice");
    }
    return true;
  }
  bool parse_error(std::size_t at, const std::string&,
                   const nlohmann::detail::exception&) override {
    fail(who_, "a header that is no JSON, at its byte ", at);
  }

 private:
  static constexpr int max_depth = 16;

  std::string place() const { return "\"" + shortened(name_, 100) + "\" "; }
  bool unknown_field() const {
    return depth_ >= 2 && !in_metadata_ && field_ != "dtype" && field_ != "shape" &&
           field_ != "data_offsets";
  }
  /// A value that has no meaning where it stands: passed over in a field that nobody knows.
  bool other(const char* what) {
    if (unknown_field()) return true;
    if (depth_ == 0) fail(who_, "a header that is ", what, ", no object");
    fail(who_, place(), "has ", what,
         depth_ > 1 ? " as its " + shortened(field_, 40) : std::string());
  }
  void nest() {
    check(depth_ < max_depth, who_, "a header that nests too deeply");
    ++depth_;
  }
  void finish() {
    check(dtype_ && fields_.contains("shape") && fields_.contains("data_offsets"), who_, place(),
          "has no ",
          !dtype_                      ? "dtype"
          : !fields_.contains("shape") ? "shape"
                                       : "data_offsets");
    const auto type = element_type(*dtype_);
    check(type.has_value(), who_, place(), "has elements of type ", shortened(*dtype_, 40),
          "; BOOL, U8 to U64, I8 to I64, F16, BF16, F32 and F64 are read");
    check(offsets_.size() == 2, who_, place(), "has ", offsets_.size(),
          " data_offsets, expected two");
    Entry entry{{.name = name_, .type = *type, .shape = {}}, offsets_[0], offsets_[1]};
    constexpr std::uint64_t most = std::uint64_t{1} << 62;
    for (const std::uint64_t extent : shape_) {
      check(extent <= most, who_, place(), "has an extent of ", extent);
      entry.tensor.shape.push_back(static_cast<std::int64_t>(extent));
    }
    entries_[name_] = std::move(entry);
  }

  const std::string who_;
  std::map<std::string, Entry> entries_;  // the last of two with one name, as the reference
  bool done_ = false, metadata_seen_ = false, in_metadata_ = false;
  int depth_ = 0;
  std::string name_, field_;
  std::set<std::string> fields_;
  std::optional<std::string> dtype_;
  std::vector<std::uint64_t> shape_, offsets_, unknown_;
  std::vector<std::uint64_t>* list_ = nullptr;
};

class Safetensors final : public WeightFile {
 public:
  explicit Safetensors(const std::filesystem::path& file)
      : file_(file, File::Mode::read, "weights") {
    path = file;
    container = "safetensors";
    const std::string who = "safetensors: " + path.string() + ": ";
    const std::uint64_t size = file_.bytes();
    check(size >= 8, who, "has ", size, " bytes, too few for a header");
    std::uint64_t header_bytes = 0;
    file_.read(0, &header_bytes, 8);
    check(header_bytes <= max_header_bytes, who, "a header of ", header_bytes,
          " bytes; not safetensors?");
    check(header_bytes <= size - 8, who, "cut short: a header of ", header_bytes, " bytes, and ",
          size - 8, " bytes follow");
    std::string text(static_cast<std::size_t>(header_bytes), '\0');
    file_.read(8, text.data(), text.size());
    // nlohmann passes over a byte-order mark, and takes a NUL for the end.
    check(!text.empty() && text[0] != '\xef' && text.find('\0') == std::string::npos, who,
          "a header that is no JSON object");
    HeaderReader header(who);
    Json::sax_parse(text, &header);
    metadata = std::move(header.metadata);
    place(header.entries(), who, size - 8 - header_bytes, 8 + header_bytes);
  }

  void read(const std::vector<bool>& wanted, const ValueSink& sink) const override {
    for (std::size_t i = 0; i < tensors.size(); ++i)
      if (wanted[i])
        read_dense(
            tensors[i], i, offsets_[i],
            [this](std::uint64_t at, std::span<std::byte> out) {
              file_.read(at, out.data(), out.size());
            },
            sink);
  }

 private:
  /// Data begins at `data` and has `bytes` bytes: every one of them belongs to one tensor.
  void place(std::vector<Entry> entries, const std::string& who, std::uint64_t bytes,
             std::uint64_t data) {
    std::stable_sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
      return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
    });
    std::uint64_t at = 0;
    for (Entry& entry : entries) {
      const std::string name = "\"" + shortened(entry.tensor.name, 100) + "\" ";
      check(entry.begin == at && entry.end >= at, who, name, "lies from byte ", entry.begin, " to ",
            entry.end, ", expected to begin at ", at, ", where the one before ends");
      std::int64_t size = elements_of(entry.tensor.shape, who + name);
      check(!__builtin_mul_overflow(size, size_of(entry.tensor.type), &size), who, name,
            "has more bytes than can be counted");
      check(static_cast<std::uint64_t>(size) == entry.end - entry.begin, who, name,
            shape_text(entry.tensor.shape), " of ", name_of(entry.tensor.type), " has ", size,
            " bytes, its place ", entry.end - entry.begin);
      at = entry.end;
      offsets_.push_back(data + entry.begin);
      tensors.push_back(std::move(entry.tensor));
    }
    check(at == bytes, who, "its tensors have ", at, " bytes, the file has ", bytes, " for them");
  }

  File file_;
  std::vector<std::uint64_t> offsets_;
};

}  // namespace

std::unique_ptr<WeightFile> open_safetensors(const std::filesystem::path& path) {
  return std::make_unique<Safetensors>(path);
}

void write_safetensors(const std::filesystem::path& path, std::vector<TensorToWrite> tensors,
                       const std::map<std::string, std::string>& metadata) {
  const std::string who = "safetensors: " + path.string() + ": ";
  std::sort(tensors.begin(), tensors.end(), [](const TensorToWrite& a, const TensorToWrite& b) {
    return std::pair(-size_of(a.type), a.name) < std::pair(-size_of(b.type), b.name);
  });
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::int64_t at = 0;
  for (const TensorToWrite& t : tensors) {
    check(t.type == ElementType::f32 || t.type == ElementType::bf16, who, t.name, ": ",
          name_of(t.type), " is not written");
    check(t.name != "__metadata__" && !header.contains(t.name), who, "two tensors named ", t.name);
    const std::int64_t end = at + elements_of(t.shape, t.name) * size_of(t.type);
    header[t.name] = {{"dtype", name_of(t.type)}, {"shape", t.shape}, {"data_offsets", {at, end}}};
    at = end;
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const Json::exception&) {
    fail(who, "a name or a text is no UTF-8");
  }
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const auto header_bytes = static_cast<std::uint64_t>(text.size());
  replace_file(path, "safetensors", "; make room, or choose another folder", [&](File& file) {
    file.write(&header_bytes, sizeof header_bytes);
    file.write(text.data(), text.size());
    std::vector<bf16> narrow;
    for (const TensorToWrite& t : tensors) {
      std::int64_t written = 0;
      t.values([&](std::span<const float> values) {
        written += std::ssize(values);
        if (t.type == ElementType::f32) return file.write(values.data(), values.size_bytes());
        narrow.clear();
        for (const float value : values) narrow.emplace_back(value);
        file.write(narrow.data(), narrow.size() * sizeof(bf16));
      });
      check(written == elements_of(t.shape, t.name), who, t.name, ": ", written, " values for ",
            shape_text(t.shape));
    }
  });
}

}  // namespace exciton::interop
