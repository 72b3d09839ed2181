/// exciton eval
#include <cstdio>
#include <iostream>
#include <memory>

#include "apps/command.hpp"
#include "apps/evaluate.hpp"
#include "apps/progress.hpp"
#include "apps/run_state.hpp"
#include "core/threads.hpp"
#include "data/loader.hpp"

namespace exciton::apps {
namespace {

struct EvalArguments {
  std::string run, data, kind, split = "test";
  int threads = 0;
  bool json = false;
};

void print_table(const TrainedModel& trained, const data::Dataset& set, const Evaluation& result) {
  std::printf("%s after epoch %lld, %s\n%s\n", trained.model.name.c_str(),
              static_cast<long long>(trained.position.epoch), trained.checkpoint.c_str(),
              set.description().c_str());
  std::printf("top-1 %.2f %%   top-5 %.2f %%   loss %.4f\n\n", 100 * result.top1(),
              100 * result.top5(), result.loss());
  std::size_t width = 5;
  for (const std::string& name : set.class_names()) width = std::max(width, name.size());
  std::printf("%-*s  images  top-1 %%\n", static_cast<int>(width), "class");
  for (std::size_t c = 0; c < result.classes().size(); ++c) {
    const Evaluation::Class& own = result.classes()[c];
    std::printf("%-*s  %6lld  %7.2f\n", static_cast<int>(width), set.class_names()[c].c_str(),
                static_cast<long long>(own.images), 100 * own.top1());
  }
}

Json to_json(const TrainedModel& trained, const data::Dataset& set, const Evaluation& result) {
  Json classes = Json::array();
  for (std::size_t c = 0; c < result.classes().size(); ++c)
    classes.push_back({{"class", set.class_names()[c]},
                       {"images", result.classes()[c].images},
                       {"top1", result.classes()[c].top1()}});
  return {{"model", trained.model.name},
          {"checkpoint", trained.checkpoint.string()},
          {"epoch", trained.position.epoch},
          {"data", set.description()},
          {"images", result.images()},
          {"top1", result.top1()},
          {"top5", result.top5()},
          {"loss", result.loss()},
          {"classes", classes}};
}

int run(const EvalArguments& args) {
  if (args.threads > 0) set_num_threads(args.threads);
  const TrainedModel trained = load_trained(args.run);
  const DataRecipe& recipe = trained.recipe.data;
  const std::string dir = args.data.empty() ? recipe.dir : args.data;
  const auto set = data::open_dataset(args.kind.empty() ? recipe.kind : args.kind, dir, args.split);
  check(
      set->class_names() == trained.facts.class_names && set->channels() == trained.facts.channels,
      "eval: ", set->description(), " does not have the classes of ", trained.checkpoint.string());
  data::LoaderOptions options;
  options.batch = recipe.batch;
  options.shuffle = options.drop_last = false;
  options.workers = static_cast<int>(recipe.workers);
  options.dtype = activation_dtype(trained.recipe.dtype);
  data::Loader loader(set, trained.facts.normalization(), options);
  Progress progress(set->size());
  const Evaluation result =
      evaluate(*trained.model.net, loader, set->classes(), [&](std::int64_t images) {
        if (progress.due()) progress.update(images, "eval", std::to_string(images) + " images");
        return true;
      });
  progress.clear();
  if (args.json)
    std::cout << to_json(trained, *set, result).dump() << std::endl;
  else
    print_table(trained, *set, result);
  return 0;
}

}  // namespace

void add_eval(CLI::App& program, Action& action) {
  auto args = std::make_shared<EvalArguments>();
  CLI::App* command = program.add_subcommand("eval", "Accuracy and loss of a trained model");
  command->add_option("RUN", args->run, "a run folder (its newest checkpoint) or a checkpoint file")
      ->required();
  command->add_option("--data", args->data, "folder of the data set (default: the run's)")
      ->type_name("DIR");
  command->add_option("--kind", args->kind, "its format (default: as the run's)")
      ->check(CLI::IsMember(data::dataset_kinds()));
  command->add_option("--split", args->split, "which images")
      ->check(CLI::IsMember({"train", "test"}))
      ->capture_default_str();
  command->add_option("--threads", args->threads, "processor threads (default: all)")
      ->check(CLI::Range(1, 4096));
  command->add_flag("--json", args->json, "print one JSON object");
  command->footer(
      "Example:\n  exciton eval runs/first\n"
      "  exciton eval runs/first/checkpoints/best.ckpt --json");
  command->callback([args, &action] { action = [args] { return run(*args); }; });
}

}  // namespace exciton::apps
