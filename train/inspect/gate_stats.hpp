/// What the gates of a network do over many images (paper section 7.2).
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "exciton/nn/gates.hpp"

namespace exciton::train {

/// A gate within this distance of 0 (or 1) on every image is dead (or saturated); one whose
/// standard deviation over the images is below `stuck_deviation`, and that is neither, is stuck.
inline constexpr double gate_margin = 0.05, stuck_deviation = 0.01;

struct GateCounts {
  std::int64_t channels = 0, dead = 0, saturated = 0, stuck = 0;
  GateCounts& operator+=(const GateCounts& other);
};

/// Sums over the gates of one unit; exact enough in double for any number of images.
class UnitStats {
 public:
  static constexpr std::size_t bins = 40;

  UnitStats(std::string name, std::int64_t channels, std::int64_t classes, double low, double high);
  /// gates f32 [N, C], labels i64 [N].
  void add(const Tensor& gates, const Tensor& labels);

  const std::string& name() const { return name_; }
  std::int64_t channels() const { return channels_; }
  std::int64_t images() const { return images_; }
  std::int64_t images(std::int64_t k) const { return class_images_[index(k)]; }
  /// Mean and standard deviation (of the population) over all images, or those of class k.
  double mean(std::int64_t channel) const;
  double deviation(std::int64_t channel) const;
  double mean(std::int64_t k, std::int64_t channel) const;
  double deviation(std::int64_t k, std::int64_t channel) const;
  double overall_mean() const;
  /// Root mean square over the channels of deviation().
  double overall_deviation() const;
  GateCounts counts() const;
  /// Gates by value, `bins` of equal width from low() to high(); values outside count at the ends.
  const std::vector<std::int64_t>& histogram() const { return histogram_; }
  double low() const { return low_; }
  double high() const { return high_; }

  /// Share of the gates' variance over images that lies between classes: with sums of squares B
  /// between and W within K classes of n images, added over the channels,
  ///   omega^2 = (B - (K - 1) W / (n - K)) / (B + W + W / (n - K)),
  /// which is 0 in the mean when the class does not matter (Hays 1963). Never below 0 here.
  double class_share() const;
  /// How often the nearest class mean of the gates, from the first half of the images, names the
  /// class of an image of the second half. 0 before start_second_half().
  double nearest_mean_accuracy() const;
  /// From now on images are classified by the means so far.
  void start_second_half();

 private:
  static std::size_t index(std::int64_t i) { return static_cast<std::size_t>(i); }
  void classify(const float* gates, std::int64_t label);

  std::string name_;
  std::int64_t channels_, classes_;
  double low_, high_;
  std::int64_t images_ = 0, judged_ = 0, right_ = 0;
  std::vector<std::int64_t> class_images_;
  std::vector<double> sum_, square_;  ///< [classes, C]
  std::vector<float> least_, most_;   ///< [C]
  std::vector<std::int64_t> histogram_;
  std::vector<double> means_;             ///< [classes, C], of the first half
  std::vector<std::int64_t> means_from_;  ///< images behind each
};

/// Statistics of all units of a network; made at the first batch, when the channels are known.
class GateStats {
 public:
  explicit GateStats(std::int64_t classes) : classes_(classes) {}
  /// The newest forward pass of `recorder`.
  void add(const nn::GateRecorder& recorder, const Tensor& labels);
  void start_second_half();
  const std::vector<UnitStats>& units() const { return units_; }
  GateCounts counts() const;

 private:
  std::int64_t classes_;
  std::vector<UnitStats> units_;
};

}  // namespace exciton::train
