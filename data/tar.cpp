#include "exciton/data/tar.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <string_view>
#include <unordered_map>

#include "exciton/core/error.hpp"

namespace exciton::data {
namespace {

constexpr std::uint64_t block = 512;
/// More than any path; longer "names" are damage.
constexpr std::uint64_t longest_name = 1 << 16;

using Header = std::array<std::uint8_t, block>;

/// A field of a header, up to its first zero byte.
std::string_view text_of(const Header& header, std::size_t at, std::size_t count) {
  const std::string_view field(reinterpret_cast<const char*>(header.data()) + at, count);
  return field.substr(0, field.find('\0'));
}

/// An octal number, or a big-endian one of base 256 when its highest bit is set (GNU). -1: neither.
std::int64_t number_of(const Header& header, std::size_t at, std::size_t count) {
  if (header[at] & 0x80) {
    std::uint64_t value = header[at] & 0x7f;
    for (std::size_t i = 1; i < count; ++i) {
      if (value >> 55) return -1;
      value = value << 8 | header[at + i];
    }
    return static_cast<std::int64_t>(value);
  }
  std::string_view text = text_of(header, at, count);
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 8);
  if (text.empty()) return 0;
  return error == std::errc{} && end == text.data() + text.size() ? value : -1;
}

/// The sum of all bytes, with the checksum's own counted as spaces.
bool checksum_fits(const Header& header) {
  std::int64_t sum = 0;
  for (std::size_t i = 0; i < block; ++i) sum += i >= 148 && i < 156 ? ' ' : header[i];
  return number_of(header, 148, 8) == sum;
}

std::string ustar_name(const Header& header) {
  const std::string name(text_of(header, 0, 100));
  const std::string prefix(text_of(header, 345, 155));
  const bool ustar = text_of(header, 257, 5) == "ustar";
  return ustar && !prefix.empty() ? prefix + '/' + name : name;
}

/// The value of a record "LENGTH KEY=VALUE\n" of a pax header; empty when it is not there.
std::string pax_value(std::string_view records, std::string_view key) {
  std::string value;
  while (!records.empty()) {
    std::size_t length = 0;
    const auto [end, error] =
        std::from_chars(records.data(), records.data() + records.size(), length);
    const auto digits = static_cast<std::size_t>(end - records.data());
    if (error != std::errc{} || length <= digits + 1 || length > records.size()) break;
    std::string_view record = records.substr(digits + 1, length - digits - 1);
    if (record.ends_with('\n')) record.remove_suffix(1);
    if (record.size() > key.size() && record.starts_with(key) && record[key.size()] == '=')
      value = record.substr(key.size() + 1);
    records.remove_prefix(length);
  }
  return value;
}

}  // namespace

namespace {

bool is_zero(const Header& header) {
  return std::all_of(header.begin(), header.end(), [](std::uint8_t b) { return b == 0; });
}

std::string strange_end(std::uint64_t bytes) {
  return ": " + std::to_string(bytes) +
         " bytes follow the end of the tar file, and are no other one joined to it; cut them off, "
         "or copy the file again";
}

using Each = std::function<void(TarMember)>;
using Other = std::function<void(const std::string&, const std::string&)>;

/// "./a/b" and "a//b" as "a/b".
std::string plain(const std::string& name) {
  return std::filesystem::path(name).lexically_normal().string();
}

void walk(const OpenFile& file, bool links, const Each& each, const Other& other) {
  const std::string who = "tar: " + file.path().string() + ", byte ";
  std::string long_name, long_target;                  // of the next member
  std::unordered_map<std::string, TarMember> by_name;  // filled when a hard link comes
  Header header;
  std::uint64_t at = 0;
  bool ended = false;  // by a block of zeros; tar files may have been joined, and go on behind it
  while (file.bytes() >= block && at <= file.bytes() - block) {
    file.read(at, block, header.data());
    if (is_zero(header)) {
      ended = true;
      at += block;
      continue;
    }
    check(!ended || checksum_fits(header), who, at, strange_end(file.bytes() - at));
    ended = false;
    check(checksum_fits(header), who, at, ": no header of a tar file; it is damaged or no tar");
    const std::int64_t size = number_of(header, 124, 12);
    const std::uint64_t data = at + block, left = file.bytes() - data;
    check(size >= 0 && static_cast<std::uint64_t>(size) <= left, who, at, ": \"",
          ustar_name(header), "\" has ", size, " bytes, the file only ", left,
          "; it is truncated or damaged");
    const auto bytes = static_cast<std::uint64_t>(size);
    at = data + (bytes + block - 1) / block * block;
    const auto type = static_cast<char>(header[156]);
    if (type == 'L' || type == 'K' || type == 'x') {
      check(bytes <= longest_name, who, data, ": a name of ", bytes, " bytes");
      std::string text(bytes, '\0');
      file.read(data, bytes, reinterpret_cast<std::uint8_t*>(text.data()));
      if (type == 'x') {
        check(pax_value(text, "GNU.sparse.major").empty() &&
                  pax_value(text, "GNU.sparse.size").empty(),
              who, data, ": ", pax_value(text, "GNU.sparse.name"),
              " is a sparse file, which is not read; make the tar without sparse files");
        long_name = pax_value(text, "path");
        long_target = pax_value(text, "linkpath");
      } else {
        (type == 'L' ? long_name : long_target) = text.substr(0, text.find('\0'));
      }
      continue;
    }
    const std::string name = long_name.empty() ? ustar_name(header) : long_name;
    const std::string target =
        long_target.empty() ? std::string(text_of(header, 157, 100)) : long_target;
    long_name.clear();
    long_target.clear();
    check(type != 'S', who, data, ": ", name,
          " is a sparse file, which is not read; make the tar without sparse files");
    if (type == '0' || type == '\0' || type == '7') {
      each({name, data, bytes});
    } else if (type == '1' && links) {
      if (by_name.empty())
        walk(file, false, [&](const TarMember& m) { by_name.emplace(plain(m.name), m); }, {});
      const auto found = by_name.find(plain(target));
      check(found != by_name.end(), who, data, ": ", name, " is a link to ", target,
            ", which is not in the file");
      each({name, found->second.offset, found->second.bytes});
    } else if (type == '2' && other) {
      other(name, "a symbolic link");
    } else if (other && type != '5' && type != 'g' && type != '1') {
      other(name, std::string("a member of type ") + type);
    }
  }
  if (ended) {
    const std::uint64_t left = file.bytes() - at;  // less than a block
    header.fill(0);
    file.read(at, left, header.data());
    check(is_zero(header), who, at, strange_end(left));
    return;
  }
  const bool whole_blocks = file.bytes() % block == 0;
  check(file.bytes() == 0, who, file.bytes(),
        ": it ends here without the zero blocks that end a tar file, so it is cut short; copy it "
        "again",
        whole_blocks
            ? ", or, where a program left them out and nothing is missing, append 1024 zero bytes"
            : "");
}

}  // namespace

void for_each_member(const OpenFile& file, const Each& each, const Other& other) {
  walk(file, true, each, other);
}

}  // namespace exciton::data
