/// What a trained model sees in an image.
#pragma once
#include <cstddef>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "exciton/data/image.hpp"
#include "exciton/train/trained_model.hpp"

namespace exciton::train {

struct Prediction {
  std::string name;  ///< of the class
  double probability = 0;
};

/// exp(x_i) / sum over j of exp(x_j), in double.
std::vector<double> softmax(std::span<const float> logits);

/// Indices of the `count` largest values (or of all), the largest first; of equal ones the first.
std::vector<std::size_t> top_k(std::span<const double> values, std::size_t count);

/// The `count` classes of highest probability. Errors: a file that is no image.
std::vector<Prediction> predict(const TrainedModel& trained, const std::filesystem::path& image,
                                std::size_t count = 5);
/// Of an image that preprocessing.view has been cut out of.
std::vector<Prediction> predict(const TrainedModel& trained, const data::Image& image,
                                std::size_t count = 5);

/// What came of one of many files.
struct Looked {
  std::vector<float> logits;  ///< one a class; empty where `error` says why
  std::string error;
};

/// Looks at many files, a batch at a time on all threads, and calls each(index, what came of it) in
/// their order; false: stop. A file that is no image is an error of its own.
void predict_files(const TrainedModel& trained, const std::vector<std::string>& files,
                   const std::function<bool(std::size_t, const Looked&)>& each);

/// The part of an image file that the model looks at, at the model's size. Errors: no image.
data::Image input_image(const TrainedModel& trained, const std::filesystem::path& file);
/// It as a batch of one, normalised: [1, side, side, channels] f32.
Tensor input_tensor(const TrainedModel& trained, const data::Image& image);

}  // namespace exciton::train
