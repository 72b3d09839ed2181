#include "exciton/train/inspect/pruning.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <unordered_map>

#include "exciton/core/error.hpp"
#include "exciton/data/loader.hpp"
#include "exciton/data/subset.hpp"
#include "exciton/nn/squeeze_excite.hpp"
#include "exciton/train/inspect/gate_stats.hpp"
#include "exciton/train/trained_model.hpp"

namespace exciton::train {
namespace {

using Channels = std::vector<std::int64_t>;

/// The `count` of highest score, in ascending order.
Channels best(const std::vector<double>& scores, std::int64_t count) {
  Channels order(scores.size());
  std::iota(order.begin(), order.end(), std::int64_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) {
    return scores[static_cast<std::size_t>(a)] > scores[static_cast<std::size_t>(b)];
  });
  order.resize(static_cast<std::size_t>(count));
  std::sort(order.begin(), order.end());
  return order;
}

/// The slices `rows` along axis 0 and `columns` along axis 1; an empty list keeps all.
Tensor cut(const Tensor& from, const Channels& rows, const Channels& columns) {
  const std::int64_t r = rows.empty() ? from.dim(0) : static_cast<std::int64_t>(rows.size());
  if (from.rank() == 1) {
    Tensor out({r}, from.dtype());
    for (std::int64_t i = 0; i < r; ++i)
      out.set(i, from.at(rows.empty() ? i : rows[static_cast<std::size_t>(i)]));
    return out;
  }
  const std::int64_t c = columns.empty() ? from.dim(1) : static_cast<std::int64_t>(columns.size());
  const std::int64_t rest = from.numel() / (from.dim(0) * from.dim(1));
  Tensor out(from.rank() == 4 ? Shape{r, c, from.dim(2), from.dim(3)} : Shape{r, c}, from.dtype());
  for (std::int64_t i = 0; i < r; ++i)
    for (std::int64_t j = 0; j < c; ++j)
      for (std::int64_t k = 0; k < rest; ++k) {
        const std::int64_t row = rows.empty() ? i : rows[static_cast<std::size_t>(i)];
        const std::int64_t column = columns.empty() ? j : columns[static_cast<std::size_t>(j)];
        out.set((i * c + j) * rest + k, from.at((row * from.dim(1) + column) * rest + k));
      }
  return out;
}

class Pruner {
 public:
  Pruner(TrainedModel& trained, double keep, std::int64_t multiple)
      : trained_(trained), keep_(keep), multiple_(multiple) {
    check(multiple >= 1, "prune: multiple: expected at least 1, got ", multiple);
    check(keep > 0 && keep <= 1, "prune: keep: expected a share above 0 and up to 1, got ", keep);
    for (const auto& [name, p] : nn::parameters(*trained.model.net)) values_[name] = p->value();
    for (const auto& [name, t] : nn::buffers(*trained.model.net)) values_[name] = *t;
    const nn::ModelOptions& o = trained.recipe.model.options;
    const std::string& model = trained.model.name;
    check(find("stage1.0.conv2.weight") && find("stage1.0.se.reduce.weight") &&
              !find("stage1.0.conv3.weight") && find("stage3.0.bn2.weight") &&
              !find("stage4.0.conv1.weight") && model.find("preresnet") == std::string::npos &&
              o.se.placement == "standard" && o.se.stages.empty() && o.se.kind == "se",
          "prune: ", model,
          ": wanted a CIFAR network of basic blocks with SE in its standard "
          "place, se_resnet20 to se_resnet110");
    check(o.shortcut == "projection",
          "prune: shortcut zero_pad ties the channels of the stages together; wanted projection");
    for (std::size_t s = 0; s < 3; ++s) {
      std::size_t blocks = 0;
      while (find(block(s, blocks) + "conv1.weight")) ++blocks;
      blocks_.push_back(blocks);
    }
    check_cuts();
  }

  Pruned run(const std::shared_ptr<const data::Dataset>& set, std::int64_t images) {
    gates_ = mean_gates(set, images);
    Pruned out;
    out.recipe = trained_.recipe;
    nn::ModelOptions& options = out.recipe.model.options;
    options.widths.clear();
    options.se.stage_reductions.clear();
    std::size_t unit = 0;
    for (std::size_t s = 0; s < 3; ++s) {
      const std::int64_t old = values_.at(block(s, 0) + "bn2.weight").dim(0);
      const std::int64_t width = kept_width(old);
      options.widths.push_back(width);
      options.se.stage_reductions.push_back(reduction(s, width));
      std::vector<double> scores(static_cast<std::size_t>(old));
      for (std::size_t b = 0; b < blocks_[s]; ++b)
        for (std::size_t c = 0; c < scores.size(); ++c) scores[c] += gates_[unit + b][c];
      out.kept.stream.push_back(best(scores, width));
      nn::SESpec spec = options.se;
      spec.reduction = options.se.stage_reductions.back();
      auto& inner = out.kept.inner.emplace_back();
      auto& hidden = out.kept.hidden.emplace_back();
      for (std::size_t b = 0; b < blocks_[s]; ++b) {
        inner.push_back(best(inner_scores(s, b, gates_[unit + b], out.kept.stream[s]), width));
        hidden.push_back(best(hidden_scores(s, b, out.kept.stream[s]), spec.hidden(width)));
      }
      unit += blocks_[s];
    }
    out.model = make_model(out.recipe, trained_.preprocessing);
    fill(*out.model.net, out.kept);
    nn::set_training(*out.model.net, false);
    return out;
  }

 private:
  /// Errors: every stage would keep its channels, though fewer were asked for.
  void check_cuts() const {
    std::string widths;
    bool cuts = keep_ == 1;
    for (std::size_t s = 0; s < blocks_.size(); ++s) {
      const std::int64_t old = values_.at(block(s, 0) + "bn2.weight").dim(0);
      cuts = cuts || kept_width(old) < old;
      widths += (s > 0 ? ", " : "") + std::to_string(old);
    }
    check(cuts, "prune: nothing would be cut: ", keep_, " of ", widths,
          " channels in multiples of ", multiple_,
          " are all of them; try a lower keep or a smaller multiple");
  }
  static std::string block(std::size_t stage, std::size_t index) {
    return "stage" + std::to_string(stage + 1) + '.' + std::to_string(index) + '.';
  }
  std::int64_t kept_width(std::int64_t old) const {
    const double multiples = keep_ * static_cast<double>(old) / static_cast<double>(multiple_);
    return std::min(old, multiple_ * std::max<std::int64_t>(1, std::llround(multiples)));
  }
  bool find(const std::string& name) const { return values_.contains(name); }
  double at(const std::string& name, std::int64_t index) const {
    return values_.at(name).at(index);
  }

  std::vector<std::vector<double>> mean_gates(const std::shared_ptr<const data::Dataset>& set,
                                              std::int64_t images) {
    const auto chosen = std::make_shared<data::Subset>(set, data::spread(set->size(), images));
    data::Loader loader = evaluation_loader(trained_, chosen);
    nn::set_training(*trained_.model.net, false);
    const nn::GateRecorder recorder(*trained_.model.net);
    GateStats stats(set->classes());
    while (const auto batch = loader.next()) {
      (*trained_.model.net)(batch->images);
      stats.add(recorder, batch->labels);
    }
    std::vector<std::vector<double>> out;
    for (const UnitStats& unit : stats.units()) {
      auto& means = out.emplace_back();
      for (std::int64_t c = 0; c < unit.channels(); ++c) means.push_back(unit.mean(c));
    }
    return out;
  }

  /// The r that leaves the hidden units as many as they are, or the old one.
  std::int64_t reduction(std::size_t stage, std::int64_t width) const {
    const nn::SESpec& se = trained_.recipe.model.options.se;
    const std::int64_t old =
        se.stage_reductions.empty() ? se.reduction : se.stage_reductions[stage];
    const std::int64_t wanted = values_.at(block(stage, 0) + "se.reduce.weight").dim(0);
    nn::SESpec spec = se;
    for (std::int64_t r = 1; r <= width; ++r) {
      spec.reduction = r;
      if (spec.hidden(width) == wanted) return r;
    }
    return old;
  }

  std::vector<double> inner_scores(std::size_t s, std::size_t b, const std::vector<double>& gates,
                                   const Channels& kept) const {
    const Tensor& w = values_.at(block(s, b) + "conv2.weight");
    const std::int64_t width = w.dim(1), taps = w.dim(2) * w.dim(3);
    std::vector<double> scores(static_cast<std::size_t>(width));
    for (const std::int64_t c : kept) {
      const double gain = gates[static_cast<std::size_t>(c)] *
                          std::abs(at(block(s, b) + "bn2.weight", c)) /
                          std::sqrt(at(block(s, b) + "bn2.running_var", c) + 1e-5);
      for (std::int64_t j = 0; j < width; ++j)
        for (std::int64_t k = 0; k < taps; ++k)
          scores[static_cast<std::size_t>(j)] += gain * std::abs(w.at((c * width + j) * taps + k));
    }
    return scores;
  }

  /// ||expand[kept, h]||_1 ||reduce[h, kept]||_1.
  std::vector<double> hidden_scores(std::size_t s, std::size_t b, const Channels& kept) const {
    const Tensor& reduce = values_.at(block(s, b) + "se.reduce.weight");
    const Tensor& expand = values_.at(block(s, b) + "se.expand.weight");
    const std::int64_t hidden = reduce.dim(0), width = reduce.dim(1);
    std::vector<double> scores;
    for (std::int64_t h = 0; h < hidden; ++h) {
      double in = 0, out = 0;
      for (const std::int64_t c : kept) {
        in += std::abs(reduce.at(h * width + c));
        out += std::abs(expand.at(c * hidden + h));
      }
      scores.push_back(in * out);
    }
    return scores;
  }

  /// What of a tensor stays, by its name.
  Tensor kept_part(const std::string& name, const Tensor& from, const KeptChannels& kept) const {
    static const Channels all;
    if (name.starts_with("conv1.") || name.starts_with("bn1."))
      return cut(from, kept.stream[0], all);
    if (name == "fc.weight") return cut(from, all, kept.stream[2]);
    if (!name.starts_with("stage")) return from;
    const auto s = static_cast<std::size_t>(name[5] - '1');
    const std::size_t dot = name.find('.', 7);
    const auto b = static_cast<std::size_t>(std::stoul(name.substr(7, dot - 7)));
    const std::string part = name.substr(dot + 1);
    const Channels &stream = kept.stream[s], &inner = kept.inner[s][b], &hidden = kept.hidden[s][b];
    const Channels& before = b > 0 || s == 0 ? stream : kept.stream[s - 1];
    if (part == "conv1.weight") return cut(from, inner, before);
    if (part.starts_with("bn1.")) return cut(from, inner, all);
    if (part == "conv2.weight") return cut(from, stream, inner);
    if (part == "se.reduce.weight") return cut(from, hidden, stream);
    if (part == "se.reduce.bias") return cut(from, hidden, all);
    if (part == "se.expand.weight") return cut(from, stream, hidden);
    if (part == "shortcut.conv.weight") return cut(from, stream, before);
    return cut(from, stream, all);  // bn2, se.expand.bias, the shortcut's norm
  }

  void fill(nn::Module& net, const KeptChannels& kept) const {
    for (const auto& [name, p] : nn::parameters(net))
      p->mutable_value().copy_from(kept_part(name, values_.at(name), kept));
    for (const auto& [name, t] : nn::buffers(net)) {
      const Tensor& from = values_.at(name);
      t->copy_from(is_floating(from.dtype()) ? kept_part(name, from, kept) : from);
    }
  }

  TrainedModel& trained_;
  double keep_;
  std::int64_t multiple_;
  std::unordered_map<std::string, Tensor> values_;
  std::vector<std::size_t> blocks_;
  std::vector<std::vector<double>> gates_;
};

}  // namespace

Pruned prune(TrainedModel& trained, const std::shared_ptr<const data::Dataset>& set, double keep,
             std::int64_t images, std::int64_t multiple) {
  return Pruner(trained, keep, multiple).run(set, images);
}

}  // namespace exciton::train
