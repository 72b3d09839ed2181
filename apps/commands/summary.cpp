/// exciton summary
#include <cstdio>
#include <iostream>
#include <memory>

#include "apps/commands/commands.hpp"
#include "exciton/core/limits.hpp"
#include "exciton/nn/layers.hpp"
#include "exciton/nn/summary.hpp"
#include "exciton/train/json.hpp"
#include "exciton/train/memory_need.hpp"
#include "exciton/train/recipe.hpp"

namespace exciton::apps {
namespace {

struct SummaryArguments {
  std::string model;
  std::int64_t classes = 0, image = 0, channels = 3;
  std::vector<std::string> set;
  std::int64_t batch = 0;
  std::string dtype = "f32", recompute = "none";
  bool json = false, train = false;
};

double percent(std::int64_t part, std::int64_t whole) {
  return whole > 0 ? 100 * static_cast<double>(part) / static_cast<double>(whole) : 0;
}

void print_table(const nn::Summary& s) {
  std::size_t name_width = 5, kind_width = 4, shape_width = 6;
  for (const nn::SummaryRow& row : s.rows) {
    name_width = std::max(name_width, row.name.size());
    kind_width = std::max(kind_width, row.kind.size());
    shape_width = std::max(shape_width, row.output.str().size());
  }
  const int n = static_cast<int>(name_width), k = static_cast<int>(kind_width),
            w = static_cast<int>(shape_width);
  std::printf("%-*s  %-*s  %-*s %12s %14s %14s\n", n, "layer", k, "operation", w, "output",
              "parameters", "multiply-adds", "bytes");
  for (const nn::SummaryRow& row : s.rows)
    std::printf("%-*s  %-*s  %-*s %12lld %14lld %14lld%s\n", n, row.name.c_str(), k,
                row.kind.c_str(), w, row.output.str().c_str(),
                static_cast<long long>(row.parameters), static_cast<long long>(row.multiply_adds),
                static_cast<long long>(row.activation_bytes), row.is_se ? "  SE" : "");
  std::printf("\n%s, %lld classes, one image of %lld x %lld\n", s.model.c_str(),
              static_cast<long long>(s.classes), static_cast<long long>(s.image_size),
              static_cast<long long>(s.image_size));
  std::printf("parameters     %14lld   of them SE %12lld (%.2f %%)\n",
              static_cast<long long>(s.parameters), static_cast<long long>(s.se_parameters),
              percent(s.se_parameters, s.parameters));
  std::printf("multiply-adds  %14lld   of them SE %12lld (%.2f %%)\n",
              static_cast<long long>(s.multiply_adds), static_cast<long long>(s.se_multiply_adds),
              percent(s.se_multiply_adds, s.multiply_adds));
  std::printf("activations    %14lld bytes\n", static_cast<long long>(s.activation_bytes));
}

train::Json to_json(const nn::Summary& s) {
  train::Json layers = train::Json::array();
  for (const nn::SummaryRow& row : s.rows) {
    train::Json shape = train::Json::array();
    for (const std::int64_t d : row.output) shape.push_back(d);
    layers.push_back({{"name", row.name},
                      {"operation", row.kind},
                      {"output", shape},
                      {"parameters", row.parameters},
                      {"multiply_adds", row.multiply_adds},
                      {"activation_bytes", row.activation_bytes},
                      {"se", row.is_se}});
  }
  return {{"model", s.model},
          {"classes", s.classes},
          {"image_size", s.image_size},
          {"parameters", s.parameters},
          {"multiply_adds", s.multiply_adds},
          {"se_parameters", s.se_parameters},
          {"se_multiply_adds", s.se_multiply_adds},
          {"activation_bytes", s.activation_bytes},
          {"layers", layers}};
}

/// Bytes that training takes, and can have.
train::Json training_of(const SummaryArguments& args, const train::ModelRecipe& model) {
  train::Recipe recipe;
  recipe.model = model;
  recipe.dtype = args.dtype;
  recipe.recompute = args.recompute;
  const auto entry = nn::model_registry().find(model.name);
  const std::int64_t batch = args.batch > 0 ? args.batch : recipe.data.batch;
  const train::MemoryNeed need(
      recipe,
      {.image_size = args.image > 0 || !entry ? args.image : entry->image_size,
       .channels = args.channels,
       .classes = model.options.classes > 0 || !entry ? model.options.classes : entry->classes,
       .batch = batch});
  return {{"batch", batch},
          {"dtype", args.dtype},
          {"bytes", need.bytes(batch)},
          {"limit", read_limits().usable_memory()}};
}

int run(const SummaryArguments& args) {
  const train::ModelRecipe recipe = train::model_recipe(args.model, args.classes, args.set);
  // First, for what this process holds counts.
  const train::Json training = args.train ? training_of(args, recipe) : train::Json();
  nn::ModelOptions options = recipe.options;
  options.image_channels = args.channels;
  options.image_size = args.image;
  const nn::SkipInitialization shapes_alone;
  nn::Model model = nn::make_model(recipe.name, options);
  const nn::Summary summary = nn::summarize(model, args.image);
  if (args.json) {
    train::Json json = to_json(summary);
    if (args.train) json["training"] = training;
    std::cout << train::to_text(json) << std::endl;
    return 0;
  }
  print_table(summary);
  if (args.train)
    std::printf("training       %14lld bytes at batch %lld in %s, of %lld here%s\n",
                training["bytes"].get<long long>(), training["batch"].get<long long>(),
                args.dtype.c_str(), training["limit"].get<long long>(),
                training["bytes"] > training["limit"] ? ": it does not fit" : "");
  return 0;
}

}  // namespace

void add_summary(Command& program) {
  auto args = std::make_shared<SummaryArguments>();
  Command& command =
      program.add_command("summary", "Layers, parameters and multiply-adds of a model");
  command.add_option("MODEL", args->model, "its name, e.g. se_resnet20").required();
  command.add_option("--classes", args->classes, "outputs (default: 10 or 1000)")
      .check(number_in(1, 1'000'000));
  command.add_option("--image", args->image, "height and width (default: the model's own)")
      .check(number_in(1, 4096));
  command.add_option("--channels", args->channels, "3 for colour, 1 for grey")
      .check(one_of({"1", "3"}));
  add_set_option(command, args->set, "se.reduction=8");
  command.add_flag("--train", args->train, "also the memory that training takes");
  command.add_option("--batch", args->batch, "of so many images (default: 128)")
      .check(number_in(2, 65536));
  command.add_option("--dtype", args->dtype, "of its maps")
      .check(one_of({"f32", "bf16", "auto"}))
      .show_default();
  command.add_option("--recompute", args->recompute, "what it computes again")
      .check(one_of({"none", "block"}))
      .show_default();
  command.add_flag("--json", args->json, "print one JSON object");
  command.footer(
      "Example:\n  exciton summary se_resnet50\n"
      "  exciton summary se_resnet50 --train --batch 32 --dtype bf16\n"
      "  exciton summary se_resnet20 --classes 100 --set se.reduction=4 --json");
  command.action([args] { return run(*args); });
}

}  // namespace exciton::apps
