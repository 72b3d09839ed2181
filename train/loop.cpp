#include "exciton/train/loop.hpp"

#include <cmath>
#include <utility>

#include "exciton/core/tape.hpp"
#include "exciton/train/evaluate.hpp"
#include "exciton/train/loss.hpp"

namespace exciton::train {

NotFinite::NotFinite(double loss, std::vector<std::int64_t> images)
    : Error(std::string("train: the loss is ") + (std::isnan(loss) ? "nan" : "infinite") +
            "; try a lower learning rate or a longer warm-up"),
      loss_(loss),
      images_(std::move(images)) {}

namespace {

/// What a batch counts beside others: the weights of its labels.
double weight_of(const data::Batch& batch, const Tensor& class_weights) {
  if (class_weights.empty()) return static_cast<double>(batch.labels.dim(0));
  double sum = 0;
  for (const std::int64_t label : batch.labels.span<std::int64_t>()) sum += class_weights.at(label);
  return sum;
}

}  // namespace

Loop::Loop(nn::Module& net, optim::Optimizer& optimizer, optim::Schedule schedule,
           LoopOptions options)
    : net_(net),
      optimizer_(optimizer),
      schedule_(std::move(schedule)),
      options_(options),
      parameters_(nn::parameters(net)),
      lr_(schedule_.lr(0)) {
  nn::set_training(net_, true);
}

StepResult Loop::step(const data::Batch& batch, TapeObserver* observer) {
  accumulate(batch, observer);
  return update();
}

StepResult Loop::accumulate(const data::Batch& batch, TapeObserver* observer) {
  lr_ = schedule_.lr(steps_);
  Tape tape(observer);
  const Var logits = net_(batch.images);
  const Var mean = loss(logits, batch, options_.label_smoothing, options_.class_weights);
  const double value = mean.value().item();
  if (!std::isfinite(value)) throw NotFinite(value, batch.indices);
  // The first batch's gradients are those of its mean, so that one alone is what it was; the others
  // count by their weight beside it.
  const double weight = weight_of(batch, options_.class_weights);
  if (batches_ == 0) first_weight_ = weight;
  tape.backward(mean,
                Tensor::full(mean.value().shape(), weight / first_weight_, mean.value().dtype()));
  const bool next_counts = batch.mixing.weight < 0.5;
  const StepResult result{
      .loss = value,
      .correct =
          count_top1(logits.value(), next_counts ? labels_of_next(batch.labels) : batch.labels),
      .images = batch.labels.dim(0)};
  gathered_.loss += value * static_cast<double>(result.images);
  gathered_.correct += result.correct;
  gathered_.images += result.images;
  gathered_weight_ += weight;
  ++batches_;
  return result;
}

StepResult Loop::update() {
  check(batches_ > 0, "loop: update() without a batch");
  if (batches_ > 1) optim::scale_gradients(parameters_, first_weight_ / gathered_weight_);
  StepResult out = std::exchange(gathered_, {});
  out.loss /= static_cast<double>(out.images);
  gathered_weight_ = 0;
  batches_ = 0;
  if (options_.clip_value > 0) optim::clip_values(parameters_, options_.clip_value);
  if (options_.clip_norm > 0)
    out.gradient_norm = optim::clip_gradients(parameters_, options_.clip_norm);
  out.skipped = !std::isfinite(out.gradient_norm);
  if (out.skipped)
    optimizer_.clear_gradients();
  else
    optimizer_.step(lr_);
  ++steps_;
  if (options_.average && !out.skipped) options_.average->update(steps_);
  return out;
}

}  // namespace exciton::train
