/// exciton train
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <memory>
#include <optional>
#include <thread>

#include "apps/commands/commands.hpp"
#include "apps/terminal/command_line.hpp"
#include "apps/terminal/format.hpp"
#include "apps/terminal/hints.hpp"
#include "apps/terminal/interrupt.hpp"
#include "apps/terminal/train_report.hpp"
#include "exciton/core/suggest.hpp"
#include "exciton/core/threads.hpp"
#include "exciton/data/detection/set.hpp"
#include "exciton/data/splits.hpp"
#include "exciton/parallel/launch.hpp"
#include "exciton/train/first_recipe.hpp"
#include "exciton/train/recipe_json.hpp"
#include "exciton/train/run_folder.hpp"

namespace exciton::apps {
namespace fs = std::filesystem;
namespace {

struct TrainArguments {
  std::string recipe, data, out;
  std::vector<std::string> set;
  std::optional<std::string> epochs, seed, threads, dtype;  ///< as they were written
  std::string init, changes;
  double rank_timeout = 600;
  bool change = false, fit = false, resume = false, verbose = false, tensorboard = false;
  bool live = false;
  int port = 0;
};

train::Json recipe_of_run(const fs::path& run, bool leads) {
  const train::RunFolder folder(run, warn);
  const auto [text, from] = folder.stored_recipe();
  if (leads && from != folder.recipe())
    std::cout << "No recipe.json in " << run.string() << ": the recipe is that of "
              << from.filename().string() << std::endl;
  return train::parse_json(text, "recipe: " + from.string());
}

/// For a folder of images in the place of a recipe.
train::Json recipe_for_images(const TrainArguments& args, bool leads) {
  check(args.data.empty(), "train: ", args.recipe,
        " is a folder of images, and --data names another");
  check(data::find_coco(args.recipe).empty(), "train: ", args.recipe,
        " has objects to detect; give a detector's recipe, such as "
        "recipes/coco_sample_se_resnet18_fpn.json, and --data ",
        args.recipe);
  const data::SplitPlan plan = data::plan_splits(data::find_layout("auto", args.recipe), {}, 1);
  train::Recipe recipe = train::first_recipe(*plan.open(data::Part::train));
  recipe.data.dir = args.recipe;
  const train::DataRecipe& d = recipe.data;
  if (leads)
    std::cout << "No recipe was given, so this one, which will be in the run folder: "
              << recipe.model.name
              << (d.image_size > 0
                      ? format(" on images of %lld pixels", static_cast<long long>(d.image_size))
                      : "")
              << format(", %lld epochs, batch %lld, rate %.3g, ",
                        static_cast<long long>(recipe.epochs), static_cast<long long>(d.batch),
                        recipe.schedule.lr)
              << recipe.dtype << std::endl;
  return train::to_json(recipe);
}

/// A rank that does not lead: it says what goes wrong, and stops when it is told to.
class Follower final : public train::Observer {
 public:
  explicit Follower(int rank) : who_("rank " + std::to_string(rank) + ": ") {}
  void started(const train::RunInfo&) override { interrupt_.emplace(); }
  bool step(const train::Progress&) override { return !interrupt_->requested(); }
  void warning(std::string_view text) override { warn(who_ + std::string(text)); }

 private:
  std::string who_;
  std::optional<Interrupt> interrupt_;
};

/// Where the ranks are, in a line; a warning where they have more threads than processors.
void describe(const ranks::Place& place, int ranks) {
  const int threads = num_threads();
  std::cout << ranks << " ranks on " << place.hosts << (place.hosts == 1 ? " machine" : " machines")
            << ", " << threads << (threads == 1 ? " thread" : " threads") << " each"
            << (place.sharing == 1 && place.ranks_here > 1 ? ", each on processors of its own" : "")
            << (place.link.empty() ? "" : "; messages take as long as over links of " + place.link)
            << std::endl;
  if (place.sharing * threads > place.processors)
    warn(format("%d ranks with %d threads each share %d processors: they will wait for one another",
                place.sharing, threads, place.processors));
}

/// Images were given, and none of them has begun a run.
[[noreturn]] void fail_to_resume(const TrainArguments& args, const fs::path& out) {
  std::vector<std::string> begin{"train", args.recipe};
  if (!args.out.empty()) begin.insert(begin.end(), {"--out", args.out});
  fail("train: there is no run to resume: ", args.recipe, " is none, and ", out.string(),
       std::filesystem::exists(out) ? " holds none" : " is not there",
       "; begin one with: ", command_line(begin));
}

int train_with(const TrainArguments& args, ranks::Launch* launch) {
  const bool leads = !launch || launch->group().leads();
  const bool is_folder = fs::is_directory(args.recipe);
  check(!is_folder || args.resume || !train::RunFolder(args.recipe).is_run(),
        "train: ", args.recipe, " is a run folder; to resume it add --resume");
  const bool is_run = is_folder && args.resume && train::RunFolder(args.recipe).was_begun();
  const fs::path out =
      !args.out.empty() ? fs::path(args.out)
      : is_run          ? fs::path(args.recipe)
      : is_folder
          ? fs::path("runs") / fs::absolute(args.recipe / fs::path()).parent_path().filename()
          : fs::path("runs") / fs::path(args.recipe).stem();
  std::error_code none;
  check(!is_run || fs::equivalent(out, args.recipe, none), "train: ", args.recipe,
        " is resumed where it is, and --out names another folder; leave that out, or copy the run "
        "and resume the copy");
  // A run, or images from which one was begun.
  const bool goes_on = is_run || (is_folder && args.resume && train::RunFolder(out).is_run());
  if (is_folder && args.resume && !goes_on && !train::RunFolder(out).was_begun())
    fail_to_resume(args, out);
  train::Json json = goes_on     ? recipe_of_run(out, leads)
                     : is_folder ? recipe_for_images(args, leads)
                                 : train::read_json(args.recipe);
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
  options.out = out;
  const fs::path begun = train::RunFolder(options.out).recipe();
  if (args.resume && json.is_object() && fs::exists(begun))
    train::fill_as_begun(json, train::read_json(begun));
  train::Recipe recipe = train::recipe_from(
      json, goes_on ? train::Recipe::Source::stored : train::Recipe::Source::given,
      "recipe: " + args.recipe);
  if (!args.data.empty()) recipe.data.dir = args.data;
  options.resume = args.resume;
  options.change = args.change;
  options.fit = args.fit;
  check(!args.change || args.resume, "train: --change is for --resume: it changes a run's course");
  if (!args.changes.empty()) options.replay = train::read_changes(args.changes);
  options.tensorboard = args.tensorboard;
  if (launch) {
    options.group = &launch->group();
    const ranks::Place place = launch->place();
    if (recipe.threads > 0)
      set_num_threads(static_cast<int>(recipe.threads));
    else if (!std::getenv("OMP_NUM_THREADS"))
      set_num_threads(place.threads());
    if (leads) describe(place, options.group->size());
  }
  if (!leads) {
    Follower follower(options.group->rank());
    return train::run(std::move(recipe), options, follower).finished ? 0 : exit_interrupted;
  }
  check(args.live || args.port == 0, "train: --port is of --live");
  const std::optional<int> live = args.live ? std::optional(args.port) : std::nullopt;
  return train_and_report(std::move(recipe), options, args.verbose, live) ? 0 : exit_interrupted;
}

int run(const TrainArguments& args) {
  const auto launch = ranks::join(args.rank_timeout);
  if (!launch) return train_with(args, nullptr);
  try {
    return train_with(args, launch.get());
  } catch (const std::exception& error) {
    // The others would wait for this rank. Where they have the same error, let rank 0 tell it.
    const int rank = launch->group().rank();
    if (rank > 0) std::this_thread::sleep_for(std::chrono::seconds(1));
    std::cerr << "exciton: " << (rank > 0 ? "rank " + std::to_string(rank) + ": " : "")
              << shortened(explained(error), 1200) << std::endl;
    launch->abort(exit_error);
    return exit_error;
  }
}

}  // namespace

void add_train(Command& program) {
  auto args = std::make_shared<TrainArguments>();
  Command& command = program.add_command("train", "Train a model as a recipe says");
  command
      .add_option("RECIPE", args->recipe,
                  "a JSON file; a folder of images, which get a recipe that suits them; or with "
                  "--resume a run folder")
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
  command.add_flag("--fit", args->fit,
                   "where memory would not do, compute blocks again in backward (recompute)");
  command.add_flag("--change", args->change,
                   "with --resume and --set: change the rate, the schedule, epochs, decay, "
                   "augmentation, batch, clipping or early stopping from here on");
  command
      .add_option("--replay", args->changes,
                  "make the changes of another run's changes.jsonl on the way")
      .type_name("FILE");
  command
      .add_option("--rank-timeout", args->rank_timeout,
                  "under mpirun: seconds after which a rank that does not answer ends the run "
                  "(default: 600)")
      .type_name("SECONDS");
  command.add_flag("--verbose", args->verbose, "tell about memory after each epoch");
  command.add_flag("--tensorboard", args->tensorboard,
                   "write event files for TensorBoard into RUN/tensorboard");
  command.add_flag("--live", args->live,
                   "show curves and gates on a page of this machine while it trains, and keep them "
                   "for watch");
  add_port_option(command, args->port);
  command.footer(
      "Example:\n  exciton train recipes/cifar10_se_resnet20_fast.json --data data-cache/cifar10 "
      "--out runs/first --set model.se.reduction=8\n  exciton train photos/\n  exciton train "
      "runs/first --resume\n"
      "  exciton train runs/first --resume --change --set schedule.lr=0.02");
  command.action([args] { return run(*args); });
}

}  // namespace exciton::apps
