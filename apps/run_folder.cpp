#include "apps/run_folder.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <regex>
#include <sstream>

#include "core/error.hpp"

namespace exciton::apps {
namespace fs = std::filesystem;

fs::path RunFolder::checkpoint(const Position& position) const {
  std::ostringstream name;
  name << "epoch-" << std::setw(4) << std::setfill('0') << position.epoch;
  if (position.batch > 0) name << "-batch-" << std::setw(6) << position.batch;
  name << ".ckpt";
  return checkpoints() / name.str();
}

bool RunFolder::occupied() const {
  std::error_code error;
  const fs::file_status status = fs::status(path_, error);
  if (!fs::exists(status)) return false;
  check(fs::is_directory(status), "train: ", path_.string(),
        " is a file, wanted a folder for the run; choose another --out");
  const bool empty = fs::is_empty(path_, error);
  check(!error, "train: cannot look into ", path_.string(), ": ", error.message());
  return !empty;
}

void RunFolder::prepare() const {
  std::error_code error;
  fs::create_directories(checkpoints(), error);
  check(!error, "train: cannot make the run folder ", checkpoints().string(), ": ", error.message(),
        "; choose another --out");
  for (const fs::path& folder : {path_, checkpoints()})
    for (const fs::directory_entry& entry : fs::directory_iterator(folder))
      if (entry.path().extension() == ".tmp") fs::remove(entry.path(), error);
}

std::vector<CheckpointFile> RunFolder::checkpoint_files() const {
  static const std::regex pattern(R"(epoch-(\d{1,9})(-batch-(\d{1,9}))?\.ckpt)");
  std::vector<CheckpointFile> out;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(checkpoints(), error)) {
    const std::string name = entry.path().filename().string();
    std::smatch match;
    if (!std::regex_match(name, match, pattern)) continue;
    out.push_back(
        {entry.path(), {std::stoll(match[1]), match[3].matched ? std::stoll(match[3]) : 0}});
  }
  std::sort(out.begin(), out.end(), [](const CheckpointFile& a, const CheckpointFile& b) {
    return a.position > b.position;
  });
  return out;
}

std::optional<FoundCheckpoint> RunFolder::newest() const {
  std::vector<fs::path> candidates;
  for (const CheckpointFile& file : checkpoint_files()) candidates.push_back(file.path);
  if (fs::exists(best())) candidates.push_back(best());
  for (const fs::path& path : candidates) {
    try {
      return FoundCheckpoint{path, read_checkpoint(path)};
    } catch (const Error& error) {
      std::cerr << "exciton: passing over " << error.what() << std::endl;
    }
  }
  check(candidates.empty(), "run: none of the ", candidates.size(), " checkpoints in ",
        checkpoints().string(), " can be read; start again with another --out");
  return std::nullopt;
}

void RunFolder::keep_last(std::int64_t count) const {
  const std::vector<CheckpointFile> files = checkpoint_files();
  std::error_code error;  // a file that cannot be deleted only costs space
  for (std::size_t i = static_cast<std::size_t>(count); i < files.size(); ++i)
    fs::remove(files[i].path, error);
}

void RunFolder::append_log(const Json& line) const {
  const std::string text = line.dump() + '\n';
  const int fd = ::open(log().c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  check(fd >= 0, "train: cannot write ", log().string(), ": ", std::strerror(errno));
  errno = ENOSPC;  // what a short write without an error of its own means
  const bool written =
      ::write(fd, text.data(), text.size()) == static_cast<::ssize_t>(text.size()) &&
      ::fsync(fd) == 0;
  const int reason = errno;
  ::close(fd);
  check(written, "train: cannot write ", log().string(), ": ", std::strerror(reason),
        "; what was saved before is intact: make room and go on with --resume");
}

std::vector<Json> RunFolder::read_log() const {
  std::ifstream in(log());
  std::vector<Json> out;
  for (std::string line; std::getline(in, line);) {
    std::optional<Json> json = try_json(line);
    if (!json || !json->is_object() || !json->contains("epoch") ||
        !(*json)["epoch"].is_number_integer())
      break;
    out.push_back(std::move(*json));
  }
  return out;
}

void RunFolder::truncate_log(std::int64_t epochs) const {
  std::string kept;
  for (const Json& line : read_log()) {
    if (line["epoch"].get<std::int64_t>() > epochs) break;
    kept += line.dump() + '\n';
  }
  write_text_atomically(log(), kept);
}

FoundCheckpoint open_checkpoint(const fs::path& run_or_checkpoint) {
  check(fs::exists(run_or_checkpoint), "run: there is no ", run_or_checkpoint.string(),
        "; wanted a run folder or a checkpoint");
  if (!fs::is_directory(run_or_checkpoint))
    return {run_or_checkpoint, read_checkpoint(run_or_checkpoint)};
  std::optional<FoundCheckpoint> found = RunFolder(run_or_checkpoint).newest();
  check(found.has_value(), "run: no checkpoint in ", run_or_checkpoint.string(),
        "; wanted a run folder, as `exciton train` makes them");
  return std::move(*found);
}

}  // namespace exciton::apps
