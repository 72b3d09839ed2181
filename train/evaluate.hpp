/// Accuracy and loss of a model on a data set.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "exciton/core/tensor.hpp"
#include "exciton/data/loader.hpp"
#include "exciton/nn/module.hpp"

namespace exciton::train {

/// Counts over images and classes; all sums are exact or double.
class Evaluation {
 public:
  explicit Evaluation(std::int64_t classes);
  /// Adds a batch: logits [N, classes], labels [N] (i64). A logit that is NaN beats the label's, so
  /// a broken model scores 0. Errors: shapes, a label that is no class.
  void add(const Tensor& logits, const Tensor& labels);

  /// Counts images that could not be read.
  void skip(std::size_t images) { skipped_ += static_cast<std::int64_t>(images); }

  std::int64_t images() const { return images_; }
  std::int64_t skipped() const { return skipped_; }
  double loss() const { return mean(loss_sum_); }  ///< mean cross entropy, no label smoothing
  double top1() const { return mean(static_cast<double>(top1_)); }  ///< a fraction
  double top5() const { return mean(static_cast<double>(top5_)); }
  struct Class {
    std::int64_t images = 0, correct = 0;
    /// Fraction of its images that were recognised; 0 without images.
    double top1() const {
      return images ? static_cast<double>(correct) / static_cast<double>(images) : 0;
    }
  };
  const std::vector<Class>& classes() const { return classes_; }

 private:
  double mean(double sum) const { return images_ ? sum / static_cast<double>(images_) : 0; }
  std::int64_t images_ = 0, skipped_ = 0, top1_ = 0, top5_ = 0;
  double loss_sum_ = 0;
  std::vector<Class> classes_;
};

/// Number of images of the batch whose label has the highest logit.
std::int64_t count_top1(const Tensor& logits, const Tensor& labels);

/// Runs the loader's epoch 0 through the net in evaluation mode, without a tape; puts the net back
/// into the mode it was in, also when something throws. `each` is called after every batch with the
/// images seen so far; it returns false to stop early.
Evaluation evaluate(nn::Module& net, data::Loader& loader, std::int64_t classes,
                    const std::function<bool(std::int64_t)>& each = {});

}  // namespace exciton::train
