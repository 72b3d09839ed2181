/// A training run: a recipe in, a run folder out, with a checkpoint wherever it is stopped.
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "exciton/core/dtype.hpp"
#include "exciton/core/group.hpp"
#include "exciton/nn/module.hpp"
#include "exciton/train/changes.hpp"
#include "exciton/train/checkpoint.hpp"
#include "exciton/train/evaluate.hpp"
#include "exciton/train/preprocessing.hpp"
#include "exciton/train/recipe.hpp"
#include "exciton/train/run_folder.hpp"

namespace exciton::train {

struct RunOptions {
  std::filesystem::path out;  ///< the run folder
  bool resume = false;        ///< resume with what is in it
  bool fit = false;           ///< set recompute where memory would not do without; at a start only
  bool change = false;        ///< under another recipe, as far as can_change() allows
  /// Changes to make on the way, in their order: those of another run's journal. The run ends in
  /// the bits of that one.
  std::vector<Change> replay = {};
  bool tensorboard = false;  ///< write event files, too
  /// The processes that train together; all of them call run(), with the same recipe. Rank 0 reads
  /// and writes the run folder, the others need the data alone. nullptr: one process.
  Group* group = nullptr;
};

/// What a run is about to do.
struct RunInfo {
  std::filesystem::path folder;
  std::string model;
  DType dtype = DType::f32;  ///< of the activations
  std::int64_t parameters = 0, threads = 0, batch = 0;
  std::string threads_from;  ///< what the machine grants, where nobody chose (core/limits.hpp)
  std::uint64_t memory_bytes = 0, memory_limit = 0;  ///< that the process will take, and can
  std::int64_t epochs = 0, steps_per_epoch = 0;
  std::int64_t first_step = 0;  ///< above 0: resumed
  std::uint64_t seed = 0;
  bool uneven = false;        ///< one class has more than five times the images of another
  std::int64_t left_out = 0;  ///< images of an epoch that are in none of its batches
  bool drop_last = false;     ///< because incomplete batches are dropped
  std::int64_t workers = 0;   ///< that prepare images, or data::automatic_workers
  nn::Module* net = nullptr;  ///< that trains: to be watched, until run() returns
  /// Sentences for people: what is resumed, how the precision was chosen, the data sets, how they
  /// were split, and what of them is left out.
  std::vector<std::string> notes;
};

/// A number and what it is called: "loss_objectness", "AP50".
struct NamedValue {
  std::string name;
  double value = 0;
};

/// Where a run is.
struct Progress {
  enum class Phase { training, testing };
  Phase phase = Phase::training;
  std::int64_t step = 0, steps = 0;    ///< of the whole run
  std::int64_t epoch = 0, epochs = 0;  ///< from 1
  std::int64_t tested = 0;             ///< images so far, while testing
  double loss = 0, top1 = 0;           ///< means over the epoch so far; top1 is a fraction
  double images_per_second = 0;
  double lr = 0;                   ///< of the last step
  std::vector<NamedValue> losses;  ///< of detectors: the parts of the loss, means likewise
};

/// An epoch that is done, as log.jsonl tells it.
struct EpochLine {
  std::int64_t epoch = 0, epochs = 0;
  double train_loss = 0, train_top1 = 0;  ///< means over the epoch, in training mode
  std::string measured_on;                ///< "val" or "test"
  double loss = 0, top1 = 0, top5 = 0;    ///< of these images, after the epoch
  bool best = false;                      ///< better than every epoch before, by checkpoint.best_by
  double lr = 0;                          ///< of the last step
  double images_per_second = 0;
  double seconds = 0, test_seconds = 0;
  double data_wait_seconds = 0;  ///< in which the step waited for images
  int data_workers = 0;
  int threads = 0;
  double macro_recall = 0;  ///< mean over the classes of what share is recognised
  std::string worst_class;  ///< the least, and its share
  double worst_recall = 0;
  std::int64_t skipped_steps =
      0;  ///< whose gradients had no finite norm, see LoopOptions::clip_norm
  std::int64_t skipped_images = 0, test_skipped_images = 0;  ///< that could not be read
  std::int64_t left_out_images = 0, left_out_files = 0;
  double peak_rss_mib = 0;               ///< of the process
  std::uint64_t pool_peak_bytes = 0;     ///< of the memory pool, in use at once
  std::uint64_t system_allocations = 0;  ///< in this epoch
  /// How often a step runs which operator by which path or kernel, where there are several:
  /// "conv2d winograd-f4x3".
  std::map<std::string, std::int64_t> kernels;
  /// Of detectors: the parts of the train loss; the twelve numbers of COCO, none where this epoch
  /// was not evaluated.
  std::vector<NamedValue> losses, average_precision;

  double data_wait_share() const { return seconds > 0 ? data_wait_seconds / seconds : 0; }
};

/// Is told what a run does; derive from it, and override what you want to know.
struct Observer {
  virtual void started(const RunInfo&) {}
  /// After each step of training, and each batch of an evaluation. False: stop, after a checkpoint.
  virtual bool step(const Progress&) { return true; }
  virtual void epoch(const EpochLine&) {}
  /// What was skipped, or is not as it should be.
  virtual void warning(std::string_view) {}
  virtual ~Observer() = default;
};

/// How a run ended.
struct Outcome {
  bool finished = false;  ///< false: the observer stopped it, and `checkpoint` holds everything
  std::filesystem::path folder, checkpoint;
  std::string model;
  std::int64_t epochs = 0;         ///< that are trained
  double seconds = 0;              ///< that this call took
  std::string measured_on;         ///< "val" or "test"
  std::optional<Evaluation> last;  ///< after the last epoch; none when nothing was left to train
  bool detects = false;            ///< a detector
  std::vector<NamedValue> average_precision;  ///< of a detector, after the last epoch
  struct Best {
    std::int64_t epoch = 0;
    double top1 = -1;
    std::string by = "top1";  ///< the metric, and its value
    double value = -1;
  };
  std::optional<Best> best;  ///< where images choose
  /// A run that ended before its last epoch: by what, and since when that was no better.
  struct Early {
    std::string metric;
    std::int64_t epoch = 0;
    double value = 0;
  };
  std::optional<Early> stopped_early;
  struct Final {
    std::string on;  ///< "val" or "test"
    std::int64_t epoch = 0;
    Evaluation result;
  };
  std::optional<Final> final_test;  ///< of images that chose nothing, by the best epoch's weights
};

/// Trains. With the same recipe and seed the final weights have the same bits, on any number of
/// threads, also across any number of stops, kills and resumes; several processes
/// (RunOptions::group) share every batch, see docs/machines.md. Errors: an occupied folder without
/// resume, one that another process trains in, a resume in a folder that is no run or under another
/// recipe or with other data than its checkpoint was trained with, fewer epochs than are trained,
/// data or folders that cannot be used, a loss or weights that are no numbers. What was saved
/// before stays intact. Those that a person can do something about are RunErrors.
Outcome run(Recipe recipe, const RunOptions& options, Observer& observer);

/// The checkpoint of a run of `recipe` before its first step that begins with the weights of `net`:
/// written into a run folder, run() with resume goes on from it.
Checkpoint initial_checkpoint(const Recipe& recipe, const Preprocessing& preprocessing,
                              nn::Module& net);

/// What of `given` and `stored` (the run folder's recipe) goes on: the given one with what only the
/// first start could find out (data kind, classes) taken from the stored one. Errors: they
/// differ in anything but data.dir, data.workers, data.on_error, threads, epochs, checkpoint or
/// log.
Recipe resumed_recipe(Recipe given, const Recipe& stored);

}  // namespace exciton::train
