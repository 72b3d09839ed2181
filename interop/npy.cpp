#include "exciton/interop/npy.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>

#include "exciton/core/error.hpp"
#include "exciton/core/file.hpp"
#include "exciton/interop/containers.hpp"
#include "exciton/interop/elements.hpp"

namespace exciton::interop {
namespace {

/// {'descr': '<f4', 'fortran_order': False, 'shape': (64, 3), } and nothing else.
class HeaderText {
 public:
  HeaderText(std::string_view text, const std::string& who) : rest_(text), who_(who) {}

  NpyHeader parse() {
    expect("{");
    while (!accept("}")) {
      const std::string_view key = quoted();
      expect(":");
      if (key == "descr" && !type_) {
        check(!rest_.starts_with('['), who_, ": an array of records; plain numbers are read");
        type_ = type(quoted());
      } else if (key == "fortran_order" && !column_major_) {
        column_major_ = accept("True");
        if (!*column_major_) expect("False");
      } else if (key == "shape" && !shape_) {
        shape_ = extents();
      } else {
        wrong();
      }
      if (!accept(",")) {
        expect("}");
        break;
      }
    }
    skip();
    if (!rest_.empty() || !type_ || !column_major_ || !shape_) wrong();
    return {.type = *type_, .shape = *shape_, .column_major = *column_major_};
  }

 private:
  [[noreturn]] void wrong() const { fail(who_, ": a header that NumPy does not write"); }
  void skip() {
    while (!rest_.empty() && (rest_[0] == ' ' || rest_[0] == '\n')) rest_.remove_prefix(1);
  }
  bool accept(std::string_view word) {
    skip();
    if (!rest_.starts_with(word)) return false;
    rest_.remove_prefix(word.size());
    skip();
    return true;
  }
  void expect(std::string_view word) {
    if (!accept(word)) wrong();
  }
  std::string_view quoted() {
    skip();
    const char quote = rest_.empty() ? '\0' : rest_[0];
    if (quote != '\'' && quote != '"') wrong();
    const auto end = rest_.find(quote, 1);
    if (end == std::string_view::npos) wrong();
    const std::string_view out = rest_.substr(1, end - 1);
    rest_.remove_prefix(end + 1);
    return out;
  }
  std::vector<std::int64_t> extents() {
    std::vector<std::int64_t> out;
    expect("(");
    while (!accept(")")) {
      std::int64_t value = 0;
      const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
      if (error != std::errc{} || value < 0 || out.size() == 64) wrong();
      rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
      if (rest_.starts_with('L')) rest_.remove_prefix(1);  // Python 2's
      out.push_back(value);
      if (!accept(",")) {
        expect(")");
        break;
      }
    }
    return out;
  }
  ElementType type(std::string_view descr) const {
    check(!descr.starts_with('>'), who_, ": big-endian numbers, \"", descr,
          "\"; in Python: array.astype(\"<f4\")");
    check(!descr.ends_with('O'), who_,
          ": Python objects, which are programs; an array of numbers is read");
    static constexpr std::pair<std::string_view, ElementType> known[] = {
        {"b1", ElementType::boolean}, {"u1", ElementType::u8},  {"i1", ElementType::i8},
        {"i2", ElementType::i16},     {"u2", ElementType::u16}, {"i4", ElementType::i32},
        {"u4", ElementType::u32},     {"i8", ElementType::i64}, {"u8", ElementType::u64},
        {"f2", ElementType::f16},     {"f4", ElementType::f32}, {"f8", ElementType::f64}};
    for (const auto& [name, type] : known)
      if (descr.size() == 3 && (descr[0] == '<' || descr[0] == '|' || descr[0] == '=') &&
          descr.substr(1) == name)
        return type;
    fail(who_, ": elements of type \"", shortened(descr, 40),
         "\"; whole numbers, truth values and f2, f4, f8 are read");
  }

  std::string_view rest_;
  const std::string& who_;
  std::optional<ElementType> type_;
  std::optional<bool> column_major_;
  std::optional<std::vector<std::int64_t>> shape_;
};

std::vector<std::int64_t> column_major_strides(const std::vector<std::int64_t>& shape) {
  std::vector<std::int64_t> reversed =
      dense_strides(std::vector<std::int64_t>(shape.rbegin(), shape.rend()));
  std::ranges::reverse(reversed);
  return reversed;
}

/// Elements by `next`, which gives the bytes behind the header one after another.
void read_elements(const NpyHeader& header, const StoredTensor& tensor, std::size_t number,
                   const Zip::Read& next, const ValueSink& sink) {
  if (header.column_major && header.shape.size() > 1) {
    std::vector<std::byte> bytes(
        static_cast<std::size_t>(elements_of(tensor.shape, tensor.name) * size_of(tensor.type)));
    next(bytes);
    read_strided(tensor, number, column_major_strides(tensor.shape), bytes, sink);
  } else {
    read_dense(
        tensor, number, 0, [&](std::uint64_t, std::span<std::byte> out) { next(out); }, sink);
  }
}

/// Errors: `bytes` are not header and elements.
void check_size(const NpyHeader& header, std::uint64_t bytes, const std::string& who) {
  std::int64_t size = elements_of(header.shape, who);
  check(!__builtin_mul_overflow(size, size_of(header.type), &size) &&
            header.bytes + static_cast<std::uint64_t>(size) == bytes,
        who, ": ", shape_text(header.shape), " of ", name_of(header.type), " does not fit its ",
        bytes, " bytes");
}

class Npz final : public WeightFile {
 public:
  explicit Npz(std::unique_ptr<Zip> zip) : zip_(std::move(zip)) {
    path = zip_->path();
    container = "npz";
    std::vector<bool> arrays(zip_->entries().size());
    for (std::size_t i = 0; i < arrays.size(); ++i) {
      arrays[i] = zip_->entries()[i].name.ends_with(".npy");
      if (!arrays[i]) skipped.push_back(zip_->entries()[i].name);
    }
    zip_->visit(arrays, [&](std::size_t entry, const Zip::Read& next) {
      const auto& [name, bytes] = zip_->entries()[entry];
      const std::string own = name.substr(0, name.size() - 4),
                        who = "weights: " + path.string() + ": " + shortened(own, 100);
      std::vector<std::uint8_t> head(static_cast<std::size_t>(std::min(bytes, max_npy_header)));
      next(std::as_writable_bytes(std::span(head)));
      headers_.push_back(parse_npy(head, who));
      check_size(headers_.back(), bytes, who);
      tensors.push_back({own, headers_.back().type, headers_.back().shape});
      entries_.push_back(entry);
    });
  }
  void read(const std::vector<bool>& wanted, const ValueSink& sink) const override {
    std::vector<bool> asked(zip_->entries().size());
    std::vector<std::size_t> tensor_of(zip_->entries().size());
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      asked[entries_[i]] = wanted[i];
      tensor_of[entries_[i]] = i;
    }
    zip_->visit(asked, [&](std::size_t entry, const Zip::Read& next) {
      const std::size_t i = tensor_of[entry];
      std::vector<std::byte> head(static_cast<std::size_t>(headers_[i].bytes));
      next(head);
      read_elements(headers_[i], tensors[i], i, next, sink);
    });
  }

 private:
  std::unique_ptr<Zip> zip_;
  std::vector<NpyHeader> headers_;
  std::vector<std::size_t> entries_;
};

class Npy final : public WeightFile {
 public:
  explicit Npy(const std::filesystem::path& name) : file_(name, File::Mode::read, "weights") {
    path = name;
    container = "npy";
    const std::string who = "weights: " + path.string();
    std::vector<std::uint8_t> head(
        static_cast<std::size_t>(std::min(file_.bytes(), max_npy_header)));
    file_.read(0, head.data(), head.size());
    header_ = parse_npy(head, who);
    check_size(header_, file_.bytes(), who);
    tensors.push_back({path.stem().string(), header_.type, header_.shape});
  }
  void read(const std::vector<bool>& wanted, const ValueSink& sink) const override {
    if (!wanted[0]) return;
    std::uint64_t at = header_.bytes;
    read_elements(
        header_, tensors[0], 0,
        [&](std::span<std::byte> out) {
          file_.read(at, out.data(), out.size());
          at += out.size();
        },
        sink);
  }

 private:
  File file_;
  NpyHeader header_;
};

}  // namespace

NpyHeader parse_npy(std::span<const std::uint8_t> head, const std::string& who) {
  constexpr std::string_view magic = "\x93NUMPY";
  check(head.size() >= 12 && std::memcmp(head.data(), magic.data(), magic.size()) == 0, who,
        ": no .npy");
  const unsigned major = head[6];
  check(major >= 1 && major <= 3, who, ": .npy of version ", major, "; 1 to 3 are read");
  const std::uint64_t wide =
      major == 1 ? 0 : std::uint64_t{head[10]} << 16 | std::uint64_t{head[11]} << 24;
  const std::uint64_t length = head[8] | std::uint64_t{head[9]} << 8 | wide,
                      begin = major == 1 ? 10 : 12;
  check(length <= head.size() - begin, who, ": a header of ", length,
        " bytes, cut short or too long");
  const std::string_view text(reinterpret_cast<const char*>(head.data()) + begin,
                              static_cast<std::size_t>(length));
  NpyHeader header = HeaderText(text, who).parse();
  header.bytes = begin + length;
  return header;
}

std::unique_ptr<WeightFile> open_npz(std::unique_ptr<Zip> zip) {
  return std::make_unique<Npz>(std::move(zip));
}
std::unique_ptr<WeightFile> open_npy(const std::filesystem::path& path) {
  return std::make_unique<Npy>(path);
}

Tensor read_npy(const std::filesystem::path& path) {
  const Npy file(path);
  check(file.tensors[0].shape.size() <= static_cast<std::size_t>(Shape::max_rank),
        "weights: ", path.string(), ": has ", file.tensors[0].shape.size(), " dimensions");
  Shape shape;
  for (const std::int64_t extent : file.tensors[0].shape) shape.push_back(extent);
  Tensor out(shape);
  file.read({true}, [&](std::size_t, std::int64_t first, std::span<const float> values) {
    std::ranges::copy(values, out.data<float>() + first);
  });
  return out;
}

}  // namespace exciton::interop
