#include "exciton/train/recipe.hpp"

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>
#include <sstream>

#include "exciton/core/error.hpp"
#include "exciton/core/suggest.hpp"
#include "exciton/data/dataset.hpp"
#include "exciton/nn/attention.hpp"
#include "exciton/nn/recompute.hpp"
#include "exciton/ops/processor.hpp"
#include "exciton/optim/registry.hpp"
#include "exciton/train/evaluate.hpp"
#include "exciton/train/recipe_json.hpp"
#include "exciton/train/remedy.hpp"

namespace exciton::train {
namespace {

template <class T>
struct Range {
  T low = std::numeric_limits<T>::lowest();
  T high = std::numeric_limits<T>::max();
};

template <class Visitor>
void visit_paper(Visitor& v, PaperRecipe& p) {
  v.field("table", p.table, std::vector<std::string>{});
  v.field("row", p.row, std::vector<std::string>{});
  v.field("top1_error", p.top1_error, Range<double>{0, 100});
  v.field("top5_error", p.top5_error, Range<double>{0, 100});
  v.field("ap", p.ap, Range<double>{0, 100});
  v.field("ap50", p.ap50, Range<double>{0, 100});
  v.field("gflops", p.gflops, Range<double>{0});
  v.field("parameters_millions", p.parameters_millions, Range<double>{0});
  v.field("parameters", p.parameters, Range<std::int64_t>{0});
}

template <class Visitor>
void visit_group(Visitor& v, optim::ParameterGroup& g) {
  v.field("names", g.names, std::vector<std::string>{});
  v.field("lr_factor", g.lr_factor, Range<double>{0, 1e6});
  v.field("decay_factor", g.decay_factor, Range<double>{0, 1e6});
  std::vector<std::string> optimizers = optim::optimizer_registry().names();
  optimizers.emplace_back("");  // that of the others
  v.field("optimizer", g.optimizer, optimizers, /*open=*/true);
  v.field("momentum", g.momentum, Range<double>{-1, 0.999999});
  v.field("epochs", g.epochs, Range<double>{0, 1e6});
}

/// Takes fields out of a JSON document, leaving absent ones at their defaults.
class Reader {
 public:
  /// Messages begin with `who`. `strict` refuses values that nothing would read.
  Reader(const Json& root, std::string who, bool strict) : who_(std::move(who)), strict_(strict) {
    open("", root);
  }

  template <class F>
  void object(const char* key, F&& body) {
    const Json* value = take(key);
    static const Json none = Json::object();
    open(path_of(key), value ? *value : none);
    body();
    close();
  }
  void field(const char* key, bool& to) {
    if (const Json* value = take(key)) {
      if (!value->is_boolean()) wrong(key, "true or false", *value);
      to = value->get<bool>();
    }
  }
  void field(const char* key, std::int64_t& to, Range<std::int64_t> range) {
    if (const Json* value = take(key)) {
      if (!value->is_number_integer() ||
          (value->is_number_unsigned() &&
           value->get<std::uint64_t>() > std::numeric_limits<std::int64_t>::max()))
        wrong(key, ("an integer" + within(range)).c_str(), *value);
      to = value->get<std::int64_t>();
      in_range(key, to, range);
    }
  }
  void field(const char* key, std::uint64_t& to) {
    if (const Json* value = take(key)) {
      if (!value->is_number_unsigned()) wrong(key, "an integer of 0 or more", *value);
      to = value->get<std::uint64_t>();
    }
  }
  void field(const char* key, double& to, Range<double> range) {
    if (const Json* value = take(key)) {
      if (!value->is_number()) wrong(key, ("a number" + within(range)).c_str(), *value);
      to = value->get<double>();
      in_range(key, to, range);
    }
  }
  void field(const char* key, std::vector<double>& to, Range<double> range) {
    if (const Json* value = take(key)) read_list(key, *value, to, range);
  }
  void field(const char* key, std::vector<std::int64_t>& to, Range<std::int64_t> range) {
    if (const Json* value = take(key)) read_list(key, *value, to, range);
  }
  /// One integer for all, or a list with one for each.
  void field(const char* key, std::int64_t& all, std::vector<std::int64_t>& each,
             Range<std::int64_t> range) {
    const auto found = levels_.back().json->find(key);
    if (found != levels_.back().json->end() && found->is_array())
      field(key, each, range);
    else
      field(key, all, range);
  }
  /// `choices` empty: any text.
  void field(const char* key, std::string& to, const std::vector<std::string>& choices,
             bool open = false) {
    const Json* value = take(key);
    if (!value) return;
    if (!value->is_string()) wrong(key, "a string", *value);
    to = value->get<std::string>();
    if (choices.empty()) return;
    std::string listed;
    for (const std::string& choice : choices) {
      if (choice == to) return;
      listed += (listed.empty() ? "" : ", ") + choice;
    }
    if (open)  // to names of the user's
      fail_with(Remedy::load_plugin, who_, ": ", path_of(key), ": expected one of ", listed,
                "; got ", shown(*value));
    fail(who_, ": ", path_of(key), ": expected one of ", listed, "; got ", shown(*value));
  }
  /// An integer, or "auto" for `automatic`.
  void field(const char* key, std::int64_t& to, Range<std::int64_t> range, std::int64_t automatic) {
    const Json* value = take(key);
    if (!value) return;
    if (*value == "auto") {
      to = automatic;
      return;
    }
    if (!value->is_number_integer()) wrong(key, "an integer or \"auto\"", *value);
    field(key, to, range);
  }
  /// One of two words.
  void field(const char* key, bool& to, const char* word_false, const char* word_true) {
    std::string word = to ? word_true : word_false;
    field(key, word, std::vector<std::string>{word_false, word_true});
    to = word == word_true;
  }
  /// "auto", "test", or a share.
  void field(const char* key, data::Validation& to) {
    const Json* value = take(key);
    if (!value) return;
    to = {};
    if (*value == "auto") return;
    to.by = data::Validation::By::test;
    if (*value == "test") return;
    if (!value->is_number())
      wrong(key, "a share of the train images, \"auto\" or \"test\"", *value);
    to.by = data::Validation::By::share;
    field(key, to.share, Range<double>{0, 0.9});
  }
  /// null (none), or {"scale": [low, high], "ratio": [low, high]}.
  void field(const char* key, data::RandomResizedCrop& to) {
    const Json* value = take(key);
    if (!value) return;
    to = {};
    if (value->is_null()) return;
    if (!value->is_object())
      wrong(key, "null or {\"scale\": [low, high], \"ratio\": [low, high]}", *value);
    to.scale_low = 0.08;
    open(path_of(key), *value);
    pair("scale", to.scale_low, to.scale_high, Range<double>{1e-3, 1});
    pair("ratio", to.ratio_low, to.ratio_high, Range<double>{0.01, 100});
    close();
  }
  /// true, false or "alternating".
  void flip(const char* key, data::Augment& to) {
    const Json* value = take(key);
    if (!value) return;
    to.alternating = *value == "alternating";
    if (!value->is_boolean() && !to.alternating)
      wrong(key, "true, false or \"alternating\"", *value);
    to.flip = to.alternating || value->get<bool>();
  }
  void field(const char* key, NormalizeRecipe& to) {
    const Json* value = take(key);
    if (!value) return;
    to = {};
    if (*value == "auto") return;
    to.automatic = false;
    if (*value == "dataset") return;
    if (!value->is_object())
      wrong(key, "\"auto\", \"dataset\" or {\"mean\": [...], \"std\": [...]}", *value);
    to.from_dataset = false;
    open(path_of(key), *value);
    field("mean", to.mean, Range<double>{0, 1});
    field("std", to.std, Range<double>{1e-6, 1e6});
    close();
    check(!to.mean.empty() && to.mean.size() == to.std.size(), who_, ": ", path_of(key),
          ": expected mean and std with one value per channel, got ", to.mean.size(), " and ",
          to.std.size());
  }
  /// "none", "balanced", a list, or an object of class names.
  void field(const char* key, ClassWeightsRecipe& to) {
    using By = ClassWeightsRecipe::By;
    const Json* value = take(key);
    if (!value) return;
    to = {};
    if (*value == "none" || *value == "balanced") {
      to.by = *value == "none" ? By::none : By::balanced;
      return;
    }
    const Range<double> range{1e-9, 1e9};
    if (value->is_array()) {
      to.by = By::list;
      return field(key, to.list, range);
    }
    if (!value->is_object())
      wrong(key, "\"none\", \"balanced\", a list of weights or {\"name of a class\": weight}",
            *value);
    to.by = By::names;
    for (const auto& [name, weight] : value->items()) {
      if (!weight.is_number())
        wrong(key, ("a number" + within(range) + " for each class").c_str(), weight);
      in_range(key, to.names[name] = weight.get<double>(), range);
    }
  }
  void field(const char* key, std::vector<optim::ParameterGroup>& to) {
    const Json* value = take(key);
    if (!value) return;
    if (!value->is_array())
      wrong(key, "a list of {\"names\": \"stage1.*\", \"lr_factor\": 0.1, \"decay_factor\": 1}",
            *value);
    to.clear();
    for (const Json& item : *value) {
      open(path_of(key) + '.' + std::to_string(to.size()), item);
      visit_group(*this, to.emplace_back());
      if (to.back().names.empty())
        wrong("names", "a name of parameters, with * for any text", item);
      close();
    }
  }
  void field(const char* key, std::vector<std::string>& to) {
    const Json* value = take(key);
    if (!value) return;
    if (!value->is_array()) wrong(key, "a list of names", *value);
    to.clear();
    for (const Json& item : *value) {
      if (!item.is_string() || item.get<std::string>().empty())
        wrong(key, "a list of names", *value);
      to.push_back(item.get<std::string>());
    }
  }
  void field(const char* key, std::optional<PaperRecipe>& to) {
    if (!take(key)) return;
    to.emplace();
    object(key, [&] { visit_paper(*this, *to); });
  }
  /// A field that is read only where `used` holds: elsewhere another value than the default is
  /// refused, and `why` says what is read there.
  template <class T, class... Limits>
  void only(bool used, const char* why, const char* key, T& to, const Limits&... limits) {
    const T unread = to;
    field(key, to, limits...);
    if (strict_ && !used && !(to == unread))
      fail(who_, ": ", path_of(key), ": ", why, "; leave it out, or set it to ",
           Json(unread).dump());
  }
  void finish() { close(); }

 private:
  struct Level {
    std::string path;
    const Json* json;
    std::vector<std::string> known;
  };

  /// Two numbers in ascending order.
  void pair(const char* key, double& low, double& high, Range<double> range) {
    std::vector<double> both{low, high};
    field(key, both, range);
    check(both.size() == 2 && both[0] <= both[1], who_, ": ", path_of(key),
          ": expected two numbers in ascending order");
    low = both[0];
    high = both[1];
  }

  void open(const std::string& path, const Json& json) {
    if (!json.is_object())
      fail(who_, ": ", path.empty() ? "the document" : path, ": expected an object, got ",
           shown(json));
    levels_.push_back({path, &json, {}});
  }
  void close() {
    const Level& level = levels_.back();
    for (const auto& [key, value] : level.json->items()) {
      if (std::find(level.known.begin(), level.known.end(), key) != level.known.end()) continue;
      const std::string where = level.path.empty() ? key : level.path + '.' + key;
      const std::string meant = did_you_mean(key, level.known);
      fail(who_, ": unknown key ", shortened(where, 120),
           meant.empty() ? "; known here are " + listed(level.known) : meant);
    }
    levels_.pop_back();
  }
  const Json* take(const char* key) {
    Level& level = levels_.back();
    level.known.emplace_back(key);
    const auto found = level.json->find(key);
    return found == level.json->end() ? nullptr : &*found;
  }
  std::string path_of(const char* key) const {
    const std::string& path = levels_.back().path;
    return path.empty() ? key : path + '.' + key;
  }
  [[noreturn]] void wrong(const char* key, const char* wanted, const Json& got) const {
    fail(who_, ": ", path_of(key), ": expected ", wanted, ", got ", shown(got));
  }
  /// As it is written in a recipe, with all its digits.
  template <class T>
  static std::string digits(T value) {
    char text[40];
    return {text, std::to_chars(text, text + sizeof text, value).ptr};
  }
  /// " from 0 to 0.999999", behind what is expected.
  template <class T>
  static std::string within(Range<T> range) {
    if (range.high != Range<T>{}.high)
      return " from " + digits(range.low) + " to " + digits(range.high);
    return range.low == Range<T>{}.low ? "" : " of " + digits(range.low) + " or more";
  }
  template <class T>
  void in_range(const char* key, T value, Range<T> range) const {
    if (value >= range.low && value <= range.high) return;
    const std::string low = digits(range.low);
    fail(who_, ": ", path_of(key), ": expected ", low,
         range.high == Range<T>{}.high ? " or more" : " to " + digits(range.high), ", got ",
         digits(value));
  }
  void read_list(const char* key, const Json& value, std::vector<double>& to, Range<double> range) {
    read_items(key, value, to, range, "a list of numbers", &Json::is_number);
  }
  void read_list(const char* key, const Json& value, std::vector<std::int64_t>& to,
                 Range<std::int64_t> range) {
    read_items(key, value, to, range, "a list of integers", &Json::is_number_integer);
  }
  template <class T>
  void read_items(const char* key, const Json& value, std::vector<T>& to, Range<T> range,
                  const std::string& wanted, bool (Json::*fits)() const noexcept) {
    if (!value.is_array()) wrong(key, wanted.c_str(), value);
    to.clear();
    for (const Json& item : value) {
      if (!(item.*fits)()) wrong(key, (wanted + within(range)).c_str(), value);
      to.push_back(item.get<T>());
      in_range(key, to.back(), range);
    }
  }

  std::string who_;
  bool strict_;
  std::vector<Level> levels_;
};

/// Writes every field into a JSON document.
class Writer {
 public:
  explicit Writer(Json& root) { levels_.push_back(&root); }

  template <class F>
  void object(const char* key, F&& body) {
    Json& inner = (*levels_.back())[key] = Json::object();
    levels_.push_back(&inner);
    body();
    levels_.pop_back();
  }
  template <class T, class... Limits>
  void field(const char* key, const T& value, const Limits&...) {
    (*levels_.back())[key] = value;
  }
  template <class T, class... Limits>
  void only(bool, const char*, const char* key, T& value, const Limits&... limits) {
    field(key, value, limits...);
  }
  void field(const char* key, const std::int64_t& all, const std::vector<std::int64_t>& each,
             Range<std::int64_t>) {
    if (each.empty())
      field(key, all);
    else
      field(key, each);
  }
  void field(const char* key, std::vector<optim::ParameterGroup>& value) {
    Json list = Json::array();
    for (optim::ParameterGroup& group : value) {
      levels_.push_back(&list.emplace_back(Json::object()));
      visit_group(*this, group);
      levels_.pop_back();
    }
    (*levels_.back())[key] = list;
  }
  void field(const char* key, std::optional<PaperRecipe>& value) {
    if (value) object(key, [&] { visit_paper(*this, *value); });
  }
  void field(const char* key, const std::int64_t& value, Range<std::int64_t>,
             std::int64_t automatic) {
    if (value == automatic)
      field(key, "auto");
    else
      field(key, value);
  }
  void field(const char* key, const bool& value, const char* word_false, const char* word_true) {
    field(key, value ? word_true : word_false);
  }
  void field(const char* key, const data::Validation& value) {
    if (value.by == data::Validation::By::share)
      field(key, value.share);
    else
      field(key, value.by == data::Validation::By::test ? "test" : "auto");
  }
  void field(const char* key, const data::RandomResizedCrop& value) {
    if (value.scale_low == 0)
      field(key, Json());
    else
      field(key, Json{{"scale", {value.scale_low, value.scale_high}},
                      {"ratio", {value.ratio_low, value.ratio_high}}});
  }
  void field(const char* key, const ClassWeightsRecipe& value) {
    using By = ClassWeightsRecipe::By;
    if (value.by == By::list)
      field(key, value.list);
    else if (value.by == By::names)
      field(key, value.names);
    else
      field(key, value.by == By::none ? "none" : "balanced");
  }
  void flip(const char* key, const data::Augment& value) {
    if (value.flip && value.alternating)
      field(key, "alternating");
    else
      field(key, value.flip);
  }
  void field(const char* key, const NormalizeRecipe& value) {
    if (value.automatic || value.from_dataset)
      (*levels_.back())[key] = value.automatic ? "auto" : "dataset";
    else
      (*levels_.back())[key] = Json{{"mean", value.mean}, {"std", value.std}};
  }

 private:
  std::vector<Json*> levels_;
};

constexpr std::int64_t many = 1'000'000'000;

template <class Visitor>
void visit_model(Visitor& v, ModelRecipe& m) {
  nn::ModelOptions& o = m.options;
  v.field("name", m.name, std::vector<std::string>{});
  v.field("classes", o.classes, Range<std::int64_t>{0, 1'000'000});
  v.field("shortcut", o.shortcut, std::vector<std::string>{"projection", "zero_pad"});
  v.field("stride_on", o.stride_on, std::vector<std::string>{"1x1", "3x3"});
  v.field("pool", o.pool, std::vector<std::string>{"ceil", "padded"});
  v.field("stem", o.stem, std::vector<std::string>{"", "7x7", "3x3"});
  v.field("dropout", o.dropout, Range<double>{-1, 0.99});
  v.field("activation", o.activation, std::vector<std::string>{"", "gelu", "silu", "relu"});
  v.object("norm", [&] {
    v.field("momentum", o.norm_momentum, Range<double>{0, 1});
    v.field("eps", o.norm_eps, Range<double>{0, 1});
  });
  v.field("blocks", o.blocks, Range<std::int64_t>{1, 10'000});
  v.field("widths", o.widths, Range<std::int64_t>{1, 65536});
  v.field("winograd", o.winograd, std::vector<std::string>{"f32", "bf16", "bf16_4x4"});
  v.object("se", [&] {
    v.field("kind", o.se.kind, nn::attention_registry().names(), /*open=*/true);
    v.field("reduction", o.se.reduction, o.se.stage_reductions, Range<std::int64_t>{1, 65536});
    v.field("min_width", o.se.min_width, Range<std::int64_t>{1, 65536});
    v.field("divisor", o.se.divisor, Range<std::int64_t>{1, 65536});
    v.field("bias", o.se.bias);
    v.field("squeeze", o.se.squeeze, nn::squeeze_names.names());
    v.field("gate", o.se.gate, ops::gate_names.names());
    v.field("input_relu", o.se.input_relu);
    v.field("placement", o.se.placement, nn::placement_names.names());
    v.field("stages", o.se.stages, Range<std::int64_t>{2, 64});
  });
}

template <class Visitor>
void visit_augment(Visitor& v, data::Augment& a) {
  const Range<double> factor{0, 10}, alpha{0, 100};
  v.field("random_resized_crop", a.random_resized_crop);
  v.object("rand_augment", [&] {
    v.field("operations", a.rand_augment.operations, Range<std::int64_t>{0, 14});
    v.only(a.rand_augment.operations > 0, "there are no operations to have it", "magnitude",
           a.rand_augment.magnitude, Range<double>{0, 30});
  });
  v.field("rotation", a.rotation, Range<double>{0, 180});
  v.object("jitter", [&] {
    v.field("brightness", a.jitter.brightness, factor);
    v.field("contrast", a.jitter.contrast, factor);
    v.field("saturation", a.jitter.saturation, factor);
    v.field("hue", a.jitter.hue, Range<double>{0, 0.5});
  });
  v.field("pad_crop", a.pad, Range<std::int64_t>{0, 1024});
  v.only(a.pad > 0, "data.augment.pad_crop is 0, so that nothing is padded", "padding_mode",
         a.reflect, "constant", "reflect");
  v.flip("flip", a);
  v.field("lighting", a.lighting, Range<double>{0, 10});
  v.field("cutout", a.cutout, Range<std::int64_t>{0, 4096});
  v.field("erasing", a.erasing.probability, Range<double>{0, 1});
  v.field("mixup", a.mixup, alpha);
  v.field("cutmix", a.cutmix, alpha);
}

template <class Visitor>
void visit_detection(Visitor& v, DetectionRecipe& d) {
  const Range<double> share{0, 1}, side{1, 1e5};
  const Range<std::int64_t> count{1, 1'000'000}, pixels{1, 65536};
  nn::detection::RpnOptions& rpn = d.net.rpn;
  nn::detection::RoiOptions& roi = d.net.roi;
  v.field("min_size", d.min_size, pixels);
  v.field("max_size", d.max_size, pixels);
  v.field("images", d.images, Range<std::int64_t>{0, many});
  v.field("norms", d.frozen_norms, "batch", "frozen");
  v.field("channels", d.net.channels, Range<std::int64_t>{1, 8192});
  v.field("first_stage", d.net.first_stage, Range<std::int64_t>{1, 64});
  v.field("anchor_sizes", rpn.anchors.sizes, side);
  v.field("aspect_ratios", rpn.anchors.ratios, Range<double>{0.01, 100});
  v.object("rpn", [&] {
    v.field("samples", rpn.sampler.count, count);
    v.field("positive_fraction", rpn.sampler.positive_fraction, share);
    v.field("foreground_iou", rpn.foreground_iou, share);
    v.field("background_iou", rpn.background_iou, share);
    v.field("nms", rpn.nms, share);
    v.field("before_nms", rpn.training.before_nms, count);
    v.field("after_nms", rpn.training.after_nms, count);
    v.field("eval_before_nms", rpn.evaluation.before_nms, count);
    v.field("eval_after_nms", rpn.evaluation.after_nms, count);
    v.field("beta", rpn.beta, Range<double>{1e-6, 1e6});
  });
  v.object("roi", [&] {
    v.field("samples", roi.sampler.count, count);
    v.field("positive_fraction", roi.sampler.positive_fraction, share);
    v.field("foreground_iou", roi.foreground_iou, share);
    v.field("background_iou", roi.background_iou, share);
    v.field("pool", roi.pool, Range<std::int64_t>{1, 64});
    v.field("sampling", roi.sampling, Range<std::int64_t>{0, 16});
    v.field("width", roi.width, Range<std::int64_t>{1, 65536});
    v.field("score_threshold", roi.score_threshold, share);
    v.field("nms", roi.nms, share);
    v.field("detections", roi.detections, count);
    v.field("beta", roi.beta, Range<double>{1e-6, 1e6});
  });
  v.field("eval_epochs", d.eval_epochs, count);
}

/// The one description of a recipe.
template <class Visitor>
void visit(Visitor& v, Recipe& r) {
  v.field("task", r.task, std::vector<std::string>{"classification", "detection"});
  v.field("paper", r.paper);
  v.object("model", [&] { visit_model(v, r.model); });
  if (r.detects()) v.object("detection", [&] { visit_detection(v, r.detection); });
  v.object("data", [&] {
    DataRecipe& d = r.data;
    if (r.detects())
      v.field("kind", d.kind, std::vector<std::string>{"auto", "coco"});
    else
      v.field("kind", d.kind, data::dataset_kinds(), /*open=*/true);
    v.field("dir", d.dir, std::vector<std::string>{});
    v.field("image_size", d.image_size, Range<std::int64_t>{0, 4096});
    v.object("augment", [&] { visit_augment(v, d.augment); });
    v.object("eval", [&] { v.field("resize", d.eval_resize, Range<std::int64_t>{0, 8192}); });
    v.field("normalize", d.normalize);
    v.field("workers", d.workers, Range<std::int64_t>{0, 256},
            std::int64_t{data::automatic_workers});
    v.field("on_error", d.skip_errors, "fail", "skip");
    v.field("shuffle_block", d.shuffle_block, Range<std::int64_t>{0, 1 << 20});
    v.field("sampler", d.balanced_sampler, "random", "balanced");
    v.field("batch", d.batch, Range<std::int64_t>{1, 65536});
    v.field("last_batch", d.drop_last, "train", "drop");
    v.field("validation", d.validation);
  });
  v.object("init", [&] {
    v.field("weights", r.init.weights, std::vector<std::string>{});
    const char* none = "there are no weights to begin with, init.weights is empty";
    v.only(!r.init.weights.empty(), none, "from", r.init.from, std::vector<std::string>{});
    v.only(!r.init.weights.empty(), none, "head", r.init.head,
           std::vector<std::string>{"auto", "keep", "new"});
  });
  v.field("freeze", r.freeze);
  v.object("optimizer", [&] {
    OptimizerRecipe& o = r.optimizer;
    v.field("name", o.name, optim::optimizer_registry().names(), /*open=*/true);
    const bool sgd = o.name == "sgd", adamw = o.name == "adamw";  // a user's may read all
    const bool muon = o.name == "muon";
    v.only(!adamw, "adamw has beta1 instead", "momentum", o.momentum, Range<double>{0, 0.999999});
    v.field("nesterov", o.nesterov);
    const bool betas = !sgd && !muon;
    v.only(betas, "sgd and muon have momentum instead", "beta1", o.beta1,
           Range<double>{0, 0.999999});
    v.only(betas, "only adamw has it", "beta2", o.beta2, Range<double>{0, 0.999999});
    v.only(betas, "only adamw has it", "eps", o.eps, Range<double>{1e-30, 1});
    v.field("weight_decay", o.weight_decay, Range<double>{0, 1});
    v.field("decoupled", o.decoupled);
    v.field("decay_norm_and_bias", o.decay_norm_and_bias);
    v.field("newton_schulz", o.newton_schulz, Range<std::int64_t>{1, 100});
    v.field("normalize", o.normalize);
  });
  v.object("schedule", [&] {
    ScheduleRecipe& s = r.schedule;
    v.field("name", s.name, optim::schedule_registry().names(), /*open=*/true);
    v.field("lr", s.lr, Range<double>{0});
    const bool own = !optim::is_standard_schedule(s.name);  // a user's may read all
    const auto is = [&](std::string_view name) { return own || s.name == name; };
    const bool triangular = s.name == "triangular",
               cycle = s.name == "one_cycle_linear" || triangular;
    v.only(is("cosine") || triangular, "only cosine and triangular end in it", "final_lr",
           s.final_lr, Range<double>{0});
    v.only(own || cycle,
           "only one_cycle_linear and triangular use it, the others have schedule.warmup_epochs",
           "warmup_fraction", s.warmup_fraction, Range<double>{0, 1});
    v.only(!cycle, "one_cycle_linear and triangular use schedule.warmup_fraction", "warmup_epochs",
           s.warmup_epochs, Range<double>{0});
    const char* no_warmup = "there is no warm-up, schedule.warmup_epochs is 0";
    v.only(s.warmup_epochs > 0 || triangular, no_warmup, "warmup_start_lr", s.warmup_start_lr,
           Range<double>{0});
    v.only(s.warmup_epochs > 0, no_warmup, "warmup", s.warmup,
           std::vector<std::string>{"linear", "constant"});
    v.only(is("multistep"), "only multistep drops the rate at them", "milestones", s.milestones,
           Range<double>{0});
    v.only(is("step"), "only step drops the rate so", "step_epochs", s.step_epochs,
           Range<double>{1e-3});
    v.only(is("multistep") || is("step"), "only step and multistep drop the rate", "gamma", s.gamma,
           Range<double>{0});
  });
  v.field("parameter_groups", r.parameter_groups);
  v.field("layer_decay", r.layer_decay, Range<double>{1e-3, 1});
  v.field("clip_norm", r.clip_norm, Range<double>{0});
  v.field("clip_value", r.clip_value, Range<double>{0});
  v.field("accumulate", r.accumulate, Range<std::int64_t>{1, 65536});
  v.field("label_smoothing", r.label_smoothing, Range<double>{0, 0.999});
  v.field("class_weights", r.class_weights);
  v.field("freeze_norm_epochs", r.freeze_norm_epochs, Range<std::int64_t>{0, 1'000'000});
  v.field("ema_decay", r.ema_decay, Range<double>{0, 0.999999});
  v.field("ema_warmup", r.ema_warmup);
  v.object("early_stopping", [&] {
    EarlyStoppingRecipe& e = r.early_stopping;
    v.field("patience", e.patience, Range<std::int64_t>{0, 1'000'000});
    const char* never = "early_stopping.patience is 0, so that nothing stops early";
    v.only(e.patience > 0, never, "min_delta", e.min_delta, Range<double>{0});
    v.only(e.patience > 0, never, "metric", e.metric, metric_names());
  });
  v.field("epochs", r.epochs, Range<std::int64_t>{1, 1'000'000});
  v.field("seed", r.seed);
  v.field("threads", r.threads, Range<std::int64_t>{0, 4096});
  v.field("dtype", r.dtype, std::vector<std::string>{"f32", "bf16", "auto"});
  v.field("recompute", r.recompute, nn::recompute_names.names());
  v.object("parallel", [&] {
    v.field("norm", r.parallel.sync_norms, "local", "sync");
    v.field("gradients", r.parallel.bf16_gradients, "f32", "bf16");
  });
  v.object("log", [&] { v.field("gates", r.log.gates); });
  v.object("checkpoint", [&] {
    CheckpointRecipe& c = r.checkpoint;
    v.field("every_epochs", c.every_epochs, Range<std::int64_t>{1, many});
    v.field("every_steps", c.every_steps, Range<std::int64_t>{0, many});
    v.field("keep_last", c.keep_last, Range<std::int64_t>{1, many});
    v.field("keep_best", c.keep_best);
    v.only(c.keep_best, "checkpoint.keep_best is false", "best_by", c.best_by, metric_names());
  });
}

/// A key that programs did not know from the start, and what those did that did not.
struct LaterKey {
  const char* path;  ///< a JSON pointer
  Json before;
};
const std::vector<LaterKey>& later_keys() {
  static const std::vector<LaterKey> keys{
      {"/data/last_batch", "drop"}, {"/data/validation", "test"}, {"/ema_warmup", false}};
  return keys;
}

/// What a schedule's keys say together. Runs that began before this was asked go on.
void check_schedule(const ScheduleRecipe& s, const std::string& who) {
  check(s.name != "triangular" || (s.warmup_start_lr <= s.lr && s.final_lr <= s.lr), who,
        ": schedule: triangular rises to schedule.lr, ", s.lr,
        ", and falls from it; expected warmup_start_lr and final_lr below");
  if (s.name != "one_cycle_linear" && s.warmup_epochs > 0) {
    check(s.warmup != "constant" || s.warmup_start_lr > 0 || s.lr == 0, who,
          ": schedule.warmup_start_lr: a constant warm-up with the rate 0 trains nothing; expected "
          "a rate above 0");
    check(s.warmup_start_lr <= s.lr, who,
          ": schedule.warmup_start_lr: expected at most "
          "schedule.lr, ",
          s.lr, ", got ", s.warmup_start_lr);
  }
  check(s.name != "cosine" || s.final_lr <= s.lr, who,
        ": schedule.final_lr: expected at most schedule.lr, ", s.lr, ", got ", s.final_lr);
  if (s.name == "multistep" && s.warmup_epochs > 0 && !s.milestones.empty())
    check(s.milestones.front() > s.warmup_epochs, who,
          ": schedule.milestones: ", s.milestones.front(), " is not behind the warm-up of ",
          s.warmup_epochs, " epochs, so schedule.lr would never be reached");
}

/// Refuses options of muon where no parameters have it. An optimiser of a user's own may read them.
void check_optimizer(const Recipe& r, const std::string& who) {
  const OptimizerRecipe& o = r.optimizer;
  const OptimizerRecipe none;
  const auto reads = [](const std::string& name) {
    return name != "sgd" && name != "adamw" && !name.empty();
  };
  const bool read = reads(o.name) || std::ranges::any_of(r.parameter_groups, [&](const auto& g) {
                      return reads(g.optimizer);
                    });
  check(read || (o.newton_schulz == none.newton_schulz && o.normalize == none.normalize), who,
        ": optimizer.newton_schulz and optimizer.normalize: only muon has them; leave them out");
}

/// What a detector's recipe must leave as it is: nothing would read it.
void check_detection(const Recipe& r, const std::string& who) {
  const auto unread = [&](bool default_value, const char* key, const char* why = "") {
    check(default_value, who, ": ", key, " is for classification, a detector does not read it", why,
          "; leave it out");
  };
  const DataRecipe& d = r.data;
  unread(d.image_size == 0, "data.image_size", ", but detection.min_size and max_size");
  unread(d.eval_resize == 0, "data.eval.resize", ", but detection.min_size and max_size");
  unread(!d.balanced_sampler, "data.sampler");
  unread(d.validation.by == data::Validation::By::automatic, "data.validation");
  unread(!d.drop_last, "data.last_batch");
  const data::Augment& a = d.augment;
  unread(a.random_resized_crop.scale_low == 0 && a.rand_augment.operations == 0 &&
             a.rotation == 0 && !a.jitter.on() && a.pad == 0 && a.lighting == 0 && a.cutout == 0 &&
             a.erasing.probability == 0 && a.mixup == 0 && a.cutmix == 0,
         "data.augment", ", but its flip");
  unread(r.label_smoothing == 0, "label_smoothing");
  unread(r.class_weights.by == ClassWeightsRecipe::By::none, "class_weights");
  unread(r.early_stopping.patience == 0, "early_stopping");
  unread(r.ema_decay == 0, "ema_decay");
  unread(!r.log.gates, "log.gates");
  for (const optim::ParameterGroup& g : r.parameter_groups)
    unread(g.epochs == 0, "parameter_groups: epochs");
  unread(r.model.options.classes == 0, "model.classes", ", the data has them");
  check(r.dtype == "f32", who, ": dtype: detectors run in f32, got ", r.dtype);
  check(r.detection.max_size >= r.detection.min_size, who, ": detection.max_size: expected ",
        "detection.min_size, ", r.detection.min_size, ", or more, got ", r.detection.max_size);
  check(r.detection.net.rpn.background_iou <= r.detection.net.rpn.foreground_iou &&
            r.detection.net.roi.background_iou <= r.detection.net.roi.foreground_iou,
        who, ": detection: background_iou: expected foreground_iou or less");
}

void compare(const Json& a, const Json& b, const std::string& path,
             std::vector<Difference>& found) {
  if (a == b) return;
  if (!a.is_object() || !b.is_object()) {
    found.push_back({path, a.dump(), b.dump()});
    return;
  }
  const auto below = [&](const std::string& key) {
    compare(a.value(key, Json()), b.value(key, Json()), path.empty() ? key : path + '.' + key,
            found);
  };
  for (const auto& [key, value] : a.items()) below(key);
  for (const auto& [key, value] : b.items())
    if (!a.contains(key)) below(key);
}

}  // namespace

void fill_as_begun(Json& json, const Json& stored) {
  for (const LaterKey& key : later_keys()) {
    const Json::json_pointer at(key.path), parent = at.parent_pointer();
    if (stored.contains(at) || json.contains(at)) continue;
    if (!json.contains(parent) || json[parent].is_object()) json[at] = key.before;
  }
}

Recipe as_begun(const Recipe& recipe, const Json& stored) {
  Json json = to_json(recipe);
  for (const LaterKey& key : later_keys()) {
    const Json::json_pointer at(key.path);
    if (!stored.contains(at)) json[at] = key.before;
  }
  return recipe_from(json, Recipe::Source::stored);
}

Recipe recipe_from(const Json& json, Recipe::Source source, const std::string& who) {
  Json complete = json;
  if (source == Recipe::Source::stored && json.is_object()) fill_as_begun(complete, json);
  Recipe recipe;
  Reader reader(complete, who, source == Recipe::Source::given);
  visit(reader, recipe);
  reader.finish();
  check(!recipe.model.name.empty(), who, ": model.name is missing; try \"se_resnet20\"");
  check(
      recipe.optimizer.momentum > 0 || !recipe.optimizer.nesterov || recipe.optimizer.name != "sgd",
      who, ": optimizer.nesterov needs a momentum above 0, got ", recipe.optimizer.momentum);
  check(recipe.schedule.warmup_epochs <= static_cast<double>(recipe.epochs), who,
        ": schedule.warmup_epochs: ", recipe.schedule.warmup_epochs, " is more than epochs, ",
        recipe.epochs);
  const DataRecipe& d = recipe.data;
  check(d.image_size > 0 || d.augment.random_resized_crop.scale_low == 0, who,
        ": data.augment.random_resized_crop needs data.image_size, the side of what comes out");
  check(d.eval_resize == 0 || (d.image_size > 0 && d.eval_resize >= d.image_size), who,
        ": data.eval.resize: expected data.image_size, ", d.image_size, ", or more, got ",
        d.eval_resize);
  check(recipe.freeze_norm_epochs < recipe.epochs, who,
        ": freeze_norm_epochs: ", recipe.freeze_norm_epochs, " leaves no epoch of ", recipe.epochs,
        " in which batch norms learn their statistics");
  check(std::is_sorted(recipe.schedule.milestones.begin(), recipe.schedule.milestones.end()), who,
        ": schedule.milestones: expected epochs in ascending order");
  if (source == Recipe::Source::given) {
    check_schedule(recipe.schedule, who);
    check_optimizer(recipe, who);
  }
  if (recipe.detects()) check_detection(recipe, who);
  return recipe;
}

Recipe Recipe::parse(const std::string& text, Source source, const std::string& who) {
  return recipe_from(parse_json(text, who), source, who);
}

Recipe Recipe::read(const std::filesystem::path& path, Source source) {
  return recipe_from(read_json(path), source, "recipe: " + path.string());
}

std::string Recipe::text() const { return to_json(*this).dump(2) + '\n'; }

Recipe Recipe::with(const std::vector<std::string>& assignments) const {
  Json json = to_json(*this);
  for (const std::string& assignment : assignments) set_value(json, assignment);
  return recipe_from(json);
}

void check_readable(const Recipe& recipe) {
  try {
    const std::string text = to_json(recipe).dump();
    const Json again = parse_json(text, "recipe");
    check(to_json(recipe_from(again, Recipe::Source::stored)).dump() == text,
          "recipe: it would be read back as another one");
  } catch (const Json::type_error&) {
    fail("recipe: a text in it is not UTF-8, which JSON cannot hold; rename the folder ",
         recipe.data.dir);
  }
}

Json to_json(const Recipe& recipe) {
  Json json = Json::object();
  Writer writer(json);
  Recipe copy = recipe;
  visit(writer, copy);
  return json;
}

void set_value(Json& json, const std::string& assignment) {
  const auto equals = assignment.find('=');
  check(equals != std::string::npos && equals > 0, "recipe: expected key=value, got \"",
        shortened(assignment, 120), "\"; for example schedule.lr=0.1");
  const std::string text = assignment.substr(equals + 1);
  const Json value = try_json(text).value_or(Json(text));
  const std::string path = assignment.substr(0, equals);
  constexpr auto most_dots = 16;  // no key of a recipe lies so deep
  check(std::count(path.begin(), path.end(), '.') <= most_dots, "recipe: ", shortened(path, 120),
        " has too many parts");
  Json* at = &json;
  std::stringstream keys(path);
  for (std::string key; std::getline(keys, key, '.');) {
    check(at->is_object(), "recipe: ", shortened(path, 120), ": ", shortened(key, 40),
          " would be inside ", shown(*at));
    at = &(*at)[key];
    if (at->is_null()) *at = Json::object();
  }
  *at = value;
}

ModelRecipe model_recipe(const std::string& name, std::int64_t classes,
                         const std::vector<std::string>& assignments) {
  Json json = Json::object();
  json["name"] = name;
  json["classes"] = classes;
  for (const std::string& assignment : assignments)
    set_value(json, assignment.rfind("model.", 0) == 0 ? assignment.substr(6) : assignment);
  ModelRecipe model;
  Reader reader(json, "recipe", /*strict=*/true);
  visit_model(reader, model);
  reader.finish();
  return model;
}

DType activation_dtype(const std::string& text) { return ops::choose_precision(text).dtype; }

std::vector<Difference> differences(const Json& a, const Json& b) {
  std::vector<Difference> found;
  compare(a, b, "", found);
  return found;
}

std::optional<Difference> first_difference(const Json& a, const Json& b) {
  const std::vector<Difference> found = differences(a, b);
  return found.empty() ? std::nullopt : std::optional(found.front());
}

}  // namespace exciton::train
