#include "apps/study/speedrun.hpp"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <iostream>
#include <iterator>
#include <memory>
#include <optional>
#include <sstream>
#include <string_view>

#include "apps/study/member.hpp"
#include "apps/study/statistics.hpp"
#include "apps/terminal/format.hpp"
#include "apps/terminal/hints.hpp"
#include "apps/terminal/interrupt.hpp"
#include "apps/terminal/quiet_out.hpp"
#include "apps/terminal/recipe_folder.hpp"
#include "exciton/core/error.hpp"
#include "exciton/nn/summary.hpp"
#include "exciton/train/recipe_json.hpp"
#include "exciton/train/run_data.hpp"
#include "exciton/train/run_folder.hpp"
#include "exciton/train/trained_model.hpp"
#include "exciton/train/views.hpp"

namespace exciton::apps {
namespace fs = std::filesystem;
namespace {

/// One network, trained from several seeds; a value each.
struct Row {
  std::string name;                  ///< "94", "94-se" or "94-se placement=post"
  std::optional<std::size_t> plain;  ///< with SE: the row of the same target without
  train::Recipe recipe;
  std::vector<fs::path> members{};
  std::vector<double> top1{}, top1_views{};  ///< percent of the test images, after the last epoch
  std::vector<double> seconds{};             ///< of training, without evaluation
  std::int64_t parameters = 0, multiply_adds = 0;
  double pflop = 0;
};

/// The assignments of a variant.
std::vector<std::string> assignments_of(const std::string& variant) {
  std::istringstream in(variant);
  const std::vector<std::string> out{std::istream_iterator<std::string>(in), {}};
  check(!out.empty(),
        "study: a variant changes nothing; expected assignments with blanks between them, as "
        "\"model.se.placement=post model.se.reduction=4\"");
  return out;
}

/// "placement=post reduction=4"; nothing for none.
std::string short_name(const std::vector<std::string>& assignments) {
  constexpr std::string_view usual = "model.se.";
  std::string out;
  for (const std::string& one : assignments)
    out += (out.empty() ? "" : " ") + one.substr(one.starts_with(usual) ? usual.size() : 0);
  return out;
}

std::vector<Row> rows_of(const SpeedrunArguments& args) {
  const fs::path folder =
      args.recipes.empty() ? recipe_folder("", "--recipe") / "speedrun" : fs::path(args.recipes);
  const std::vector<std::int64_t> targets =
      args.targets.empty() ? std::vector<std::int64_t>{93, 94, 95} : args.targets;
  std::vector<Row> rows;
  const auto add = [&](std::int64_t target, std::optional<std::size_t> plain,
                       const std::vector<std::string>& changes) {
    const std::string number = std::to_string(target);
    const fs::path file =
        folder / ("cifar10_" + std::string(plain ? "se_" : "") + number + ".json");
    train::Json json = train::read_json(file);
    for (const auto* assignments : {&args.set, &changes})
      for (const std::string& assignment : *assignments) train::set_value(json, assignment);
    if (!args.data.empty()) json["data"]["dir"] = args.data;
    for (const auto& [key, text] : {std::pair("epochs", args.epochs), {"threads", args.threads}})
      if (text) json[key] = train::try_json(*text).value_or(train::Json(*text));
    const std::string name =
        number + (plain ? "-se" : "") + (changes.empty() ? "" : " " + short_name(changes));
    for (const Row& row : rows)
      check(row.name != name, "study: ", name,
            " is there twice; give each target and variant once");
    rows.push_back({.name = name,
                    .plain = plain,
                    .recipe = train::recipe_from(json, train::Recipe::Source::given,
                                                 "recipe: " + file.string())});
  };
  for (const std::int64_t target : targets) {
    const std::size_t plain = rows.size();
    add(target, std::nullopt, {});
    if (args.se) add(target, plain, {});
    for (const std::string& variant : args.variants) add(target, plain, assignments_of(variant));
  }
  return rows;
}

/// The folder of a row's run.
std::string folder_of(const Row& row, std::int64_t seed) {
  std::string out = row.name + "-seed" + std::to_string(seed);
  std::replace_if(
      out.begin(), out.end(), [](char c) { return c == ' ' || c == '/'; }, ',');
  return out;
}

/// Top-1 accuracy by six views, percent; measured once and kept beside the checkpoint.
double with_views(const fs::path& member) {
  const fs::path kept = member / "views.json";
  train::TrainedModel trained = train::load(member, warn);
  const std::string checkpoint = trained.checkpoint.filename().string();
  if (fs::exists(kept)) {
    const train::Json json = train::read_json(kept);
    if (json.value("checkpoint", "") == checkpoint && json.contains("top1"))
      return json["top1"].get<double>();
  }
  const auto set = train::open_data_of(trained, {});
  nn::set_training(*trained.model.net, false);
  const std::int64_t own = trained.preprocessing.shorter_side;
  const train::Member one{
      .net = trained.model.net.get(),
      .views = {.scales = own > 0 ? std::vector{own} : std::vector<std::int64_t>{},
                .crop = trained.preprocessing.image_size,
                .mirror = true,
                .translate = 1},
      .normalization = trained.preprocessing.evaluation(),
      .dtype = train::activation_dtype(trained.recipe.dtype)};
  std::cout << "Six views of each test image" << std::endl;
  const double top1 = 100 * train::evaluate_views({one}, *set, {.batch = 500}).top1();
  write_text(kept, train::Json{{"checkpoint", checkpoint}, {"top1", top1}}.dump() + '\n', "study");
  return top1;
}

/// Multiply-adds forward, twice as many backward, two operations each.
double pflop_of(const Row& row, double images) {
  return 6 * static_cast<double>(row.multiply_adds) * images / 1e15;
}

void read_results(Row& row) {
  double images = 0;
  for (const fs::path& member : row.members) {
    const std::vector<train::Json> log = log_of(member, row.recipe.epochs);
    row.top1.push_back(100 * log.back().at("test_top1").get<double>());
    row.top1_views.push_back(with_views(member));
    double seconds = 0;
    images = 0;
    for (const train::Json& line : log) {
      seconds += line.at("seconds").get<double>();
      images +=
          std::round(line.at("seconds").get<double>() * line.at("images_per_second").get<double>());
    }
    row.seconds.push_back(seconds);
  }
  train::TrainedModel trained = train::load(row.members.front(), warn);
  const nn::Summary summary = nn::summarize(trained.model, trained.preprocessing.image_size);
  row.parameters = summary.parameters;
  row.multiply_adds = summary.multiply_adds;
  row.pflop = pflop_of(row, images);
}

/// "94.12 ± 0.31", or without the interval for one seed.
std::string with_interval(const std::vector<double>& values, const char* number) {
  if (values.size() < 2) return format(number, mean(values));
  return format(number, mean(values)) + " ± " + format(number, half_interval(values));
}

const std::vector<std::string>& heads() {
  static const std::vector<std::string> out{"network", "test accuracy %", "with six views %",
                                            "seconds", "PFLOP",           "seeds"};
  return out;
}

std::vector<std::string> cells(const Row& row) {
  return {row.name,
          with_interval(row.top1, "%.2f"),
          with_interval(row.top1_views, "%.2f"),
          with_interval(row.seconds, "%.0f"),
          format("%.3f", row.pflop),
          std::to_string(row.top1.size())};
}

/// What SE changes, of the accuracy with views.
struct Gain {
  std::string name, of;  ///< the row with SE, and the one without
  Welch welch;
  double corrected = 1;  ///< p, by Holm's correction where a target has several
  double time = 1;       ///< of SE, over plain
};

std::vector<Gain> gains(const std::vector<Row>& rows) {
  std::vector<Gain> out;
  for (std::size_t i = 0; i < rows.size();) {
    std::vector<double> p;
    const std::size_t first = out.size(), plain = i++;
    for (; i < rows.size() && rows[i].plain == plain; ++i) {
      out.push_back({.name = rows[i].name,
                     .of = rows[plain].name,
                     .welch = welch_test(rows[i].top1_views, rows[plain].top1_views),
                     .time = mean(rows[i].seconds) / mean(rows[plain].seconds)});
      p.push_back(out.back().welch.p);
    }
    const std::vector<double> corrected = holm(p);
    for (std::size_t k = 0; k < corrected.size(); ++k) out[first + k].corrected = corrected[k];
  }
  return out;
}

std::string text_of(const Gain& gain, std::size_t seeds) {
  std::string out =
      gain.name + " against " + gain.of + ": " +
      format("%+.2f points with views in %.2f of the time", gain.welch.difference, gain.time);
  if (seeds < 2) return out + ", one seed";
  return out + format(", p %.2g: ", gain.corrected) +
         (gain.corrected >= 0.05      ? "no difference shown"
          : gain.welch.difference > 0 ? "more accurate"
                                      : "less accurate");
}

constexpr const char* method =
    "Accuracy on the test images after the last epoch: mean over the seeds ± half of its 95 % "
    "interval (Student's t). Six views: each image, moved by a pixel up and left, and down and "
    "right, "
    "and the mirror images of these; the mean of the logits, in which unmoved ones count half. "
    "Seconds: of training, without evaluation. PFLOP: 6 operations for each multiply-add of the "
    "forward pass. p: Welch's test, with Holm's correction where a network has several variants.";

std::size_t width_of(const std::string& text) {
  std::size_t n = 0;
  for (const char c : text) n += (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  return n;
}

void print(const std::vector<Row>& rows, const std::string& facts) {
  std::cout << '\n' << facts << '\n';
  std::vector<std::vector<std::string>> table{heads()};
  for (const Row& row : rows) table.push_back(cells(row));
  for (const std::vector<std::string>& line : table) {
    for (std::size_t k = 0; k < line.size(); ++k) {
      std::size_t width = 0;
      for (const std::vector<std::string>& other : table)
        width = std::max(width, width_of(other[k]));
      const std::string pad(width - width_of(line[k]), ' ');
      std::cout << (k == 0 ? line[k] + pad : pad + line[k]) << "  ";
    }
    std::cout << '\n';
  }
  for (const Gain& gain : gains(rows)) std::cout << text_of(gain, rows.front().top1.size()) << '\n';
  std::cout << method << std::endl;
}

std::string markdown(const std::vector<Row>& rows, const std::string& facts,
                     const std::string& command) {
  std::string out = "## Speed-run\n\n" + facts + "\n\n|";
  for (const std::string& head : heads()) out += ' ' + head + " |";
  out += "\n|";
  for (std::size_t i = 0; i < heads().size(); ++i) out += " --- |";
  out += '\n';
  for (const Row& row : rows) {
    out += '|';
    for (const std::string& cell : cells(row)) out += ' ' + cell + " |";
    out += '\n';
  }
  out += '\n';
  for (const Gain& gain : gains(rows)) out += "- " + text_of(gain, rows.front().top1.size()) + '\n';
  return out + '\n' + method + "\n\nMade by `" + command + "`.\n";
}

train::Json to_json(const std::vector<Row>& rows, const std::string& facts,
                    const std::string& command) {
  const auto interval = [](const std::vector<double>& values) {
    return values.size() < 2 ? train::Json() : train::Json(half_interval(values));
  };
  train::Json networks = train::Json::array(), differences = train::Json::array();
  for (const Row& row : rows)
    networks.push_back({{"name", row.name},
                        {"model", row.recipe.model.name},
                        {"epochs", row.recipe.epochs},
                        {"top1", row.top1},
                        {"mean_top1", mean(row.top1)},
                        {"half_interval_top1", interval(row.top1)},
                        {"top1_views", row.top1_views},
                        {"mean_top1_views", mean(row.top1_views)},
                        {"half_interval_top1_views", interval(row.top1_views)},
                        {"seconds", row.seconds},
                        {"mean_seconds", mean(row.seconds)},
                        {"parameters", row.parameters},
                        {"multiply_adds", row.multiply_adds},
                        {"pflop", row.pflop}});
  for (const Gain& gain : gains(rows))
    differences.push_back({{"network", gain.name},
                           {"of", gain.of},
                           {"points_with_views", gain.welch.difference},
                           {"p", gain.welch.p},
                           {"p_corrected", gain.corrected},
                           {"time", gain.time}});
  return {{"study", speedrun_study}, {"facts", facts},       {"command", command},
          {"method", method},        {"networks", networks}, {"se", differences}};
}

std::string command_of(const SpeedrunArguments& args) {
  std::string out = "exciton study speedrun";
  for (std::size_t i = 0; i < args.targets.size(); ++i)
    out += (i == 0 ? " --targets " : ",") + std::to_string(args.targets[i]);
  if (args.se) out += " --se";
  for (const std::string& variant : args.variants) out += " --variant \"" + variant + '"';
  out += " --seeds " + std::to_string(args.seeds);
  if (args.epochs) out += " --epochs " + *args.epochs;
  for (const std::string& assignment : args.set) out += " --set " + assignment;
  return out;
}

}  // namespace

bool run_speedrun(const SpeedrunArguments& args) {
  std::vector<Row> rows = rows_of(args);
  const fs::path out = args.out.empty() ? fs::path("studies") / speedrun_study : fs::path(args.out);
  const std::string command = command_of(args);
  std::string facts;
  {
    const QuietOut quiet(args.json);
    const train::FolderLock lock(out, "study", warn);
    const std::size_t all = rows.size() * static_cast<std::size_t>(args.seeds);
    std::size_t done = 0;
    for (std::int64_t seed = 1; seed <= args.seeds; ++seed)
      for (Row& row : rows) {
        row.members.push_back(out / folder_of(row, seed));
        std::cout << "\n[" << ++done << '/' << all << "] " << row.name << ", seed " << seed
                  << std::endl;
        train::Recipe recipe = row.recipe;
        recipe.seed = static_cast<std::uint64_t>(seed);
        if (!train_member(std::move(recipe), row.members.back())) {
          std::cout << "The same command goes on with this study" << std::endl;
          return false;
        }
      }
    for (Row& row : rows) read_results(row);
    const train::TrainedModel first = train::load(rows.front().members.front(), warn);
    facts = "Speed-run on " + first.recipe.data.kind + ", " + std::to_string(args.seeds) +
            (args.seeds == 1 ? " seed" : " seeds");
    write_text(out / "study.md", markdown(rows, facts, command), "study");
    write_text(out / "study.json", to_json(rows, facts, command).dump(2) + '\n', "study");
    if (!args.json) print(rows, facts);
    std::cout << "Wrote study.md and study.json in " << out.string() << std::endl;
  }
  if (args.json) std::cout << train::to_text(to_json(rows, facts, command)) << std::endl;
  return true;
}

}  // namespace exciton::apps
