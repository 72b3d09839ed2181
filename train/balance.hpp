/// Classes of uneven sizes: what a loss weighs, and what a run says of them.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "exciton/core/tensor.hpp"
#include "exciton/data/dataset.hpp"
#include "exciton/train/recipe.hpp"

namespace exciton::train {

/// Images of each class.
std::vector<std::int64_t> class_counts(const data::Dataset& set);

/// images / (classes * images of the class) for each, [classes] f64 (scikit-learn's "balanced").
/// Errors: a class without images.
Tensor balanced_weights(const data::Dataset& set);

/// What the recipe wants of the loss, [classes] f64; empty: all classes weigh the same.
/// Errors: a list of another length, names that are no classes, or classes that are not named.
Tensor weights_of(const ClassWeightsRecipe& recipe, const data::Dataset& set);

/// A sentence where the largest class has more than five times the images of the smallest, and what
/// to try; else "".
std::string describe_balance(const Recipe& recipe, const data::Dataset& set);

}  // namespace exciton::train
