// Compiled once an instruction set; see vector.hpp.
#include "exciton/ops/simd/pointwise_passes.hpp"

namespace exciton::ops::simd {
namespace EXCITON_TARGET {

const PointwiseKernels<float>& pointwise_kernels() {
  static constexpr PointwiseKernels<float> kernels = kernels_of<Channels>();
  return kernels;
}

}  // namespace EXCITON_TARGET
}  // namespace exciton::ops::simd
