#include "exciton/train/run_folder.hpp"

#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <iomanip>
#include <regex>
#include <sstream>

#include "exciton/core/error.hpp"
#include "exciton/core/system_call.hpp"
#include "exciton/train/json.hpp"
#include "exciton/train/remedy.hpp"

namespace exciton::train {
namespace fs = std::filesystem;
namespace {

constexpr const char* lock_name = "run.lock";
/// A million epochs of 300 bytes, or a thousand with the gates of every block.
constexpr std::uint64_t max_log_bytes = std::uint64_t{1} << 30;

/// Calls each(path) for what is in a folder, if it is there. Errors: it cannot be read.
void for_each_entry(const fs::path& folder, const std::function<void(const fs::path&)>& each) {
  std::error_code error;
  fs::directory_iterator it(folder, error);
  if (error == std::errc::no_such_file_or_directory) return;
  for (; !error && it != fs::directory_iterator(); it.increment(error)) each(it->path());
  check(!error, "run: cannot read the folder ", folder.string(), ": ", error.message());
}

/// Whether a name is that under which this program prepares a file of a run folder.
bool is_leftover(const fs::path& path) {
  static const std::regex pattern(
      R"((recipe\.json|result\.json|log\.jsonl|best\.ckpt|epoch-\d+(-batch-\d+)?\.ckpt)\.tmp)");
  return std::regex_match(path.filename().string(), pattern);
}

std::optional<std::int64_t> epoch_of(const Json& line) {
  if (!line.is_object() || !line.contains("epoch") || !line["epoch"].is_number_integer())
    return std::nullopt;
  return line["epoch"].get<std::int64_t>();
}

/// A line of the log as it stands there.
struct LogLine {
  std::string text;
  std::int64_t number = 0;  ///< from 1
  Json json;                ///< null: damaged
  bool ended = true;        ///< by a newline; the last may not be, when its writer was killed
  bool cut_off() const { return json.is_null() && !ended; }
};

std::vector<LogLine> lines_of(const fs::path& log) {
  std::error_code none;
  if (!fs::exists(log, none)) return {};
  const std::string text = read_text(log, "run", max_log_bytes);
  std::vector<LogLine> out;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    LogLine line{.text = text.substr(begin, end - begin),
                 .number = static_cast<std::int64_t>(out.size()) + 1};
    line.json = try_json(line.text).value_or(Json());
    if (!epoch_of(line.json)) line.json = nullptr;
    line.ended = end < text.size();
    out.push_back(std::move(line));
    begin = end + 1;
  }
  return out;
}

std::string damaged(const fs::path& log, const LogLine& line, const char* what) {
  return log.string() + ": line " + std::to_string(line.number) + " is damaged: no epoch in it; " +
         what;
}

Json meta_of(const FoundCheckpoint& found) {
  return parse_json(found.checkpoint.meta, "checkpoint: " + found.path.string());
}

/// Errors: those of read_checkpoint; a NaN or an infinity in it.
Checkpoint read_good(const fs::path& path, Keep keep = Keep::all) {
  Checkpoint out = read_checkpoint(path, keep);
  const SavedTensor* ruined = out.first_not_finite();
  check(ruined == nullptr, "checkpoint: ", path.string(), ": ", ruined ? ruined->name : "",
        " holds NaN or infinities");
  return out;
}

}  // namespace

FolderLock::FolderLock(const fs::path& folder, const std::string& who, const Warn& warn)
    : file_([&] {
        std::error_code error;
        fs::create_directories(folder, error);
        check_or(Remedy::another_folder, !error, who, ": cannot make the folder ", folder.string(),
                 ": ", error.message());
        return File(folder / lock_name, File::Mode::append, who);
      }()) {
  const SystemCall locked(::flock(file_.descriptor(), LOCK_EX | LOCK_NB) == 0);
  if (locked.error() == EWOULDBLOCK) {
    std::string holder = read_text(file_.path(), who, 100);
    while (holder.ends_with('\n')) holder.pop_back();
    fail_with(Remedy::wait_or_another_folder, who, ": ", folder.string(),
              " is in use by another process", holder.empty() ? "" : " (" + holder + ")");
  }
  if (!locked.ok()) {
    if (warn)
      warn("warning: " + folder.string() + " cannot be locked (" + locked.reason() +
           "): let no second process write into it");
    return;
  }
  // The number is for people alone; the lock holds without it, even where the disk is full.
  const std::string holder = "process " + std::to_string(::getpid()) + '\n';
  if (::ftruncate(file_.descriptor(), 0) == 0)
    static_cast<void>(!::write(file_.descriptor(), holder.data(), holder.size()));
}

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
  if (status.type() == fs::file_type::not_found) return false;
  check(!error, "train: cannot look into ", path_.string(), ": ", error.message());
  check_or(Remedy::another_folder, fs::is_directory(status), "train: ", path_.string(),
           " is a file, expected a folder for the run");
  bool out = false;
  for_each_entry(path_, [&](const fs::path& entry) {
    out = out || (entry.filename() != lock_name && entry != checkpoints() && !is_leftover(entry));
  });
  std::error_code none;
  if (!out && fs::exists(checkpoints(), none) && !fs::is_directory(checkpoints(), none))
    return true;
  if (!out)
    for_each_entry(checkpoints(), [&](const fs::path& entry) { out = out || !is_leftover(entry); });
  return out;
}

bool RunFolder::is_run() const {
  std::error_code none;
  return fs::is_regular_file(recipe(), none) || fs::is_regular_file(best(), none) ||
         !checkpoint_files().empty();
}

bool RunFolder::was_begun() const {
  std::error_code none;
  return is_run() || (fs::exists(checkpoints(), none) && !occupied());
}

RunFolder::StoredRecipe RunFolder::stored_recipe() const {
  std::error_code none;
  if (fs::exists(recipe(), none))
    return {read_text(recipe(), "recipe", JsonLimits{}.bytes), recipe()};
  const std::optional<FoundCheckpoint> found = newest();
  check(found.has_value() || was_begun(), "run: ", path_.string(),
        " is no run folder: it holds neither recipe.json nor checkpoints");
  check(found.has_value(), "run: ", path_.string(),
        " holds neither recipe.json nor a checkpoint: whatever made it was ended before; delete it "
        "and start again");
  const Json meta = meta_of(*found);
  check(meta.contains("recipe"), "checkpoint: ", found->path.string(), ": not of a training run");
  return {meta["recipe"].dump(), found->path};
}

void RunFolder::prepare() const {
  std::error_code error;
  fs::create_directories(checkpoints(), error);
  check_or(Remedy::another_folder, !error, "train: cannot make the run folder ",
           checkpoints().string(), ": ", error.message());
  for (const fs::path& folder : {path_, checkpoints()}) {
    std::vector<fs::path> leftovers;
    for_each_entry(folder, [&](const fs::path& entry) {
      if (is_leftover(entry)) leftovers.push_back(entry);
    });
    for (const fs::path& file : leftovers) fs::remove(file, error);  // else it is written over
  }
}

void RunFolder::write_recipe(const Recipe& written) const {
  write_text(recipe(), written.text(), "train", resume_advice);
}

void RunFolder::begin_with(const Checkpoint& weights, const Recipe& written) const {
  const std::string advice = "; nothing was written: make room, and do the same again";
  prepare();
  try {
    // The weights first: a recipe alone would be a run that has yet to begin, with random ones.
    write_checkpoint(checkpoint({}), weights, advice);
    write_text(recipe(), written.text(), "recipe", advice);
  } catch (...) {
    std::error_code none;
    fs::remove(checkpoint({}), none);
    throw;
  }
}

std::vector<CheckpointFile> RunFolder::checkpoint_files() const {
  static const std::regex pattern(R"(epoch-(\d{1,9})(-batch-(\d{1,9}))?\.ckpt)");
  std::vector<CheckpointFile> out;
  for_each_entry(checkpoints(), [&](const fs::path& entry) {
    const std::string name = entry.filename().string();
    std::smatch match;
    if (!std::regex_match(name, match, pattern)) return;
    out.push_back({entry, {std::stoll(match[1]), match[3].matched ? std::stoll(match[3]) : 0}});
  });
  std::sort(out.begin(), out.end(), [](const CheckpointFile& a, const CheckpointFile& b) {
    return a.position > b.position;
  });
  return out;
}

std::optional<FoundCheckpoint> RunFolder::newest(Keep keep) const {
  const std::vector<fs::path> all = candidates();
  for (const fs::path& path : all) {
    try {
      return FoundCheckpoint{path, read_good(path, keep)};
    } catch (const Error& error) {
      warn(std::string("skipping ") + error.what());
    }
  }
  check_or(Remedy::start_again, all.empty(), "run: none of the ", all.size(), " checkpoints in ",
           checkpoints().string(), " can be read");
  return std::nullopt;
}

std::optional<fs::path> RunFolder::last_good() const {
  for (const fs::path& path : candidates()) {
    try {
      read_good(path);
      return path;
    } catch (const Error&) {
      // Not a good one: that is the answer for this file.
    }
  }
  return std::nullopt;
}

std::vector<fs::path> RunFolder::candidates() const {
  std::vector<fs::path> out;
  for (const CheckpointFile& file : checkpoint_files()) out.push_back(file.path);
  std::error_code none;
  if (fs::exists(best(), none)) out.push_back(best());
  return out;
}

void RunFolder::keep_last(std::int64_t count, const Position& written,
                          std::set<fs::path>& good) const {
  const auto is_good = [&](const fs::path& path) {
    if (good.contains(path)) return true;
    try {
      verify_checkpoint(path);
    } catch (const Error&) {
      return false;
    }
    good.insert(path);
    return true;
  };
  std::int64_t kept = 0;
  std::error_code error;  // a file that cannot be deleted only costs space
  for (const CheckpointFile& file : checkpoint_files()) {
    if (file.position > written) continue;
    if (kept >= count)
      fs::remove(file.path, error);
    else
      kept += is_good(file.path);
  }
}

void RunFolder::append_log(const std::string& line) const {
  const std::string text = line + '\n';
  File file(log(), File::Mode::append, "train", resume_advice);
  file.write(text.data(), text.size());
  file.sync();
}

std::vector<std::string> RunFolder::read_log() const {
  std::vector<std::string> out;
  for (LogLine& line : lines_of(log())) {
    if (!line.json.is_null())
      out.push_back(std::move(line.text));
    else if (!line.cut_off())
      warn(damaged(log(), line, "it is left out"));
  }
  return out;
}

void RunFolder::truncate_log(std::int64_t epochs) const {
  std::string kept;
  std::set<std::int64_t> seen;
  bool changed = false;
  for (const LogLine& line : lines_of(log())) {
    const std::optional<std::int64_t> epoch = epoch_of(line.json);
    changed = changed || !line.ended;
    if (line.cut_off() || (epoch && *epoch > epochs)) {
      changed = true;
      continue;
    }
    if (epoch)
      seen.insert(*epoch);
    else
      warn(damaged(log(), line, "it stays as it is"));
    kept += line.text + '\n';
  }
  const auto known = static_cast<std::int64_t>(seen.size());
  if (known < epochs)
    warn("warning: " + log().string() + " tells of " + std::to_string(known) + " of the " +
         std::to_string(epochs) + " epochs that are trained");
  if (changed) write_text(log(), kept, "train", resume_advice);
}

FoundCheckpoint open_checkpoint(const fs::path& run_or_checkpoint, const Warn& warn, Keep keep) {
  const bool best = run_or_checkpoint.filename() == "best.ckpt" &&
                    fs::is_directory(run_or_checkpoint.parent_path());
  check(
      fs::exists(run_or_checkpoint), "run: there is no ", run_or_checkpoint.string(),
      best ? "; nothing chose among the epochs of this run: set data.validation to a share of train"
           : "; expected a run folder or a checkpoint");
  if (!fs::is_directory(run_or_checkpoint))
    return {run_or_checkpoint, read_checkpoint(run_or_checkpoint, keep)};
  const RunFolder folder(run_or_checkpoint, warn);
  std::optional<FoundCheckpoint> found = folder.newest(keep);
  check(found.has_value(), "run: no checkpoint in ", run_or_checkpoint.string(),
        "; expected a run folder, as training makes them");
  std::error_code none;
  if (meta_of(*found).value("chosen", false) && found->path != folder.best() &&
      fs::exists(folder.best(), none)) {
    found->checkpoint.tensors.clear();  // one copy of the weights at a time
    try {
      return {folder.best(), read_good(folder.best(), keep)};
    } catch (const Error& error) {
      if (warn) warn(std::string("skipping ") + error.what());
    }
    return {found->path, read_good(found->path, keep)};
  }
  return std::move(*found);
}

}  // namespace exciton::train
