// Winograd's products of bf16 pairs; compiled for the instruction set that has them alone.
#include "exciton/ops/simd/winograd_passes.hpp"

namespace exciton::ops::simd {
namespace EXCITON_TARGET {
namespace {

// Of all interpolation points of their kind those that lose least where both factors of a product
// are rounded to bf16.
struct FourPoints {
  static constexpr float p = 0.65F, q = 1.5F, pp = p * p, qq = q * q;
};
struct ThreePoints {
  static constexpr float p = 0.375F, q = 1.25F, pp = p * p, qq = q * q;
};
using Four = FourOutputs<FourPoints>;
using Three = ThreeOutputs<ThreePoints>;
using Halved = Stride2<ThreePoints>;
using Doubled = Stride2Transposed<ThreePoints>;

/// F(2, 3): two outputs by four products, the points 0, +-1 and infinity.
struct Two {
  static constexpr int inputs = 4, positions = 4, weights = 4, outputs = 2, step = 2, before = 1;
  static constexpr bool transposed = false;

  static EXCITON_INLINE void input(const V32 (&d)[4], V32 (&t)[4]) {
    t[0] = d[0] - d[2];
    t[1] = d[1] + d[2];
    t[2] = d[2] - d[1];
    t[3] = d[3] - d[1];
  }
  static EXCITON_INLINE void output(const V32 (&m)[4], V32 (&y)[2]) {
    y[0] = m[0] + m[1] + m[2];
    y[1] = m[1] - m[2] + m[3];
  }
  static EXCITON_INLINE void output_gradient(const V32 (&y)[2], V32 (&d)[4]) {
    d[0] = y[0];
    d[1] = y[0] + y[1];
    d[2] = y[0] - y[1];
    d[3] = y[1];
  }
  static EXCITON_INLINE void weight(const V32 (&w)[3], V32 (&u)[4]) {
    const V32 even = (w[0] + w[2]) * 0.5F, odd = w[1] * 0.5F;
    u[0] = w[0];
    u[1] = even + odd;
    u[2] = even - odd;
    u[3] = w[2];
  }
  static EXCITON_INLINE void weight_gradient(const V32 (&u)[4], V32 (&w)[3]) {
    const V32 sum = (u[1] + u[2]) * 0.5F;
    w[0] = u[0] + sum;
    w[1] = (u[1] - u[2]) * 0.5F;
    w[2] = u[3] + sum;
  }
};

template <class Down, class Across>
constexpr WinogradKernels<bf16> pairs() {
  return kernels_of<Form<Down, Across>, bf16, ChannelPairs, TilePairs>();
}

/// Of a form whose tiles have Whole lines, and Smaller ones at the edge.
template <class Whole, class Smaller>
const WinogradKernels<bf16>& pairs_of_sizes(SmallerTile smaller) {
  static constexpr WinogradKernels<bf16> kernels[2][2] = {
      {pairs<Whole, Whole>(), pairs<Whole, Smaller>()},
      {pairs<Smaller, Whole>(), pairs<Smaller, Smaller>()}};
  return kernels[smaller.down ? 1 : 0][smaller.across ? 1 : 0];
}

}  // namespace

const WinogradKernels<bf16>& winograd_pair_kernels(WinogradForm form, SmallerTile smaller) {
  static constexpr WinogradKernels<bf16> strided = pairs<Halved, Halved>(),
                                         transposed = pairs<Doubled, Doubled>();
  switch (form) {
    case WinogradForm::stride2_pairs:
      return strided;
    case WinogradForm::stride2_transposed_pairs:
      return transposed;
    case WinogradForm::stride1_pairs_4x4:
      return pairs_of_sizes<Four, Three>(smaller);
    default:
      return pairs_of_sizes<Three, Two>(smaller);
  }
}

}  // namespace EXCITON_TARGET
}  // namespace exciton::ops::simd
