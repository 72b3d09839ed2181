/// The real binary, run as a user runs it.
#pragma once
#include <gtest/gtest.h>
#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "exciton/train/run_folder.hpp"
#include "tests/train/support.hpp"

namespace exciton::apps::testing {
using namespace train::testing;

struct Result {
  int code = -1;  ///< exit code, or 128 + signal
  std::string out, err;
};

/// The program `exciton`, running.
class Process {
 public:
  /// `file_size_limit` bytes a file may have, like a disk that is full; 0: no limit. `launcher`
  /// goes before the program: mpiexec and its options.
  explicit Process(const std::vector<std::string>& arguments, std::uint64_t file_size_limit = 0,
                   std::vector<std::string> launcher = {});
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  void signal(int number) const;
  bool running();
  ::pid_t id() const { return pid_; }
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

/// Opens a page in headless Chromium and expects that it works (check_pages.py says what that is);
/// skips the test where there is no Chromium.
void check_in_browser(const std::string& page);

}  // namespace exciton::apps::testing
