/// The loss of a training step.
#pragma once
#include "exciton/core/tape.hpp"
#include "exciton/data/loader.hpp"

namespace exciton::train {

/// Cross-entropy of logits [N, classes] with the batch's labels; of mixed images (mixup, CutMix:
/// image n with image n + 1, the last with the first)
///   w CE(labels) + (1 - w) CE(labels of the next),   w = batch.mixing.weight.
/// `class_weights` [classes] f64 may be empty; see ops/cross_entropy.hpp. Errors: those of
/// ops::cross_entropy.
Var loss(const Var& logits, const data::Batch& batch, double label_smoothing = 0,
         const Tensor& class_weights = {});

/// labels[n + 1], and labels[0] at last: what images are mixed with.
Tensor labels_of_next(const data::Batch& batch);

}  // namespace exciton::train
