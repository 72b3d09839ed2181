/// Reading whole files, with errors that name them.
#pragma once
#include <atomic>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <limits>
#include <mutex>
#include <string>
#include <vector>

#include "exciton/core/file.hpp"
#include "exciton/core/threads.hpp"

namespace exciton::data {

/// A file that stays open and is read at any place, by several threads.
class OpenFile {
 public:
  /// Errors: cannot be opened, is no regular file.
  explicit OpenFile(std::filesystem::path path);

  const std::filesystem::path& path() const { return file_.path(); }
  /// Bytes it had when it was opened.
  std::uint64_t bytes() const { return bytes_; }
  int descriptor() const { return file_.descriptor(); }
  /// Errors: the file ends before.
  void read(std::uint64_t offset, std::uint64_t count, std::uint8_t* out) const;
  /// Asks the system to fetch these bytes from the disk meanwhile. A hint: nothing can fail.
  void prefetch(std::uint64_t offset, std::uint64_t count) const;

 private:
  File file_;
  std::uint64_t bytes_ = 0;
};

/// Largest file that is read at once.
inline constexpr std::uint64_t max_file_bytes = std::uint64_t{1} << 30;

/// All bytes of a regular file. Errors: no such file, no file, larger than max_file_bytes.
std::vector<std::uint8_t> read_file(const std::filesystem::path& path);
/// The same into `out`, reusing its storage.
void read_file(const std::filesystem::path& path, std::vector<std::uint8_t>& out);

/// The first `most` bytes of a file, or all when it has fewer, decompressed when it is gzip; no
/// more are unpacked, however many there are. Errors: a stream that is damaged or truncated up to
/// there.
std::vector<std::uint8_t> read_gzip(const std::filesystem::path& path, std::size_t most);

/// The bytes of a text file, without the mark with which some programs begin UTF-8. Errors: UTF-16,
/// control characters; they call it `name`.
std::string text_of(const std::vector<std::uint8_t>& bytes, const std::string& name);

/// The lines of a text file without line ends and without empty lines. Errors: as of read_file and
/// text_of.
std::vector<std::string> read_lines(const std::filesystem::path& path);

/// Calls f(index) for every index in [0, count) on all threads, and throws what the lowest failing
/// index of them threw. After a failure the remaining work is left out where that keeps this rule.
template <class F>
void for_each_index(std::int64_t count, F&& f) {
  std::atomic<std::int64_t> lowest{std::numeric_limits<std::int64_t>::max()};
  std::exception_ptr error;
  std::mutex mutex;
  parallel_for(count, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end && i < lowest; ++i) {
      std::exception_ptr caught;
      try {
        f(i);
      } catch (...) {
        caught = std::current_exception();
      }
      if (!caught) continue;
      const std::lock_guard lock(mutex);
      if (i < lowest) {
        lowest = i;
        error = std::move(caught);
      }
      return;
    }
  });
  if (error) std::rethrow_exception(error);
}

}  // namespace exciton::data
