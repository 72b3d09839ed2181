#include "exciton/data/files.hpp"

#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <memory>
#include <sstream>
#include <utility>

#include "exciton/core/error.hpp"
#include "exciton/core/system_call.hpp"

namespace exciton::data {

OpenFile::OpenFile(std::filesystem::path path)
    : file_(std::move(path), File::Mode::read, "data"), bytes_(file_.bytes()) {}

void OpenFile::read(std::uint64_t offset, std::uint64_t count, std::uint8_t* out) const {
  file_.read(offset, out, static_cast<std::size_t>(count));
}

void OpenFile::prefetch(std::uint64_t offset, std::uint64_t count) const {
  constexpr std::uint64_t piece = 128 << 10;  // Linux cuts longer requests off at its read-ahead
  for (const std::uint64_t end = offset + count; offset < end; offset += piece)
    static_cast<void>(::posix_fadvise(file_.descriptor(), static_cast<::off_t>(offset),
                                      static_cast<::off_t>(std::min(piece, end - offset)),
                                      POSIX_FADV_WILLNEED));
}

void read_file(const std::filesystem::path& path, std::vector<std::uint8_t>& out) {
  const OpenFile file(path);
  check(file.bytes() <= max_file_bytes, "data: ", path.string(), " has ", file.bytes(),
        " bytes, expected at most ", max_file_bytes);
  out.resize(file.bytes());
  file.read(0, out.size(), out.data());
}

std::vector<std::uint8_t> read_file(const std::filesystem::path& path) {
  std::vector<std::uint8_t> out;
  read_file(path, out);
  return out;
}

std::vector<std::uint8_t> read_gzip(const std::filesystem::path& path, std::size_t most) {
  const OpenFile opened(path);
  const int own = ::dup(opened.descriptor());  // zlib closes what it is given
  SystemCall(own >= 0).check("data: cannot open ", path.string());
  const std::unique_ptr<gzFile_s, decltype(&gzclose)> file(gzdopen(own, "rb"), &gzclose);
  if (file == nullptr) ::close(own);
  check(file != nullptr, "data: cannot open ", path.string(), ": no memory to read it");
  gzbuffer(file.get(), 1u << 17);
  std::vector<std::uint8_t> out;
  while (out.size() < most) {
    const std::size_t have = out.size();
    const auto chunk = static_cast<unsigned>(std::min<std::size_t>(1u << 20, most - have));
    out.resize(have + chunk);
    const int got = gzread(file.get(), out.data() + have, chunk);
    out.resize(have + static_cast<std::size_t>(std::max(got, 0)));
    if (got == static_cast<int>(chunk)) continue;
    int code = Z_OK;  // a truncated stream ends in a short count, and only here in an error
    const char* what = gzerror(file.get(), &code);
    check(got >= 0 && code == Z_OK, "data: ", path.string(), ": damaged or truncated gzip (", what,
          "); fetch it again");
    break;
  }
  return out;
}

std::string text_of(const std::vector<std::uint8_t>& bytes, const std::string& name) {
  const auto begins = [&](std::initializer_list<std::uint8_t> mark) {
    return bytes.size() >= mark.size() && std::equal(mark.begin(), mark.end(), bytes.begin());
  };
  check(!begins({0xFF, 0xFE}) && !begins({0xFE, 0xFF}), "data: ", name,
        " is UTF-16, which is not read; save it as UTF-8");
  const auto odd = std::find_if(bytes.begin(), bytes.end(), [](std::uint8_t c) {
    constexpr std::uint8_t end_of_dos = 0x1A;
    return c < ' ' && !(c >= '\t' && c <= '\r') && c != end_of_dos;
  });
  check(odd == bytes.end(), "data: ", name, " is no text: byte ", odd - bytes.begin(), " is ",
        odd == bytes.end() ? 0 : static_cast<int>(*odd), "; save it as UTF-8");
  return std::string(bytes.begin() + (begins({0xEF, 0xBB, 0xBF}) ? 3 : 0), bytes.end());
}

std::vector<std::string> read_lines(const std::filesystem::path& path) {
  const std::vector<std::uint8_t> bytes = read_file(path);
  std::istringstream in(text_of(bytes, path.string()));
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) {
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
    if (!line.empty()) lines.push_back(line);
  }
  return lines;
}

}  // namespace exciton::data
