#include "exciton/train/evaluate.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>

#include "exciton/core/error.hpp"

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

Evaluation::Evaluation(std::int64_t classes) : classes_(static_cast<std::size_t>(classes)) {}

void Evaluation::add(const Tensor& logits, const Tensor& labels) {
  check_batch(logits, labels);
  const auto c = static_cast<std::int64_t>(classes_.size());
  check(logits.dim(1) == c, "evaluate: the model has ", logits.dim(1), " classes, the data ", c);
  const Tensor values = logits.to(DType::f32);
  for (std::int64_t n = 0; n < labels.dim(0); ++n) {
    const std::span<const float> row(values.data<float>() + n * c, static_cast<std::size_t>(c));
    const std::int64_t label = labels.data<std::int64_t>()[n];
    check(label >= 0 && label < c, "evaluate: label ", label, " of ", c, " classes");
    const double highest = *std::max_element(row.begin(), row.end());
    double sum = 0;
    for (const float v : row) sum += std::exp(v - highest);
    loss_sum_ += highest + std::log(sum) - row[static_cast<std::size_t>(label)];
    const std::int64_t rank = rank_of(row, label);
    Class& own = classes_[static_cast<std::size_t>(label)];
    ++images_;
    ++own.images;
    own.correct += rank == 0;
    top1_ += rank == 0;
    top5_ += rank < 5;
  }
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

Evaluation evaluate(nn::Module& net, data::Loader& loader, std::int64_t classes,
                    const std::function<bool(std::int64_t)>& each) {
  const nn::EvaluationMode mode(net);
  Evaluation out(classes);
  loader.start_epoch(0);
  while (const auto batch = loader.next()) {
    out.add(net(batch->images).value(), batch->labels);
    out.skip(batch->skipped.size());
    if (each && !each(out.images())) break;
  }
  return out;
}

}  // namespace exciton::train
