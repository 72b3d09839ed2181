/// Files through the system's own calls. Every error says who complains, names the file, and gives
/// the system's reason.
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

namespace exciton {

/// An open regular file. Opening never waits: a named pipe, a socket or a device in a file's place
/// is refused by name.
class File {
 public:
  enum class Mode {
    read,
    write,   ///< made or emptied
    append,  ///< made if need be
  };
  /// `who` begins every message: "checkpoint", "data". `advice` ends those of writing, and says
  /// what to try: "; make room". Errors: the system's; not a regular file.
  File(std::filesystem::path path, Mode mode, std::string who, std::string advice = "");
  ~File();
  File(File&& other) noexcept;
  File& operator=(File&&) = delete;
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  const std::filesystem::path& path() const { return path_; }
  int descriptor() const { return descriptor_; }
  /// Bytes the file has now. Errors: the system's.
  std::uint64_t bytes() const;
  /// `count` bytes from `offset` on; several threads may read. Errors: the file ends before.
  void read(std::uint64_t offset, void* out, std::size_t count) const;
  /// All of `count` bytes behind what was written before. Errors: a full disk and the like.
  void write(const void* from, std::size_t count);
  /// Waits until what was written is on the disk.
  void sync() const;

 private:
  std::filesystem::path path_;
  std::string who_, advice_;
  int descriptor_ = -1;
};

/// All bytes of a regular file as text. Errors: as of File; more than `at_most` bytes.
std::string read_text(const std::filesystem::path& path, const std::string& who,
                      std::uint64_t at_most);

/// Lets `write` fill a temporary file, PATH.tmp, and moves it to `path`, both made durable: a
/// process killed at any moment leaves the old file or the new one. A symbolic link stays, the file
/// it leads to is replaced. Errors: of `write` and the system's; what stands at `path` is no
/// regular file. What was at `path` before is untouched then.
void replace_file(const std::filesystem::path& path, const std::string& who,
                  const std::string& advice, const std::function<void(File&)>& write);

/// Replaces `path` by `text`. What is no regular file, such as /dev/stdout or a named pipe that
/// somebody reads, is written to and stays what it is.
void write_text(const std::filesystem::path& path, const std::string& text, const std::string& who,
                const std::string& advice = "");

/// Makes `link` another name of the file `target` (a copy where the file system has no hard links),
/// replacing what was there in one step.
void link_file(const std::filesystem::path& target, const std::filesystem::path& link,
               const std::string& who, const std::string& advice);

/// PATH.tmp, under which replace_file and link_file prepare PATH.
std::filesystem::path temporary_beside(const std::filesystem::path& path);

/// "a folder", "a named pipe", ...: what stands at `path`, followed through links, for messages.
std::string kind_of_file(const std::filesystem::path& path);

}  // namespace exciton
