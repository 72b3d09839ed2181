/// The convolutions of a network, for what measures them one by one.
#pragma once
#include <cstdint>
#include <vector>

#include "apps/measure/workload.hpp"
#include "exciton/core/description.hpp"
#include "exciton/ops/convolution/geometry.hpp"

namespace exciton::apps {

/// Those of one shape; geometry without what follows the sum but its bias.
struct SharedConvolution {
  ops::ConvGeometry geometry;
  Shape weight;
  std::int64_t count = 0, data_gradients = 0;
};

struct NetworkConvolutions {
  std::int64_t convolutions = 0, multiply_adds = 0;  ///< of one forward pass over the batch
  std::vector<SharedConvolution> shapes;
};

/// Found by one described forward pass. The first convolution, which reads the images, has no data
/// gradient. Errors: "WHO: ..." for one that is no nn::Conv2d layer, unless 1x1 at every pixel.
NetworkConvolutions convolutions_of(Workload& workload, const char* who);

}  // namespace exciton::apps
