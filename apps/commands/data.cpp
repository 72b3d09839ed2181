/// exciton data fetch, exciton data info
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <memory>
#include <optional>
#include <set>

#include "apps/commands/commands.hpp"
#include "apps/terminal/command_line.hpp"
#include "apps/terminal/format.hpp"
#include "apps/terminal/progress.hpp"
#include "exciton/core/error.hpp"
#include "exciton/data/dataset.hpp"
#include "exciton/data/detection/set.hpp"
#include "exciton/data/fetch.hpp"
#include "exciton/data/splits.hpp"
#include "exciton/data/survey.hpp"
#include "exciton/train/balance.hpp"
#include "exciton/train/json.hpp"

namespace exciton::apps {
namespace fs = std::filesystem;
namespace {

struct FetchArguments {
  std::string name, dir, url;
};
struct InfoArguments {
  std::string dir, kind = "auto";
  bool decode = false, json = false;
};

int fetch(const FetchArguments& args) {
  data::FetchOptions options;
  options.url = args.url;
  std::unique_ptr<Progress> progress;
  std::string current;
  options.progress = [&](const data::FetchProgress& now) {
    if (now.file != current) {
      progress = std::make_unique<Progress>(now.total, now.bytes);
      current = now.file;
    }
    progress->update(now.bytes, now.file,
                     format_bytes(static_cast<double>(now.bytes)) + " of " +
                         format_bytes(static_cast<double>(now.total)));
  };
  const data::FetchResult result = data::fetch_dataset(args.name, args.dir, options);
  progress.reset();
  for (const auto& file : result.files) std::cout << file.string() << ": complete, checksum fits\n";
  std::cout << "Downloaded " << format_bytes(static_cast<double>(result.bytes_downloaded))
            << ", unpacked " << result.files_unpacked << " files. Look at it with\n"
            << "  " << command_line({"data", "info", args.dir}) << std::endl;
  return 0;
}

/// What is told about one split.
struct SplitReport {
  std::string split;
  std::shared_ptr<const data::Dataset> set;
  double seconds_to_open = 0;
  std::vector<std::int64_t> counts;  ///< images of each class
  data::Survey survey;
  std::optional<data::ChannelStats> stats;
};

SplitReport report_on(const std::string& split, std::shared_ptr<const data::Dataset> set,
                      double seconds_to_open, bool decode) {
  SplitReport out{split, std::move(set), seconds_to_open, {}, {}, {}};
  out.counts = train::class_counts(*out.set);
  Progress progress(out.set->size());
  out.survey = data::survey(*out.set, decode, [&](std::int64_t images) {
    if (progress.due()) progress.update(images, split, std::to_string(images) + " images");
  });
  progress.clear();
  const bool in_memory = out.survey.bytes == 0;
  if ((decode || in_memory) && out.survey.images > 0) out.stats = data::channel_stats(*out.set);
  return out;
}

/// What is told about a folder.
struct FolderReport {
  std::vector<SplitReport> splits;
  std::vector<std::string> notes;   ///< how it is read
  std::vector<std::string> errors;  ///< splits that cannot be opened, and why
  bool classes = true;              ///< false: only images, no data set
};

/// All splits; what has none may still be a folder of images.
FolderReport report_on(const InfoArguments& args) {
  using Clock = std::chrono::steady_clock;
  FolderReport out;
  data::DataLayout layout;
  try {
    layout = data::find_layout(args.kind, args.dir);
  } catch (const Error& error) {
    if (args.kind != "auto" || !fs::is_directory(args.dir)) throw;
    const std::exception_ptr original = std::current_exception();
    std::shared_ptr<const data::Dataset> images;
    try {
      images = data::open_images(args.dir);
    } catch (const Error&) {
      std::rethrow_exception(original);
    }
    out.classes = false;
    out.notes.push_back(std::string("These are images, but no data set to train on: ") +
                        error.what());
    out.splits.push_back(report_on("images", images, 0, args.decode));
    return out;
  }
  out.notes = layout.notes;
  for (const data::FoundSplit& split : layout.splits) {
    if (!split.labelled) continue;  // the notes say so
    const auto start = Clock::now();
    std::shared_ptr<const data::Dataset> set;
    try {
      set = data::open_split(layout, split.name, {.memory_limit = 0});
    } catch (const Error& error) {
      out.errors.push_back(split.name + ": " + error.what());
      continue;
    }
    const std::chrono::duration<double> seconds = Clock::now() - start;
    out.splits.push_back(report_on(split.name, set, seconds.count(), args.decode));
  }
  try {
    const data::SplitPlan plan = data::plan_splits(layout, {}, 1);
    out.notes = plan.notes;
  } catch (const Error& error) {
    out.notes.push_back(std::string("It cannot be trained on as it is: ") + error.what());
  }
  return out;
}

std::string sizes_of(const data::Survey& survey) {
  const auto text = [](data::Size size) {
    return std::to_string(size.height) + " x " + std::to_string(size.width);
  };
  if (survey.one_size()) return text(survey.smallest);
  return "from " + text(survey.smallest) + " to " + text(survey.largest);
}

void print(const SplitReport& report, bool classes) {
  const data::Survey& survey = report.survey;
  const data::Dataset& set = *report.set;
  std::printf("%s\n  images %lld, %schannels %lld, size %s\n", set.description().c_str(),
              static_cast<long long>(set.size()),
              classes ? ("classes " + std::to_string(set.classes()) + ", ").c_str() : "",
              static_cast<long long>(set.channels()), sizes_of(survey).c_str());
  for (const std::string& line : set.left_out().lines()) std::printf("  %s\n", line.c_str());
  if (survey.bytes > 0) {
    std::printf("  files %s, found in %.2f s; stored with",
                format_bytes(static_cast<double>(survey.bytes)).c_str(), report.seconds_to_open);
    for (const auto& [channels, count] : survey.channels)
      std::printf(" %lld channel%s: %lld", static_cast<long long>(channels),
                  channels == 1 ? "" : "s", static_cast<long long>(count));
    std::printf("\n");
  }
  constexpr std::size_t named = 20;
  if (!survey.unreadable.empty())
    std::printf("  %zu cannot be read%s\n", survey.unreadable.size(),
                survey.unreadable.size() > named ? "; the first of them" : "");
  for (std::size_t i = 0; i < std::min(named, survey.unreadable.size()); ++i)
    std::printf("    %s\n", survey.unreadable[i].c_str());
  if (report.stats)
    for (const char* what : {"mean", "std"}) {
      std::printf("  %-4s", what);
      const auto& values = what[0] == 'm' ? report.stats->mean : report.stats->std;
      for (std::int64_t c = 0; c < set.channels(); ++c)
        std::printf(" %.4f", static_cast<double>(values[static_cast<std::size_t>(c)]));
      std::printf("\n");
    }
  for (std::size_t c = 0; classes && c < report.counts.size(); ++c)
    std::printf("  %6lld  %s\n", static_cast<long long>(report.counts[c]),
                printable(set.class_names()[c]).c_str());
}

train::Json to_json(const data::LeftOut& left_out) {
  train::Json out = train::Json::array();
  for (const data::LeftOut::Reason& r : left_out.reasons())
    out.push_back({{"reason", r.text}, {"files", r.files}, {"names", r.names}});
  return out;
}

train::Json to_json(const SplitReport& report) {
  const data::Survey& survey = report.survey;
  train::Json classes = train::Json::array(), stored = train::Json::object();
  for (std::size_t c = 0; c < report.counts.size(); ++c)
    classes.push_back({{"class", report.set->class_names()[c]}, {"images", report.counts[c]}});
  for (const auto& [channels, count] : survey.channels) stored[std::to_string(channels)] = count;
  train::Json out = {{"split", report.split},
                     {"description", report.set->description()},
                     {"images", report.set->size()},
                     {"channels", report.set->channels()},
                     {"stored_channels", stored},
                     {"smallest", {survey.smallest.height, survey.smallest.width}},
                     {"largest", {survey.largest.height, survey.largest.width}},
                     {"bytes", survey.bytes},
                     {"seconds_to_open", report.seconds_to_open},
                     {"unreadable", survey.unreadable},
                     {"left_out", to_json(report.set->left_out())},
                     {"classes", classes}};
  if (report.stats) {
    const auto channels = static_cast<std::ptrdiff_t>(report.set->channels());
    const auto& [mean, std] = *report.stats;
    out["mean"] = std::vector<float>(mean.begin(), mean.begin() + channels);
    out["std"] = std::vector<float>(std.begin(), std.begin() + channels);
  }
  return out;
}

/// A split of COCO's annotations, by category and by size.
struct CocoReport {
  std::string split;
  std::shared_ptr<const data::DetectionSet> set;
  std::vector<std::int64_t> images, objects, crowds;  ///< of each category
  std::int64_t small = 0, medium = 0, large = 0;      ///< objects, crowds not counted
  std::int64_t most = 0;                              ///< objects in one image
  data::Survey survey;
};

CocoReport report_on(const std::string& split, std::shared_ptr<const data::DetectionSet> set,
                     bool decode) {
  CocoReport out{.split = split, .set = std::move(set)};
  const data::CocoAnnotations& all = out.set->annotations();
  for (auto* counts : {&out.images, &out.objects, &out.crowds})
    counts->resize(all.categories.size());
  for (const data::CocoImage& image : all.images) {
    std::set<std::int64_t> seen;
    out.most = std::max<std::int64_t>(out.most, std::ssize(image.objects));
    for (const data::CocoObject& object : image.objects) {
      const auto c = static_cast<std::size_t>(object.category);
      if (seen.insert(object.category).second) ++out.images[c];
      ++(object.crowd ? out.crowds : out.objects)[c];
      if (object.crowd) continue;
      // COCO's borders, see coco_metrics.
      constexpr double medium = 32.0 * 32, large = 96.0 * 96;
      ++(object.area < medium ? out.small : object.area <= large ? out.medium : out.large);
    }
  }
  Progress progress(out.set->size());
  out.survey = data::survey(*data::images_of(out.set), decode, [&](std::int64_t images) {
    if (progress.due()) progress.update(images, split, std::to_string(images) + " images");
  });
  progress.clear();
  return out;
}

train::Json to_json(const CocoReport& report) {
  const data::Survey& survey = report.survey;
  const auto names = report.set->annotations().category_names();
  train::Json categories = train::Json::array(), stored = train::Json::object();
  for (std::size_t c = 0; c < names.size(); ++c)
    categories.push_back({{"category", names[c]},
                          {"id", report.set->annotations().categories[c].id},
                          {"images", report.images[c]},
                          {"objects", report.objects[c]},
                          {"crowds", report.crowds[c]}});
  for (const auto& [channels, count] : survey.channels) stored[std::to_string(channels)] = count;
  return {{"split", report.split},
          {"description", report.set->description()},
          {"images", report.set->size()},
          {"stored_channels", stored},
          {"smallest", {survey.smallest.height, survey.smallest.width}},
          {"largest", {survey.largest.height, survey.largest.width}},
          {"bytes", survey.bytes},
          {"unreadable", survey.unreadable},
          {"small_objects", report.small},
          {"medium_objects", report.medium},
          {"large_objects", report.large},
          {"most_objects_of_an_image", report.most},
          {"notes", report.set->notes()},
          {"categories", categories}};
}

void print(const CocoReport& report) {
  const auto wide = [](std::int64_t n) { return static_cast<long long>(n); };
  std::printf(
      "%s\n  images %lld, size %s, files %s; objects: small %lld, medium %lld, large %lld; at "
      "most %lld in an image\n",
      report.set->description().c_str(), wide(report.set->size()), sizes_of(report.survey).c_str(),
      format_bytes(static_cast<double>(report.survey.bytes)).c_str(), wide(report.small),
      wide(report.medium), wide(report.large), wide(report.most));
  for (const std::string& note : report.set->notes()) std::printf("  %s\n", note.c_str());
  for (const std::string& broken : report.survey.unreadable)
    std::printf("  cannot be read: %s\n", broken.c_str());
  std::printf("  images  objects  crowds  category\n");
  const auto names = report.set->annotations().category_names();
  for (std::size_t c = 0; c < names.size(); ++c)
    if (report.images[c] > 0)
      std::printf("  %6lld  %7lld  %6lld  %s\n", wide(report.images[c]), wide(report.objects[c]),
                  wide(report.crowds[c]), printable(names[c]).c_str());
}

/// Why no detector can be trained on these splits; empty where one can.
std::string why_not_trained(const std::vector<CocoReport>& splits) {
  const auto find = [&](const char* name) -> const data::DetectionSet* {
    const auto found = std::ranges::find(splits, name, &CocoReport::split);
    return found == splits.end() ? nullptr : found->set.get();
  };
  const data::DetectionSet* train = find("train");
  if (!train) return "there is no train, annotations/instances_train*.json";
  try {
    check_trains(*train, find("val"));
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

int coco_info(const InfoArguments& args) {
  train::Json splits = train::Json::array();
  std::vector<CocoReport> reports;
  for (const data::CocoSplit& split : data::find_coco(args.dir)) {
    const CocoReport& report = reports.emplace_back(
        report_on(split.name, std::make_shared<data::DetectionSet>(split.annotations, split.images),
                  args.decode));
    if (args.json)
      splits.push_back(to_json(report));
    else
      print(report);
  }
  std::fflush(stdout);
  train::Json notes = train::Json::array();
  if (const std::string why = why_not_trained(reports); !why.empty())
    notes.push_back("It cannot be trained on as it is: " + why);
  if (args.json)
    std::cout << train::to_text(train::Json{
                     {"dir", args.dir}, {"data_set", true}, {"splits", splits}, {"notes", notes}})
              << std::endl;
  else if (!notes.empty())
    std::cout << notes[0].get<std::string>() << std::endl;
  else
    std::cout << "Objects to detect: a recipe says \"task\": \"detection\"" << std::endl;
  return 0;
}

int info(const InfoArguments& args) {
  if (args.kind == "coco" || (args.kind == "auto" && !data::find_coco(args.dir).empty()))
    return coco_info(args);
  const FolderReport report = report_on(args);
  if (args.json) {
    train::Json splits = train::Json::array();
    for (const SplitReport& split : report.splits) splits.push_back(to_json(split));
    std::cout << train::to_text(train::Json{{"dir", args.dir},
                                            {"data_set", report.classes},
                                            {"splits", splits},
                                            {"notes", report.notes},
                                            {"errors", report.errors}})
              << std::endl;
  } else {
    for (const SplitReport& split : report.splits) print(split, report.classes);
    std::fflush(stdout);
    for (const std::string& note : report.notes) std::cout << note << '\n';
    std::cout << std::flush;
  }
  if (report.errors.empty()) return 0;
  std::string all;
  for (const std::string& error : report.errors) all += (all.empty() ? "" : "; ") + error;
  fail(all);
}

}  // namespace

void add_data(Command& program) {
  Command& command = program.add_command("data", "Download and look at data sets");
  command.require_command();
  command.footer(
      "Example:\n  exciton data fetch cifar10 --dir data-cache/cifar10\n"
      "  exciton data info data-cache/cifar10");

  auto fetch_args = std::make_shared<FetchArguments>();
  Command& fetching = command.add_command(
      "fetch", "Download a data set from its own site: resumes, checks size and checksum, unpacks");
  std::vector<std::string> names;
  for (const data::RemoteDataset& set : data::official_catalogue()) names.push_back(set.name);
  fetching.add_option("NAME", fetch_args->name, "cifar10, cifar100 or fashion-mnist")
      .required()
      .check(one_of(names));
  fetching.add_option("--dir", fetch_args->dir, "folder it is put into")
      .required()
      .type_name("DIR");
  fetching.add_option("--url", fetch_args->url, "a mirror: its folder, or the file itself");
  fetching.footer("Example:\n  exciton data fetch cifar10 --dir data-cache/cifar10");
  fetching.action([fetch_args] { return fetch(*fetch_args); });

  auto info_args = std::make_shared<InfoArguments>();
  Command& telling =
      command.add_command("info", "Classes, counts, sizes, channels, and what cannot be read");
  telling.add_option("DIR", info_args->dir, "folder of the data set").required();
  telling.add_option("--kind", info_args->kind, "which format it is")
      .check(one_of([] {
        std::vector<std::string> kinds = data::dataset_kinds();
        kinds.emplace_back("coco");
        return kinds;
      }()))
      .show_default();
  telling.add_flag("--decode", info_args->decode,
                   "decode every image, to find damaged pixels, and the mean and deviation");
  telling.add_flag("--json", info_args->json, "print one JSON object");
  telling.footer("Example:\n  exciton data info /usr/share/datasets/fashion-mnist");
  telling.action([info_args] { return info(*info_args); });
}

}  // namespace exciton::apps
