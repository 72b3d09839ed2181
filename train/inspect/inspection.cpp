#include "exciton/train/inspect/inspection.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "exciton/core/error.hpp"
#include "exciton/data/files.hpp"
#include "exciton/data/image.hpp"
#include "exciton/data/loader.hpp"
#include "exciton/data/resize.hpp"
#include "exciton/data/subset.hpp"
#include "exciton/nn/layers.hpp"
#include "exciton/nn/summary.hpp"
#include "exciton/train/evaluate.hpp"
#include "exciton/train/predict.hpp"
#include "exciton/train/trained_model.hpp"

namespace exciton::train {
namespace {

std::int64_t best_class(const Tensor& logits, std::int64_t row) {
  const std::int64_t classes = logits.dim(1);
  const float* v = logits.data<float>() + row * classes;
  return std::max_element(v, v + classes) - v;
}

/// "stage3" of "stage3.0.se".
std::string stage_of(const std::string& unit) { return unit.substr(0, unit.find('.')); }

class Inspector {
 public:
  Inspector(TrainedModel& trained, std::shared_ptr<const data::Dataset> set,
            const InspectionOptions& options)
      : trained_(trained),
        net_(*trained.model.net),
        set_(std::move(set)),
        options_(options),
        dtype_(activation_dtype(trained.recipe.dtype)),
        units_(nn::attention_units(net_)) {}

  Inspection run() {
    check(!units_.empty(), "inspect: ", trained_.model.name,
          " has no SE blocks; wanted a run of a network that has, e.g. se_resnet20");
    for (const std::int64_t pick : options_.picks)
      check(pick >= 0 && pick < set_->size(), "inspect: image ", pick, " of ", set_->size(), " in ",
            set_->description());
    nn::set_training(net_, false);
    out_.stats = GateStats(set_->classes());
    watch_all();
    count();
    measure_importance();
    for (const std::int64_t pick : options_.picks) out_.explanations.push_back(of_set(pick));
    for (const std::string& file : options_.files) out_.explanations.push_back(of_file(file));
    return std::move(out_);
  }

 private:
  void tell(const std::string& what, std::int64_t done, std::int64_t total) const {
    if (options_.progress) options_.progress(what, done, total);
  }

  /// Gates over the whole set, in an order in which the halves are alike.
  void watch_all() {
    data::Loader images = evaluation_loader(trained_, set_, {.shuffle = true});
    Evaluation result(set_->classes());
    const nn::GateRecorder recorder(net_);
    bool second_half = false;
    while (const auto batch = images.next()) {
      if (!second_half && 2 * result.images() >= set_->size()) {
        out_.stats.start_second_half();
        second_half = true;
      }
      result.add(net_(batch->images).value(), batch->labels);
      out_.stats.add(recorder, batch->labels);
      if (options_.each_batch) options_.each_batch(recorder, batch->labels, batch->indices);
      tell("gates", result.images(), set_->size());
    }
    out_.images = result.images();
    out_.top1 = result.top1();
    out_.loss = result.loss();
  }

  /// What each unit costs.
  void count() {
    const nn::Summary summary = nn::summarize(trained_.model, trained_.preprocessing.image_size);
    out_.parameters = summary.parameters;
    out_.multiply_adds = summary.multiply_adds;
    std::map<std::string, Importance> groups;
    Importance all{.name = "all", .units = 0};
    for (const nn::NamedAttention& unit : units_) {
      Importance w{.name = unit.name};
      for (const nn::SummaryRow& row : summary.rows)
        if (row.name == unit.name || row.name.starts_with(unit.name + '.')) {
          w.parameters += row.parameters;
          w.multiply_adds += row.multiply_adds;
        }
      Importance& group =
          groups.try_emplace(stage_of(unit.name), Importance{.units = 0}).first->second;
      for (Importance* sum : {&group, &all}) {
        ++sum->units;
        sum->parameters += w.parameters;
        sum->multiply_adds += w.multiply_adds;
      }
      out_.units.push_back(std::move(w));
    }
    for (auto& [name, group] : groups) {
      group.name = name;
      if (groups.size() > 1 && group.units > 1) out_.groups.push_back(group);
    }
    out_.groups.push_back(std::move(all));
  }

  /// Accuracy without this and that.
  void measure_importance() {
    const auto chosen = std::make_shared<data::Subset>(
        set_, data::spread(set_->size(), options_.importance_images));
    out_.importance_images = chosen->size();
    std::int64_t trials = 1;
    for (const Importance& w : out_.units) trials += w.units > 0 ? 3 : 0;
    trials += 2 * static_cast<std::int64_t>(out_.groups.size());
    data::Loader images = evaluation_loader(trained_, chosen);
    std::int64_t trial = 0;
    const auto attempt = [&] {
      tell("replaced gates", trial++, trials);
      std::vector<char> right;
      images.start_epoch(0);
      while (const auto batch = images.next()) {
        const Tensor logits = net_(batch->images).value().to(DType::f32);
        for (std::int64_t n = 0; n < logits.dim(0); ++n)
          right.push_back(best_class(logits, n) == batch->labels.data<std::int64_t>()[n]);
      }
      return right;
    };
    const std::vector<char> as_it_is = attempt();
    out_.importance_top1 =
        static_cast<double>(std::accumulate(as_it_is.begin(), as_it_is.end(), 0)) /
        static_cast<double>(as_it_is.size());
    const auto replace = [&](Importance& importance, const std::string& by, auto&& wanted) {
      std::vector<std::unique_ptr<nn::HookScope>> hooks;
      for (std::size_t i = 0; i < units_.size(); ++i)
        if (wanted(units_[i].name))
          hooks.push_back(std::make_unique<nn::HookScope>(units_[i].unit->hook,
                                                          nn::constant_gates(values(i, by))));
      importance.replacements.push_back(compare(by, as_it_is, attempt()));
    };
    for (Importance& importance : out_.units)
      for (const char* by : {"one", "mean", "zero"})
        replace(importance, by, [&](const std::string& unit) { return unit == importance.name; });
    for (Importance& importance : out_.groups)
      for (const char* by : {"one", "mean"})
        replace(importance, by, [&](const std::string& unit) {
          return importance.name == "all" || stage_of(unit) == importance.name;
        });
  }

  Tensor values(std::size_t unit, const std::string& by) const {
    const UnitStats& stats = out_.stats.units()[unit];
    Tensor out = Tensor::full({stats.channels()}, by == "one" ? 1 : 0);
    if (by == "mean")
      for (std::int64_t c = 0; c < stats.channels(); ++c) out.set(c, stats.mean(c));
    return out;
  }

  static Replacement compare(const std::string& by, const std::vector<char>& before,
                             const std::vector<char>& after) {
    const auto n = static_cast<double>(before.size());
    double sum = 0, square = 0, right = 0;
    for (std::size_t i = 0; i < before.size(); ++i) {
      const double d = after[i] - before[i];
      sum += d;
      square += d * d;
      right += after[i];
    }
    const double mean = sum / n;
    return {.by = by,
            .top1 = right / n,
            .difference = mean,
            .error = std::sqrt(std::max(0.0, square / n - mean * mean) / n)};
  }

  Explanation of_set(std::int64_t pick) {
    Explanation out;
    out.name = "image " + std::to_string(pick);
    out.label = set_->class_names()[static_cast<std::size_t>(set_->label(pick))];
    set_->read_view(
        pick, [&](data::Size own) { return trained_.preprocessing.view(own); }, out.image);
    explain(out);
    return out;
  }

  Explanation of_file(const std::string& file) {
    Explanation out;
    out.name = file;
    out.image = input_image(trained_, file);
    explain(out);
    return out;
  }

  /// Fills in what the network makes of out.image.
  void explain(Explanation& out) {
    const Tensor input = input_tensor(trained_, out.image);
    struct FindPool final : nn::Visitor {
      nn::GlobalAvgPool* last = nullptr;
      void enter(const std::string&, nn::Module& m) override {
        if (auto* pool = dynamic_cast<nn::GlobalAvgPool*>(&m)) last = pool;
      }
    } find;
    find.walk(net_);
    const nn::GateRecorder recorder(net_);
    Tape tape;
    Var map;
    nn::ForwardHook none;
    // The map becomes a leaf of the tape: backward goes from the class to it and no further.
    const nn::HookScope cut(find.last ? find.last->hook : none,
                            [&](const Var& x) { return map = tape.watch(x.value()); });
    const Var logits = net_(input.to(dtype_));
    rank(logits.value().to(DType::f32), out);
    for (std::size_t i = 0; i < units_.size(); ++i) {
      const Tensor gates = recorder.gates(i);
      const auto s = gates.span<float>();
      out.gates.emplace_back(s.begin(), s.end());
    }
    if (!find.last) return;
    Tensor of_class = Tensor::zeros(logits.shape(), logits.value().dtype());
    of_class.set(best_class(logits.value().to(DType::f32), 0), 1);
    tape.backward(logits, of_class);
    heat(map.value().to(DType::f32), tape.gradient(map).to(DType::f32), out);
    for (const auto& p : nn::parameters(net_)) p.parameter->grad = Tensor();
  }

  void rank(const Tensor& logits, Explanation& out) const {
    const std::vector<double> probabilities = softmax(logits.span<float>());
    for (const std::size_t k : top_k(probabilities, 5))
      out.top5.emplace_back(trained_.preprocessing.class_names[k], probabilities[k]);
  }

  static void heat(const Tensor& map, const Tensor& gradient, Explanation& out) {
    const std::int64_t pixels = map.dim(1) * map.dim(2), c = map.dim(3);
    std::vector<double> weights(static_cast<std::size_t>(c));
    for (std::int64_t p = 0; p < pixels; ++p)
      for (std::int64_t k = 0; k < c; ++k)
        weights[static_cast<std::size_t>(k)] += gradient.data<float>()[p * c + k];
    out.heat_height = map.dim(1);
    out.heat_width = map.dim(2);
    float highest = 0;
    for (std::int64_t p = 0; p < pixels; ++p) {
      double sum = 0;
      for (std::int64_t k = 0; k < c; ++k)
        sum += weights[static_cast<std::size_t>(k)] * map.data<float>()[p * c + k];
      highest = std::max(highest, out.heat.emplace_back(static_cast<float>(std::max(0.0, sum))));
    }
    if (highest > 0)
      for (float& h : out.heat) h /= highest;
  }

  TrainedModel& trained_;
  nn::Module& net_;
  std::shared_ptr<const data::Dataset> set_;
  const InspectionOptions& options_;
  DType dtype_;
  std::vector<nn::NamedAttention> units_;
  Inspection out_;
};

}  // namespace

Inspection inspect(TrainedModel& trained, const std::shared_ptr<const data::Dataset>& set,
                   const InspectionOptions& options) {
  return Inspector(trained, set, options).run();
}

}  // namespace exciton::train
