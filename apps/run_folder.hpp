/// The folder of a run:
///   recipe.json                            fully resolved
///   log.jsonl                              one line an epoch
///   checkpoints/epoch-0003.ckpt            after 3 whole epochs, evaluated
///   checkpoints/epoch-0003-batch-000120.ckpt   within the fourth, after 120 batches
///   checkpoints/best.ckpt                  by test top-1
#pragma once
#include <compare>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "apps/checkpoint.hpp"
#include "apps/json.hpp"

namespace exciton::apps {

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

class RunFolder {
 public:
  explicit RunFolder(std::filesystem::path path) : path_(std::move(path)) {}

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path recipe() const { return path_ / "recipe.json"; }
  std::filesystem::path log() const { return path_ / "log.jsonl"; }
  std::filesystem::path checkpoints() const { return path_ / "checkpoints"; }
  std::filesystem::path best() const { return checkpoints() / "best.ckpt"; }
  std::filesystem::path checkpoint(const Position& position) const;

  /// True when there is anything in it. Errors: it is no folder.
  bool occupied() const;
  /// Makes the folders and removes what a killed process left half written. Errors: the system's.
  void prepare() const;

  /// Newest first, best.ckpt not among them.
  std::vector<CheckpointFile> checkpoint_files() const;
  /// The newest checkpoint that can be read; what had to be passed over is told on stderr. Nothing
  /// when there is none at all. Errors: there are some, and all are damaged.
  std::optional<FoundCheckpoint> newest() const;
  /// Deletes all but the newest `count` checkpoints (best.ckpt stays).
  void keep_last(std::int64_t count) const;

  /// Errors: a full disk or a read-only folder.
  void append_log(const Json& line) const;
  /// Its lines up to the first that is no epoch; none where there is no log.
  std::vector<Json> read_log() const;
  /// Leaves only the lines of the first `epochs` epochs.
  void truncate_log(std::int64_t epochs) const;

 private:
  std::filesystem::path path_;
};

/// The newest readable checkpoint of a run folder, or the checkpoint file itself.
FoundCheckpoint open_checkpoint(const std::filesystem::path& run_or_checkpoint);

}  // namespace exciton::apps
