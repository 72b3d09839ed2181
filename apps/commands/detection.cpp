#include "apps/commands/detection.hpp"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <optional>

#include "apps/commands/commands.hpp"
#include "apps/page/detections.hpp"
#include "apps/page/page.hpp"
#include "apps/terminal/class_report.hpp"
#include "apps/terminal/csv_file.hpp"
#include "apps/terminal/format.hpp"
#include "apps/terminal/hints.hpp"
#include "apps/terminal/interrupt.hpp"
#include "apps/terminal/progress.hpp"
#include "exciton/core/suggest.hpp"
#include "exciton/data/image.hpp"
#include "exciton/data/write_image.hpp"
#include "exciton/train/detection/detector.hpp"

namespace exciton::apps {
namespace fs = std::filesystem;
namespace {

using Found = std::vector<train::CocoDetection>;

/// A line a box.
class BoxTable {
 public:
  BoxTable(const std::string& path, std::vector<std::string> categories)
      : file_(path, "csv"), categories_(std::move(categories)) {
    for (const char* head : {"image", "category", "score", "x", "y", "width", "height"})
      file_.cell(head);
    file_.end();
  }
  void add(const std::string& image, const train::CocoDetection& d) {
    file_.cell(image).cell(categories_[static_cast<std::size_t>(d.category)]).cell(d.score);
    for (const double value : {d.box.left, d.box.top, d.box.width, d.box.height}) file_.cell(value);
    file_.end();
  }
  void close() { file_.close(); }

 private:
  CsvFile file_;
  std::vector<std::string> categories_;
};

/// The images of a run's data: nothing said is what it reports, val or else what it trained on;
/// "train" what it trained on; "val" the split of that name or, where there is none, the train
/// images that did not train. COCO's folders have no other: "test" is an error.
std::shared_ptr<const data::DetectionSet> open_images(const train::TrainedDetector& trained,
                                                      const DetectorEval& args) {
  const train::Recipe& recipe = trained.recipe;
  const std::string dir = args.data.empty() ? recipe.data.dir : args.data;
  const auto splits = data::find_coco(dir);
  std::string there;
  for (const data::CocoSplit& split : splits) there += (there.empty() ? "" : ", ") + split.name;
  check(args.split != "test" || splits.empty(), "data: ", dir,
        " has no split test; expected one of those that are there: ", there);
  const bool has_val = std::ranges::any_of(splits, [](const auto& s) { return s.name == "val"; });
  const bool val = has_val && args.split != "train";
  const auto set = data::open_coco(dir, val ? "val" : "train");
  const std::int64_t trains = recipe.detection.images;
  if (!val && args.split == "val") {
    check(trains > 0 && trains < set->size(), "data: ", dir,
          " has no val, and the run trained on all images of train");
    set->leave_out(trains);
  } else if (!val) {
    set->keep(trains);
  }
  check(set->annotations().category_names() == trained.preprocessing.class_names,
        "data: ", set->description(), " does not have the categories of ",
        trained.checkpoint.string());
  return set;
}

train::Json metrics_json(const train::CocoMetrics& metrics) {
  train::Json out = train::Json::object();
  for (std::size_t i = 0; i < metrics.values.size(); ++i)
    out[std::string(train::coco_metric_names[i])] = metrics.values[i];
  return out;
}

train::Json to_json(const train::TrainedDetector& trained, const data::DetectionSet& set,
                    const train::DetectionResult& result) {
  train::Json categories = train::Json::array();
  const auto names = set.annotations().category_names();
  for (std::size_t c = 0; c < names.size(); ++c)
    categories.push_back({{"category", names[c]},
                          {"objects", result.metrics.objects[c]},
                          {"AP", result.metrics.ap[c]},
                          {"AP50", result.metrics.ap50[c]}});
  return {{"model", "faster_rcnn over " + trained.recipe.model.name},
          {"checkpoint", trained.checkpoint.string()},
          {"epoch", trained.position.epoch},
          {"data", set.description()},
          {"images", result.images},
          {"skipped_images", result.skipped},
          {"skipped", result.skipped_reasons},
          {"detections", result.found.size()},
          {"metrics", metrics_json(result.metrics)},
          {"by_category", categories}};
}

/// In percent, "-" where there is no object.
std::string share(double value) { return value < 0 ? "-" : format("%.2f", 100 * value); }

void print_table(const train::TrainedDetector& trained, const data::DetectionSet& set,
                 const train::DetectionResult& result) {
  std::printf("faster_rcnn over %s after epoch %lld, %s\n%s\n", trained.recipe.model.name.c_str(),
              static_cast<long long>(trained.position.epoch), trained.checkpoint.c_str(),
              set.description().c_str());
  print_skipped(result.skipped, result.skipped_reasons);
  std::printf("\n");
  for (std::size_t i = 0; i < result.metrics.values.size(); ++i)
    std::printf("%s%-5s %6s %%%s", i % 6 == 0 ? "" : "   ",
                std::string(train::coco_metric_names[i]).c_str(),
                share(result.metrics.values[i]).c_str(), i % 6 == 5 ? "\n" : "");
  std::printf("\n objects      AP    AP50  category\n");
  const auto names = set.annotations().category_names();
  for (std::size_t c = 0; c < names.size(); ++c)
    if (result.metrics.objects[c] > 0)
      std::printf("%8lld  %6s  %6s  %s\n", static_cast<long long>(result.metrics.objects[c]),
                  share(result.metrics.ap[c]).c_str(), share(result.metrics.ap50[c]).c_str(),
                  printable(names[c]).c_str());
  std::fflush(stdout);
}

train::Json page_of(const train::TrainedDetector& trained, const data::DetectionSet& set,
                    const train::DetectionResult& result) {
  train::Json page = to_json(trained, set, result);
  page["categories"] = set.annotations().category_names();
  page["score"] = 0.5;
  page["count"] = set.size();
  page["images"] = train::Json::array();
  auto at = result.found.begin();
  for (std::int64_t i = 0; i < std::min(set.size(), images_on_page); ++i) {
    const auto end =
        std::find_if(at, result.found.end(), [&](const auto& d) { return d.image != i; });
    page["images"].push_back(
        image_with_boxes(set.image(i).file, set.read(i), {at, end}, set.image(i).objects));
    at = end;
  }
  return page;
}

}  // namespace

int eval_detector(const DetectorEval& args) {
  const train::TrainedDetector trained = train::load_detector(args.run, warn);
  const auto set = open_images(trained, args);
  if (!args.page.empty()) check_page_path(args.page);
  std::optional<BoxTable> table;
  if (!args.csv.empty()) table.emplace(args.csv, trained.preprocessing.class_names);
  data::DetectionLoader loader =
      train::detection_loader(trained.recipe, trained.preprocessing, set, args.batch);
  Progress progress(set->size());
  Interrupt interrupt;
  const train::DetectionResult result =
      train::evaluate_detector(*trained.net, loader, *set, [&](std::int64_t images) {
        if (progress.due()) progress.update(images, "eval", std::to_string(images) + " images");
        return !interrupt.requested();
      });
  progress.clear();
  if (interrupt.requested()) return exit_interrupted;
  if (table) {
    for (const train::CocoDetection& d : result.found) table->add(set->image(d.image).file, d);
    table->close();
  }
  if (!args.page.empty())
    write_page(args.page, "Detections", "detect.js", page_of(trained, *set, result));
  if (args.json)
    std::cout << train::to_text(to_json(trained, *set, result)) << std::endl;
  else
    print_table(trained, *set, result);
  // Where a program reads what is printed, this is for people.
  std::ostream& said = args.json ? std::cerr : std::cout;
  if (table) said << "Wrote " << args.csv << ": " << result.found.size() << " boxes" << std::endl;
  if (!args.page.empty()) said << "Wrote " << args.page << std::endl;
  return 0;
}

namespace {

/// Of `file`, with its boxes: in `folder`, as JPEG where it is one, else as PNG.
fs::path place_of(const fs::path& folder, const std::string& file) {
  const std::string ending = fs::path(file).extension().string();
  const bool jpeg = ending == ".jpg" || ending == ".jpeg" || ending == ".JPG" || ending == ".JPEG";
  fs::path name = fs::path(file).filename();
  if (!jpeg) name.replace_extension(".png");
  return folder / name;
}

void draw(data::Image& image, const Found& found) {
  const std::int64_t thickness =
      std::max<std::int64_t>(2, std::min(image.height, image.width) / 150);
  // The surest at last, on top.
  for (auto d = found.rbegin(); d != found.rend(); ++d)
    data::draw_box(image, d->box, colour_of(d->category), thickness);
}

void print_found(const std::string& file, const Found& found,
                 const std::vector<std::string>& names) {
  std::cout << file << (found.empty() ? ": nothing found\n" : "\n");
  for (const train::CocoDetection& d : found)
    std::cout << format("  %6.2f %%  %6.1f %6.1f  %6.1f x %-6.1f  %s\n", 100 * d.score, d.box.left,
                        d.box.top, d.box.width, d.box.height,
                        printable(names[static_cast<std::size_t>(d.category)]).c_str());
}

}  // namespace

int predict_detector(const DetectorPredict& args) {
  const train::TrainedDetector trained = train::load_detector(args.run, warn);
  const std::vector<std::string>& names = trained.preprocessing.class_names;
  if (!args.page.empty()) check_page_path(args.page);
  if (!args.out.empty()) {
    std::error_code error;
    fs::create_directories(args.out, error);
    check(!error, "predict: cannot make the folder ", args.out,
          " for the pictures: ", error.message());
  }
  std::optional<BoxTable> table;
  if (!args.csv.empty()) table.emplace(args.csv, names);
  Interrupt interrupt;
  std::vector<std::string> failed;
  std::set<fs::path> written;
  train::Json all = train::Json::array(), page = train::Json::array();
  for (const std::string& file : args.images) {
    if (interrupt.requested()) return exit_interrupted;
    try {
      data::Image image = data::decode_image(file, 3);
      Found found = train::detect(trained, image);
      if (!args.page.empty() && std::ssize(page) < images_on_page)
        page.push_back(image_with_boxes(file, image, found, {}));
      std::erase_if(found, [&](const auto& d) { return d.score < args.score; });
      if (!args.out.empty()) {
        const fs::path place = place_of(args.out, file);
        check(written.insert(place).second, "predict: two images would be written to ",
              place.string(), "; give them one after another");
        draw(image, found);
        data::write_image(place, image);
      }
      if (table)
        for (const train::CocoDetection& d : found) table->add(file, d);
      if (args.json) {
        train::Json boxes = train::Json::array();
        for (const train::CocoDetection& d : found) boxes.push_back(to_json(d, names));
        all.push_back({{"image", file}, {"found", boxes}});
      } else if (!table) {
        print_found(file, found, names);
      }
    } catch (const Error& error) {  // the others are looked at all the same
      failed.push_back(file);
      if (args.json) all.push_back({{"image", file}, {"error", error.what()}});
      std::cout << std::flush;
      std::cerr << "exciton: " << error.what() << std::endl;
    }
  }
  if (args.json) std::cout << train::to_text(all) << std::endl;
  std::ostream& said = args.json ? std::cerr : std::cout;
  if (table) {
    table->close();
    said << "Wrote " << args.csv << std::endl;
  }
  if (!args.out.empty())
    said << "Wrote " << written.size() << " images with boxes into " << args.out << std::endl;
  if (!args.page.empty()) {
    const train::Json whole{{"model", "faster_rcnn over " + trained.recipe.model.name},
                            {"data", std::to_string(args.images.size()) + " images"},
                            {"categories", names},
                            {"score", args.score},
                            {"count", args.images.size()},
                            {"images", page}};
    write_page(args.page, "Detections", "detect.js", whole);
    said << "Wrote " << args.page << std::endl;
  }
  if (!failed.empty() && args.images.size() > 1)
    std::cerr << "exciton: " << failed.size() << " of " << args.images.size()
              << " images could not be looked at: " << listed(failed) << std::endl;
  return failed.empty() ? 0 : exit_error;
}

}  // namespace exciton::apps
