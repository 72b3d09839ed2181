#include "exciton/train/evaluate.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>
#include <span>

#include "exciton/core/error.hpp"
#include "exciton/core/suggest.hpp"
#include "exciton/ops/leaves.hpp"

namespace exciton::train {
namespace {

void check_batch(const Tensor& logits, const Tensor& labels) {
  check(logits.rank() == 2 && labels.rank() == 1 && logits.dim(0) == labels.dim(0),
        "evaluate: expected logits [N, classes] and labels [N], got ", logits.shape(), " and ",
        labels.shape());
}

/// How many classes beat the label; ties go to the lower class, as argmax does. A NaN beats all
/// numbers, and a label that is one itself is beaten by more than there are classes.
std::int64_t rank_of(std::span<const float> row, std::int64_t label) {
  const float own = row[static_cast<std::size_t>(label)];
  if (std::isnan(own)) return std::numeric_limits<std::int64_t>::max();
  std::int64_t rank = 0;
  for (std::int64_t j = 0; j < static_cast<std::int64_t>(row.size()); ++j) {
    const float other = row[static_cast<std::size_t>(j)];
    const bool behind = j == label || (j < label ? other < own : other <= own);
    rank += !behind;
  }
  return rank;
}

}  // namespace

const std::vector<std::string>& metric_names() {
  static const std::vector<std::string> names{"top1", "top5", "loss", "macro_recall"};
  return names;
}

bool more_is_better(const std::string& metric) { return metric != "loss"; }

std::int64_t top_class(std::span<const float> logits) {
  std::size_t best = 0;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    if (std::isnan(logits[i])) return static_cast<std::int64_t>(i);
    if (logits[i] > logits[best]) best = i;
  }
  return static_cast<std::int64_t>(best);
}

Evaluation::Evaluation(std::int64_t classes) : classes_(static_cast<std::size_t>(classes)) {
  if (classes <= most_confused) confused_.resize(static_cast<std::size_t>(classes * classes));
}

double Evaluation::macro(double (Class::*of)() const) const {
  double sum = 0;
  std::int64_t counted = 0;
  for (const Class& c : classes_)
    if (c.images > 0) {
      sum += (c.*of)();
      ++counted;
    }
  return counted > 0 ? sum / static_cast<double>(counted) : 0;
}
double Evaluation::macro_recall() const { return macro(&Class::recall); }
double Evaluation::macro_precision() const { return macro(&Class::precision); }
double Evaluation::macro_f1() const { return macro(&Class::f1); }

std::int64_t Evaluation::worst_class() const {
  std::int64_t worst = -1;
  for (std::int64_t c = 0; c < std::ssize(classes_); ++c) {
    const auto at = [&](std::int64_t i) { return classes_[static_cast<std::size_t>(i)]; };
    if (at(c).images > 0 && (worst < 0 || at(c).recall() < at(worst).recall())) worst = c;
  }
  return worst;
}

std::int64_t Evaluation::confused(std::int64_t label, std::int64_t as) const {
  const std::int64_t c = std::ssize(classes_);
  check(c <= most_confused, "evaluate: no table of confusions is kept of ", c,
        " classes, only of up to ", most_confused);
  check(label >= 0 && label < c && as >= 0 && as < c, "evaluate: confusion of class ", label,
        " with ", as, " of ", c);
  return confused_[static_cast<std::size_t>(label * c + as)];
}

double Evaluation::metric(const std::string& name) const {
  if (name == "top1") return top1();
  if (name == "top5") return top5();
  if (name == "loss") return loss();
  if (name == "macro_recall") return macro_recall();
  fail("evaluate: no metric ", name, "; known are ", listed(metric_names()));
}

void Evaluation::add(const Tensor& logits, const Tensor& labels) {
  check_batch(logits, labels);
  const auto c = static_cast<std::int64_t>(classes_.size());
  check(logits.dim(1) == c, "evaluate: the model has ", logits.dim(1), " classes, the data ", c);
  const Tensor values = logits.to(DType::f32);
  std::vector<double> losses(static_cast<std::size_t>(labels.dim(0)));
  for (std::int64_t n = 0; n < labels.dim(0); ++n) {
    const std::span<const float> row(values.data<float>() + n * c, static_cast<std::size_t>(c));
    const std::int64_t label = labels.data<std::int64_t>()[n];
    check(label >= 0 && label < c, "evaluate: label ", label, " of ", c, " classes");
    const double highest = *std::max_element(row.begin(), row.end());
    double sum = 0;
    for (const float v : row) sum += std::exp(v - highest);
    losses[static_cast<std::size_t>(n)] =
        highest + std::log(sum) - row[static_cast<std::size_t>(label)];
    const std::int64_t rank = rank_of(row, label);
    Class& own = classes_[static_cast<std::size_t>(label)];
    ++images_;
    ++own.images;
    own.correct += rank == 0;
    const std::int64_t as = top_class(row);
    ++classes_[static_cast<std::size_t>(as)].predicted;
    if (!confused_.empty()) ++confused_[static_cast<std::size_t>(label * c + as)];
    top1_ += rank == 0;
    top5_ += rank < 5;
  }
  double total[ops::Leaves::most];
  ops::sum_over_images(ops::Leaves(labels.dim(0)), 1, total, [&](std::int64_t n, double* sum) {
    *sum += losses[static_cast<std::size_t>(n)];
  });
  losses_.push_back(total[0]);
}

void Evaluation::skip(const std::vector<std::string>& reasons) {
  skipped_ += std::ssize(reasons);
  for (const std::string& reason : reasons)
    if (reasons_.size() < most_named) reasons_.push_back(reason);
}

double Evaluation::loss() const {
  return mean(std::accumulate(losses_.begin(), losses_.end(), 0.0));
}

void Evaluation::merge(Group& group) {
  std::vector<double> sums(losses_);
  // All counts are exact in double.
  std::vector<std::int64_t*> counts{&images_, &skipped_, &top1_, &top5_};
  for (Class& c : classes_) counts.insert(counts.end(), {&c.images, &c.correct, &c.predicted});
  for (std::int64_t& c : confused_) counts.push_back(&c);
  for (const std::int64_t* c : counts) sums.push_back(static_cast<double>(*c));
  group.sum(sums);
  const auto middle = sums.begin() + std::ssize(losses_);
  std::copy(sums.begin(), middle, losses_.begin());
  for (std::size_t i = 0; i < counts.size(); ++i)
    *counts[i] = static_cast<std::int64_t>(middle[static_cast<std::ptrdiff_t>(i)]);
}

std::int64_t count_top1(const Tensor& logits, const Tensor& labels) {
  check_batch(logits, labels);
  const Tensor values = logits.to(DType::f32);
  const std::int64_t c = values.dim(1);
  std::int64_t correct = 0;
  for (std::int64_t n = 0; n < labels.dim(0); ++n)
    correct += rank_of({values.data<float>() + n * c, static_cast<std::size_t>(c)},
                       labels.data<std::int64_t>()[n]) == 0;
  return correct;
}

void for_each_seen(const Tensor& logits, const Tensor& labels,
                   std::span<const std::int64_t> indices, const EachImage& each) {
  check_batch(logits, labels);
  check(std::ssize(indices) == labels.dim(0), "evaluate: ", indices.size(), " indices of ",
        labels.dim(0), " images");
  const Tensor values = logits.to(DType::f32);
  const std::int64_t c = values.dim(1);
  for (std::int64_t n = 0; n < labels.dim(0); ++n)
    each({indices[static_cast<std::size_t>(n)],
          labels.data<std::int64_t>()[n],
          {values.data<float>() + n * c, static_cast<std::size_t>(c)}});
}

Evaluation evaluate(nn::Module& net, data::Loader& loader, std::int64_t classes,
                    const std::function<bool(std::int64_t)>& each, const EachImage& image,
                    Group* group) {
  const nn::EvaluationMode mode(net);
  Evaluation out(classes);
  loader.start_epoch(0);
  while (const auto batch = loader.next()) {
    out.skip(batch->skipped);
    const std::int64_t images = batch->images.empty() ? 0 : batch->images.dim(0);
    std::optional<Share> share;
    if (group) share.emplace(*group, part_of_batch(*group, images), false);
    if (images == 0) {
      out.add_nothing();  // the other ranks have them
    } else {
      const Tensor logits = net(batch->images).value();
      out.add(logits, batch->labels);
      if (image) for_each_seen(logits, batch->labels, batch->indices, image);
    }
    const bool stop = each && !each(out.images());
    if (group ? group->any(stop) : stop) break;
  }
  if (group) out.merge(*group);
  return out;
}

}  // namespace exciton::train
