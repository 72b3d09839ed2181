#include "data/tar.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>

#include "core/error.hpp"

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

void for_each_member(const OpenFile& file, const std::function<void(TarMember)>& each) {
  const std::string who = "tar: " + file.path().string() + ", byte ";
  std::string long_name;  // of the next member
  Header header;
  for (std::uint64_t at = 0; file.bytes() >= block && at <= file.bytes() - block;) {
    file.read(at, block, header.data());
    if (std::all_of(header.begin(), header.end(), [](std::uint8_t b) { return b == 0; })) return;
    check(checksum_fits(header), who, at, ": no header of a tar file; it is damaged or no tar");
    const std::int64_t size = number_of(header, 124, 12);
    const std::uint64_t data = at + block, left = file.bytes() - data;
    check(size >= 0 && static_cast<std::uint64_t>(size) <= left, who, at, ": \"",
          ustar_name(header), "\" has ", size, " bytes, the file only ", left,
          "; it is truncated or damaged");
    const auto bytes = static_cast<std::uint64_t>(size);
    at = data + (bytes + block - 1) / block * block;
    const auto type = static_cast<char>(header[156]);
    if (type == 'L' || type == 'x') {
      check(bytes <= longest_name, who, data, ": a name of ", bytes, " bytes");
      std::string text(bytes, '\0');
      file.read(data, bytes, reinterpret_cast<std::uint8_t*>(text.data()));
      long_name = type == 'x' ? pax_value(text, "path") : text.substr(0, text.find('\0'));
      continue;
    }
    if (type == '0' || type == '\0')
      each({long_name.empty() ? ustar_name(header) : long_name, data, bytes});
    long_name.clear();
  }
}

}  // namespace exciton::data
