/// exciton predict
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <memory>
#include <numeric>
#include <span>

#include "apps/command.hpp"
#include "data/files.hpp"
#include "data/image.hpp"
#include "data/listing.hpp"
#include "data/resize.hpp"
#include "train/evaluate.hpp"
#include "train/run_state.hpp"

namespace exciton::apps {
namespace {

struct PredictArguments {
  std::string run;
  std::vector<std::string> images;
  bool json = false;
};

struct Guess {
  std::string name;
  double probability;
};

std::vector<double> softmax(std::span<const float> logits) {
  const double highest = *std::max_element(logits.begin(), logits.end());
  std::vector<double> out;
  double sum = 0;
  for (const float v : logits) sum += out.emplace_back(std::exp(v - highest));
  for (double& p : out) p /= sum;
  return out;
}

/// The classes of highest probability, at most `count`.
std::vector<Guess> top(const std::vector<double>& probabilities,
                       const std::vector<std::string>& names, std::size_t count) {
  std::vector<std::size_t> order(probabilities.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return probabilities[a] > probabilities[b];
  });
  std::vector<Guess> out;
  for (std::size_t i = 0; i < std::min(count, order.size()); ++i)
    out.push_back({names[order[i]], probabilities[order[i]]});
  return out;
}

/// The image as the model knows images: its middle, or, when it was trained on images as they come,
/// all of it.
data::Image input_of(const train::DataFacts& facts, const std::string& path) {
  const data::Size size{facts.image_size, facts.image_size};
  const auto framing = [&](data::Size own) {
    return data::View{facts.shorter_side > 0
                          ? data::centre_box(own, facts.shorter_side, facts.image_size)
                          : data::whole(own),
                      size};
  };
  data::Image image;
  data::decode_view(data::read_file(path), path, facts.channels, framing, image);
  return image;
}

std::vector<Guess> predict(const train::TrainedModel& trained, const std::string& path) {
  const train::DataFacts& facts = trained.facts;
  const data::Image image = input_of(facts, path);
  Tensor input({1, facts.image_size, facts.image_size, facts.channels});
  Generator unused;
  facts.evaluation()(image, unused, input.data<float>());
  const Var logits = (*trained.model.net)(input.to(train::activation_dtype(trained.recipe.dtype)));
  const Tensor values = logits.value().to(DType::f32);
  return top(softmax(values.span<float>()), facts.class_names, 5);
}

int run(const PredictArguments& args) {
  const train::TrainedModel trained = train::load_trained(args.run);
  train::Json results = train::Json::array();
  std::size_t failed = 0;
  std::vector<std::string> images;
  for (const std::string& path : args.images) {
    std::error_code none;
    if (!std::filesystem::is_directory(path, none)) {
      images.push_back(path);
      continue;
    }
    data::LeftOut left_out;
    for (const std::string& file : data::image_files(path, path + '/', left_out))
      images.push_back((std::filesystem::path(path) / file).string());
    for (const std::string& line : left_out.lines())
      std::cerr << "exciton: " << path << ": " << line << std::endl;
  }
  check(!images.empty(), "predict: no images in ", args.images.front());
  for (const std::string& path : images) {
    std::vector<Guess> guesses;
    try {
      guesses = predict(trained, path);
    } catch (const Error& error) {
      ++failed;  // the others are looked at all the same
      if (args.json)
        results.push_back({{"image", path}, {"error", error.what()}});
      else
        std::fflush(stdout);
      std::cerr << "exciton: " << error.what() << std::endl;
      continue;
    }
    if (args.json) {
      train::Json top5 = train::Json::array();
      for (const Guess& guess : guesses)
        top5.push_back({{"class", guess.name}, {"probability", guess.probability}});
      results.push_back({{"image", path}, {"top5", top5}});
      continue;
    }
    std::printf("%s\n", path.c_str());
    for (const Guess& guess : guesses)
      std::printf("  %6.2f %%  %s\n", 100 * guess.probability, guess.name.c_str());
  }
  if (args.json) std::cout << train::to_text(results) << std::endl;
  if (failed > 1)
    std::cerr << "exciton: " << failed << " of " << images.size()
              << " images could not be looked at" << std::endl;
  return failed == 0 ? 0 : exit_error;
}

}  // namespace

void add_predict(CLI::App& program, Action& action) {
  auto args = std::make_shared<PredictArguments>();
  CLI::App* command = program.add_subcommand("predict", "What a trained model sees in images");
  command->add_option("RUN", args->run, "a run folder (its newest checkpoint) or a checkpoint file")
      ->required();
  command
      ->add_option("IMAGE", args->images,
                   "folders, or image files of any format that is read, of any size")
      ->required();
  command->add_flag("--json", args->json, "print one JSON array");
  command->footer("Example:\n  exciton predict runs/first cat.jpg ship.png");
  command->callback([args, &action] { action = [args] { return run(*args); }; });
}

}  // namespace exciton::apps
