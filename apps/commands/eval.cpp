/// exciton eval
#include <algorithm>
#include <cstdio>
#include <iostream>
#include <memory>
#include <optional>

#include "apps/commands/commands.hpp"
#include "apps/commands/detection.hpp"
#include "apps/commands/run_data.hpp"
#include "apps/page/mistakes.hpp"
#include "apps/page/page.hpp"
#include "apps/terminal/class_report.hpp"
#include "apps/terminal/format.hpp"
#include "apps/terminal/hints.hpp"
#include "apps/terminal/progress.hpp"
#include "exciton/core/threads.hpp"
#include "exciton/data/loader.hpp"
#include "exciton/train/detection/detector.hpp"
#include "exciton/train/evaluate.hpp"
#include "exciton/train/json.hpp"
#include "exciton/train/trained_model.hpp"
#include "exciton/train/views.hpp"

namespace exciton::apps {
namespace {

struct EvalArguments {
  std::vector<std::string> runs;
  RunData data;
  std::vector<std::int64_t> resize;
  std::int64_t crop = 0, batch = 0;
  int crops = 1, threads = 0;
  std::string csv, page, views = "none";
  bool json = false, confusion = false;

  bool plain() const {
    return runs.size() == 1 && resize.empty() && crop == 0 && crops == 1 && views == "none";
  }
};

std::vector<train::TrainedModel> load_all(const std::vector<std::string>& runs) {
  std::vector<train::TrainedModel> all;
  for (const std::string& run : runs) all.push_back(train::load(run, warn));
  return all;
}

train::ViewSpec views_of(const train::TrainedModel& trained, const EvalArguments& args) {
  const std::int64_t own = trained.preprocessing.shorter_side;
  return {.scales = args.resize.empty() && own > 0 ? std::vector{own} : args.resize,
          .crop = args.crop > 0 ? args.crop : trained.preprocessing.image_size,
          .ten = args.crops == 10,
          .mirror = args.views != "none",
          .translate = args.views == "mirror_translate" ? 1 : 0};
}

std::int64_t batch_of(const train::TrainedModel& trained, const EvalArguments& args) {
  if (args.batch > 0) return args.batch;
  return std::min<std::int64_t>(trained.recipe.data.batch,
                                128);  // those of 1024 want the memory of a cluster
}

/// As training tests after each epoch: the images as the loader makes them.
train::Evaluation evaluate_plain(const train::TrainedModel& trained,
                                 std::shared_ptr<const data::Dataset> set,
                                 const EvalArguments& args,
                                 const std::function<void(std::int64_t)>& each,
                                 const train::EachImage& image) {
  data::Loader loader = evaluation_loader(trained, set, {.batch = batch_of(trained, args)});
  const auto go_on = [&](std::int64_t images) {
    each(images);
    return true;
  };
  return train::evaluate(*trained.model.net, loader, set->classes(), go_on, image);
}

train::Evaluation evaluate_ensemble(const std::vector<train::TrainedModel>& models,
                                    const data::Dataset& set, const EvalArguments& args,
                                    const std::function<void(std::int64_t)>& each,
                                    const train::EachImage& image) {
  std::vector<train::Member> members;
  std::int64_t batch = batch_of(models.front(), args);
  const bool skip_errors = models.front().recipe.data.skip_errors;
  for (const train::TrainedModel& m : models) {
    members.push_back({.net = m.model.net.get(),
                       .views = views_of(m, args),
                       .normalization = m.preprocessing.evaluation(),
                       .dtype = train::activation_dtype(m.recipe.dtype)});
    batch = std::min(batch, batch_of(m, args));
  }
  return train::evaluate_views(members, set, {.batch = batch, .skip_errors = skip_errors}, each,
                               image);
}

std::string describe(const train::ViewSpec& views) {
  std::string text = views.ten ? "ten crops" : "centre crop";
  text += " of " + std::to_string(views.crop) + " x " + std::to_string(views.crop);
  if (views.mirror) text += ", each and its mirror image";
  if (views.translate > 0) text += ", and moved by a pixel";
  for (std::size_t i = 0; i < views.scales.size(); ++i)
    text += (i == 0 ? ", shorter side resized to " : ", ") + std::to_string(views.scales[i]);
  return text;
}

void print_table(const std::vector<train::TrainedModel>& models, const data::Dataset& set,
                 const EvalArguments& args, const train::Evaluation& result) {
  for (const train::TrainedModel& m : models) {
    std::printf("%s after epoch %lld, %s\n", m.model.name.c_str(),
                static_cast<long long>(m.position.epoch), m.checkpoint.c_str());
    if (!args.plain()) std::printf("  %s\n", describe(views_of(m, args)).c_str());
  }
  if (models.size() > 1) std::printf("mean of the probabilities of %zu models\n", models.size());
  std::printf("%s\n", set.description().c_str());
  std::printf("top-1 %.2f %%   top-5 %.2f %%   loss %.4f\n\n", 100 * result.top1(),
              100 * result.top5(), result.loss());
  print_skipped(result.skipped(), result.skipped_reasons());
  if (result.skipped() > 0) std::printf("\n");
  std::vector<std::string> names;
  for (const std::string& name : set.class_names()) names.push_back(printable(name));
  print_classes(names, result);
  if (args.confusion) print_confusion(names, result);
}

train::Json to_json(const std::vector<train::TrainedModel>& models, const data::Dataset& set,
                    const EvalArguments& args, const train::Evaluation& result) {
  train::Json members = train::Json::array(), classes = train::Json::array();
  for (const train::TrainedModel& m : models) {
    train::Json member = {{"model", m.model.name},
                          {"checkpoint", m.checkpoint.string()},
                          {"epoch", m.position.epoch}};
    if (!args.plain()) {
      const train::ViewSpec views = views_of(m, args);
      member["views"] = {{"resize", views.scales}, {"crop", views.crop}, {"crops", args.crops}};
      if (args.views != "none") member["views"]["views"] = args.views;
    }
    members.push_back(member);
  }
  for (std::size_t c = 0; c < result.classes().size(); ++c)
    classes.push_back(class_json(set.class_names()[c], result.classes()[c]));
  train::Json out = {{"models", members},
                     {"data", set.description()},
                     {"images", result.images()},
                     {"skipped_images", result.skipped()},
                     {"skipped", result.skipped_reasons()},
                     {"top1", result.top1()},
                     {"top5", result.top5()},
                     {"loss", result.loss()},
                     {"macro_precision", result.macro_precision()},
                     {"macro_recall", result.macro_recall()},
                     {"macro_f1", result.macro_f1()},
                     {"classes", classes}};
  if (args.confusion) out["confusion"] = confusion_json(result);
  return out;
}

int run(const EvalArguments& args) {
  if (args.threads > 0) set_num_threads(args.threads);
  if (train::is_detector(args.runs.front())) {
    check(
        args.plain() && !args.confusion && args.data.kind.empty(),
        "eval: a detector is evaluated alone, on its own sizes, on COCO's data: without --resize, "
        "--crop, --crops, --views, --confusion and --kind");
    return eval_detector({args.runs.front(), args.data.data, args.data.split, args.csv, args.page,
                          args.batch, args.json});
  }
  const std::vector<train::TrainedModel> models = load_all(args.runs);
  const auto set = open_data_of(models.front(), args.data);
  for (const train::TrainedModel& m : models) check_fits(m, *set);
  if (!args.page.empty()) check_page_path(args.page);
  std::optional<PredictionTable> table;
  if (!args.csv.empty()) table.emplace(args.csv, set->class_names());
  Mistakes mistakes;
  const train::EachImage image = [&](const train::Seen& seen) {
    if (table) table->add(set->name(seen.index), seen.label, seen.logits);
    if (!args.page.empty()) mistakes.add(seen);
  };
  const bool by_image = table || !args.page.empty();
  Progress progress(set->size());
  const auto each = [&](std::int64_t images) {
    if (progress.due()) progress.update(images, "eval", std::to_string(images) + " images");
  };
  const train::EachImage wanted = by_image ? image : train::EachImage{};
  const train::Evaluation result = args.plain()
                                       ? evaluate_plain(models.front(), set, args, each, wanted)
                                       : evaluate_ensemble(models, *set, args, each, wanted);
  progress.clear();
  if (table) table->finish();
  if (!args.page.empty()) {
    train::Json page = to_json(models, *set, args, result);
    page["confusion"] = confusion_json(result);
    page["mistakes"] = mistakes.to_json(*set);
    write_page(args.page, "Evaluation", "eval.js", page);
  }
  if (args.json)
    std::cout << train::to_text(to_json(models, *set, args, result)) << std::endl;
  else
    print_table(models, *set, args, result);
  // Where a program reads what is printed, this is for people.
  std::ostream& said = args.json ? std::cerr : std::cout;
  if (table) said << "Wrote " << args.csv << ": a line an image" << std::endl;
  if (!args.page.empty()) said << "Wrote " << args.page << ": open it in a browser" << std::endl;
  return 0;
}

}  // namespace

void add_eval(Command& program) {
  auto args = std::make_shared<EvalArguments>();
  Command& command =
      program.add_command("eval", "Accuracy and loss of a trained model, or of an ensemble");
  command
      .add_option("RUN", args->runs,
                  "run folders (their newest checkpoints) or checkpoint files; several are an "
                  "ensemble: the mean of their probabilities")
      .required();
  add_run_data_options(command, args->data);
  command
      .add_option("--resize", args->resize,
                  "resize the shorter side to this before cropping; several, as in 224,256,288: "
                  "the mean over these scales (default: as the run's tests)")
      .check(number_in(1, 8192))
      .delimiter(',')
      .one_at_a_time();
  command.add_option("--crop", args->crop, "side of the crop (default: the size trained on)")
      .check(number_in(1, 8192));
  command
      .add_option("--crops", args->crops,
                  "1: from the middle; 10: corners, middle, and their mirror images")
      .check(one_of({"1", "10"}))
      .show_default();
  command
      .add_option("--views", args->views,
                  "of each crop: none, mirror (also its mirror image), or mirror_translate (both "
                  "also moved by one pixel either way: six views)")
      .check(one_of({"none", "mirror", "mirror_translate"}))
      .show_default();
  command.add_option("--batch", args->batch, "images per step (default: the run's, at most 128)")
      .check(number_in(1, 65536));
  add_threads_option(command, args->threads);
  command
      .add_option("--csv", args->csv,
                  "write a line an image: file, label, prediction, the probability of every class")
      .type_name("FILE");
  command.add_flag("--confusion", args->confusion, "also print which classes were taken for which");
  command
      .add_option("--page", args->page,
                  "write one HTML page: classes, a map of confusions, the most confident mistakes")
      .type_name("FILE");
  command.add_flag("--json", args->json, "print one JSON object");
  command.footer(
      "Example:\n  exciton eval runs/first\n"
      "  exciton eval runs/first --csv predictions.csv --confusion --page eval.html\n"
      "  exciton eval runs/first/checkpoints/epoch-0020.ckpt --json\n"
      "  exciton eval runs/a runs/b --resize 256 --crops 10");
  command.action([args] { return run(*args); });
}

}  // namespace exciton::apps
