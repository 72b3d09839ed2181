// Compiled once an instruction set; see vector.hpp.
#include "exciton/ops/simd/winograd_passes.hpp"

namespace exciton::ops::simd {
namespace EXCITON_TARGET {
namespace {

// The interpolation points are 0, +-p, +-q and infinity with p = 1/sqrt 2 and q = sqrt 2: their
// powers stay near 1, which loses less than the textbook's +-1, +-2.
constexpr float p = 0.70710678118654752F, q = 1.41421356237309505F;
struct Points {
  static constexpr float p = EXCITON_TARGET::p, q = EXCITON_TARGET::q, pp = 0.5F, qq = 2.0F;
};
using Four = FourOutputs<Points>;
using Three = ThreeOutputs<Points>;
using Halved = Stride2<Points>;
using Doubled = Stride2Transposed<Points>;

}  // namespace

template <class Down, class Across, class T>
constexpr WinogradKernels<T> single() {
  return kernels_of<Form<Down, Across>, T, Singles, Singles>();
}

template <class T>
const WinogradKernels<T>& winograd_kernels(WinogradForm form, SmallerTile smaller) {
  static constexpr WinogradKernels<T> strided = single<Halved, Halved, T>(),
                                      transposed = single<Doubled, Doubled, T>();
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
