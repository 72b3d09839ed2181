/// Other programs.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

namespace exciton::apps {

/// Runs a program that is looked for in PATH, with nothing to read and its output thrown away.
/// Whether it was there and returned 0.
bool succeeds(const std::vector<std::string>& words);

/// A folder for files that it reads and writes, gone at the end of the scope.
class ScratchFolder {
 public:
  /// Errors: no temporary folder can be made.
  ScratchFolder();
  ~ScratchFolder();
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace exciton::apps
