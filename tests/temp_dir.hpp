/// Folders for tests to write into.
#pragma once
#include <stdlib.h>

#include <filesystem>
#include <string>

#include "exciton/core/error.hpp"

namespace exciton::test_support {

/// A new folder, gone with its contents at the end of the scope.
class TempDir {
 public:
  TempDir() {
    std::string name = (std::filesystem::temp_directory_path() / "exciton-test-XXXXXX").string();
    check(mkdtemp(name.data()) != nullptr, "test: no temporary folder");
    path_ = name;
  }
  ~TempDir() {
    std::error_code none;
    std::filesystem::remove_all(path_, none);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

}  // namespace exciton::test_support
