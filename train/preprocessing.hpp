/// What a model must know of its data to be used on other images, and what a run must know of them
/// to resume with the same ones.
#pragma once
#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "exciton/data/augment.hpp"
#include "exciton/data/dataset.hpp"
#include "exciton/train/recipe.hpp"

namespace exciton::train {

/// Of which images a set consists, as a checkpoint remembers it.
struct SetContents {
  std::int64_t images = 0;
  std::string fingerprint;  ///< data::Dataset::fingerprint in hexadecimal
};
SetContents contents_of(const data::Dataset& set);

/// What the model must know of its data to be used on other images.
struct Preprocessing {
  std::vector<std::string> class_names;
  std::int64_t image_size = 0, channels = 0;
  std::int64_t shorter_side = 0;  ///< to which images are resized before the middle is taken; 0:
                                  ///< they come as they are
  std::array<float, 3> mean{0, 0, 0}, std{1, 1, 1};
  /// The images it was trained and tested on; older checkpoints do not say.
  std::optional<SetContents> train, test;

  /// How images become input in evaluation: the middle at its size, and normalisation.
  data::Augment evaluation() const;
  /// The part of an image of this size that evaluation looks at, and the size it becomes.
  data::View view(data::Size of_image) const;
};

/// That of a train set under a recipe; computes mean and deviation when the recipe says so, of
/// at most 10,000 images, or takes them from `stored`, those of the run that is resumed. Errors:
/// images of several sizes and no data.image_size, means for another number of channels.
Preprocessing preprocessing_of(const data::Dataset& train, const DataRecipe& recipe,
                               const std::optional<Preprocessing>& stored = std::nullopt);

/// Errors: `now` has other classes, another kind or number of images, or other images than
/// `stored`, with which `checkpoint` was trained. What an older checkpoint does not say is not
/// compared.
void check_same_data(const Preprocessing& stored, const Preprocessing& now,
                     const std::filesystem::path& checkpoint);

/// Errors: `now` are other images than `stored` was trained on, so that what is held out beside
/// them may have trained. What an older checkpoint does not say is not compared.
void check_same_train(const Preprocessing& stored, const data::Dataset& now,
                      const std::filesystem::path& checkpoint);

}  // namespace exciton::train
