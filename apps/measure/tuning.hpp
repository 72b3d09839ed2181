/// Every convolution of a network on every kernel that can run it.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "apps/measure/convolutions.hpp"

namespace exciton::apps {

struct TimedKernel {
  ops::ConvKernel kernel;
  double ms = 0;  ///< median
};

/// One direction of convolutions of one shape. Of kernels that took half as long again as the best
/// in their first runs only those are known.
struct TunedForm {
  ops::ConvGeometry geometry;
  ops::Direction direction;
  std::int64_t count = 0;            ///< in a training step
  std::vector<TimedKernel> kernels;  ///< first the one that runs now

  const TimedKernel& now() const { return kernels.front(); }
  const TimedKernel& best() const;
  std::string name() const;
  double step_ms(const TimedKernel& kernel) const { return static_cast<double>(count) * kernel.ms; }
};

/// Measures a training step's convolutions, or those of inference, forward with weights that are
/// packed once, for about `seconds`, on random numbers: all kernels of a form in turn, so that what
/// else the machine does hits all alike. `done` hears which share of the work is behind.
std::vector<TunedForm> tune(const NetworkConvolutions& convolutions, std::int64_t images,
                            bool training, double seconds, const std::function<void(double)>& done);

}  // namespace exciton::apps
