/// The training loop: a recipe in, a run folder out.
#pragma once
#include <filesystem>

#include "train/checkpoint.hpp"
#include "train/recipe.hpp"
#include "train/run_state.hpp"

namespace exciton::apps {

struct TrainOptions {
  std::filesystem::path out;  ///< the run folder
  bool resume = false;        ///< go on with what is in it
  bool verbose = false;       ///< tell about memory, too
  bool tensorboard = false;   ///< write event files, too
};

enum class Outcome {
  finished,
  interrupted,  ///< by a signal; a checkpoint was written
};

/// Trains. With the same recipe, seed and thread count the final weights have the same bits, also
/// across any number of stops, kills and resumes.
/// Errors: an occupied folder without resume, one that another process trains in, a resume in a
/// folder that is no run or under another recipe or with other data than its checkpoint was trained
/// with, fewer epochs than are trained, data or folders that cannot be used, a loss or weights that
/// are no numbers. What was saved before stays intact.
Outcome train(train::Recipe recipe, const TrainOptions& options);

/// The checkpoint of a run of `recipe` before its first step that begins with the weights of `net`:
/// written into a run folder, train() with resume goes on from it.
train::Checkpoint starting_point(const train::Recipe& recipe, const train::DataFacts& facts,
                                 nn::Module& net);

/// What of `given` and `stored` (the run folder's recipe) goes on: the given one with what only the
/// first start could find out (data kind, classes, threads) taken from the stored one. Errors: they
/// differ in anything but data.dir, data.workers, data.on_error, threads, epochs, checkpoint or
/// log.
train::Recipe resumed_recipe(train::Recipe given, const train::Recipe& stored);

}  // namespace exciton::apps
