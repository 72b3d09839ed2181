/// exciton recipes
#include <algorithm>
#include <cstdio>
#include <iostream>
#include <memory>
#include <optional>

#include "apps/commands/commands.hpp"
#include "apps/terminal/progress.hpp"
#include "apps/terminal/recipe_folder.hpp"
#include "exciton/core/error.hpp"
#include "exciton/nn/layers.hpp"
#include "exciton/nn/summary.hpp"
#include "exciton/train/recipe.hpp"
#include "exciton/train/recipe_json.hpp"

namespace exciton::apps {
namespace fs = std::filesystem;
namespace {

struct RecipesArguments {
  std::string filter, dir;
  bool count = false, json = false;
};

/// What this program counts for one image.
struct Counted {
  std::int64_t parameters, multiply_adds;
};

struct Listed {
  std::string name;  ///< relative to the folder, without ".json"
  fs::path file;
  train::Recipe recipe;
  std::optional<Counted> counted;
};

std::vector<Listed> read_all(const fs::path& folder, const std::string& filter) {
  std::vector<Listed> all;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    fs::path name = entry.path().lexically_relative(folder);
    if (name.extension() != ".json") continue;
    name.replace_extension();
    if (name.string().find(filter) == std::string::npos) continue;
    try {
      const train::Recipe recipe = train::Recipe::read(entry.path());
      all.push_back({name.string(), entry.path(), recipe, {}});
    } catch (const Error& error) {
      std::cerr << "exciton: skipping " << error.what() << std::endl;
    }
  }
  // By the number of the table, then by name.
  const auto table = [](const Listed& l) {
    return l.recipe.paper ? std::atoi(l.recipe.paper->table.c_str()) : 0;
  };
  std::sort(all.begin(), all.end(), [&](const Listed& a, const Listed& b) {
    return std::pair(table(a), a.name) < std::pair(table(b), b.name);
  });
  return all;
}

/// The model at its native size, with as many classes and channels as the data's kind has.
Counted count(const train::Recipe& recipe) {
  nn::ModelOptions options = recipe.model.options;
  const std::string& kind = recipe.data.kind;
  if (options.classes == 0 && kind == "cifar100") options.classes = 100;
  if (kind.ends_with("mnist")) options.image_channels = 1;
  const nn::SkipInitialization shapes_alone;
  nn::Model model = nn::make_model(recipe.model.name, options);
  const nn::Summary summary = nn::summarize(model);
  return {summary.parameters, summary.multiply_adds};
}

/// `value` with so many decimals, or "-" for 0, which stands for "not printed".
std::string printed(double value, int decimals) {
  char text[32];
  std::snprintf(text, sizeof text, "%.*f", decimals, value);
  return value > 0 ? text : "-";
}

void print_table(const std::vector<Listed>& all, bool counted) {
  std::size_t name_width = 6, row_width = 11;
  for (const Listed& l : all) {
    name_width = std::max(name_width, l.name.size());
    if (l.recipe.paper) row_width = std::max(row_width, l.recipe.paper->row.size());
  }
  const int n = static_cast<int>(name_width), r = static_cast<int>(row_width);
  std::printf("%-*s  %-*s  %12s  %10s %11s  %6s%s\n", n, "", r, "the paper's", "error, %",
              "parameters", "", "GFLOPs", counted ? "  this program's count" : "");
  std::printf("%-*s  %-*s  %6s %5s  %10s %11s  %6s%s\n", n, "recipe", r, "row", "top-1", "top-5",
              "printed, M", "exact", "", counted ? "   parameters  GFLOPs" : "");
  for (const Listed& l : all) {
    const train::PaperRecipe paper = l.recipe.paper.value_or(train::PaperRecipe{});
    std::printf("%-*s  %-*s  %6s %5s  %10s %11s  %6s", n, l.name.c_str(), r,
                paper.row.empty() ? "-" : paper.row.c_str(), printed(paper.top1_error, 2).c_str(),
                printed(paper.top5_error, 2).c_str(), printed(paper.parameters_millions, 1).c_str(),
                printed(static_cast<double>(paper.parameters), 0).c_str(),
                printed(paper.gflops, paper.gflops < 1 ? 3 : 2).c_str());
    if (l.counted)
      std::printf("  %11lld  %6.3f", static_cast<long long>(l.counted->parameters),
                  static_cast<double>(l.counted->multiply_adds) / 1e9);
    std::printf("\n");
  }
}

train::Json to_json(const std::vector<Listed>& all) {
  train::Json out = train::Json::array();
  for (const Listed& l : all) {
    train::Json entry = {
        {"name", l.name}, {"file", l.file.string()}, {"model", l.recipe.model.name}};
    const train::Json recipe = to_json(l.recipe);
    if (l.recipe.paper) entry["paper"] = recipe["paper"];
    if (l.counted)
      entry["counted"] = {{"parameters", l.counted->parameters},
                          {"multiply_adds", l.counted->multiply_adds}};
    out.push_back(entry);
  }
  return out;
}

int run(const RecipesArguments& args) {
  const fs::path folder = recipe_folder(args.dir, "--dir");
  std::vector<Listed> all = read_all(folder, args.filter);
  check(!all.empty(), "recipes: none in ", folder.string(), " with \"", args.filter,
        "\" in its name; leave that out to see them all");
  if (args.count) {
    Progress progress(static_cast<std::int64_t>(all.size()));
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (progress.due()) progress.update(static_cast<std::int64_t>(i), "count", all[i].name);
      // A detector has more than the network that its recipe names.
      if (!all[i].recipe.detects()) all[i].counted = count(all[i].recipe);
    }
    progress.clear();
  }
  if (args.json)
    std::cout << train::to_text(to_json(all)) << std::endl;
  else
    print_table(all, args.count);
  return 0;
}

}  // namespace

void add_recipes(Command& program) {
  auto args = std::make_shared<RecipesArguments>();
  Command& command =
      program.add_command("recipes", "The recipes that come along, and what the paper reports");
  command.add_option("FILTER", args->filter, "only names that contain this");
  command
      .add_option("--dir", args->dir,
                  "folder of recipes (default: ./recipes, or else the installed ones)")
      .type_name("DIR");
  command.add_flag("--count", args->count,
                   "build each model and count its parameters and multiply-adds (seconds a model)");
  command.add_flag("--json", args->json, "print one JSON list");
  command.footer(
      "Example:\n  exciton recipes\n"
      "  exciton recipes table10 --count\n"
      "  exciton train recipes/paper/table4_se_wrn16_8.json --data data-cache/cifar10 --out "
      "runs/wrn");
  command.action([args] { return run(*args); });
}

}  // namespace exciton::apps
