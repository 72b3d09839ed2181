#include "data/files.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>
#include <utility>

#include "core/error.hpp"

namespace exciton::data {
namespace {

void check_regular(const std::filesystem::path& path) {
  std::error_code none;
  const auto status = std::filesystem::status(path, none);
  check(std::filesystem::exists(status), "data: no file ", path.string());
  check(std::filesystem::is_regular_file(status), "data: ", path.string(), " is not a file");
}

}  // namespace

OpenFile::OpenFile(std::filesystem::path path) : path_(std::move(path)) {
  struct stat facts {};
  descriptor_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
  check(descriptor_ >= 0, "data: cannot open ", path_.string(), ": ", std::strerror(errno));
  if (::fstat(descriptor_, &facts) != 0 || !S_ISREG(facts.st_mode)) {
    ::close(descriptor_);
    fail("data: ", path_.string(), " is not a file");
  }
  bytes_ = static_cast<std::uint64_t>(facts.st_size);
}

OpenFile::~OpenFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

OpenFile::OpenFile(OpenFile&& other) noexcept
    : path_(std::move(other.path_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      bytes_(other.bytes_) {}

void OpenFile::read(std::uint64_t offset, std::uint64_t count, std::uint8_t* out) const {
  while (count > 0) {
    const ::ssize_t got = ::pread(descriptor_, out, count, static_cast<::off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    check(got >= 0, "data: ", path_.string(), ": cannot read: ", std::strerror(errno));
    check(got > 0, "data: ", path_.string(), " ends at byte ", offset, ", wants ", count, " more");
    offset += static_cast<std::uint64_t>(got);
    out += got;
    count -= static_cast<std::uint64_t>(got);
  }
}

void OpenFile::will_read(std::uint64_t offset, std::uint64_t count) const {
  constexpr std::uint64_t piece = 128 << 10;  // Linux cuts longer requests off at its read-ahead
  for (const std::uint64_t end = offset + count; offset < end; offset += piece)
    static_cast<void>(::posix_fadvise(descriptor_, static_cast<::off_t>(offset),
                                      static_cast<::off_t>(std::min(piece, end - offset)),
                                      POSIX_FADV_WILLNEED));
}

void read_file(const std::filesystem::path& path, std::vector<std::uint8_t>& out) {
  check_regular(path);
  const OpenFile file(path);
  check(file.bytes() <= max_file_bytes, "data: ", path.string(), " has ", file.bytes(),
        " bytes, wants at most ", max_file_bytes);
  out.resize(file.bytes());
  file.read(0, out.size(), out.data());
}

std::vector<std::uint8_t> read_file(const std::filesystem::path& path) {
  std::vector<std::uint8_t> out;
  read_file(path, out);
  return out;
}

std::vector<std::uint8_t> read_gzip(const std::filesystem::path& path, std::size_t limit) {
  check_regular(path);
  const std::unique_ptr<gzFile_s, decltype(&gzclose)> file(gzopen(path.c_str(), "rb"), &gzclose);
  check(file != nullptr, "data: cannot open ", path.string(), ": ", std::strerror(errno));
  constexpr unsigned chunk = 1u << 20;
  gzbuffer(file.get(), 1u << 17);
  std::vector<std::uint8_t> out;
  while (true) {
    const std::size_t have = out.size();
    check(have <= limit, "data: ", path.string(), " holds more than ", limit, " bytes");
    out.resize(have + chunk);
    const int got = gzread(file.get(), out.data() + have, chunk);
    out.resize(have + static_cast<std::size_t>(std::max(got, 0)));
    if (got == static_cast<int>(chunk)) continue;
    int code = Z_OK;  // a truncated stream ends in a short count, and only here in an error
    const char* what = gzerror(file.get(), &code);
    check(got >= 0 && code == Z_OK, "data: ", path.string(), ": damaged or truncated gzip (", what,
          "); fetch it again");
    return out;
  }
}

std::vector<std::string> read_lines(const std::filesystem::path& path) {
  check_regular(path);
  std::ifstream in(path);
  check(in.is_open(), "data: cannot open ", path.string(), ": ", std::strerror(errno));
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) {
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
    if (!line.empty()) lines.push_back(line);
  }
  return lines;
}

}  // namespace exciton::data
