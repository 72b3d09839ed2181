/// exciton inspect
#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>

#include "apps/commands/commands.hpp"
#include "apps/commands/run_data.hpp"
#include "apps/page/page.hpp"
#include "apps/terminal/csv_file.hpp"
#include "apps/terminal/hints.hpp"
#include "apps/terminal/progress.hpp"
#include "exciton/core/suggest.hpp"
#include "exciton/core/threads.hpp"
#include "exciton/data/subset.hpp"
#include "exciton/train/inspect/gate_json.hpp"
#include "exciton/train/inspect/inspection.hpp"

namespace exciton::apps {
namespace fs = std::filesystem;
namespace {

struct InspectArguments {
  std::string run, out, csv;
  RunData data;
  std::vector<std::string> classes, files;
  std::vector<std::int64_t> picks;
  std::int64_t channels = 50, images = 8, importance = 1000;
  int threads = 0;
  bool json = false;
};

/// gates/<unit>.csv: a line per image with its number, label, and the gate of every channel.
class GateFiles {
 public:
  explicit GateFiles(const fs::path& folder) : folder_(folder / "gates") {
    std::error_code error;
    fs::create_directories(folder_, error);
    check(!error, "inspect: cannot make ", folder_.string(), ": ", error.message());
  }
  void add(const nn::GateRecorder& recorder, const Tensor& labels,
           const std::vector<std::int64_t>& indices) {
    for (std::size_t u = 0; u < recorder.units().size(); ++u) {
      const Tensor gates = recorder.gates(u);
      const std::int64_t c = gates.dim(1);
      if (u == files_.size()) {
        CsvFile& file = *files_.emplace_back(
            std::make_unique<CsvFile>(folder_ / (recorder.units()[u].name + ".csv"), "inspect"));
        file.cell("image").cell("label");
        for (std::int64_t k = 0; k < c; ++k) file.cell("c" + std::to_string(k));
        file.end();
      }
      CsvFile& file = *files_[u];
      for (std::int64_t n = 0; n < gates.dim(0); ++n) {
        file.cell(indices[static_cast<std::size_t>(n)]).cell(labels.data<std::int64_t>()[n]);
        for (std::int64_t k = 0; k < c; ++k) file.cell(gates.data<float>()[n * c + k]);
        file.end();
      }
    }
  }
  void close() {
    for (const auto& file : files_) file->close();
  }

 private:
  fs::path folder_;
  std::vector<std::unique_ptr<CsvFile>> files_;
};

/// The classes of figures 6 and 7: those asked for, or ten spread evenly.
std::vector<std::int64_t> chosen_classes(const InspectArguments& args,
                                         const std::vector<std::string>& names) {
  if (args.classes.empty()) return data::spread(static_cast<std::int64_t>(names.size()), 10);
  std::vector<std::int64_t> out;
  for (const std::string& name : args.classes) {
    const auto found = std::find(names.begin(), names.end(), name);
    if (found == names.end()) fail("inspect: no class ", name, did_you_mean(name, names));
    out.push_back(found - names.begin());
  }
  return out;
}

/// The first image of each of `count` classes, spread evenly, and another round if that is few.
std::vector<std::int64_t> example_images(const data::Dataset& set, std::int64_t count) {
  std::vector<std::int64_t> out;
  std::vector<std::int64_t> wanted(static_cast<std::size_t>(set.classes()), 0);
  for (std::int64_t i = 0; i < count; ++i)
    ++wanted[static_cast<std::size_t>((2 * i + 1) * set.classes() / (2 * count)) %
             static_cast<std::size_t>(set.classes())];
  for (std::int64_t i = 0; i < set.size() && static_cast<std::int64_t>(out.size()) < count; ++i)
    if (auto& left = wanted[static_cast<std::size_t>(set.label(i))]; left > 0) {
      --left;
      out.push_back(i);
    }
  std::stable_sort(out.begin(), out.end(),
                   [&](std::int64_t a, std::int64_t b) { return set.label(a) < set.label(b); });
  return out;
}

/// True for the last unit of its stage, the ones the paper's figure 6 shows.
std::vector<bool> last_of_stages(const std::vector<train::UnitStats>& units) {
  std::vector<bool> out(units.size(), true);
  const auto stage = [&](std::size_t i) {
    return units[i].name().substr(0, units[i].name().find('.'));
  };
  for (std::size_t i = 0; i + 1 < units.size(); ++i) out[i] = stage(i) != stage(i + 1);
  return out;
}

train::Json to_json(const train::Importance& importance) {
  train::Json by = train::Json::object();
  for (const train::Replacement& r : importance.replacements)
    by[r.by] = {{"top1", rounded(r.top1)},
                {"difference", rounded(r.difference)},
                {"error", rounded(r.error)}};
  return {{"name", importance.name},
          {"units", importance.units},
          {"parameters", importance.parameters},
          {"multiply_adds", importance.multiply_adds},
          {"replaced_by", by}};
}

/// Figures 6 and 7 of one unit.
train::Json figure(const train::UnitStats& unit, const std::vector<std::int64_t>& channels,
                   const std::vector<std::int64_t>& classes,
                   const std::vector<std::string>& names) {
  const auto series = [&](auto&& mean, auto&& deviation) {
    std::vector<double> m, d;
    for (const std::int64_t c : channels) {
      m.push_back(mean(c));
      d.push_back(deviation(c));
    }
    return train::Json{{"mean", rounded_list(m)}, {"deviation", rounded_list(d)}};
  };
  train::Json of_classes = train::Json::array();
  for (const std::int64_t k : classes) {
    train::Json one = series([&](std::int64_t c) { return unit.mean(k, c); },
                             [&](std::int64_t c) { return unit.deviation(k, c); });
    one["class"] = names[static_cast<std::size_t>(k)];
    one["images"] = unit.images(k);
    of_classes.push_back(one);
  }
  return {{"channels", channels},
          {"all", series([&](std::int64_t c) { return unit.mean(c); },
                         [&](std::int64_t c) { return unit.deviation(c); })},
          {"classes", of_classes}};
}

train::Json to_json(const train::UnitStats& unit, const train::Importance& importance, bool last,
                    train::Json fig) {
  return {{"name", unit.name()},
          {"last_of_stage", last},
          {"mean", rounded(unit.overall_mean())},
          {"deviation", rounded(unit.overall_deviation())},
          {"counts", to_json(unit.counts())},
          {"class_share", rounded(unit.class_share())},
          {"nearest_mean", rounded(unit.nearest_mean_accuracy())},
          {"histogram", {{"low", unit.low()}, {"high", unit.high()}, {"counts", unit.histogram()}}},
          {"importance", to_json(importance)},
          {"figure", std::move(fig)}};
}

/// Pixels go along for the page: at most 96 a side, which is all a card shows.
train::Json to_json(const train::Explanation& explanation, bool pixels) {
  train::Json top5 = train::Json::array(), gates = train::Json::array();
  for (const auto& [name, probability] : explanation.top5)
    top5.push_back({{"class", name}, {"probability", rounded(probability)}});
  for (const auto& unit : explanation.gates) gates.push_back(rounded_list(unit, 3));
  train::Json out{
      {"name", explanation.name}, {"label", explanation.label}, {"top5", top5}, {"gates", gates}};
  if (!explanation.heat.empty())
    out["heat"] = {{"height", explanation.heat_height},
                   {"width", explanation.heat_width},
                   {"values", rounded_list(explanation.heat, 3)}};
  if (!pixels) return out;
  const data::Image& image = explanation.image;
  const std::int64_t step = (std::max(image.height, image.width) + 95) / 96;
  std::string bytes;
  for (std::int64_t y = 0; y < image.height / step; ++y)
    for (std::int64_t x = 0; x < image.width / step; ++x)
      for (std::int64_t c = 0; c < image.channels; ++c)
        bytes += static_cast<char>(image.pixels[static_cast<std::size_t>(
            (y * step * image.width + x * step) * image.channels + c)]);
  out["image"] = {{"height", image.height / step},
                  {"width", image.width / step},
                  {"channels", image.channels},
                  {"pixels", base64(bytes)}};
  return out;
}

train::Json to_json(const InspectArguments& args, const train::TrainedModel& trained,
                    const data::Dataset& set, const train::Inspection& found, bool pixels) {
  const std::vector<std::int64_t> classes = chosen_classes(args, set.class_names());
  const std::vector<bool> last = last_of_stages(found.stats.units());
  train::Json units = train::Json::array(), groups = train::Json::array(),
              explanations = train::Json::array();
  for (std::size_t i = 0; i < found.stats.units().size(); ++i) {
    const train::UnitStats& unit = found.stats.units()[i];
    units.push_back(to_json(
        unit, found.units[i], last[i],
        figure(unit, data::spread(unit.channels(), args.channels), classes, set.class_names())));
  }
  for (const train::Importance& group : found.groups) groups.push_back(to_json(group));
  for (const train::Explanation& explanation : found.explanations)
    explanations.push_back(to_json(explanation, pixels));
  return {{"model", trained.model.name},
          {"checkpoint", trained.checkpoint.string()},
          {"epoch", trained.position.epoch},
          {"data", set.description()},
          {"classes", set.classes()},
          {"images", found.images},
          {"top1", rounded(found.top1)},
          {"loss", rounded(found.loss)},
          {"parameters", found.parameters},
          {"multiply_adds", found.multiply_adds},
          {"margin", train::gate_margin},
          {"stuck_deviation", train::stuck_deviation},
          {"counts", to_json(found.stats.counts())},
          {"replacements",
           {{"images", found.importance_images}, {"top1", rounded(found.importance_top1)}}},
          {"blocks", units},
          {"groups", groups},
          {"explanations", explanations}};
}

void write_csv(const fs::path& folder, const train::Inspection& found,
               const std::vector<std::string>& names) {
  CsvFile figures(folder / "figure6.csv", "inspect");
  figures.cell("block").cell("class").cell("channel").cell("images").cell("mean").cell("deviation");
  figures.end();
  CsvFile histogram(folder / "histogram.csv", "inspect");
  histogram.cell("block").cell("low").cell("high").cell("gates");
  histogram.end();
  CsvFile blocks(folder / "blocks.csv", "inspect");
  for (const char* title : {"block", "channels", "mean", "deviation", "dead", "saturated", "stuck",
                            "class_share", "nearest_mean", "parameters", "multiply_adds"})
    blocks.cell(title);
  blocks.end();
  CsvFile importance(folder / "replaced.csv", "inspect");
  for (const char* title : {"blocks", "by", "images", "top1", "difference", "error"})
    importance.cell(title);
  importance.end();
  const auto write_importance = [&](const train::Importance& w) {
    for (const train::Replacement& r : w.replacements) {
      importance.cell(w.name)
          .cell(r.by)
          .cell(found.importance_images)
          .cell(r.top1)
          .cell(r.difference)
          .cell(r.error);
      importance.end();
    }
  };
  for (std::size_t i = 0; i < found.stats.units().size(); ++i) {
    const train::UnitStats& unit = found.stats.units()[i];
    for (std::int64_t c = 0; c < unit.channels(); ++c) {
      figures.cell(unit.name()).cell("(all)").cell(c).cell(unit.images());
      figures.cell(unit.mean(c)).cell(unit.deviation(c)).end();
      for (std::size_t k = 0; k < names.size(); ++k) {
        const auto label = static_cast<std::int64_t>(k);
        figures.cell(unit.name()).cell(names[k]).cell(c).cell(unit.images(label));
        figures.cell(unit.mean(label, c)).cell(unit.deviation(label, c)).end();
      }
    }
    const double width = (unit.high() - unit.low()) / static_cast<double>(train::UnitStats::bins);
    for (std::size_t b = 0; b < train::UnitStats::bins; ++b) {
      histogram.cell(unit.name()).cell(unit.low() + width * static_cast<double>(b));
      histogram.cell(unit.low() + width * static_cast<double>(b + 1)).cell(unit.histogram()[b]);
      histogram.end();
    }
    const train::GateCounts n = unit.counts();
    blocks.cell(unit.name()).cell(n.channels).cell(unit.overall_mean());
    blocks.cell(unit.overall_deviation()).cell(n.dead).cell(n.saturated).cell(n.stuck);
    blocks.cell(unit.class_share()).cell(unit.nearest_mean_accuracy());
    blocks.cell(found.units[i].parameters).cell(found.units[i].multiply_adds).end();
    write_importance(found.units[i]);
  }
  for (const train::Importance& group : found.groups) write_importance(group);
  CsvFile explanations(folder / "images.csv", "inspect");
  explanations.cell("image").cell("class").cell("rank").cell("guess").cell("probability");
  explanations.end();
  for (const train::Explanation& explanation : found.explanations)
    for (std::size_t i = 0; i < explanation.top5.size(); ++i) {
      explanations.cell(explanation.name)
          .cell(explanation.label)
          .cell(i + 1)
          .cell(explanation.top5[i].first);
      explanations.cell(explanation.top5[i].second).end();
    }
  for (CsvFile* file : {&figures, &histogram, &blocks, &importance, &explanations}) file->close();
}

/// The histogram in as many characters, higher for more.
std::string sparkline(const train::UnitStats& unit) {
  static constexpr const char* bars[] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  constexpr std::size_t width = 20, each = train::UnitStats::bins / width;
  std::vector<double> sums(width);
  for (std::size_t b = 0; b < train::UnitStats::bins; ++b)
    sums[b / each] += static_cast<double>(unit.histogram()[b]);
  const double most = *std::max_element(sums.begin(), sums.end());
  std::string out;
  for (const double s : sums)
    out += bars[s > 0 ? 1 + static_cast<std::size_t>(std::sqrt(s / most) * 7) : 0];
  return out;
}

void print_importance(const train::Importance& importance) {
  for (const train::Replacement& r : importance.replacements)
    std::printf("  %+6.2f ± %4.2f", 100 * r.difference, 100 * r.error);
}

void print(const train::TrainedModel& trained, const data::Dataset& set,
           const train::Inspection& found) {
  std::printf("%s after epoch %lld, %s\n%s\ntop-1 %.2f %%, loss %.4f\n\n",
              trained.model.name.c_str(), static_cast<long long>(trained.position.epoch),
              trained.checkpoint.c_str(), set.description().c_str(), 100 * found.top1, found.loss);
  std::size_t width = 5;
  for (const train::UnitStats& unit : found.stats.units())
    width = std::max(width, unit.name().size());
  const int w = static_cast<int>(width);
  std::printf(
      "%-*s channels  gates %-14s  mean  spread  dead  satur.  stuck  class share  nearest "
      "mean\n",
      w, "block", "");
  for (const train::UnitStats& unit : found.stats.units()) {
    const train::GateCounts n = unit.counts();
    std::printf("%-*s %8lld  %s  %4.2f  %6.3f  %4lld  %6lld  %5lld  %9.1f %%  %10.1f %%\n", w,
                unit.name().c_str(), static_cast<long long>(n.channels), sparkline(unit).c_str(),
                unit.overall_mean(), unit.overall_deviation(), static_cast<long long>(n.dead),
                static_cast<long long>(n.saturated), static_cast<long long>(n.stuck),
                100 * unit.class_share(), 100 * unit.nearest_mean_accuracy());
  }
  std::printf(
      "\nTop-1 in points when gates are replaced, on %lld images (%.2f %% as it is)\n"
      "%-*s parameters       by 1           by their mean  by 0\n",
      static_cast<long long>(found.importance_images), 100 * found.importance_top1, w, "block");
  for (const auto* list : {&found.units, &found.groups})
    for (const train::Importance& importance : *list) {
      std::printf("%-*s %10lld", w, importance.name.c_str(),
                  static_cast<long long>(importance.parameters));
      print_importance(importance);
      std::printf("\n");
    }
  std::printf(
      "\nspread: deviation over images; class share: of the gates' variance, that between "
      "classes;\nnearest mean: how often the gates alone tell the class (chance %.1f %%)\n",
      100.0 / static_cast<double>(set.classes()));
  for (const train::Explanation& explanation : found.explanations) {
    std::printf("\n%s%s%s:", explanation.name.c_str(), explanation.label.empty() ? "" : ", ",
                explanation.label.c_str());
    for (const auto& [name, probability] : explanation.top5)
      std::printf("  %s %.1f %%", name.c_str(), 100 * probability);
  }
  std::printf("\n");
}

int run(const InspectArguments& args) {
  if (args.threads > 0) set_num_threads(args.threads);
  train::TrainedModel trained = train::load(args.run, warn);
  const auto set = open_data_of(trained, args.data);
  // What is wrong with the command line is told before the work.
  chosen_classes(args, set->class_names());
  if (!args.out.empty()) check_page_path(args.out);

  train::InspectionOptions options;
  options.importance_images = args.importance;
  options.files = args.files;
  options.picks =
      args.picks.empty() && args.files.empty() ? example_images(*set, args.images) : args.picks;
  std::unique_ptr<GateFiles> gate_files;
  if (!args.csv.empty()) {
    gate_files = std::make_unique<GateFiles>(args.csv);
    options.each_batch = [&](const nn::GateRecorder& recorder, const Tensor& labels,
                             const std::vector<std::int64_t>& indices) {
      gate_files->add(recorder, labels, indices);
    };
  }
  train::Inspection found;
  {
    std::unique_ptr<Progress> progress;
    std::string running;
    options.progress = [&](const std::string& what, std::int64_t done, std::int64_t total) {
      if (args.json) return;
      if (what != running) progress = std::make_unique<Progress>(total);
      running = what;
      if (progress->due())
        progress->update(done, what, std::to_string(done) + " of " + std::to_string(total));
    };
    found = inspect(trained, set, options);
  }
  if (gate_files) {
    gate_files->close();
    write_csv(args.csv, found, set->class_names());
  }
  if (!args.out.empty())
    write_page(args.out, "Gates of " + trained.model.name, "inspect.js",
               to_json(args, trained, *set, found, true));
  if (args.json) {
    std::cout << train::to_text(to_json(args, trained, *set, found, false)) << std::endl;
    return 0;
  }
  if (args.out.empty()) print(trained, *set, found);
  if (!args.out.empty())
    std::printf("Wrote %s (%s): open it in a browser\n", args.out.c_str(),
                format_bytes(static_cast<double>(fs::file_size(args.out))).c_str());
  if (!args.csv.empty()) std::printf("Wrote %s/: the numbers, and every gate\n", args.csv.c_str());
  return 0;
}

}  // namespace

void add_inspect(Command& program) {
  auto args = std::make_shared<InspectArguments>();
  Command& command = program.add_command("inspect", "What the gates of a trained SE network do");
  command.add_option("RUN", args->run, "a run folder (its newest checkpoint) or a checkpoint file")
      .required();
  add_run_data_options(command, args->data);
  command.add_option("--out", args->out, "write one HTML page with everything").type_name("FILE");
  command.add_option("--csv", args->csv, "write all numbers, and every gate, as CSV")
      .type_name("DIR");
  command.add_option("--classes", args->classes, "for figures 6 and 7 (default: ten at most)")
      .delimiter(',')
      .type_name("NAME,...");
  command.add_option("--channels", args->channels, "of each block in the figures, evenly sampled")
      .check(number_in(1, 4096))
      .show_default();
  command.add_option("--images", args->images, "single images that are looked at, one a class")
      .check(number_in(0, 64))
      .show_default();
  command.add_option("--pick", args->picks, "look at these images of the set instead")
      .delimiter(',')
      .type_name("INDEX,...");
  command.add_option("--image", args->files, "look at these JPEG or PNG files instead")
      .type_name("FILE");
  command
      .add_option("--replace-on", args->importance,
                  "images on which replaced gates are tried, evenly spread; 0: all")
      .check(number_in(0, 1'000'000'000))
      .show_default();
  add_threads_option(command, args->threads);
  command.add_flag("--json", args->json, "print one JSON object");
  command.footer(
      "Example:\n  exciton inspect runs/first --out gates.html\n"
      "  exciton inspect runs/first --classes cat,dog,ship --csv gates/ --image my_cat.jpg");
  command.action([args] { return run(*args); });
}

}  // namespace exciton::apps
