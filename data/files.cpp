#include "data/files.hpp"

#include <zlib.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>

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

std::vector<std::uint8_t> read_file(const std::filesystem::path& path) {
  check_regular(path);
  std::ifstream in(path, std::ios::binary | std::ios::ate);
  check(in.is_open(), "data: cannot open ", path.string(), ": ", std::strerror(errno));
  const std::streamoff bytes = in.tellg();
  check(bytes >= 0 && bytes <= max_file_bytes, "data: ", path.string(), " has ", bytes,
        " bytes, wants at most ", max_file_bytes);
  std::vector<std::uint8_t> out(static_cast<std::size_t>(bytes));
  in.seekg(0);
  in.read(reinterpret_cast<char*>(out.data()), bytes);
  check(in.gcount() == bytes, "data: ", path.string(), ": read ", in.gcount(), " of ", bytes,
        " bytes");
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
