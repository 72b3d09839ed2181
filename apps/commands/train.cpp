/// exciton train
#include <filesystem>
#include <iostream>
#include <memory>
#include <optional>

#include "apps/commands/commands.hpp"
#include "apps/terminal/hints.hpp"
#include "apps/terminal/train_report.hpp"
#include "exciton/train/recipe_json.hpp"
#include "exciton/train/run_folder.hpp"

namespace exciton::apps {
namespace fs = std::filesystem;
namespace {

struct TrainArguments {
  std::string recipe, data, out;
  std::vector<std::string> set;
  std::optional<std::string> epochs, seed, threads, dtype;  ///< as they were written
  std::string init;
  bool resume = false, verbose = false, tensorboard = false;
};

train::Json recipe_of_run(const fs::path& run) {
  const train::RunFolder folder(run, warn);
  const auto [text, from] = folder.stored_recipe();
  if (from != folder.recipe())
    std::cout << "No recipe.json in " << run.string() << ": the recipe is that of "
              << from.filename().string() << std::endl;
  return train::parse_json(text, "recipe: " + from.string());
}

int run(const TrainArguments& args) {
  const bool is_run = fs::is_directory(args.recipe);
  check(!is_run || args.resume, "train: ", args.recipe,
        " is a folder, expected a recipe; to resume a run add --resume");
  train::Json json = is_run ? recipe_of_run(args.recipe) : train::read_json(args.recipe);
  for (const std::string& assignment : args.set) train::set_value(json, assignment);
  // The options are values of the recipe, under the same limits.
  const auto set = [&](const char* key, const std::optional<std::string>& text) {
    if (text && json.is_object()) json[key] = train::try_json(*text).value_or(train::Json(*text));
  };
  set("epochs", args.epochs);
  set("seed", args.seed);
  set("threads", args.threads);
  set("dtype", args.dtype);
  if (!args.init.empty()) train::set_value(json, "init.weights=" + train::Json(args.init).dump());
  train::RunOptions options;
  options.out = !args.out.empty() ? fs::path(args.out)
                : is_run          ? fs::path(args.recipe)
                                  : fs::path("runs") / fs::path(args.recipe).stem();
  const fs::path begun = train::RunFolder(options.out).recipe();
  if (args.resume && json.is_object() && fs::exists(begun))
    train::fill_as_begun(json, train::read_json(begun));
  train::Recipe recipe = train::recipe_from(
      json, is_run ? train::Recipe::Source::stored : train::Recipe::Source::given,
      "recipe: " + args.recipe);
  if (!args.data.empty()) recipe.data.dir = args.data;
  options.resume = args.resume;
  options.tensorboard = args.tensorboard;
  return train_and_report(std::move(recipe), options, args.verbose) ? 0 : exit_interrupted;
}

}  // namespace

void add_train(Command& program) {
  auto args = std::make_shared<TrainArguments>();
  Command& command = program.add_command("train", "Train a model as a recipe says");
  command.add_option("RECIPE", args->recipe, "a JSON file, or with --resume a run folder")
      .required();
  add_data_option(command, args->data, "the recipe's");
  command.add_option("--out", args->out, "run folder (default: runs/<name of the recipe>)")
      .type_name("RUN");
  add_set_option(command, args->set, "schedule.lr=0.1");
  command.add_option("--epochs", args->epochs, "passes over the train set").type_name("N");
  command.add_option("--seed", args->seed, "of the weights, the order and the augmentation")
      .type_name("S");
  command.add_option("--threads", args->threads, "processor threads (default: all)").type_name("N");
  command
      .add_option("--init", args->init,
                  "weights to begin with: a run folder, a checkpoint, safetensors, .pth, .npz")
      .type_name("RUN|FILE");
  command.add_option("--dtype", args->dtype, "of the maps: f32, bf16 or auto").type_name("T");
  command.add_flag("--resume", args->resume, "go on where the run folder's last checkpoint is");
  command.add_flag("--verbose", args->verbose, "tell about memory after each epoch");
  command.add_flag("--tensorboard", args->tensorboard,
                   "write event files for TensorBoard into RUN/tensorboard");
  command.footer(
      "Example:\n  exciton train recipes/cifar10_se_resnet20_fast.json --data data-cache/cifar10 "
      "--out runs/first --set model.se.reduction=8\n  exciton train runs/first --resume");
  command.action([args] { return run(*args); });
}

}  // namespace exciton::apps
