#include "exciton/train/loop.hpp"

#include <cmath>
#include <utility>

#include "exciton/core/tape.hpp"
#include "exciton/train/evaluate.hpp"
#include "exciton/train/loss.hpp"

namespace exciton::train {

NotFinite::NotFinite(double loss)
    : Error(std::string("train: the loss is ") + (std::isnan(loss) ? "nan" : "infinite") +
            "; try a lower learning rate or a longer warm-up"),
      loss_(loss) {}

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
  lr_ = schedule_.lr(steps_);
  Tape tape(observer);
  const Var logits = net_(batch.images);
  const Var mean = loss(logits, batch, options_.label_smoothing, options_.class_weights);
  const double value = mean.value().item();
  if (!std::isfinite(value)) throw NotFinite(value);
  tape.backward(mean);
  const double norm =
      options_.clip_norm > 0 ? optim::clip_gradients(parameters_, options_.clip_norm) : 0;
  optimizer_.step(lr_);
  ++steps_;
  if (options_.average) options_.average->update(steps_);
  const bool next_counts = batch.mixing.weight < 0.5;
  return {.loss = value,
          .gradient_norm = norm,
          .correct =
              count_top1(logits.value(), next_counts ? labels_of_next(batch.labels) : batch.labels),
          .images = batch.labels.dim(0)};
}

}  // namespace exciton::train
