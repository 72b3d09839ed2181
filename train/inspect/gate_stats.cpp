#include "exciton/train/inspect/gate_stats.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "exciton/core/error.hpp"
#include "exciton/train/inspect/gate_json.hpp"

namespace exciton::train {
namespace {

/// Where the gates of a unit can be: sigmoids in [0, 1]. ReLU has no upper end; 4 is far up.
std::pair<double, double> range_of(const nn::ChannelAttention& unit) {
  if (const auto* se = dynamic_cast<const nn::SqueezeExcite*>(&unit)) {
    if (se->gate == ops::GateKind::tanh) return {-1, 1};
    if (se->gate == ops::GateKind::relu) return {0, 4};
  }
  return {0, 1};
}

double deviation_of(double sum, double square, double n) {
  const double mean = sum / n;
  return std::sqrt(std::max(0.0, square / n - mean * mean));
}

}  // namespace

GateCounts& GateCounts::operator+=(const GateCounts& other) {
  channels += other.channels;
  dead += other.dead;
  saturated += other.saturated;
  stuck += other.stuck;
  return *this;
}

Json to_json(const GateCounts& counts) {
  return {{"channels", counts.channels},
          {"dead", counts.dead},
          {"saturated", counts.saturated},
          {"stuck", counts.stuck}};
}

UnitStats::UnitStats(std::string name, std::int64_t channels, std::int64_t classes, double low,
                     double high)
    : name_(std::move(name)),
      channels_(channels),
      classes_(classes),
      low_(low),
      high_(high),
      class_images_(index(classes)),
      sum_(index(classes * channels)),
      square_(index(classes * channels)),
      least_(index(channels), std::numeric_limits<float>::infinity()),
      most_(index(channels), -std::numeric_limits<float>::infinity()),
      histogram_(bins) {}

void UnitStats::add(const Tensor& gates, const Tensor& labels) {
  check(gates.rank() == 2 && gates.dim(1) == channels_ && labels.dim(0) == gates.dim(0),
        "gates: ", name_, " has ", channels_, " channels, got ", gates.shape(), " for ",
        labels.shape());
  const double scale = static_cast<double>(bins) / (high_ - low_);
  for (std::int64_t n = 0; n < gates.dim(0); ++n) {
    const std::int64_t label = labels.data<std::int64_t>()[n];
    check(label >= 0 && label < classes_, "gates: label ", label, " of ", classes_, " classes");
    const float* s = gates.data<float>() + n * channels_;
    if (!means_.empty()) classify(s, label);
    double* sum = &sum_[index(label * channels_)];
    double* square = &square_[index(label * channels_)];
    for (std::int64_t c = 0; c < channels_; ++c) {
      const double v = s[c];
      sum[c] += v;
      square[c] += v * v;
      least_[index(c)] = std::min(least_[index(c)], s[c]);
      most_[index(c)] = std::max(most_[index(c)], s[c]);
      const double bin = std::clamp((v - low_) * scale, 0.0, static_cast<double>(bins - 1));
      ++histogram_[static_cast<std::size_t>(bin)];
    }
    ++class_images_[index(label)];
    ++images_;
  }
}

double UnitStats::mean(std::int64_t channel) const {
  double sum = 0;
  for (std::int64_t k = 0; k < classes_; ++k) sum += sum_[index(k * channels_ + channel)];
  return images_ ? sum / static_cast<double>(images_) : 0;
}

double UnitStats::deviation(std::int64_t channel) const {
  double sum = 0, square = 0;
  for (std::int64_t k = 0; k < classes_; ++k) {
    sum += sum_[index(k * channels_ + channel)];
    square += square_[index(k * channels_ + channel)];
  }
  return images_ ? deviation_of(sum, square, static_cast<double>(images_)) : 0;
}

double UnitStats::mean(std::int64_t k, std::int64_t channel) const {
  const std::int64_t n = class_images_[index(k)];
  return n ? sum_[index(k * channels_ + channel)] / static_cast<double>(n) : 0;
}

double UnitStats::deviation(std::int64_t k, std::int64_t channel) const {
  const std::int64_t n = class_images_[index(k)];
  const std::size_t at = index(k * channels_ + channel);
  return n ? deviation_of(sum_[at], square_[at], static_cast<double>(n)) : 0;
}

double UnitStats::overall_mean() const {
  double sum = 0;
  for (std::int64_t c = 0; c < channels_; ++c) sum += mean(c);
  return sum / static_cast<double>(channels_);
}

double UnitStats::overall_deviation() const {
  double square = 0;
  for (std::int64_t c = 0; c < channels_; ++c) square += deviation(c) * deviation(c);
  return std::sqrt(square / static_cast<double>(channels_));
}

GateCounts UnitStats::counts() const {
  GateCounts out{.channels = channels_};
  for (std::int64_t c = 0; c < channels_; ++c) {
    const double least = least_[index(c)], most = most_[index(c)];
    if (least >= -gate_margin && most <= gate_margin)
      ++out.dead;
    else if (least >= 1 - gate_margin && most <= 1 + gate_margin)
      ++out.saturated;
    else if (deviation(c) < stuck_deviation)
      ++out.stuck;
  }
  return out;
}

double UnitStats::class_share() const {
  double between = 0, within = 0, classes = 0;
  for (std::int64_t k = 0; k < classes_; ++k) classes += class_images_[index(k)] > 0;
  const auto n = static_cast<double>(images_);
  if (classes < 2 || n <= classes) return 0;
  for (std::int64_t c = 0; c < channels_; ++c) {
    const double all = mean(c);
    for (std::int64_t k = 0; k < classes_; ++k) {
      const auto own = static_cast<double>(class_images_[index(k)]);
      const double d = mean(k, c) - all, s = deviation(k, c);
      if (own > 0) between += own * d * d;
      within += own * s * s;
    }
  }
  const double noise = within / (n - classes), total = between + within + noise;
  return total > 0 ? std::max(0.0, (between - (classes - 1) * noise) / total) : 0;
}

void UnitStats::start_second_half() {
  means_.assign(index(classes_ * channels_), 0);
  means_from_ = class_images_;
  for (std::int64_t k = 0; k < classes_; ++k)
    for (std::int64_t c = 0; c < channels_; ++c) means_[index(k * channels_ + c)] = mean(k, c);
}

void UnitStats::classify(const float* gates, std::int64_t label) {
  double nearest = std::numeric_limits<double>::infinity();
  std::int64_t guess = -1;
  for (std::int64_t k = 0; k < classes_; ++k) {
    if (means_from_[index(k)] == 0) continue;
    const double* centre = &means_[index(k * channels_)];
    double distance = 0;
    for (std::int64_t c = 0; c < channels_; ++c)
      distance += (gates[c] - centre[c]) * (gates[c] - centre[c]);
    if (distance < nearest) {
      nearest = distance;
      guess = k;
    }
  }
  ++judged_;
  right_ += guess == label;
}

double UnitStats::nearest_mean_accuracy() const {
  return judged_ ? static_cast<double>(right_) / static_cast<double>(judged_) : 0;
}

void GateStats::add(const nn::GateRecorder& recorder, const Tensor& labels) {
  for (std::size_t i = 0; i < recorder.units().size(); ++i) {
    const Tensor gates = recorder.gates(i);
    if (i == units_.size()) {
      const nn::NamedAttention& unit = recorder.units()[i];
      const auto [low, high] = range_of(*unit.unit);
      units_.emplace_back(unit.name, gates.dim(1), classes_, low, high);
    }
    units_[i].add(gates, labels);
  }
}

void GateStats::start_second_half() {
  for (UnitStats& unit : units_) unit.start_second_half();
}

GateCounts GateStats::counts() const {
  GateCounts out;
  for (const UnitStats& unit : units_) out += unit.counts();
  return out;
}

}  // namespace exciton::train
