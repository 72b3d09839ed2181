/// Between a checkpoint and a model that can be used: what was trained, on what, how far.
#pragma once
#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "data/augment.hpp"
#include "data/dataset.hpp"
#include "data/loader.hpp"
#include "nn/registry.hpp"
#include "optim/ema.hpp"
#include "train/recipe.hpp"
#include "train/run_folder.hpp"

namespace exciton::train {

/// Of which images a set consists, as a checkpoint remembers it.
struct SetContents {
  std::int64_t images = 0;
  std::string fingerprint;  ///< data::Dataset::fingerprint in hexadecimal
};
SetContents contents_of(const data::Dataset& set);

/// What the model must know of its data to be used on other images.
struct DataFacts {
  std::vector<std::string> class_names;
  std::int64_t image_size = 0, channels = 0;
  std::int64_t shorter_side = 0;  ///< to which images are resized before the middle is taken; 0:
                                  ///< they come as they are
  std::array<float, 3> mean{0, 0, 0}, std{1, 1, 1};
  /// The images it was trained and tested on; older checkpoints do not say.
  std::optional<SetContents> train, test;

  Json to_json() const;
  static DataFacts from_json(const Json& json, const std::filesystem::path& path);
  /// How images become input in evaluation: the middle at its size, and normalisation.
  data::Augment evaluation() const;
};

/// The facts of a train set under a recipe; computes mean and deviation when the recipe says so, of
/// at most 10,000 images, or takes them from `stored`, those of the run that is resumed. Errors:
/// images of several sizes and no data.image_size, means for another number of channels.
DataFacts facts_of(const data::Dataset& train, const DataRecipe& recipe,
                   const std::optional<DataFacts>& stored = std::nullopt);

/// Errors: `now` has other classes, another kind or number of images, or other images than
/// `stored`, with which `checkpoint` was trained. What an older checkpoint does not say is not
/// compared.
void check_same_data(const DataFacts& stored, const DataFacts& now,
                     const std::filesystem::path& checkpoint);

/// The moving average that a recipe asks for.
optim::EmaOptions ema_options(const Recipe& recipe);

/// The model of a recipe for such data, initialised from the recipe's seed. Errors: model.classes
/// differs from the data's.
nn::Model make_model(const Recipe& recipe, const DataFacts& facts);

/// A trained model, ready for evaluation.
struct TrainedModel {
  std::filesystem::path checkpoint;
  Recipe recipe;
  DataFacts facts;
  Position position;
  nn::Model model;
};

/// The newest checkpoint of a run folder, or the given one; averaged weights when the run has them.
TrainedModel load_trained(const std::filesystem::path& run_or_checkpoint);

/// How a trained model's images are loaded to be looked at, by every command alike: in their order,
/// all of them, with the recipe's batch (`batch`, where it is given), workers, type and on_error.
data::LoaderOptions evaluation_loading(const Recipe& recipe, const data::Dataset& set,
                                       std::int64_t batch = 0);

}  // namespace exciton::train
