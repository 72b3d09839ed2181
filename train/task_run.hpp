/// What runs of all tasks share: the run folder and its lock, where the run is, its checkpoints,
/// the common part of the log, and giving up.
#pragma once
#include <chrono>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "exciton/optim/optimizer.hpp"
#include "exciton/optim/schedule.hpp"
#include "exciton/train/fine_tuning.hpp"
#include "exciton/train/json.hpp"
#include "exciton/train/kernel_file.hpp"
#include "exciton/train/run.hpp"
#include "exciton/train/tensorboard.hpp"

namespace exciton::train {

/// Counts the changes that moved the last bits of what a training step computes. 2: batch variance
/// from shifted sums, and NaN passed on by every ReLU. 3: one form of the sigmoid's gradient and of
/// the hard sigmoid, for gates of SE and of its variants. 4: sums over images by leaves, for any
/// number of threads. 5: each leaf's gradient is rounded for itself, so that ranks can go on
/// adding. 6: Winograd's products also for up to 256 channels in bf16. 7: Winograd's tiles of two
/// sizes, and a choice of kernels from what they cost. 8: a row of those costs, and our
/// own sums over many channels.
inline constexpr std::int64_t numerics = 8;

/// The schedule of a recipe, whose lengths are in epochs.
optim::Schedule make_schedule(const Recipe& recipe, std::int64_t steps_per_epoch);
/// Of the groups that train in some first epochs only, as LoopOptions wants them.
std::vector<std::pair<std::size_t, optim::Schedule>> group_schedules(
    const Recipe& recipe, const std::vector<optim::ParameterGroup>& groups,
    std::int64_t steps_per_epoch);

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start);

/// Of the epoch under way; part of checkpoints within an epoch. A task adds its own sums.
struct EpochTotals {
  double seconds = 0, waited = 0;
  std::int64_t images = 0, skipped = 0, skipped_steps = 0;

  /// A sum over images, per image.
  double mean(double sum) const { return images ? sum / static_cast<double>(images) : 0; }
  double rate() const { return seconds > 0 ? static_cast<double>(images) / seconds : 0; }
  Json common_json() const;
  void read_common(const Json& json);
};

/// The keys of a line of the log that all tasks have.
Json common_json(const EpochLine& line);

class TaskRun {
 public:
  /// `lock` and `start` are those of an occupied folder.
  TaskRun(Recipe recipe, const RunOptions& options, Observer& observer,
          std::optional<FolderLock> lock, std::optional<FoundCheckpoint> start);

 protected:
  virtual ~TaskRun() = default;

  /// Everything that a resume needs.
  virtual Checkpoint capture() = 0;
  /// Whether best.ckpt is written.
  virtual bool keeps_best() const = 0;

  Warn warn() {
    return [this](const std::string& text) { observer_.warning(text); };
  }
  bool leads() const { return !options_.group || options_.group->leads(); }
  std::int64_t steps_per_epoch() const {
    return (batches_ + recipe_.accumulate - 1) / recipe_.accumulate;
  }
  std::int64_t step() const {
    return position_.epoch * steps_per_epoch() +
           (position_.batch + recipe_.accumulate - 1) / recipe_.accumulate;
  }

  /// At a start, those of the recipe's init, if it has one.
  void load_weights_to_begin_with();
  /// Threads and the folder of the data, as a full path. Errors: no folder, or none that is there.
  void open_data_folder();
  /// Locks the folder where nobody has as yet. Errors: another process began a run in it; its log
  /// tells of more than can have been trained without a checkpoint.
  void take_folder();
  /// Behind the last write of a start.
  void folder_is_ready();

  /// What the checkpoint that is resumed says of its run.
  Json meta() const {
    return parse_json(start_->checkpoint.meta, "checkpoint: " + start_->path.string());
  }
  /// The common keys of a checkpoint's meta; and what is restored from them. Errors of the latter:
  /// a key that is missing (Json::exception).
  Json common_meta() const;
  void restore_common(const Json& meta);
  /// What a checkpoint says of convolutions' kernels goes on. Errors: others are asked for, or one
  /// that is not here.
  void take_kernels(const Json& meta);
  /// Errors: the position is not in this data or these epochs.
  void check_position() const;

  /// A step can ruin weights after a finite loss: such weights replace nothing.
  void refuse_ruined(const Checkpoint& checkpoint) const;
  void save();
  /// At the end of an epoch: a checkpoint where one is due, and the best where `best`.
  void save_epoch(bool due, bool best);
  /// Errors: too many steps in a row were skipped, their gradients' norm being no number.
  void count_update(bool skipped, EpochTotals& totals);
  /// Names the first few images that could not be read; `before` were so far. Returns how many.
  std::int64_t report_skipped(const std::vector<std::string>& reasons, std::int64_t before);
  /// The same of an evaluation, of which the first few are known; each once in this process.
  void report_skipped_tests(const std::vector<std::string>& reasons, std::int64_t skipped);
  /// What all tasks say of an epoch.
  void describe_epoch(EpochLine& line, const EpochTotals& totals, int workers) const;
  void log(const Json& line);
  Outcome outcome(Clock::time_point start) const;
  [[noreturn]] void give_up(const std::string& what) const;

  Recipe recipe_;
  RunOptions options_;
  Observer& observer_;
  RunFolder folder_;
  std::optional<FolderLock> lock_;
  std::optional<FoundCheckpoint> start_;  ///< what is resumed, until it is restored
  std::optional<Initial> initial_;        ///< weights to begin with, until they are copied
  std::vector<std::string> notes_;        ///< about the resume, and how it begins
  std::int64_t batches_ = 0;              ///< of an epoch
  std::unique_ptr<optim::Optimizer> optimizer_;
  Position position_;
  Outcome::Best best_;
  double lr_ = 0;  ///< of the last step

 private:
  std::set<std::filesystem::path> good_;  ///< checkpoints known to be whole
  std::int64_t skipped_in_a_row_ = 0;     ///< steps
  std::set<std::string> named_tests_;     ///< reasons that report_skipped_tests told
  std::optional<EventFile> events_;
  std::optional<ops::ScopedKernelChoices> kernels_;  ///< of the checkpoint that went on
};

}  // namespace exciton::train
