/// From a checkpoint to a model that can be used.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>

#include "exciton/data/dataset.hpp"
#include "exciton/data/loader.hpp"
#include "exciton/nn/registry.hpp"
#include "exciton/optim/ema.hpp"
#include "exciton/train/preprocessing.hpp"
#include "exciton/train/recipe.hpp"
#include "exciton/train/run_folder.hpp"

namespace exciton::train {

/// A trained model, ready for evaluation.
struct TrainedModel {
  std::filesystem::path checkpoint;
  Recipe recipe;
  Preprocessing preprocessing;
  Position position;
  nn::Model model;
};

/// The checkpoint that is given, or that of a run folder: the best where validation images have
/// chosen one, else the newest that can be read. Averaged weights when the run has them. `warn` is
/// told what was skipped. Errors: those of open_checkpoint; a checkpoint of no training run, of
/// another model than its recipe says.
TrainedModel load(const std::filesystem::path& run_or_checkpoint, const Warn& warn = {});

/// The model of a recipe for such data, initialised from the recipe's seed. Errors: model.classes
/// differs from the data's.
nn::Model make_model(const Recipe& recipe, const Preprocessing& preprocessing);

/// The moving average of weights that a recipe asks for.
optim::EmaOptions ema_options(const Recipe& recipe);

struct EvaluationLoading {
  std::int64_t batch = 0;   ///< 0: the recipe's
  bool shuffle = false;     ///< in an order drawn from the seed 1 instead of their own
  int rank = 0, ranks = 1;  ///< see data::LoaderOptions
};

/// The images of `set` as evaluation looks at them, everywhere alike: all of them, with the
/// recipe's workers, type and on_error.
data::Loader evaluation_loader(const Recipe& recipe, const Preprocessing& preprocessing,
                               std::shared_ptr<const data::Dataset> set,
                               const EvaluationLoading& loading = {});
data::Loader evaluation_loader(const TrainedModel& trained,
                               std::shared_ptr<const data::Dataset> set,
                               const EvaluationLoading& loading = {});

}  // namespace exciton::train
