/// exciton study
#include "apps/study/families.hpp"

#include <algorithm>
#include <cmath>
#include <iostream>
#include <memory>
#include <sstream>

#include "apps/commands/commands.hpp"
#include "apps/page/page.hpp"
#include "apps/study/member.hpp"
#include "apps/study/speedrun.hpp"
#include "apps/terminal/format.hpp"
#include "apps/terminal/hints.hpp"
#include "apps/terminal/quiet_out.hpp"
#include "exciton/nn/summary.hpp"
#include "exciton/train/recipe_json.hpp"
#include "exciton/train/run_folder.hpp"
#include "exciton/train/trained_model.hpp"

namespace exciton::apps {
namespace fs = std::filesystem;
namespace {

struct StudyArguments {
  std::string name, recipe, data, out;
  std::vector<std::string> set;
  std::vector<std::int64_t> targets{};
  bool se = false;
  std::vector<std::string> variants{};
  std::int64_t seeds = 3;
  std::optional<std::string> epochs, threads;  ///< as they were written
  bool json = false;
};

/// The base recipe with the options of the command line.
train::Json base_recipe(const StudyArguments& args) {
  train::Json json = train::read_json(args.recipe);
  for (const std::string& assignment : args.set) train::set_value(json, assignment);
  train::recipe_from(json, train::Recipe::Source::given, "recipe: " + args.recipe);  // is one
  if (!args.data.empty()) json["data"]["dir"] = args.data;
  for (const auto& [key, text] : {std::pair("epochs", args.epochs), {"threads", args.threads}})
    if (text) json[key] = train::try_json(*text).value_or(train::Json(*text));
  if (!json.contains("checkpoint")) json["checkpoint"] = {{"keep_last", 1}, {"keep_best", false}};
  return json;
}

VariantResult result_of(const Variant& variant, const std::vector<fs::path>& members,
                        std::int64_t epochs) {
  VariantResult out{.variant = variant};
  for (const fs::path& member : members) {
    out.logs.push_back(log_of(member, epochs));
    out.errors.push_back(100 * (1 - out.logs.back().back().at("test_top1").get<double>()));
    double seconds = 0;
    for (const train::Json& line : out.logs.back()) seconds += line.at("seconds").get<double>();
    out.seconds.push_back(seconds / static_cast<double>(out.logs.back().size()));
  }
  train::TrainedModel trained = train::load(members.front(), warn);
  const nn::Summary summary = nn::summarize(trained.model, trained.preprocessing.image_size);
  out.parameters = summary.parameters;
  out.multiply_adds = summary.multiply_adds;
  return out;
}

/// "8.12 ± 0.31", or without the interval for one seed.
std::string with_interval(const std::vector<double>& errors) {
  if (errors.size() < 2) return format("%.2f", mean(errors));
  return format("%.2f ± %.2f", mean(errors), half_interval(errors));
}

std::string verdict_of(const Comparison& c) {
  if (c.verdict.empty()) return "reference";
  return format("%+.2f, p %.2g: ", c.welch.difference, c.corrected) + c.verdict;
}

std::string paper_of(const Variant& variant) {
  return variant.paper ? format("%.2f", *variant.paper) : "-";
}

constexpr const char* method =
    "Test error after the last epoch: mean over the seeds ± half of its 95 % interval (Student's "
    "t). p: Welch's test against the reference, with Holm's correction for the family; above 0.05 "
    "no difference is claimed.";

struct Study {
  Family family;
  train::Json recipe;
  std::string command, data;
  std::int64_t seeds = 0;
  std::vector<VariantResult> results;
  std::vector<Comparison> comparisons;
};

const std::vector<std::string>& heads() {
  static const std::vector<std::string> out{
      "variant",     "test error %",         "parameters",           "multiply-adds",
      "s per epoch", "paper, top-1 error %", "against the reference"};
  return out;
}

std::vector<std::string> cells(const Study& study, std::size_t i) {
  const VariantResult& r = study.results[i];
  return {r.variant.title,
          with_interval(r.errors),
          std::to_string(r.parameters),
          std::to_string(r.multiply_adds),
          format("%.1f", mean(r.seconds)),
          paper_of(r.variant),
          verdict_of(study.comparisons[i])};
}

std::string facts(const Study& study) {
  const train::Recipe recipe = train::recipe_from(study.recipe);
  return format("%s, %s, %lld epochs, %lld seed%s", recipe.model.name.c_str(), study.data.c_str(),
                static_cast<long long>(recipe.epochs), static_cast<long long>(study.seeds),
                study.seeds == 1 ? "" : "s");
}

std::string one_seed_note(const Study& study) {
  return study.seeds > 1 ? "" : "One seed says nothing about differences: use --seeds 3 or more.";
}

std::string markdown(const Study& study) {
  std::string out = "## " + study.family.title + "\n\n" + facts(study) + "\n\n|";
  for (const std::string& head : heads()) out += ' ' + head + " |";
  out += "\n|";
  for (std::size_t i = 0; i < heads().size(); ++i) out += " --- |";
  out += '\n';
  for (std::size_t i = 0; i < study.results.size(); ++i) {
    out += '|';
    for (const std::string& cell : cells(study, i)) out += ' ' + cell + " |";
    out += '\n';
  }
  out += std::string("\n") + method;
  if (!study.family.paper.empty()) out += " Paper: " + study.family.paper + ".";
  if (study.seeds == 1) out += ' ' + one_seed_note(study);
  return out + "\n\nMade by `" + study.command + "`.\n";
}

std::string csv(const Study& study) {
  std::ostringstream out;
  out.precision(10);
  out << "variant,seed,test_error,seconds_an_epoch,parameters,multiply_adds,paper_error\n";
  for (const VariantResult& r : study.results)
    for (std::size_t s = 0; s < r.errors.size(); ++s)
      out << r.variant.name << ',' << s + 1 << ',' << r.errors[s] << ',' << r.seconds[s] << ','
          << r.parameters << ',' << r.multiply_adds << ','
          << (r.variant.paper ? paper_of(r.variant) : "") << '\n';
  return out.str();
}

train::Json to_json(const Study& study, bool curves) {
  train::Json variants = train::Json::array();
  for (std::size_t i = 0; i < study.results.size(); ++i) {
    const VariantResult& r = study.results[i];
    const Comparison& c = study.comparisons[i];
    train::Json one{
        {"name", r.variant.name},
        {"title", r.variant.title},
        {"errors", rounded_list(r.errors, 8)},
        {"mean_error", rounded(mean(r.errors), 8)},
        {"half_interval", rounded(half_interval(r.errors), 8)},
        {"parameters", r.parameters},
        {"multiply_adds", r.multiply_adds},
        {"seconds_an_epoch", rounded(mean(r.seconds))},
        {"paper_error", r.variant.paper ? train::Json(*r.variant.paper) : train::Json()}};
    if (!c.verdict.empty())
      one["against_reference"] = {
          {"difference", rounded(c.welch.difference, 8)}, {"t", rounded(c.welch.t, 8)},
          {"freedom", rounded(c.welch.freedom, 8)},       {"p", rounded(c.welch.p, 8)},
          {"p_corrected", rounded(c.corrected, 8)},       {"verdict", c.verdict}};
    if (curves) {
      one["cells"] = cells(study, i);
      train::Json runs = train::Json::array();
      for (const auto& log : r.logs) {
        train::Json run = train::Json::object();
        for (const char* key : {"train_loss", "test_loss", "train_top1", "test_top1"}) {
          std::vector<double> values;
          for (const train::Json& line : log) values.push_back(line.at(key).get<double>());
          run[key] = rounded_list(values);
        }
        runs.push_back(run);
      }
      one["runs"] = runs;
    }
    variants.push_back(one);
  }
  train::Json out{{"study", study.family.name},
                  {"title", study.family.title},
                  {"facts", facts(study)},
                  {"seeds", study.seeds},
                  {"reference", study.results[study.family.reference].variant.name},
                  {"paper", study.family.paper},
                  {"command", study.command},
                  {"method", method},
                  {"note", one_seed_note(study)},
                  {"variants", variants}};
  if (curves) out["heads"] = heads();
  return out;
}

/// Columns count characters, not bytes.
std::size_t width_of(const std::string& text) {
  std::size_t n = 0;
  for (const char c : text) n += (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  return n;
}

void print(const Study& study) {
  std::vector<std::size_t> widths;
  for (std::size_t k = 0; k < heads().size(); ++k) {
    widths.push_back(width_of(heads()[k]));
    for (std::size_t i = 0; i < study.results.size(); ++i)
      widths[k] = std::max(widths[k], width_of(cells(study, i)[k]));
  }
  const auto line = [&](const std::vector<std::string>& row) {
    for (std::size_t k = 0; k < row.size(); ++k) {
      const std::string pad(widths[k] - width_of(row[k]), ' ');
      const bool left = k == 0 || k + 1 == row.size();
      std::cout << (left ? row[k] + pad : pad + row[k]) << "  ";
    }
    std::cout << '\n';
  };
  std::cout << '\n' << study.family.title << ": " << facts(study) << '\n';
  line(heads());
  for (std::size_t i = 0; i < study.results.size(); ++i) line(cells(study, i));
  std::cout << method << '\n';
  if (study.seeds == 1) std::cout << one_seed_note(study) << '\n';
}

constexpr const char* default_recipe = "recipes/cifar10_se_resnet20_fast.json";

int run(StudyArguments args) {
  if (args.name == speedrun_study) {
    const bool done = run_speedrun({.targets = args.targets,
                                    .se = args.se,
                                    .variants = args.variants,
                                    .seeds = args.seeds,
                                    .epochs = args.epochs,
                                    .threads = args.threads,
                                    .data = args.data,
                                    .out = args.out,
                                    .recipes = args.recipe,
                                    .set = args.set,
                                    .json = args.json});
    return done ? 0 : exit_interrupted;
  }
  check(args.targets.empty() && !args.se && args.variants.empty(),
        "study: --targets, --se and --variant are for the study speedrun, not for ", args.name);
  if (args.recipe.empty()) args.recipe = default_recipe;
  Study study{.family = study_family(args.name), .recipe = base_recipe(args), .seeds = args.seeds};
  const fs::path out = args.out.empty() ? fs::path("studies") / args.name : fs::path(args.out);
  study.command = "exciton study " + args.name + " --seeds " + std::to_string(args.seeds) +
                  (args.epochs ? " --epochs " + *args.epochs : "") + " --recipe " + args.recipe;
  for (const std::string& assignment : args.set) study.command += " --set " + assignment;
  {
    const QuietOut quiet(args.json);
    const train::FolderLock lock(out, "study", warn);
    const std::int64_t epochs = train::recipe_from(study.recipe).epochs;
    // Seed by seed, so that a study that is cut short has compared everything a few times.
    std::vector<std::vector<fs::path>> members(study.family.variants.size());
    const std::size_t all = study.family.variants.size() * static_cast<std::size_t>(args.seeds);
    std::size_t done = 0;
    for (std::int64_t seed = 1; seed <= args.seeds; ++seed)
      for (std::size_t v = 0; v < study.family.variants.size(); ++v) {
        const Variant& variant = study.family.variants[v];
        members[v].push_back(out / (variant.name + "-seed" + std::to_string(seed)));
        std::cout << "\n[" << ++done << '/' << all << "] " << variant.title << ", seed " << seed
                  << std::endl;
        if (!train_member(variant_recipe(study.recipe, variant, static_cast<std::uint64_t>(seed)),
                          members[v].back())) {
          std::cout << "The same command goes on with this study" << std::endl;
          return exit_interrupted;
        }
      }
    for (std::size_t v = 0; v < members.size(); ++v)
      study.results.push_back(result_of(study.family.variants[v], members[v], epochs));
    study.data = train::load(members.front().front(), warn).recipe.data.kind;
    study.comparisons = compare(study.family, study.results);
    write_text(out / "study.md", markdown(study), "study");
    write_text(out / "study.csv", csv(study), "study");
    write_text(out / "study.json", to_json(study, false).dump(2) + '\n', "study");
    write_page(out / "study.html", study.family.title, "study.js", to_json(study, true));
    if (!args.json) print(study);
    std::cout << "Wrote study.md, study.csv, study.json and study.html in " << out.string()
              << std::endl;
  }
  if (args.json) std::cout << train::to_text(to_json(study, false)) << std::endl;
  return 0;
}

}  // namespace

void add_study(Command& program) {
  auto args = std::make_shared<StudyArguments>();
  Command& command = program.add_command(
      "study", "Train a family of networks over several seeds, and compare them");
  command.add_option("NAME", args->name, "what is varied").required().check(one_of([] {
    std::vector<std::string> names = study_names();
    names.emplace_back(speedrun_study);
    return names;
  }()));
  command.add_option("--seeds", args->seeds, "runs of each network")
      .check(number_in(1, 1000))
      .show_default();
  command.add_option("--epochs", args->epochs, "passes over the train set (default: the recipe's)")
      .type_name("N");
  add_data_option(command, args->data, "the recipe's");
  command.add_option("--out", args->out, "folder of the runs and tables (default: studies/NAME)")
      .type_name("DIR");
  command
      .add_option("--recipe", args->recipe,
                  std::string("what is varied starts from it (default: ") + default_recipe +
                      "); of speedrun the folder of its recipes")
      .type_name("FILE");
  command
      .add_option("--targets", args->targets,
                  "speedrun: which of its recipes, by the accuracy they are named for (default: "
                  "93,94,95)")
      .check(one_of({"93", "94", "95", "96"}))
      .delimiter(',')
      .one_at_a_time();
  command.add_flag("--se", args->se, "speedrun: also each with SE, and the comparison");
  command
      .add_option("--variant", args->variants,
                  "speedrun: also each with SE and these keys of its recipe, as "
                  "\"model.se.placement=post model.se.reduction=4\"; for each of several, once")
      .type_name("KEY=VALUE...")
      .one_at_a_time();
  add_set_option(command, args->set, "data.batch=64");
  command.add_option("--threads", args->threads, "processor threads (default: all)").type_name("N");
  command.add_flag("--json", args->json, "print one JSON object");
  command.footer(
      "A study that was stopped or killed goes on when the command is given again.\n"
      "Example:\n  exciton study baseline --seeds 3 --data data-cache/cifar10\n"
      "  exciton study gate --seeds 5 --epochs 10 --out studies/gate10 --json\n"
      "  exciton study speedrun --targets 94 --se --seeds 5 --data data-cache/cifar10");
  command.action([args] { return run(*args); });
}

}  // namespace exciton::apps
