/// Beginning a run with weights from elsewhere: recipe keys init, freeze and layer_decay.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "exciton/data/dataset.hpp"
#include "exciton/interop/source.hpp"
#include "exciton/optim/optimizer.hpp"
#include "exciton/train/preprocessing.hpp"
#include "exciton/train/recipe.hpp"
#include "exciton/train/run_folder.hpp"

namespace exciton::train {

/// What a run begins with.
struct Initial {
  std::string described;  ///< "timm/seresnet50 in FILE", or the checkpoint
  ModelRecipe model;      ///< its network, with the options it was trained with
  Preprocessing preprocessing;
  nn::Model net;
};

/// The weights of a run folder, a checkpoint, or any file that open_weights() takes. `model` may be
/// empty. Errors: those of load() and import_weights().
Initial load_initial(const std::string& weights, const std::string& from, const std::string& model,
                     const Warn& warn = {});

/// Mean and deviation for images of `channels` channels: grey ones get the means over red, green
/// and blue, coloured ones the same three times.
interop::Normalization normalization_for(const Preprocessing& initial, std::int64_t channels);

/// Copies weights and running statistics into `net`, the network of `recipe` for images as `now`
/// describes. The classifier is copied as recipe.init.head says, and keeps its random values
/// otherwise. The first convolution follows the images as timm's: from colour to grey it is summed
/// over its inputs, from grey to colour repeated and divided by three. Returns sentences about what
/// was done. Errors: another network, or one with other options, which compute something else in
/// the same shapes; head is "keep" and the number of classes another.
std::vector<std::string> begin_with(const Initial& initial, const Recipe& recipe,
                                    const Preprocessing& now, nn::Module& net);

/// The same for the backbone of a detector, which has no classifier.
std::vector<std::string> begin_backbone_with(const Initial& initial, const Recipe& recipe,
                                             const Preprocessing& now, nn::Module& backbone);

/// A recipe for going on with these weights on few images, as `exciton finetune` does: the network
/// as it was trained, images at its size, a classifier that learns ten times as fast, weights of
/// classes where they are uneven (the largest above one and a half times the smallest).
Recipe fine_tuning_recipe(const Initial& initial, const data::Dataset& train);

/// The name of the classifier, the last fully connected layer: "fc".
std::string classifier_of(nn::Module& net);

/// One group for each stage of the network, in its order, behind those of `own`: the rate of what
/// is k stages before the classifier is multiplied by decay^k. What comes before the first stage
/// counts as one; networks without stages (stage1, stage2, ...) go by the layers of their outermost
/// list. None where decay is 1.
std::vector<optim::ParameterGroup> with_layer_decay(std::vector<optim::ParameterGroup> own,
                                                    nn::Module& net, double decay);

}  // namespace exciton::train
