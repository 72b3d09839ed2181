/// exciton predict
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <memory>

#include "apps/commands/commands.hpp"
#include "apps/terminal/hints.hpp"
#include "exciton/data/files.hpp"
#include "exciton/data/listing.hpp"
#include "exciton/train/json.hpp"
#include "exciton/train/predict.hpp"

namespace exciton::apps {
namespace {

struct PredictArguments {
  std::string run;
  std::vector<std::string> images;
  bool json = false;
};

int run(const PredictArguments& args) {
  const train::TrainedModel trained = train::load(args.run, warn);
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
    std::vector<train::Prediction> found;
    try {
      found = train::predict(trained, path);
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
      for (const train::Prediction& one : found)
        top5.push_back({{"class", one.name}, {"probability", one.probability}});
      results.push_back({{"image", path}, {"top5", top5}});
      continue;
    }
    std::printf("%s\n", path.c_str());
    for (const train::Prediction& one : found)
      std::printf("  %6.2f %%  %s\n", 100 * one.probability, one.name.c_str());
  }
  if (args.json) std::cout << train::to_text(results) << std::endl;
  if (failed > 1)
    std::cerr << "exciton: " << failed << " of " << images.size()
              << " images could not be looked at" << std::endl;
  return failed == 0 ? 0 : exit_error;
}

}  // namespace

void add_predict(Command& program) {
  auto args = std::make_shared<PredictArguments>();
  Command& command = program.add_command("predict", "What a trained model sees in images");
  command.add_option("RUN", args->run, "a run folder (its newest checkpoint) or a checkpoint file")
      .required();
  command
      .add_option("IMAGE", args->images,
                  "folders, or image files of any format that is read, of any size")
      .required();
  command.add_flag("--json", args->json, "print one JSON array");
  command.footer("Example:\n  exciton predict runs/first cat.jpg ship.png");
  command.action([args] { return run(*args); });
}

}  // namespace exciton::apps
