/// The folder of a run:
///   recipe.json                            fully resolved
///   log.jsonl                              one line per epoch
///   checkpoints/epoch-0003.ckpt            after 3 whole epochs, evaluated
///   checkpoints/epoch-0003-batch-000120.ckpt   within the fourth, after 120 batches
///   checkpoints/best.ckpt                  by top-1 of the images that choose, where some do
///   result.json                            of the test images that chose nothing, at the end
///   changes.jsonl                          what of the recipe was changed on the way
///   run.lock                               held by the process that trains; says its number
#pragma once
#include <compare>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "exciton/core/file.hpp"
#include "exciton/train/checkpoint.hpp"
#include "exciton/train/recipe.hpp"

namespace exciton::train {

/// How far a run has come: whole epochs, and batches of the next one.
struct Position {
  std::int64_t epoch = 0, batch = 0;
  auto operator<=>(const Position&) const = default;
};

struct CheckpointFile {
  std::filesystem::path path;
  Position position;
};

struct FoundCheckpoint {
  std::filesystem::path path;
  Checkpoint checkpoint;
};

/// Takes a sentence about what was skipped or is not as it should be; empty: nobody listens.
using Warn = std::function<void(const std::string&)>;

/// Keeps other processes from writing into a folder while in scope, by flock on its run.lock: the
/// system lets go of it however the process ends. Reading is not hindered. Where the file system
/// has no locks `warn` is told so.
class FolderLock {
 public:
  /// Makes the folder if need be; `who` begins the messages. Errors: another process holds it; the
  /// system's.
  FolderLock(const std::filesystem::path& folder, const std::string& who, const Warn& warn = {});

 private:
  File file_;
};

class RunFolder {
 public:
  explicit RunFolder(std::filesystem::path path, Warn warn = {})
      : path_(std::move(path)), warn_(std::move(warn)) {}

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path recipe() const { return path_ / "recipe.json"; }
  std::filesystem::path log() const { return path_ / "log.jsonl"; }
  std::filesystem::path changes() const { return path_ / "changes.jsonl"; }
  std::filesystem::path checkpoints() const { return path_ / "checkpoints"; }
  std::filesystem::path result() const { return path_ / "result.json"; }
  std::filesystem::path best() const { return checkpoints() / "best.ckpt"; }
  std::filesystem::path checkpoint(const Position& position) const;

  /// True when there is anything in it but what a start leaves that was killed before it wrote the
  /// recipe or a checkpoint: the same command may then be given again. Errors: it is no folder, it
  /// cannot be looked into.
  bool occupied() const;
  /// True when there is a recipe or a checkpoint.
  bool is_run() const;
  /// True when it is a run, or what a start leaves that was killed before it was one. Errors: as
  /// occupied.
  bool was_begun() const;
  struct StoredRecipe {
    std::string text;
    std::filesystem::path from;  ///< recipe.json, or a checkpoint
  };
  /// The text of recipe.json or, where there is none, of the newest checkpoint's own copy. Errors:
  /// neither is there.
  StoredRecipe stored_recipe() const;
  /// Makes the folders and removes what a killed process left half written of this program's own
  /// files. Errors: the system's.
  void prepare() const;
  void write_recipe(const Recipe& recipe) const;
  /// Makes it a run with weights that has yet to train. Errors: the system's, and nothing stays.
  void begin_with(const Checkpoint& weights, const Recipe& recipe) const;

  /// Newest first, best.ckpt not among them. Errors: the folder cannot be read.
  std::vector<CheckpointFile> checkpoint_files() const;
  /// The newest checkpoint that can be read and whose numbers are finite; what had to be skipped
  /// is told. Nothing when there is none at all. Errors: there are some, and none is
  /// good.
  std::optional<FoundCheckpoint> newest(Keep keep = Keep::all) const;
  /// Where newest() would find one, without a word.
  std::optional<std::filesystem::path> last_good() const;
  /// Deletes checkpoints that are older than the newest `count` good ones up to `written`, which
  /// has just been written (best.ckpt stays). Good are those in `good`, and those found whole now,
  /// which are added. Later ones than `written` had to be skipped when the run was resumed:
  /// they do not count, and stay until they are written anew.
  void keep_last(std::int64_t count, const Position& written,
                 std::set<std::filesystem::path>& good) const;

  /// Errors: a full disk or a read-only folder.
  void append_log(const std::string& line) const;
  /// Its lines, JSON objects that tell of an epoch; none where there is no log. Damaged ones are
  /// left out and told, but for a last one that was cut off as it was written.
  std::vector<std::string> read_log() const;
  /// Takes out the lines of epochs after the first `epochs`, and a last one that was cut off. All
  /// others stay as they are, damaged ones as well. What is missing is told.
  void truncate_log(std::int64_t epochs) const;

 private:
  /// All checkpoints, newest first, best.ckpt at last.
  std::vector<std::filesystem::path> candidates() const;

  void warn(const std::string& text) const {
    if (warn_) warn_(text);
  }

  std::filesystem::path path_;
  Warn warn_;
};

/// The checkpoint file itself, or that of a run folder: the best where validation images have
/// chosen one, else the newest readable one.
FoundCheckpoint open_checkpoint(const std::filesystem::path& run_or_checkpoint,
                                const Warn& warn = {}, Keep keep = Keep::all);

}  // namespace exciton::train
