/// exciton prune
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <memory>

#include "apps/commands/commands.hpp"
#include "apps/commands/run_data.hpp"
#include "apps/measure/workload.hpp"
#include "apps/terminal/command_line.hpp"
#include "apps/terminal/hints.hpp"
#include "apps/terminal/quiet_out.hpp"
#include "apps/terminal/train_report.hpp"
#include "exciton/core/threads.hpp"
#include "exciton/data/loader.hpp"
#include "exciton/nn/summary.hpp"
#include "exciton/train/checkpoint.hpp"
#include "exciton/train/evaluate.hpp"
#include "exciton/train/inspect/pruning.hpp"
#include "exciton/train/json.hpp"
#include "exciton/train/remedy.hpp"
#include "exciton/train/run.hpp"
#include "exciton/train/trained_model.hpp"

namespace exciton::apps {
namespace fs = std::filesystem;
namespace {

struct PruneArguments {
  std::string run, data, out;
  double keep = 0.8, lr_factor = 0.1;
  std::int64_t fine_tune = 0, images = 5000, multiple = 8;
  int threads = 0;
  bool json = false;
};

/// One network, measured.
struct Measured {
  double top1 = 0, loss = 0;
  std::int64_t parameters = 0, multiply_adds = 0;
  double images_per_second = 0;
};

train::Json to_json(const Measured& m) {
  return {{"top1", m.top1},
          {"loss", m.loss},
          {"parameters", m.parameters},
          {"multiply_adds", m.multiply_adds},
          {"images_per_second", m.images_per_second}};
}

Measured measure(nn::Model& model, const train::TrainedModel& like,
                 const std::shared_ptr<const data::Dataset>& test) {
  Measured out;
  data::Loader loader = evaluation_loader(like, test);
  const train::Evaluation result = train::evaluate(*model.net, loader, test->classes());
  out.top1 = result.top1();
  out.loss = result.loss();
  const nn::Summary summary = nn::summarize(model, like.preprocessing.image_size);
  out.parameters = summary.parameters;
  out.multiply_adds = summary.multiply_adds;
  return out;
}

/// Images per second of both in evaluation mode: they take turns, so that what else the machine
/// does meets both, and the medians are compared.
void measure_speed(nn::Model& a, Measured& of_a, nn::Model& b, Measured& of_b,
                   const train::TrainedModel& trained) {
  Generator rng(1);
  const std::int64_t batch = 64, side = trained.preprocessing.image_size;
  const Tensor images = Tensor::randn({batch, side, side, trained.preprocessing.channels}, rng)
                            .to(train::activation_dtype(trained.recipe.dtype));
  nn::set_training(*a.net, false);
  nn::set_training(*b.net, false);
  std::vector<double> seconds[2];
  for (int round = -3; round < 20; ++round)
    for (const int which : {0, 1}) {
      const auto start = std::chrono::steady_clock::now();
      (*(which == 0 ? a : b).net)(images);
      const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
      if (round >= 0) seconds[which].push_back(taken.count());
    }
  of_a.images_per_second = static_cast<double>(batch) / median(seconds[0]);
  of_b.images_per_second = static_cast<double>(batch) / median(seconds[1]);
}

void print_row(const char* name, const Measured& m) {
  std::printf("%-18s %8.2f %%  %10lld  %13lld  %10.0f\n", name, 100 * m.top1,
              static_cast<long long>(m.parameters), static_cast<long long>(m.multiply_adds),
              m.images_per_second);
}

int run(const PruneArguments& args) {
  if (args.threads > 0) set_num_threads(args.threads);
  train::TrainedModel trained = train::load(args.run, warn);
  const std::string dir = args.data.empty() ? trained.recipe.data.dir : args.data;
  const auto train_set = open_data_of(trained, {.data = dir, .split = "train"});
  const auto test_set = open_data_of(trained, {.data = dir});
  std::string name = args.out;
  if (name.empty())
    name = fs::is_directory(args.run) ? fs::path(args.run).lexically_normal().string() + "-pruned"
                                      : "runs/pruned";
  const fs::path out = name;
  const train::RunFolder folder(out, warn);
  train::check_or(train::Remedy::another_folder, !folder.occupied(), "prune: ", out.string(),
                  " is not empty");

  train::Pruned pruned = prune(trained, train_set, args.keep, args.images, args.multiple);
  Measured before = measure(trained.model, trained, test_set);
  Measured after = measure(pruned.model, trained, test_set);
  measure_speed(trained.model, before, pruned.model, after, trained);

  train::Recipe& recipe = pruned.recipe;
  recipe.data.dir = fs::absolute(dir).lexically_normal().string();
  recipe.paper.reset();
  recipe.epochs = std::max<std::int64_t>(1, args.fine_tune);
  // All rates alike: the last and the first must not be above the highest.
  for (double* rate :
       {&recipe.schedule.lr, &recipe.schedule.final_lr, &recipe.schedule.warmup_start_lr})
    *rate *= args.lr_factor;
  recipe.schedule.warmup_epochs =
      std::min(recipe.schedule.warmup_epochs, static_cast<double>(recipe.epochs));
  recipe.freeze_norm_epochs = std::min(recipe.freeze_norm_epochs, recipe.epochs - 1);
  train::check_readable(recipe);
  {
    const train::FolderLock lock(out, "prune", warn);
    train::check_or(train::Remedy::another_folder, !folder.occupied(),
                    "prune: another process began a run in ", out.string(), " meanwhile");
    folder.begin_with(train::initial_checkpoint(recipe, trained.preprocessing, *pruned.model.net),
                      recipe);
  }

  std::optional<Measured> tuned;
  if (args.fine_tune > 0) {
    const QuietOut quiet(args.json);
    if (!train_and_report(recipe, {.out = out, .resume = true})) return exit_interrupted;
    train::TrainedModel result = train::load(out, warn);
    tuned = measure(result.model, result, test_set);
    tuned->images_per_second = after.images_per_second;  // the same network
  }
  if (args.json) {
    train::Json json{{"run", out.string()},      {"model", trained.model.name},
                     {"keep", args.keep},        {"widths", recipe.model.options.widths},
                     {"threads", num_threads()}, {"before", to_json(before)},
                     {"after", to_json(after)}};
    if (tuned) json["fine_tuned"] = to_json(*tuned);
    std::cout << train::to_text(json) << std::endl;
    return 0;
  }
  std::printf("%s, about %.0f %% of the channels kept: widths", trained.model.name.c_str(),
              100 * args.keep);
  for (const std::int64_t w : recipe.model.options.widths)
    std::printf(" %lld", static_cast<long long>(w));
  std::printf("\n%-18s %10s  %10s  %13s  %10s\n", "", "test top-1", "parameters", "multiply-adds",
              "images/s");
  print_row("before", before);
  print_row("pruned", after);
  if (tuned) print_row("fine-tuned", *tuned);
  std::printf("Saved in %s; a run like others: eval, predict, inspect, bench infer %s\n",
              out.c_str(), out.c_str());
  if (!tuned)
    std::printf("Fine-tune it with\n  %s\n",
                command_line({"train", out, "--resume", "--epochs", "3"}).c_str());
  return 0;
}

}  // namespace

void add_prune(Command& program) {
  auto args = std::make_shared<PruneArguments>();
  Command& command = program.add_command(
      "prune", "Cut the channels that SE values least out of a trained network");
  command.add_option("RUN", args->run, "a run folder (its newest checkpoint) or a checkpoint file")
      .required();
  command.add_option("--keep", args->keep, "share of the channels of each stage that stay")
      .check(number_in(0.01, 1.0))
      .show_default();
  command
      .add_option("--multiple", args->multiple,
                  "what the channels of a stage are rounded to: vectors hold eight")
      .check(number_in(1, 4096))
      .show_default();
  add_data_option(command, args->data, "the run's");
  command.add_option("--out", args->out, "run folder to be made (default: RUN-pruned)")
      .type_name("DIR");
  command.add_option("--fine-tune", args->fine_tune, "epochs of training after the cut")
      .check(number_in(0, 1'000'000))
      .show_default();
  command.add_option("--lr-factor", args->lr_factor, "its learning rate, a share of the recipe's")
      .check(number_in(0.0, 100.0))
      .show_default();
  command.add_option("--images", args->images, "train images whose gates are averaged; 0: all")
      .check(number_in(0, 1'000'000'000))
      .show_default();
  add_threads_option(command, args->threads);
  command.add_flag("--json", args->json, "print one JSON object");
  command.footer(
      "Example:\n  exciton prune runs/first --keep 0.8 --fine-tune 5\n"
      "  exciton bench infer runs/first-pruned --threads 2");
  command.action([args] { return run(*args); });
}

}  // namespace exciton::apps
