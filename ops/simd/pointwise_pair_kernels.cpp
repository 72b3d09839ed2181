// 1x1 products of bf16 pairs; compiled for the instruction set that has them alone.
#include "exciton/ops/simd/pointwise_passes.hpp"

namespace exciton::ops::simd {
namespace EXCITON_TARGET {

const PointwiseKernels<bf16>& pointwise_pair_kernels() {
  static constexpr PointwiseKernels<bf16> kernels = kernels_of<ChannelPairs>();
  return kernels;
}

}  // namespace EXCITON_TARGET
}  // namespace exciton::ops::simd
