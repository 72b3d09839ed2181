/// Zip archives, by libarchive.
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace exciton::interop {

class Zip {
 public:
  struct Entry {
    std::string name;
    std::uint64_t bytes;  ///< unpacked
  };
  /// `who` begins the messages. Errors: unreadable, damaged, two entries of one name, an entry
  /// whose size is not told, encryption.
  Zip(std::filesystem::path path, std::string who);

  const std::filesystem::path& path() const { return path_; }
  const std::string& who() const { return who_; }
  const std::vector<Entry>& entries() const { return entries_; }
  /// The place of the entry of that name, or entries().size().
  std::size_t find(const std::string& name) const;

  /// Gives the bytes of an entry, one after another. Errors: there are no more.
  using Read = std::function<void(std::span<std::byte>)>;
  /// Goes through the archive once and calls `visit` for the wanted entries, in the archive's
  /// order, which need not be that of entries(). Errors: damage.
  void visit(const std::vector<bool>& wanted,
             const std::function<void(std::size_t entry, const Read& read)>& visit) const;
  /// All bytes of one entry. Errors: more than `at_most`.
  std::vector<std::uint8_t> contents(std::size_t entry, std::uint64_t at_most) const;

 private:
  std::filesystem::path path_;
  std::string who_;
  std::vector<Entry> entries_;
};

}  // namespace exciton::interop
