/// The parts of a fetch: one transfer, one checksum, one archive.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

namespace exciton::data {

struct Transfer {
  std::string url;
  std::filesystem::path part;  ///< where the bytes go; what it holds already is not asked for again
  std::int64_t bytes = 0;      ///< of the whole file
  int stall_seconds = 60;
  std::function<void(std::int64_t)> progress;  ///< bytes in `part`
};

/// How one attempt ended. Only `broken` is worth another attempt.
struct TransferEnd {
  bool complete = false;  ///< `part` has all bytes
  bool broken = false;    ///< the connection failed or ended early
  std::int64_t received = 0;
  std::string reason{};  ///< when not complete
};

/// One attempt, beginning at the end of `part`; from the start, into `part`.new, where the server
/// cannot do that. What `part` has goes only for more of the same file: never for a page that asks
/// to log in, a shorter range or an attempt that ends before it. Below 1,000 bytes per second for
/// stall_seconds the connection counts as lost. Errors: `part` cannot be written, the server
/// sends more than `bytes`, and what `progress` throws.
TransferEnd transfer(const Transfer& what);

/// MD5 as 32 lower-case hexadecimal digits.
std::string md5_of(const std::filesystem::path& file);

/// Unpacks a tar archive (plain, gzip, bzip2, xz or zstd) into `dir`, each file under a temporary
/// name first. Returns the number of files. Errors: a damaged archive, an entry with an absolute
/// path or "..", a link or a device: a data set has none, and each is a way out of `dir`.
std::int64_t unpack_archive(const std::filesystem::path& archive, const std::filesystem::path& dir);

}  // namespace exciton::data
