#include "exciton/train/predict.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "exciton/core/random.hpp"
#include "exciton/data/files.hpp"
#include "exciton/data/resize.hpp"

namespace exciton::train {

std::vector<double> softmax(std::span<const float> logits) {
  const double highest = *std::max_element(logits.begin(), logits.end());
  std::vector<double> out;
  double sum = 0;
  for (const float v : logits) sum += out.emplace_back(std::exp(v - highest));
  for (double& p : out) p /= sum;
  return out;
}

std::vector<std::size_t> top_k(std::span<const double> values, std::size_t count) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return values[a] > values[b]; });
  order.resize(std::min(count, order.size()));
  return order;
}

data::Image input_image(const TrainedModel& trained, const std::filesystem::path& file) {
  const std::string name = file.string();
  data::Image image;
  data::decode_view(
      data::read_file(name), name, trained.preprocessing.channels,
      [&](data::Size own) { return trained.preprocessing.view(own); }, image);
  return image;
}

Tensor input_tensor(const TrainedModel& trained, const data::Image& image) {
  const std::int64_t side = trained.preprocessing.image_size;
  Tensor input({1, side, side, trained.preprocessing.channels});
  Generator unused;
  trained.preprocessing.evaluation()(image, unused, input.data<float>());
  return input;
}

std::vector<Prediction> predict(const TrainedModel& trained, const std::filesystem::path& image,
                                std::size_t count) {
  return predict(trained, input_image(trained, image), count);
}

std::vector<Prediction> predict(const TrainedModel& trained, const data::Image& image,
                                std::size_t count) {
  const Tensor input = input_tensor(trained, image).to(activation_dtype(trained.recipe.dtype));
  const Tensor logits = (*trained.model.net)(input).value().to(DType::f32);
  const std::vector<double> probabilities = softmax(logits.span<float>());
  std::vector<Prediction> out;
  for (const std::size_t i : top_k(probabilities, count))
    out.push_back({trained.preprocessing.class_names[i], probabilities[i]});
  return out;
}

}  // namespace exciton::train
