#include "exciton/train/predict.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "exciton/core/random.hpp"
#include "exciton/core/threads.hpp"
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

void predict_files(const TrainedModel& trained, const std::vector<std::string>& files,
                   const std::function<bool(std::size_t, const Looked&)>& each) {
  const std::int64_t side = trained.preprocessing.image_size, c = trained.preprocessing.channels;
  // Batches of about as many pixels, whatever the size of one image.
  const auto batch = static_cast<std::size_t>(
      std::clamp<std::int64_t>((std::int64_t{1} << 21) / (side * side), 8, 256));
  for (std::size_t begin = 0; begin < files.size(); begin += batch) {
    const std::size_t count = std::min(batch, files.size() - begin);
    std::vector<Looked> looked(count);
    std::vector<Tensor> inputs(count);
    parallel_tasks(static_cast<std::int64_t>(count), [&](std::int64_t i, int) {
      const auto at = static_cast<std::size_t>(i);
      try {
        inputs[at] = input_tensor(trained, input_image(trained, files[begin + at]));
      } catch (const Error& error) {
        looked[at].error = error.what();
      }
    });
    std::vector<std::size_t> good;
    for (std::size_t i = 0; i < count; ++i)
      if (looked[i].error.empty()) good.push_back(i);
    if (!good.empty()) {
      Tensor images({std::ssize(good), side, side, c});
      for (std::size_t k = 0; k < good.size(); ++k)
        std::copy_n(inputs[good[k]].data<float>(), side * side * c,
                    images.data<float>() + static_cast<std::int64_t>(k) * side * side * c);
      const Tensor logits = (*trained.model.net)(images.to(activation_dtype(trained.recipe.dtype)))
                                .value()
                                .to(DType::f32);
      const std::int64_t classes = logits.dim(1);
      for (std::size_t k = 0; k < good.size(); ++k) {
        const float* row = logits.data<float>() + static_cast<std::int64_t>(k) * classes;
        looked[good[k]].logits.assign(row, row + classes);
      }
    }
    for (std::size_t i = 0; i < count; ++i)
      if (!each(begin + i, looked[i])) return;
  }
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
