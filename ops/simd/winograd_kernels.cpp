// Compiled once an instruction set; see vector.hpp.
#include "exciton/ops/simd/winograd_passes.hpp"

namespace exciton::ops::simd {
namespace EXCITON_TARGET {
namespace {

// The interpolation points are 0, +-p, +-q and infinity with p = 1/sqrt 2 and q = sqrt 2: their
// powers stay near 1, which loses less than the textbook's +-1, +-2.
constexpr float p = 0.70710678118654752F, q = 1.41421356237309505F;
constexpr float p3 = p * 0.5F, q3 = q * 2.0F;  // cubes
struct Points {
  static constexpr float p = EXCITON_TARGET::p, q = EXCITON_TARGET::q, pp = 0.5F, qq = 2.0F;
};
using Four = FourOutputs<Points>;
using Three = ThreeOutputs<Points>;

/// F(4, 2): four outputs of two taps by the five products of F(3, 3).
struct TwoTaps : FiveProducts<Points> {
  static EXCITON_INLINE void output(const V32* m, V32 (&y)[4]) {
    const V32 sp = m[0] + m[1], dp = m[0] - m[1], sq = m[2] + m[3], dq = m[2] - m[3];
    y[0] = sp + sq;
    y[1] = dp * p + dq * q;
    y[2] = sp * 0.5F + sq * 2.0F;
    y[3] = dp * p3 + dq * q3 + m[4];
  }
};

/// The taps of a stride of two part: the outer two see the odd pixels, the middle one the even.
/// Five products for the former and four for the latter, which share one weight.
struct Stride2 {
  static constexpr int inputs = 9, positions = 9, weights = 6, outputs = 4, step = 8, before = 1;
  static constexpr bool transposed = false;

  static EXCITON_INLINE void input(const V32 (&d)[9], V32 (&t)[9]) {
    const V32 odd[5] = {d[0], d[2], d[4], d[6], d[8]};
    TwoTaps::input(odd, t);
    for (int i = 0; i < 4; ++i) t[5 + i] = d[1 + 2 * i];
  }
  static EXCITON_INLINE void output(const V32 (&m)[9], V32 (&y)[4]) {
    TwoTaps::output(m, y);
    for (int i = 0; i < 4; ++i) y[i] += m[5 + i];
  }
  static EXCITON_INLINE void output_gradient(const V32 (&y)[4], V32 (&d)[9]) {
    const V32 ep = y[0] + y[2] * 0.5F, op = y[1] * p + y[3] * p3;
    const V32 eq = y[0] + y[2] * 2.0F, oq = y[1] * q + y[3] * q3;
    d[0] = ep + op;
    d[1] = ep - op;
    d[2] = eq + oq;
    d[3] = eq - oq;
    d[4] = y[3];
    for (int i = 0; i < 4; ++i) d[5 + i] = y[i];
  }
  static EXCITON_INLINE void weight(const V32 (&w)[3], V32 (&u)[6]) {
    const V32 ep = w[0] * (-1.0F / 3 / p), eq = w[0] * (1.0F / 3 / q);
    u[0] = ep - w[2] * (1.0F / 3);
    u[1] = w[2] * (-1.0F / 3) - ep;
    u[2] = eq + w[2] * (1.0F / 3);
    u[3] = w[2] * (1.0F / 3) - eq;
    u[4] = w[2];
    u[5] = w[1];
  }
  static EXCITON_INLINE void weight_gradient(const V32 (&u)[6], V32 (&w)[3]) {
    w[0] = (u[0] - u[1]) * (-1.0F / 3 / p) + (u[2] - u[3]) * (1.0F / 3 / q);
    w[1] = u[5];
    w[2] = (u[2] + u[3] - u[0] - u[1]) * (1.0F / 3) + u[4];
  }
};

/// The data gradient of Stride2: even pixels of dx take the middle tap of one pixel of dy, odd ones
/// the outer taps of two. It shares the lines of the weights, rotated by 180 degrees.
struct Stride2Transposed : Stride2 {
  static constexpr int inputs = 5, outputs = 8, step = 4, before = 0;
  static constexpr bool transposed = true;  // the tiles have no gradient of their own

  static EXCITON_INLINE void input(const V32 (&d)[5], V32 (&t)[9]) {
    TwoTaps::input(d, t);
    for (int i = 0; i < 4; ++i) t[5 + i] = d[i];
  }
  static EXCITON_INLINE void output(const V32 (&m)[9], V32 (&y)[8]) {
    V32 odd[4];
    TwoTaps::output(m, odd);
    for (int i = 0; i < 4; ++i) {
      y[2 * i] = m[5 + i];
      y[2 * i + 1] = odd[i];
    }
  }
};

}  // namespace

template <class Down, class Across, class T>
constexpr WinogradKernels<T> single() {
  return kernels_of<Form<Down, Across>, T, Singles, Singles>();
}

template <class T>
const WinogradKernels<T>& winograd_kernels(WinogradForm form, SmallerTile smaller) {
  static constexpr WinogradKernels<T> strided = single<Stride2, Stride2, T>(),
                                      transposed =
                                          single<Stride2Transposed, Stride2Transposed, T>();
  static constexpr WinogradKernels<T> kernels[2][2] = {
      {single<Four, Four, T>(), single<Four, Three, T>()},
      {single<Three, Four, T>(), single<Three, Three, T>()}};
  if (form == WinogradForm::stride2) return strided;
  if (form == WinogradForm::stride2_transposed) return transposed;
  return kernels[smaller.down ? 1 : 0][smaller.across ? 1 : 0];
}
template const WinogradKernels<float>& winograd_kernels<float>(WinogradForm, SmallerTile);
template const WinogradKernels<bf16>& winograd_kernels<bf16>(WinogradForm, SmallerTile);

}  // namespace EXCITON_TARGET
}  // namespace exciton::ops::simd
