/// Tar files read in place: where each member lies, and its bytes.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace exciton::data {

/// A file that stays open and is read at any place, by several threads.
class OpenFile {
 public:
  /// Errors: cannot be opened, is no regular file.
  explicit OpenFile(std::filesystem::path path);
  ~OpenFile();
  OpenFile(OpenFile&& other) noexcept;
  OpenFile& operator=(OpenFile&&) = delete;
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::uint64_t bytes() const { return bytes_; }
  /// Errors: the file ends before.
  void read(std::uint64_t offset, std::uint64_t count, std::uint8_t* out) const;

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
  std::uint64_t bytes_ = 0;
};

/// A regular file in a tar file.
struct TarMember {
  std::string name;
  std::uint64_t offset = 0;  ///< of its bytes
  std::uint64_t bytes = 0;
};

/// Calls `each` for every regular file of a tar (ustar, with the long names of GNU and of pax), in
/// order. Only headers are read. Errors name the file and the offset: no tar, a damaged header, a
/// member that ends behind the file.
void for_each_member(const OpenFile& file, const std::function<void(TarMember)>& each);

}  // namespace exciton::data
