/// Accuracy and loss of a model on a data set.
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "exciton/core/group.hpp"
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

  /// A batch of which this rank of a group has no image.
  void add_nothing() { losses_.push_back(0); }

  /// Counts images that could not be read, and keeps the first few reasons.
  void skip(const std::vector<std::string>& reasons);

  std::int64_t images() const { return images_; }
  std::int64_t skipped() const { return skipped_; }
  /// Why, of the first `most_named`, with the images' names. Of a group only this rank's.
  const std::vector<std::string>& skipped_reasons() const { return reasons_; }
  static constexpr std::size_t most_named = 10;
  double loss() const;  ///< mean cross entropy, no label smoothing
  double top1() const { return mean(static_cast<double>(top1_)); }  ///< a fraction
  double top5() const { return mean(static_cast<double>(top5_)); }
  struct Class {
    std::int64_t images = 0, correct = 0;
    std::int64_t predicted = 0;  ///< images, of any class, that were taken for it
    /// Fraction of its images that were recognised; 0 without images.
    double recall() const { return share(correct, images); }
    /// Fraction of what was taken for it that is it; 0 where nothing was.
    double precision() const { return share(correct, predicted); }
    /// Harmonic mean of both: 2 correct / (images + predicted).
    double f1() const { return share(2 * correct, images + predicted); }

   private:
    static double share(std::int64_t part, std::int64_t of) {
      return of ? static_cast<double>(part) / static_cast<double>(of) : 0;
    }
  };
  const std::vector<Class>& classes() const { return classes_; }
  /// Mean of the recall (precision, F1) of the classes that have images.
  double macro_recall() const;
  double macro_precision() const;
  double macro_f1() const;
  /// The class with images that is recognised worst, the first of several; -1 without images.
  std::int64_t worst_class() const;
  /// Images of class `label` that were taken for class `as`. Errors: more than most_confused
  /// classes, for which no table is kept.
  std::int64_t confused(std::int64_t label, std::int64_t as) const;
  static constexpr std::int64_t most_confused = 2000;

  /// Makes it that of all images whose batches the ranks of a group have shared; all of them get
  /// the same.
  void merge(Group& group);

  /// One of metric_names(). Errors: another name.
  double metric(const std::string& name) const;

 private:
  double macro(double (Class::*of)() const) const;
  double mean(double sum) const { return images_ ? sum / static_cast<double>(images_) : 0; }
  std::int64_t images_ = 0, skipped_ = 0, top1_ = 0, top5_ = 0;
  std::vector<double> losses_;  ///< of each batch, summed by leaves (ops/leaves.hpp)
  std::vector<Class> classes_;
  std::vector<std::int64_t> confused_;  ///< [label, as]
  std::vector<std::string> reasons_;
};

/// "top1", "top5", "loss", "macro_recall": what can choose the best epoch and the end of a run.
const std::vector<std::string>& metric_names();
/// Whether more is better; not of "loss".
bool more_is_better(const std::string& metric);
/// The class whose logit is highest, the first of several; a NaN is highest of all.
std::int64_t top_class(std::span<const float> logits);

/// Number of images of the batch whose label has the highest logit.
std::int64_t count_top1(const Tensor& logits, const Tensor& labels);

/// An image of an evaluation, and what the network said.
struct Seen {
  std::int64_t index = 0, label = 0;  ///< of the data set
  std::span<const float> logits;      ///< f32; of an ensemble the logarithms of its probabilities
};
using EachImage = std::function<void(const Seen&)>;

/// Calls each(...) for the images of a batch. `indices` are those of the data set.
void for_each_seen(const Tensor& logits, const Tensor& labels,
                   std::span<const std::int64_t> indices, const EachImage& each);

/// Runs the loader's epoch 0 through the net in evaluation mode, without a tape; puts the net back
/// into the mode it was in, also when something throws. `each` is called after every batch with the
/// images seen so far; it returns false to stop early. `image` is called for every image. With a
/// group the loader gives each rank its part of every batch (LoaderOptions::ranks), and the result
/// is of all of them.
Evaluation evaluate(nn::Module& net, data::Loader& loader, std::int64_t classes,
                    const std::function<bool(std::int64_t)>& each = {}, const EachImage& image = {},
                    Group* group = nullptr);

}  // namespace exciton::train
