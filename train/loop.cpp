#include "exciton/train/loop.hpp"

#include <cmath>
#include <optional>
#include <utility>

#include "exciton/core/tape.hpp"
#include "exciton/ops/cross_entropy.hpp"
#include "exciton/train/evaluate.hpp"
#include "exciton/train/gradient_sums.hpp"
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
  if (class_weights.empty()) return static_cast<double>(images_of_batch(batch.labels.dim(0)));
  return ops::CrossEntropy{.labels = batch.labels, .weights = class_weights}.total_weight();
}

/// Which images of its batch these are. Errors: a rank has too few to train with.
Part part_of(Group& group, const data::Batch& batch, bool sync_norms) {
  const Part out = part_of_batch(group, batch.images.empty() ? 0 : batch.images.dim(0));
  check(out.fewest >= (sync_norms ? 1 : 2), "train: rank ", out.with_fewest, " has ", out.fewest,
        out.fewest == 1 ? " image of a batch of " : " images of a batch of ", out.total,
        sync_norms ? "; every rank needs one"
                   : ", and batch norm takes its statistics over each rank's own, of which there "
                     "must be two; parallel.norm \"sync\" takes them over all",
        "; try fewer ranks, a larger data.batch, or data.last_batch \"drop\"");
  return out;
}

/// As the tape adds to a gradient that is there.
void add_gradient(Parameter& parameter, const Tensor& before) {
  if (before.empty()) return;
  if (parameter.grad.empty()) {
    parameter.grad = before;
    return;
  }
  const float* from = before.data<float>();
  float* to = parameter.grad.data<float>();
  for (std::int64_t i = 0; i < before.numel(); ++i) to[i] = from[i] + to[i];
}

}  // namespace

Loop::Loop(nn::Module& net, optim::Optimizer& optimizer, optim::Schedule schedule,
           LoopOptions options)
    : net_(net),
      optimizer_(optimizer),
      schedule_(std::move(schedule)),
      options_(std::move(options)),
      parameters_(nn::parameters(net)),
      lr_(schedule_.lr(0)) {
  nn::set_training(net_, true);
  if (options_.group && !options_.sync_norms)
    for (const NamedTensor& buffer : nn::buffers(net_))
      if (buffer.tensor->dtype() == DType::f32) running_.push_back(buffer.tensor);
}

StepResult Loop::step(const data::Batch& batch, TapeObserver* observer) {
  accumulate(batch, observer);
  return update();
}

StepResult Loop::accumulate(const data::Batch& batch, TapeObserver* observer) {
  lr_ = schedule_.lr(steps_);
  if (batches_ == 0)
    for (const auto& [group, schedule] : options_.group_schedules)
      optimizer_.set_group(group, steps_ < schedule.spec().total_steps
                                      ? std::optional(schedule.lr(steps_))
                                      : std::nullopt);
  std::optional<Share> share;
  std::optional<GradientSums> sums;
  std::vector<Tensor> before;  // gradients of the batches before, which are summed already
  if (Group* group = options_.group) {
    share.emplace(*group, part_of(*group, batch, options_.sync_norms), options_.sync_norms);
    sums.emplace(*group, options_.bf16_gradients, observer);
    observer = &*sums;
    if (batches_ > 0)
      for (const NamedParameter& p : parameters_)
        before.push_back(std::exchange(p.parameter->grad, Tensor()));
  }
  Tape tape(observer);
  const Var logits = net_(batch.images);
  const Var mean = loss(logits, batch, options_.label_smoothing, options_.class_weights);
  const double value = mean.value().item();
  if (!std::isfinite(value)) throw NotFinite(value, batch.indices);
  // The first batch's gradients are those of its mean, so that one alone is what it was; the others
  // count by their weight beside it.
  const double weight = weight_of(batch, options_.class_weights);  // of all ranks
  if (batches_ == 0) first_weight_ = weight;
  tape.backward(mean,
                Tensor::full(mean.value().shape(), weight / first_weight_, mean.value().dtype()));
  const bool next_counts = batch.mixing.weight < 0.5;
  StepResult result{
      .loss = value,
      .correct = count_top1(logits.value(), next_counts ? labels_of_next(batch) : batch.labels),
      .images = images_of_batch(batch.labels.dim(0))};
  if (sums) {
    sums->finish(parameters_, running_);
    result.exchange_seconds = sums->seconds_waited();
    result.exchange_bytes = sums->bytes();
    for (std::size_t i = 0; i < before.size(); ++i)
      add_gradient(*parameters_[i].parameter, before[i]);
    double correct = static_cast<double>(result.correct);
    sum_over_ranks({&correct, 1});
    result.correct = static_cast<std::int64_t>(correct);
  }
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
