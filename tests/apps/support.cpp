#include "tests/apps/support.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>

#include "core/random.hpp"

namespace exciton::apps::testing {
namespace fs = std::filesystem;
namespace {

void big_endian(std::string& to, std::uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) to += static_cast<char>(value >> shift & 0xff);
}

void write_split(const fs::path& dir, const std::string& prefix, std::int64_t count,
                 std::uint64_t seed) {
  constexpr std::uint32_t side = 8;
  Generator rng(seed);
  std::string images, labels;
  big_endian(images, 0x803);
  big_endian(images, static_cast<std::uint32_t>(count));
  big_endian(images, side);
  big_endian(images, side);
  big_endian(labels, 0x801);
  big_endian(labels, static_cast<std::uint32_t>(count));
  for (std::int64_t i = 0; i < count; ++i) {
    const auto label = static_cast<int>(i % 10);
    labels += static_cast<char>(label);
    for (std::uint32_t p = 0; p < side * side; ++p)
      images += static_cast<char>(20 * label + static_cast<int>(rng.below(40)));
  }
  write_file(dir / (prefix + "-images-idx3-ubyte"), images);
  write_file(dir / (prefix + "-labels-idx1-ubyte"), labels);
}

}  // namespace

TempDir::TempDir() {
  std::string pattern = (fs::temp_directory_path() / "exciton-test-XXXXXX").string();
  check(::mkdtemp(pattern.data()) != nullptr, "test: no temporary folder");
  path_ = pattern;
}

TempDir::~TempDir() {
  std::error_code error;
  fs::remove_all(path_, error);
}

void write_file(const fs::path& path, const std::string& bytes) {
  fs::create_directories(path.parent_path());
  std::ofstream out(path, std::ios::binary);
  out << bytes;
  check(out.good(), "test: cannot write ", path.string());
}

std::string read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  check(in.good(), "test: cannot read ", path.string());
  std::stringstream out;
  out << in.rdbuf();
  return out.str();
}

std::vector<Json> read_log(const fs::path& run) {
  std::vector<Json> out;
  std::istringstream in(read_file(run / "log.jsonl"));
  for (std::string line; std::getline(in, line);) out.push_back(Json::parse(line));
  return out;
}

void write_tiny_data(const fs::path& dir, std::int64_t train, std::int64_t test) {
  write_split(dir, "train", train, 1);
  write_split(dir, "t10k", test, 2);
}

void write_tiny_recipe(const fs::path& path, const fs::path& data, const std::string& model) {
  const Json recipe = {
      {"model", {{"name", model}}},
      {"data",
       {{"kind", "fashion-mnist"},
        {"dir", data.string()},
        {"augment", {{"pad_crop", 1}, {"flip", true}}},
        {"batch", 16},
        {"validation", "test"}}},
      {"schedule", {{"name", "one_cycle_linear"}, {"lr", 0.05}}},
      {"epochs", 2},
      {"threads", 1},
  };
  write_file(path, recipe.dump(2));
}

Process::Process(const std::vector<std::string>& arguments, std::uint64_t file_size_limit) {
  std::vector<std::string> words{EXCITON_PROGRAM};
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
  const std::string command =
      std::string("python3 ") + EXCITON_TEST_SCRIPTS + "/check_pages.py " + page;
  const int status = std::system(command.c_str());
  if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
    GTEST_SKIP() << "no Chromium here (Debian package chromium)";
  EXPECT_EQ(status, 0);
}

void expect_same_tensors(const fs::path& a, const fs::path& b) {
  const Checkpoint x = read_checkpoint(a), y = read_checkpoint(b);
  ASSERT_EQ(x.tensors.size(), y.tensors.size());
  ASSERT_FALSE(x.tensors.empty());
  for (std::size_t i = 0; i < x.tensors.size(); ++i) {
    const Tensor &s = x.tensors[i].tensor, &t = y.tensors[i].tensor;
    ASSERT_EQ(x.tensors[i].name, y.tensors[i].name);
    ASSERT_EQ(s.shape(), t.shape());
    EXPECT_EQ(std::memcmp(s.raw(), t.raw(), s.bytes()), 0) << x.tensors[i].name;
  }
}

}  // namespace exciton::apps::testing
