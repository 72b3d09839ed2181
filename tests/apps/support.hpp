/// What the program's tests share: temporary folders, tiny data in the official layouts, and the
/// real binary run as a user runs it.
#pragma once
#include <gtest/gtest.h>
#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "apps/checkpoint.hpp"
#include "apps/json.hpp"
#include "apps/run_folder.hpp"
#include "core/error.hpp"

namespace exciton::apps::testing {

/// A new folder, gone with its contents at the end of the scope.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

void write_file(const std::filesystem::path& path, const std::string& bytes);
std::string read_file(const std::filesystem::path& path);
std::vector<Json> read_log(const std::filesystem::path& run);

/// A Fashion-MNIST folder (IDX) of grey images of side 8, whose brightness grows with the label.
void write_tiny_data(const std::filesystem::path& dir, std::int64_t train = 64,
                     std::int64_t test = 32);
/// A recipe that trains resnet20 on them in a moment: batch 16, 2 epochs, 1 thread, se_resnet20 on
/// request.
void write_tiny_recipe(const std::filesystem::path& path, const std::filesystem::path& data,
                       const std::string& model = "se_resnet20");

struct Result {
  int code = -1;  ///< exit code, or 128 + signal
  std::string out, err;
};

/// The program `exciton`, running.
class Process {
 public:
  /// `file_size_limit` bytes a file may have, like a disk that is full; 0: no limit.
  explicit Process(const std::vector<std::string>& arguments, std::uint64_t file_size_limit = 0);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  void signal(int number) const;
  bool running();
  /// Waits for the end.
  Result wait();

 private:
  TempDir dir_;
  ::pid_t pid_ = -1;
  int status_ = 0;
  bool ended_ = false;
};

Result run(const std::vector<std::string>& arguments, std::uint64_t file_size_limit = 0);
/// Runs and expects success.
Result succeed(const std::vector<std::string>& arguments);
/// Runs and expects exit code `code`, nothing but one line "exciton: ..." on stderr, and all of
/// `parts` in it.
Result expect_failure(const std::vector<std::string>& arguments,
                      const std::vector<std::string>& parts, int code = 1,
                      std::uint64_t file_size_limit = 0);

/// The message of the exciton::Error that f throws; fails the test when it throws none, or when the
/// message has several lines.
template <class F>
std::string error_of(F&& f) {
  try {
    f();
  } catch (const Error& e) {
    EXPECT_EQ(std::string(e.what()).find('\n'), std::string::npos) << e.what();
    return e.what();
  }
  ADD_FAILURE() << "no error";
  return "";
}

/// Opens a page in headless Chromium and expects that it works (check_pages.py says what that is);
/// skips the test where there is no Chromium.
void check_in_browser(const std::string& page);

/// Expects that both checkpoints hold the same tensors, bit for bit.
void expect_same_tensors(const std::filesystem::path& a, const std::filesystem::path& b);

}  // namespace exciton::apps::testing
