// Winograd's products of bf16 pairs; compiled for the instruction set that has them alone.
#include "exciton/ops/simd/winograd_passes.hpp"

namespace exciton::ops::simd {
namespace EXCITON_TARGET {
namespace {

// The interpolation points are +-p, +-q and infinity with p = 3/8 and q = 5/4: of F(3, 3)'s they
// lose the least where both factors of a product are rounded to bf16.
constexpr float p = 0.375F, q = 1.25F, pp = p * p, qq = q * q;
constexpr float at_p = 1 / (2 * p * (pp - qq)), at_q = 1 / (2 * q * (qq - pp));

/// F(3, 3): three outputs of three taps by five products.
struct Stride1 {
  static constexpr int inputs = 5, positions = 5, weights = 5, outputs = 3, step = 3, before = 1;
  static constexpr bool transposed = false;

  static EXCITON_INLINE void input(const V32 (&d)[5], V32 (&t)[5]) {
    const V32 ep = (d[2] - d[0] * qq) * p, op = d[3] - d[1] * qq;
    const V32 eq = (d[2] - d[0] * pp) * q, oq = d[3] - d[1] * pp;
    t[0] = op + ep;
    t[1] = op - ep;
    t[2] = oq + eq;
    t[3] = oq - eq;
    t[4] = d[4] - d[2] * (pp + qq) + d[0] * (pp * qq);
  }
  static EXCITON_INLINE void output(const V32 (&m)[5], V32 (&y)[3]) {
    const V32 sp = m[0] + m[1], dp = m[0] - m[1], sq = m[2] + m[3], dq = m[2] - m[3];
    y[0] = sp + sq;
    y[1] = dp * p + dq * q;
    y[2] = sp * pp + sq * qq + m[4];
  }
  static EXCITON_INLINE void output_gradient(const V32 (&y)[3], V32 (&d)[5]) {
    const V32 ep = y[0] + y[2] * pp, op = y[1] * p;
    const V32 eq = y[0] + y[2] * qq, oq = y[1] * q;
    d[0] = ep + op;
    d[1] = ep - op;
    d[2] = eq + oq;
    d[3] = eq - oq;
    d[4] = y[2];
  }
  static EXCITON_INLINE void weight(const V32 (&w)[3], V32 (&u)[5]) {
    const V32 ep = (w[0] + w[2] * pp) * at_p, op = w[1] * (p * at_p);
    const V32 eq = (w[0] + w[2] * qq) * at_q, oq = w[1] * (q * at_q);
    u[0] = op + ep;
    u[1] = op - ep;
    u[2] = oq + eq;
    u[3] = oq - eq;
    u[4] = w[2];
  }
  static EXCITON_INLINE void weight_gradient(const V32 (&u)[5], V32 (&w)[3]) {
    const V32 sp = (u[0] + u[1]) * (p * at_p), dp = (u[0] - u[1]) * at_p;
    const V32 sq = (u[2] + u[3]) * (q * at_q), dq = (u[2] - u[3]) * at_q;
    w[0] = dp + dq;
    w[1] = sp + sq;
    w[2] = dp * pp + dq * qq + u[4];
  }
};

}  // namespace

const WinogradKernels<bf16>& winograd_pair_kernels() {
  static constexpr WinogradKernels<bf16> kernels =
      kernels_of<Stride1, bf16, ChannelPairs, TilePairs>();
  return kernels;
}

}  // namespace EXCITON_TARGET
}  // namespace exciton::ops::simd
