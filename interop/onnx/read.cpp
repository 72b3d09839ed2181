#include <algorithm>

#include "exciton/core/error.hpp"
#include "exciton/core/file.hpp"
#include "exciton/interop/onnx/model.hpp"
#include "exciton/interop/onnx/protobuf.hpp"

namespace exciton::interop::onnx {
namespace {

/// The whole file but for weights: those are left where they are, so a field of bytes that is
/// longer than this is a tensor's, or no message that is read.
class Reader {
 public:
  Reader(const std::filesystem::path& path, FileModel& to)
      : file_(path, File::Mode::read, "onnx"),
        who_("onnx: " + path.string()),
        to_(to),
        size_(file_.bytes()) {}

  void model() {
    each(0, size_, [&](const Field& f) {
      if (f.number == 1) to_.ir_version = f.integer;
      if (f.number == 7) graph(f);
      if (f.number == 8)
        each_small(f, [&](const Fields::Field& g) {
          if (g.number == 2) to_.opset = g.integer();
        });
      if (f.number == 14) pair(f);
    });
    check(to_.ir_version > 0 && to_.opset > 0, who_, ": no ONNX model");
    std::erase_if(to_.inputs,
                  [&](const std::string& name) { return to_.constants.contains(name); });
  }

 private:
  struct Field {
    int number = 0, wire = 0;
    std::int64_t integer = 0;
    std::uint64_t begin = 0, bytes = 0;  // of wire 2
  };
  static constexpr std::uint64_t small = std::uint64_t{1} << 20;

  template <class F>
  void each(std::uint64_t at, std::uint64_t end, F&& f) {
    while (at < end) {
      char head[20] = {};
      const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(sizeof head, end - at));
      file_.read(at, head, count);
      std::size_t used = 0;
      const auto varint = [&] {
        std::uint64_t out = 0;
        for (int shift = 0; shift < 64; shift += 7) {
          check(used < count, who_, ": cut short, or not ONNX");
          const auto byte = static_cast<unsigned char>(head[used++]);
          out |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
          if (byte < 0x80) return out;
        }
        fail(who_, ": not ONNX");
      };
      const std::uint64_t key = varint();
      Field field{static_cast<int>(key >> 3), static_cast<int>(key & 7)};
      if (field.wire == 0) {
        field.integer = static_cast<std::int64_t>(varint());
      } else if (field.wire == 1 || field.wire == 5) {
        used += field.wire == 1 ? 8 : 4;
      } else {
        check(field.wire == 2, who_, ": not ONNX");
        field.bytes = varint();
        field.begin = at + used;
        check(field.bytes <= end - field.begin, who_, ": cut short, or not ONNX");
      }
      at = field.wire == 2 ? field.begin + field.bytes : at + used;
      check(at <= end, who_, ": cut short, or not ONNX");
      f(field);
    }
  }
  std::string contents(const Field& f) {
    check(f.wire == 2 && f.bytes <= small, who_, ": a part of ", f.bytes,
          " bytes that is not read");
    std::string out(static_cast<std::size_t>(f.bytes), '\0');
    file_.read(f.begin, out.data(), out.size());
    return out;
  }
  template <class F>
  void each_small(const Field& f, F&& of) {
    const std::string bytes = contents(f);
    Fields fields(bytes, who_);
    for (Fields::Field field; fields.next(field);) of(field);
  }

  void graph(const Field& f) {
    each(f.begin, f.begin + f.bytes, [&](const Field& g) {
      if (g.number == 1) node(g);
      if (g.number == 5) constant(g);
      if (g.number == 11 || g.number == 12)
        each_small(g, [&](const Fields::Field& v) {
          if (v.number == 1) (g.number == 11 ? to_.inputs : to_.outputs).emplace_back(v.bytes);
        });
      check(g.number != 15, who_, ": has sparse tensors, which are not read");
    });
  }
  void node(const Field& f) {
    Node out;
    each_small(f, [&](const Fields::Field& n) {
      if (n.number == 1) out.inputs.emplace_back(n.bytes);
      if (n.number == 2) out.outputs.emplace_back(n.bytes);
      if (n.number == 4) out.type = n.bytes;
      if (n.number == 5) attribute(n.bytes, out);
    });
    check(!out.type.empty() && !out.outputs.empty(), who_, ": a node without a type or an output");
    to_.nodes.push_back(std::move(out));
  }
  void attribute(std::string_view bytes, Node& to) {
    std::string name;
    std::int64_t type = 0, integer = 0;
    float real = 0;
    std::vector<std::int64_t> list;
    Fields fields(bytes, who_);
    for (Fields::Field f; fields.next(f);) {
      if (f.number == 1) name = f.bytes;
      if (f.number == 2) real = f.real();
      if (f.number == 3) integer = f.integer();
      if (f.number == 8)
        for (const std::int64_t one : Fields::integers(f, who_)) list.push_back(one);
      if (f.number == 20) type = f.integer();
    }
    if (type == 1)
      to.attributes[name] = real;
    else if (type == 2)
      to.attributes[name] = integer;
    else if (type == 7)
      to.attributes[name] = list;
    else
      fail(who_, ": ", to.type, " has an attribute ", name, " of a type that is not read");
  }
  void constant(const Field& f) {
    std::string name;
    FileModel::Constant out;
    each(f.begin, f.begin + f.bytes, [&](const Field& t) {
      if (t.number == 1) {
        check(t.wire == 0, who_, ": dimensions of a tensor are packed, which is not read");
        out.shape.push_back(t.integer);
      }
      if (t.number == 2) out.type = t.integer;
      if (t.number == 8) name = contents(t);
      if (t.number == 9) {
        out.offset = t.begin;
        out.bytes = t.bytes;
      }
      check(t.number != 13, who_, ": keeps weights in other files, which is not read");
    });
    check(!name.empty() && out.offset > 0, who_, ": a constant without a name or bytes");
    check(to_.constants.emplace(name, out).second, who_, ": two constants named ", name);
  }
  void pair(const Field& f) {
    std::string key, value;
    each(f.begin, f.begin + f.bytes, [&](const Field& p) {
      if (p.number == 1) key = contents(p);
      if (p.number == 2) value = contents(p);
    });
    to_.metadata[key] = value;
  }

  File file_;
  const std::string who_;
  FileModel& to_;
  std::uint64_t size_;
};

}  // namespace

FileModel read(const std::filesystem::path& path) {
  FileModel out;
  Reader(path, out).model();
  return out;
}

}  // namespace exciton::interop::onnx
