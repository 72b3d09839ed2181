/// Weights of other programs as a run folder: what `exciton import` does.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "exciton/interop/source.hpp"
#include "exciton/train/preprocessing.hpp"
#include "exciton/train/recipe.hpp"

namespace exciton::train {

struct ImportOptions {
  std::string model;             ///< "": that of the source, or what the file says of itself
  std::string from;              ///< the source; "": the only one that fits
  std::filesystem::path rules;   ///< names by the user's own rules instead of a source's
  std::string key;               ///< see interop::OpenOptions
  std::vector<std::string> set;  ///< "model.blocks=[2,2,2,2]"
  std::vector<std::string> class_names;  ///< in the order of the outputs; none: see Imported
  interop::Normalization normalization;  ///< none: the source's
  std::int64_t image_size = 0;           ///< 0: the network's own
};

/// A network with foreign weights, ready for use.
struct Imported {
  std::string source;  ///< "timm/seresnet50"
  Recipe recipe;       ///< the model, its input, and nothing of a training
  Preprocessing preprocessing;
  nn::Model model;
  std::int64_t tensors = 0;
  std::vector<std::string> notes;  ///< sentences: what was chosen, and what was left aside
};

/// What fits a file, and what is the matter with the nearest that does not.
struct SourceFit {
  std::string source, model, options;
  interop::Fit fit;
};
/// All sources (of networks named `model`, where it is not empty), the best fit first.
std::vector<SourceFit> fits_of(const interop::WeightFile& file, const std::string& model = "",
                               const std::vector<std::string>& set = {});

/// Reads a file into a network. Names of classes that nobody gave are CIFAR-10's where the source
/// says so, else placeholders ("class 0"), which fit any data of as many classes. Errors: those of
/// open_weights; a source that does not fit, with what is missing, left over or of another shape;
/// several that fit and differ; no normalisation; values that are no numbers.
Imported import_weights(const std::filesystem::path& file, const ImportOptions& options);

/// Makes a run folder of it, at epoch 0. Errors: the folder is occupied; the system's.
void write_run(const std::filesystem::path& folder, const Imported& imported);

/// Whether these are the placeholders of an import without names.
bool are_placeholders(const std::vector<std::string>& class_names);

}  // namespace exciton::train
