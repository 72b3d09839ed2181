/// exciton predict
#include <filesystem>
#include <iostream>
#include <memory>
#include <optional>

#include "apps/commands/commands.hpp"
#include "apps/commands/detection.hpp"
#include "apps/terminal/class_report.hpp"
#include "apps/terminal/format.hpp"
#include "apps/terminal/hints.hpp"
#include "apps/terminal/interrupt.hpp"
#include "apps/terminal/progress.hpp"
#include "exciton/core/suggest.hpp"
#include "exciton/core/threads.hpp"
#include "exciton/data/files.hpp"
#include "exciton/data/listing.hpp"
#include "exciton/train/detection/detector.hpp"
#include "exciton/train/json.hpp"
#include "exciton/train/predict.hpp"

namespace exciton::apps {
namespace {

struct PredictArguments {
  std::string run;
  std::vector<std::string> images;
  std::string csv, out, page;
  double score = 0.5;
  int top = 5, threads = 0;
  bool json = false;
};

/// The images that are asked for, those of folders in the order of their paths.
std::vector<std::string> images_of(const std::vector<std::string>& paths) {
  std::vector<std::string> images;
  for (const std::string& path : paths) {
    std::error_code none;
    if (!std::filesystem::is_directory(path, none)) {
      images.push_back(path);
      continue;
    }
    data::LeftOut left_out;
    const std::vector<std::string> files = data::image_files(path, path + '/', left_out);
    for (const std::string& file : files)
      images.push_back((std::filesystem::path(path) / file).string());
    if (files.empty() && paths.size() > 1)
      std::cerr << "exciton: " << path << ": a folder without images" << std::endl;
    for (const std::string& line : left_out.lines())
      std::cerr << "exciton: " << path << ": " << line << std::endl;
  }
  check(!images.empty(), "predict: no images in ", paths.front());
  return images;
}

int run(const PredictArguments& args) {
  if (args.threads > 0) set_num_threads(args.threads);
  if (train::is_detector(args.run))
    return predict_detector(
        {args.run, args.csv, args.out, args.page, images_of(args.images), args.score, args.json});
  check(args.out.empty() && args.page.empty(), "predict: --out and --page are for detectors; ",
        args.run, " is a classifier");
  const train::TrainedModel trained = train::load(args.run, warn);
  const std::vector<std::string> images = images_of(args.images);
  const std::vector<std::string>& names = trained.preprocessing.class_names;
  std::optional<PredictionTable> table;
  if (!args.csv.empty()) table.emplace(args.csv, names);
  Progress progress(std::ssize(images));
  Interrupt interrupt;
  std::vector<std::string> failed;
  std::size_t done = 0;
  if (args.json) std::cout << '[';
  train::predict_files(trained, images, [&](std::size_t i, const train::Looked& looked) {
    train::Json json{{"image", images[i]}};
    std::vector<std::size_t> top;
    std::vector<double> p;
    if (looked.error.empty()) {
      p = train::softmax(looked.logits);
      top = train::top_k(p, static_cast<std::size_t>(args.top));
      if (table) table->add(images[i], -1, looked.logits);
    } else {
      failed.push_back(images[i]);  // the others are looked at all the same
      if (table) table->add_error(images[i], looked.error);
      std::cout << std::flush;
      progress.clear();
      std::cerr << "exciton: " << looked.error << std::endl;
    }
    if (args.json) {
      if (looked.error.empty())
        for (const std::size_t k : top)
          json["top5"].push_back({{"class", names[k]}, {"probability", p[k]}});
      else
        json["error"] = looked.error;
      std::cout << (i > 0 ? ",\n" : "") << train::to_text(json);
    } else if (looked.error.empty() && !table) {
      std::cout << images[i] << '\n';
      for (const std::size_t k : top)
        std::cout << format("  %6.2f %%  ", 100 * p[k]) << printable(names[k]) << '\n';
    }
    done = i + 1;
    if (table && progress.due())
      progress.update(static_cast<std::int64_t>(done), "predict", std::to_string(done) + " images");
    return !interrupt.requested();
  });
  if (args.json) std::cout << "]\n";
  std::cout << std::flush;
  progress.clear();
  if (done < images.size()) {
    std::cerr << "exciton: interrupted after " << done << " of " << images.size() << " images"
              << (table ? "; nothing was written" : "") << std::endl;
    return exit_interrupted;
  }
  if (table) {
    table->finish();
    (args.json ? std::cerr : std::cout)
        << "Wrote " << args.csv << ": " << images.size() << " images" << std::endl;
  }
  if (!failed.empty() && images.size() > 1)
    std::cerr << "exciton: " << failed.size() << " of " << images.size()
              << " images could not be looked at: " << listed(failed) << std::endl;
  return failed.empty() ? 0 : exit_error;
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
  command
      .add_option(
          "--csv", args->csv,
          "write a line an image instead: file, prediction, the probability of every class; of a "
          "detector a line a box")
      .type_name("FILE");
  command.add_option("--top", args->top, "classes an image")
      .check(number_in(1, 1000))
      .show_default();
  command.add_option("--score", args->score, "of a detector: the least score of a box")
      .check(number_in(0.0, 1.0))
      .show_default();
  command.add_option("--out", args->out, "of a detector: write the images with their boxes into it")
      .type_name("DIR");
  command.add_option("--page", args->page, "of a detector: write one HTML page of images and boxes")
      .type_name("FILE");
  add_threads_option(command, args->threads);
  command.add_flag("--json", args->json, "print one JSON array");
  command.footer(
      "Example:\n  exciton predict runs/first cat.jpg ship.png\n"
      "  exciton predict runs/first photos/ --csv photos.csv\n"
      "  exciton predict runs/detector photos/ --out drawn");
  command.action([args] { return run(*args); });
}

}  // namespace exciton::apps
