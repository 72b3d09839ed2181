/// The convolution floor: what a step costs when only its convolution primitives run.
#pragma once
#include <cstdint>

#include "apps/measure/workload.hpp"

namespace exciton::apps {

/// Milliseconds that a step spends in one kind of primitive, summed over the model's convolutions.
struct PrimitiveTime {
  double whole_batch = 0;  ///< one primitive over the batch, oneDNN's own threads
  double pieces = 0;  ///< one primitive per thread over its piece of the batch, as the step runs
  double least = 0;   ///< the smaller of the two, taken convolution by convolution
};

struct ConvolutionFloor {
  PrimitiveTime forward, backward_data, backward_weights;
  std::int64_t convolutions = 0, shapes = 0;  ///< how many, and how many different ones
  std::int64_t multiply_adds = 0;             ///< of one forward pass over the batch

  double total() const { return forward.least + backward_data.least + backward_weights.least; }
};

/// Finds the convolutions by one described forward pass and times the primitives of every
/// different shape alone, on random numbers and the same buffers each time: medians of `steps` runs
/// after `warmup`. The first convolution, which reads the images, has no data gradient.
/// Where oneDNN has no kernel that may run a form, the own direct convolution's time counts.
/// Errors: a convolution that is no nn::Conv2d layer, unless 1x1 at every pixel.
ConvolutionFloor convolution_floor(Workload& workload, int warmup, int steps);

}  // namespace exciton::apps
