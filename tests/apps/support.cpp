#include "tests/apps/support.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>

namespace exciton::apps::testing {
Process::Process(const std::vector<std::string>& arguments, std::uint64_t file_size_limit,
                 std::vector<std::string> launcher) {
  std::vector<std::string> words = std::move(launcher);
  words.emplace_back(EXCITON_PROGRAM);
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const std::string out = (dir_ / "out").string(), err = (dir_ / "err").string();
  for (const std::string& file : {out, err}) std::ofstream{file};  // there even if killed at once
  pid_ = ::fork();
  check(pid_ >= 0, "test: cannot fork");
  if (pid_ == 0) {
    const int o = ::open(out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    const int e = ::open(err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ::dup2(o, STDOUT_FILENO);
    ::dup2(e, STDERR_FILENO);
    if (file_size_limit > 0) {
      const struct ::rlimit limit = {file_size_limit, file_size_limit};
      ::setrlimit(RLIMIT_FSIZE, &limit);
    }
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
}

Process::~Process() {
  if (ended_) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, &status_, 0);
}

void Process::signal(int number) const { ::kill(pid_, number); }

bool Process::running() {
  if (!ended_ && ::waitpid(pid_, &status_, WNOHANG) == pid_) ended_ = true;
  return !ended_;
}

Result Process::wait() {
  if (!ended_) ::waitpid(pid_, &status_, 0);
  ended_ = true;
  Result out;
  out.code = WIFEXITED(status_) ? WEXITSTATUS(status_) : 128 + WTERMSIG(status_);
  out.out = read_file(dir_ / "out");
  out.err = read_file(dir_ / "err");
  // What the program says first where oneDNN is not right on this machine.
  if (out.err.starts_with("exciton: oneDNN ")) out.err.erase(0, out.err.find('\n') + 1);
  return out;
}

Result run(const std::vector<std::string>& arguments, std::uint64_t file_size_limit) {
  return Process(arguments, file_size_limit).wait();
}

Result succeed(const std::vector<std::string>& arguments) {
  const Result result = run(arguments);
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.err, "");
  return result;
}

Result expect_failure(const std::vector<std::string>& arguments,
                      const std::vector<std::string>& parts, int code,
                      std::uint64_t file_size_limit) {
  const Result result = run(arguments, file_size_limit);
  EXPECT_EQ(result.code, code) << result.out << result.err;
  EXPECT_EQ(result.err.rfind("exciton: ", 0), 0u) << result.err;
  EXPECT_EQ(result.err.find('\n'), result.err.size() - 1) << result.err;
  for (const std::string& part : parts)
    EXPECT_NE(result.err.find(part), std::string::npos) << '"' << part << "\" in " << result.err;
  return result;
}

void check_in_browser(const std::string& page) {
  std::string command = "python3 ";  // not in one expression: GCC 12 warns of it without reason
  command += EXCITON_TEST_SCRIPTS "/check_pages.py ";
  command += page;
  const int status = std::system(command.c_str());
  if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
    GTEST_SKIP() << "no Chromium here (Debian package chromium)";
  EXPECT_EQ(status, 0);
}

}  // namespace exciton::apps::testing
