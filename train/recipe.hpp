/// What a run is: complete, validated, with every default written out.
///
/// Its text is JSON. Reading and writing are the same traversal (`visit` in recipe.cpp), so what is
/// read is exactly what `text` writes. An unknown key is an error that names its nearest neighbour;
/// a wrong type or an impossible value names its path: "recipe: optimizer.momentum: expected a
/// number, got a string ("0.9")".
#pragma once
#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "exciton/core/dtype.hpp"
#include "exciton/data/augment.hpp"
#include "exciton/data/loader.hpp"
#include "exciton/data/splits.hpp"
#include "exciton/nn/detection/options.hpp"
#include "exciton/nn/registry.hpp"
#include "exciton/optim/optimizer.hpp"
#include "exciton/optim/registry.hpp"

namespace exciton::train {

struct ModelRecipe {
  std::string name;
  nn::ModelOptions options;  ///< image_channels is the data's, never the recipe's
};

/// How pixels are normalised: by the train set's own mean and deviation a channel, by given ones,
/// or
/// ("auto") by those of the weights that a run begins with, and where it begins with none by the
/// train set's.
struct NormalizeRecipe {
  bool automatic = true;
  bool from_dataset = true;
  std::vector<double> mean, std;
};

struct DataRecipe {
  std::string kind = "auto";  ///< "auto" looks at the files in `dir`
  std::string dir;
  std::int64_t image_size = 0;  ///< side to which images are brought; 0: they have one size already
  data::Augment augment;        ///< all but its sizes, mean and deviation, which are found below
  std::int64_t eval_resize = 0;  ///< `eval.resize`: shorter side before the middle is taken; 0: as
                                 ///< image_size
  NormalizeRecipe normalize;
  std::int64_t workers = data::automatic_workers;  ///< threads that prepare batches; or "auto"
  bool skip_errors =
      false;  ///< `on_error`: "skip", leave out images that cannot be read; or "fail"
  std::int64_t shuffle_block = 0;  ///< images that stay near one another when shuffled; 0: none
  /// `sampler`: "balanced" draws every class as often as the others; "random", every image once.
  bool balanced_sampler = false;
  std::int64_t batch = 128;
  bool drop_last = false;       ///< `last_batch`: "drop", leave out the incomplete last batch of an
                                ///< epoch; or "train" on it
  data::Validation validation;  ///< what chooses the best checkpoint
};

using OptimizerRecipe = optim::OptimizerSpec;

/// Learning rates are set every step; lengths are in epochs and may be fractions. The equations are
/// those of optim/schedule.hpp.
struct ScheduleRecipe {
  std::string name = "one_cycle_linear";
  double lr = 0.1;               ///< the highest
  double final_lr = 0;           ///< cosine, triangular: the last
  double warmup_fraction = 0.2;  ///< one_cycle_linear, triangular: share of the steps that rise
  double warmup_epochs = 0;      ///< the others: rise from warmup_start_lr to lr
  double warmup_start_lr = 0;
  std::string warmup = "linear";   ///< or "constant": warmup_start_lr throughout (He et al.)
  std::vector<double> milestones;  ///< multistep: epochs at which lr is multiplied by gamma
  double step_epochs = 30;         ///< step: lr is multiplied by gamma each so many epochs
  double gamma = 0.1;
};

struct CheckpointRecipe {
  std::int64_t every_epochs = 1;
  std::int64_t every_steps = 0;  ///< also within an epoch; 0: no
  std::int64_t keep_last = 3;
  bool keep_best = true;         ///< best.ckpt, by the images that choose
  std::string best_by = "top1";  ///< of metric_names()
};

/// How several processes train together (RunOptions::group); one alone reads nothing of it.
struct ParallelRecipe {
  bool sync_norms = false;      ///< "norm": "local" (each rank's own images, as in DDP) or "sync"
  bool bf16_gradients = false;  ///< "gradients": "f32" or "bf16" between the ranks
};

/// What a paper prints for the run a recipe describes; changes nothing in it. 0: not printed.
struct PaperRecipe {
  std::string table, row;                 ///< "10", "SE-ResNet-50, r = 4"
  double top1_error = 0, top5_error = 0;  ///< percent
  double ap = 0, ap50 = 0;                ///< percent, of detectors
  double gflops = 0;                      ///< of one image; multiply-adds, in fact
  double parameters_millions = 0;         ///< as rounded in the table
  std::int64_t parameters = 0;            ///< the exact count, known by arithmetic
};

/// Weights that a run begins with instead of random ones.
struct InitRecipe {
  std::string weights;        ///< a run folder, a checkpoint, or a file of weights; "": none
  std::string from;           ///< of a file: its source, see interop/source.hpp
  std::string head = "auto";  ///< the classifier: "auto" keeps it where the class names are equal,
                              ///< "keep", "new"
};

/// What the loss of a class weighs; PyTorch's CrossEntropyLoss(weight), see ops/cross_entropy.hpp.
struct ClassWeightsRecipe {
  enum class By { none, balanced, list, names };
  By by = By::none;                     ///< balanced: images / (classes * images of the class)
  std::vector<double> list;             ///< in the order of the classes
  std::map<std::string, double> names;  ///< of every class
};

/// The end of a run whose validation images have not been recognised better for `patience` epochs.
struct EarlyStoppingRecipe {
  std::int64_t patience = 0;    ///< epochs; 0: never
  double min_delta = 0;         ///< better by less than this is no better
  std::string metric = "top1";  ///< of metric_names()
};

struct LogRecipe {
  bool gates = false;  ///< count dead, saturated and stuck gates after every epoch
};

/// What a detector is and how its images become input; read where the task is "detection". The
/// backbone is `model`, its data COCO's (data/detection/set.hpp).
struct DetectionRecipe {
  nn::detection::FasterRcnnOptions net;          ///< its classes are the data's
  bool frozen_norms = true;                      ///< `norms`: "frozen" in the backbone, or "batch"
  std::int64_t min_size = 800, max_size = 1333;  ///< see data::DetectionTransform
  std::int64_t images = 0;                       ///< train on the first so many; 0: all
  std::int64_t eval_epochs = 1;                  ///< evaluate every so many epochs, and the last
};

struct Recipe {
  /// "classification", or "detection": what the run learns.
  std::string task = "classification";
  std::optional<PaperRecipe> paper;
  ModelRecipe model;
  DetectionRecipe detection;
  DataRecipe data;
  InitRecipe init;
  std::vector<std::string> freeze;  ///< names that do not train, see nn::freeze: "stage1"
  OptimizerRecipe optimizer;
  ScheduleRecipe schedule;
  std::vector<optim::ParameterGroup> parameter_groups;  ///< other rates for some parameters
  /// The rate of what is k stages before the classifier is multiplied by layer_decay^k; see
  /// layer_decay_groups(). 1: all alike.
  double layer_decay = 1;
  double clip_norm = 0;   ///< above 0: the norm of all gradients together is brought down to it
  double clip_value = 0;  ///< above 0: no element of a gradient is larger
  /// A step has the gradients of so many batches, which are as of one batch of all their images;
  /// but batch norm sees them one by one.
  std::int64_t accumulate = 1;
  double label_smoothing = 0;
  ClassWeightsRecipe class_weights;
  /// During so many last epochs batch norms use their running statistics and leave them as they are
  /// (SENet paper, appendix). 0: never.
  std::int64_t freeze_norm_epochs = 0;
  double ema_decay = 0;    ///< above 0: evaluate an exponential moving average of the weights
  bool ema_warmup = true;  ///< which keeps the random weights of the start out, see optim/ema.hpp
  EarlyStoppingRecipe early_stopping;
  std::int64_t epochs = 20;
  std::uint64_t seed = 1;
  std::int64_t threads = 0;        ///< 0: as many as the machine grants; changes no result
  std::string dtype = "f32";       ///< "f32", "bf16" or "auto"
  std::string recompute = "none";  ///< "none" or "block": see nn/recompute.hpp
  ParallelRecipe parallel;
  CheckpointRecipe checkpoint;
  LogRecipe log;

  bool detects() const { return task == "detection"; }

  /// Where a text comes from: a person, who means today's defaults, or a run, which goes on as the
  /// program that began it.
  enum class Source { given, stored };
  /// Errors: see above, beginning with `who`. What a person gives must also make sense together: a
  /// key that nothing would read, a constant warm-up with the rate 0 are refused by name.
  static Recipe parse(const std::string& text, Source source = Source::given,
                      const std::string& who = "recipe");
  /// From a file, which errors name.
  static Recipe read(const std::filesystem::path& path, Source source = Source::given);
  /// Every key, defaults included, as indented JSON that ends in a newline.
  std::string text() const;
  /// With values set: "schedule.lr=0.1", "model.se.reduction=8". Errors: as of parse.
  Recipe with(const std::vector<std::string>& assignments) const;
};

/// Call it before a recipe is written. Errors: what would not be read back as the same.
void check_readable(const Recipe& recipe);

/// The model options of a recipe's "model" object, with assignments relative to it
/// ("se.reduction=8" or "model.se.reduction=8").
ModelRecipe model_recipe(const std::string& name, std::int64_t classes,
                         const std::vector<std::string>& assignments);

/// The element type of the images, which is that of the activations (ops::choose_precision).
DType activation_dtype(const std::string& text);

}  // namespace exciton::train
