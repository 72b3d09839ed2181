/// exciton finetune
#include <filesystem>
#include <iostream>
#include <memory>

#include "apps/commands/commands.hpp"
#include "apps/terminal/hints.hpp"
#include "apps/terminal/train_report.hpp"
#include "exciton/core/threads.hpp"
#include "exciton/data/splits.hpp"
#include "exciton/train/fine_tuning.hpp"
#include "exciton/train/recipe_json.hpp"

namespace exciton::apps {
namespace fs = std::filesystem;
namespace {

struct FinetuneArguments {
  std::string data, from, source, out;
  std::vector<std::string> set, freeze;
  std::optional<std::string> epochs, lr;  ///< as they were written
  int threads = 0;
  bool resume = false, verbose = false;
};

train::Recipe recipe_of(const FinetuneArguments& args) {
  const train::Initial initial = train::load_initial(args.from, args.source, "", warn);
  const data::SplitPlan plan = data::plan_splits(data::find_layout("auto", args.data), {}, 1);
  train::Recipe recipe = train::fine_tuning_recipe(initial, *plan.open(data::Part::train));
  recipe.data.dir = args.data;
  recipe.init.weights = args.from;
  recipe.init.from = args.source;
  recipe.threads = args.threads;
  train::Json json = train::to_json(recipe);
  if (!args.freeze.empty()) json["freeze"] = args.freeze;
  if (args.epochs) train::set_value(json, "epochs=" + *args.epochs);
  if (args.lr) train::set_value(json, "schedule.lr=" + *args.lr);
  for (const std::string& assignment : args.set) train::set_value(json, assignment);
  return train::recipe_from(json);
}

int run(const FinetuneArguments& args) {
  train::RunOptions options;
  options.out =
      !args.out.empty()
          ? fs::path(args.out)
          : fs::path("runs") /
                (fs::absolute(args.data).lexically_normal().filename().string() + "_finetuned");
  options.resume = args.resume;
  const train::RunFolder folder(options.out, warn);
  train::Recipe recipe =
      args.resume && folder.is_run()
          ? train::Recipe::parse(folder.stored_recipe().text, train::Recipe::Source::stored)
          : recipe_of(args);
  return train_and_report(std::move(recipe), options, args.verbose) ? 0 : exit_interrupted;
}

}  // namespace

void add_finetune(Command& program) {
  auto args = std::make_shared<FinetuneArguments>();
  Command& command =
      program.add_command("finetune", "Train on your images, beginning with trained weights");
  command.add_option("DIR", args->data, "your images: a folder for each class, or any data set")
      .required();
  command.add_option("--from", args->from, "a run folder, a checkpoint, safetensors, .pth, .npz")
      .type_name("RUN|FILE")
      .required();
  command.add_option("--source", args->source, "of a file: where it is from, timm/seresnet50")
      .type_name("SOURCE");
  command.add_option("--out", args->out, "run folder (default: runs/<name of DIR>_finetuned)")
      .type_name("RUN");
  command
      .add_option("--freeze", args->freeze,
                  "what does not train, with commas between: conv1,bn1,stage1")
      .type_name("NAMES")
      .delimiter(',');
  command.add_option("--epochs", args->epochs, "passes over the images (default: 30)")
      .type_name("N");
  command
      .add_option("--lr", args->lr,
                  "highest learning rate (default: 0.01, the classifier ten times that)")
      .type_name("X");
  add_set_option(command, args->set, "layer_decay=0.7");
  add_threads_option(command, args->threads);
  command.add_flag("--resume", args->resume, "go on where the run folder's last checkpoint is");
  command.add_flag("--verbose", args->verbose, "tell about memory after each epoch");
  command.footer(
      "Example:\n  exciton finetune photos --from runs/first --out runs/photos\n"
      "  exciton finetune photos --from seresnet50.safetensors --source timm/seresnet50");
  command.action([args] { return run(*args); });
}

}  // namespace exciton::apps
