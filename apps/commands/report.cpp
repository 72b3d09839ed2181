/// exciton report
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <memory>

#include "apps/commands/commands.hpp"
#include "apps/page/page.hpp"
#include "apps/study/run_log.hpp"
#include "apps/terminal/csv_file.hpp"
#include "apps/terminal/hints.hpp"
#include "exciton/core/error.hpp"
#include "exciton/train/changes.hpp"
#include "exciton/train/recipe_json.hpp"
#include "exciton/train/run_folder.hpp"

namespace exciton::apps {
namespace fs = std::filesystem;
namespace {

struct ReportArguments {
  std::vector<std::string> runs;
  std::string out, csv;
  bool json = false;
};

struct Run {
  std::string name;
  train::Recipe recipe;
  std::vector<train::Json> log;
  std::vector<train::Change> changes;

  /// The line of highest test top-1, the first of equals.
  const train::Json& best() const {
    const train::Json* out = &log.front();
    for (const train::Json& line : log)
      if (line.at("test_top1").get<double>() > out->at("test_top1").get<double>()) out = &line;
    return *out;
  }
  double sum(const char* key) const {
    double out = 0;
    for (const train::Json& line : log) out += line.at(key).get<double>();
    return out;
  }
};

Run read_run(const std::string& path) {
  const train::RunFolder folder(path, warn);
  check(fs::is_regular_file(folder.recipe()), "report: no recipe.json in ", path,
        "; wanted a run folder, as `exciton train` makes them");
  Run run{.name = path,
          .recipe = train::Recipe::read(folder.recipe(), train::Recipe::Source::stored),
          .log = watched_log(folder)};
  check(!run.recipe.detects(), "report: ", path,
        " is a detector's; its log is in log.jsonl, and eval --page shows what it finds");
  check(!run.log.empty(), "report: ", path, " has no whole epoch yet");
  if (fs::exists(folder.changes())) run.changes = train::read_changes(folder.changes());
  for (const train::Json& line : run.log)
    for (const char* key : {"train_loss", "train_top1", "test_loss", "test_top1", "lr",
                            "images_per_second", "seconds", "test_seconds"})
      check(line.contains(key) && line[key].is_number(), "report: ", folder.log().string(),
            ": a line without ", key);
  return run;
}

train::Json to_json(const Run& run, bool curves) {
  train::Json out{{"run", run.name},
                  {"model", run.recipe.model.name},
                  {"epochs", run.log.size()},
                  {"of_epochs", run.recipe.epochs},
                  {"seed", run.recipe.seed},
                  {"dtype", run.recipe.dtype},
                  {"train_loss", rounded(run.log.back().at("train_loss").get<double>())},
                  {"measured_on", run.log.back().at("measured_on")},
                  {"test_loss", rounded(run.log.back().at("test_loss").get<double>())},
                  {"test_top1", run.log.back().at("test_top1")},
                  {"best_top1", run.best().at("test_top1")},
                  {"best_epoch", run.best().at("epoch")},
                  {"images_per_second",
                   rounded(run.sum("images_per_second") / static_cast<double>(run.log.size()))},
                  {"seconds", rounded(run.sum("seconds") + run.sum("test_seconds"))}};
  for (const train::Change& c : run.changes)
    out["changes"].push_back({{"epoch", c.position.epoch + 1},
                              {"step", c.step},
                              {"time", c.time},
                              {"key", c.key},
                              {"from", c.from},
                              {"to", c.to}});
  if (!curves) return out;
  // What tells the runs apart.
  out["recipe"] = train::to_json(run.recipe);
  for (const char* key :
       {"train_loss", "test_loss", "train_top1", "test_top1", "lr", "images_per_second"}) {
    std::vector<double> values;
    for (const train::Json& line : run.log) values.push_back(line.at(key).get<double>());
    out["curves"][key] = rounded_list(values);
  }
  return out;
}

/// Every number and word of the logs, a line an epoch; what a line has within it, such as counts of
/// gates, is left to log.jsonl.
void write_log(const std::string& file, const std::vector<Run>& runs) {
  std::vector<std::string> keys{"epoch"};
  for (const Run& one : runs)
    for (const train::Json& line : one.log)
      for (const auto& [key, value] : line.items())
        if (!value.is_structured() && std::ranges::count(keys, key) == 0) keys.push_back(key);
  CsvFile out(file, "report");
  out.cell("run");
  for (const std::string& key : keys) out.cell(key);
  out.end();
  for (const Run& one : runs)
    for (const train::Json& line : one.log) {
      out.cell(one.name);
      for (const std::string& key : keys) {
        const train::Json value = line.value(key, train::Json());
        out.cell(value.is_null()     ? ""
                 : value.is_string() ? value.get<std::string>()
                                     : value.dump());
      }
      out.end();
    }
  out.close();
}

int run(const ReportArguments& args) {
  std::vector<Run> runs;
  for (const std::string& path : args.runs) runs.push_back(read_run(path));
  train::Json all = train::Json::array(), short_form = train::Json::array();
  for (const Run& one : runs) {
    all.push_back(to_json(one, true));
    short_form.push_back(to_json(one, false));
  }
  if (!args.csv.empty()) write_log(args.csv, runs);
  if (!args.out.empty()) write_page(args.out, "Training runs", "report.js", {{"runs", all}});
  if (args.json) {
    std::cout << train::to_text(train::Json{{"runs", all}}) << std::endl;
    return 0;
  }
  std::size_t width = 3;
  for (const Run& one : runs) width = std::max(width, one.name.size());
  std::printf(
      "%-*s  %-16s  epochs  train loss  test loss  test top-1        best (epoch)  images/s  "
      "hours\n",
      static_cast<int>(width), "run", "model");
  for (const train::Json& r : short_form)
    std::printf("%-*s  %-16s  %6lld  %10.4f  %9.4f  %8.2f %%  %8.2f %% (%lld)  %8.0f  %5.2f\n",
                static_cast<int>(width), r["run"].get<std::string>().c_str(),
                r["model"].get<std::string>().c_str(), r["epochs"].get<long long>(),
                r["train_loss"].get<double>(), r["test_loss"].get<double>(),
                100 * r["test_top1"].get<double>(), 100 * r["best_top1"].get<double>(),
                r["best_epoch"].get<long long>(), r["images_per_second"].get<double>(),
                r["seconds"].get<double>() / 3600);
  for (const Run& one : runs)
    for (const train::Change& c : one.changes)
      std::printf("%s: from epoch %lld, step %lld on %s is %s, was %s (%s)\n", one.name.c_str(),
                  static_cast<long long>(c.position.epoch + 1), static_cast<long long>(c.step),
                  c.key.c_str(), c.to.c_str(), c.from.c_str(), c.time.c_str());
  for (const train::Json& r : short_form)
    if (r["measured_on"] == "val")
      std::printf("%s was measured on the validation images that choose its best epoch\n",
                  r["run"].get<std::string>().c_str());
  if (!args.csv.empty()) std::printf("Wrote %s: a line an epoch\n", args.csv.c_str());
  if (!args.out.empty()) std::printf("Wrote %s: open it in a browser\n", args.out.c_str());
  return 0;
}

}  // namespace

void add_report(Command& program) {
  auto args = std::make_shared<ReportArguments>();
  Command& command = program.add_command("report", "Curves of one or several training runs");
  command.add_option("RUN", args->runs, "run folders").required();
  command.add_option("--out", args->out, "write one HTML page with the curves").type_name("FILE");
  command.add_option("--csv", args->csv, "write the logs as one table, a line an epoch")
      .type_name("FILE");
  command.add_flag("--json", args->json, "print one JSON object");
  command.footer("Example:\n  exciton report runs/plain runs/se --out report.html");
  command.action([args] { return run(*args); });
}

}  // namespace exciton::apps
