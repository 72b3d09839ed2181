#include "exciton/train/detection/coco_metrics.hpp"

#include <algorithm>
#include <limits>
#include <numeric>

#include "exciton/core/error.hpp"
#include "exciton/core/threads.hpp"

namespace exciton::train {
namespace {

constexpr std::size_t thresholds = 10, recalls = 101, areas = 4, limits = 3;
constexpr std::array<std::int64_t, limits> most_detections{1, 10, 100};
constexpr std::array<std::array<double, 2>, areas> area_ranges{
    {{0, 1e10}, {0, 32.0 * 32}, {32.0 * 32, 96.0 * 96}, {96.0 * 96, 1e10}}};

/// As NumPy's linspace(.5, .95, 10) and linspace(0, 1, 101) round them: a recall of exactly .07 is
/// one of the points, or is not.
double threshold(std::size_t i) { return 0.5 + static_cast<double>(i) * ((0.95 - 0.5) / 9); }
double recall_point(std::size_t i) { return i == recalls - 1 ? 1 : static_cast<double>(i) * 0.01; }

double overlap(const data::Box& found, const data::Box& object, bool crowd) {
  const double w = std::min(found.left + found.width, object.left + object.width) -
                   std::max(found.left, object.left);
  const double h = std::min(found.top + found.height, object.top + object.height) -
                   std::max(found.top, object.top);
  if (!(w > 0 && h > 0)) return 0;
  const double own = found.width * found.height, both = w * h;
  return both / (crowd ? own : own + object.width * object.height - both);
}

/// The detections and objects of one image and category.
struct Pair {
  std::vector<const CocoDetection*> found;  ///< the surest first
  std::vector<const data::CocoObject*> objects;
  std::vector<double> overlaps;  ///< [found, objects]
};

/// What became of a detection.
struct Judged {
  double score;
  bool matched, ignored;
};

/// Detections of one image and category at one threshold and range of areas, and how many objects
/// count.
void judge(const Pair& pair, double least, const std::array<double, 2>& range,
           std::vector<Judged>& out) {
  const std::size_t objects = pair.objects.size();
  std::vector<std::size_t> order(objects);
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto ignored = [&](std::size_t o) {
    const data::CocoObject& object = *pair.objects[o];
    return object.crowd || object.area < range[0] || object.area > range[1];
  };
  std::ranges::stable_sort(order, [&](auto a, auto b) { return ignored(a) < ignored(b); });
  std::vector<bool> taken(objects);
  for (std::size_t d = 0; d < pair.found.size(); ++d) {
    double best = std::min(least, 1 - 1e-10);
    std::size_t match = objects;
    for (const std::size_t o : order) {
      if (taken[o] && !pair.objects[o]->crowd) continue;
      // One that counts was found; what follows is ignored.
      if (match < objects && !ignored(match) && ignored(o)) break;
      const double value = pair.overlaps[d * objects + o];
      if (value < best) continue;
      best = value;
      match = o;
    }
    const bool matched = match < objects;
    const double area = pair.found[d]->box.width * pair.found[d]->box.height;
    if (matched) taken[match] = true;
    out.push_back({pair.found[d]->score, matched,
                   matched ? ignored(match) : area < range[0] || area > range[1]});
  }
}

struct Curve {
  double precision = -1, recall = -1;  ///< the mean over the recalls, and the last; -1: no objects
};

/// Of all images, `judged` in their order.
Curve curve_of(std::vector<Judged> judged, std::int64_t objects) {
  if (objects == 0) return {};
  std::ranges::stable_sort(judged,
                           [](const Judged& a, const Judged& b) { return a.score > b.score; });
  std::vector<double> recall, precision;
  double right = 0, wrong = 0;
  for (const Judged& j : judged) {
    if (!j.ignored) ++(j.matched ? right : wrong);
    recall.push_back(right / static_cast<double>(objects));
    precision.push_back(right / (right + wrong + std::numeric_limits<double>::epsilon()));
  }
  for (std::size_t i = precision.size(); i-- > 1;)
    precision[i - 1] = std::max(precision[i - 1], precision[i]);
  double sum = 0;
  for (std::size_t r = 0; r < recalls; ++r) {
    const auto at = std::ranges::lower_bound(recall, recall_point(r)) - recall.begin();
    if (at < std::ssize(recall)) sum += precision[static_cast<std::size_t>(at)];
  }
  return {sum / recalls, recall.empty() ? 0 : recall.back()};
}

/// All curves of a category.
struct Category {
  Curve at[thresholds][areas];        // with most_detections.back()
  double recall[thresholds][limits];  // of all areas
  std::int64_t objects = 0;
};

Category judge_category(const std::vector<Pair>& pairs) {
  Category out;
  for (std::size_t a = 0; a < areas; ++a) {
    std::int64_t objects = 0;
    for (const Pair& pair : pairs)
      for (const data::CocoObject* o : pair.objects)
        objects += !o->crowd && o->area >= area_ranges[a][0] && o->area <= area_ranges[a][1];
    for (const Pair& pair : pairs)
      if (a == 0)
        for (const data::CocoObject* o : pair.objects) out.objects += o->crowd ? 0 : 1;
    for (std::size_t t = 0; t < thresholds; ++t) {
      std::array<std::vector<Judged>, limits> judged;
      for (const Pair& pair : pairs) {
        std::vector<Judged> own;
        judge(pair, threshold(t), area_ranges[a], own);
        for (std::size_t m = 0; m < limits; ++m)
          judged[m].insert(judged[m].end(), own.begin(),
                           own.begin() + std::min(std::ssize(own), most_detections[m]));
      }
      out.at[t][a] = curve_of(judged[limits - 1], objects);
      for (std::size_t m = 0; a == 0 && m < limits; ++m)
        out.recall[t][m] = curve_of(judged[m], objects).recall;
    }
  }
  return out;
}

/// The mean of what is not -1, or -1.
class Mean {
 public:
  void add(double value) {
    if (value <= -1) return;
    sum_ += value;
    ++count_;
  }
  double value() const { return count_ ? sum_ / static_cast<double>(count_) : -1; }

 private:
  double sum_ = 0;
  std::int64_t count_ = 0;
};

}  // namespace

double CocoMetrics::value(std::string_view name) const {
  const auto at = std::ranges::find(coco_metric_names, name);
  check(at != coco_metric_names.end(), "coco: no metric is called ", name);
  return values[static_cast<std::size_t>(at - coco_metric_names.begin())];
}

CocoMetrics coco_metrics(const data::CocoAnnotations& annotations,
                         std::span<const CocoDetection> detections) {
  const auto images = std::ssize(annotations.images);
  const auto categories = std::ssize(annotations.categories);
  std::vector<std::vector<Pair>> pairs(static_cast<std::size_t>(categories),
                                       std::vector<Pair>(static_cast<std::size_t>(images)));
  const auto pair_at = [&](std::int64_t category, std::int64_t image) -> Pair& {
    return pairs[static_cast<std::size_t>(category)][static_cast<std::size_t>(image)];
  };
  for (std::int64_t i = 0; i < images; ++i)
    for (const data::CocoObject& object : annotations.images[static_cast<std::size_t>(i)].objects)
      pair_at(object.category, i).objects.push_back(&object);
  for (const CocoDetection& d : detections) {
    check(d.image >= 0 && d.image < images && d.category >= 0 && d.category < categories,
          "coco: a detection of category ", d.category, " in image ", d.image, ", there are ",
          categories, " and ", images);
    pair_at(d.category, d.image).found.push_back(&d);
  }
  std::vector<Category> judged(pairs.size());
  parallel_tasks(categories, [&](std::int64_t c, int) {
    for (Pair& pair : pairs[static_cast<std::size_t>(c)]) {
      std::ranges::stable_sort(pair.found,
                               [](const auto* a, const auto* b) { return a->score > b->score; });
      if (std::ssize(pair.found) > most_detections.back())
        pair.found.resize(static_cast<std::size_t>(most_detections.back()));
      for (const CocoDetection* d : pair.found)
        for (const data::CocoObject* o : pair.objects)
          pair.overlaps.push_back(overlap(d->box, o->box, o->crowd));
    }
    judged[static_cast<std::size_t>(c)] = judge_category(pairs[static_cast<std::size_t>(c)]);
  });
  CocoMetrics out;
  std::array<Mean, 12> means;
  for (const Category& c : judged) {
    Mean own;
    for (std::size_t t = 0; t < thresholds; ++t) {
      own.add(c.at[t][0].precision);
      for (std::size_t a = 0; a < areas; ++a) {
        means[a == 0 ? 0 : 2 + a].add(c.at[t][a].precision);
        if (a > 0) means[8 + a].add(c.at[t][a].recall);
      }
      for (std::size_t m = 0; m < limits; ++m) means[6 + m].add(c.recall[t][m]);
    }
    means[1].add(c.at[0][0].precision);
    means[2].add(c.at[5][0].precision);
    out.ap.push_back(own.value());
    out.ap50.push_back(c.at[0][0].precision);
    out.objects.push_back(c.objects);
  }
  for (std::size_t i = 0; i < means.size(); ++i) out.values[i] = means[i].value();
  return out;
}

}  // namespace exciton::train
