#include <cstdlib>

#include "exciton/ops/processor.hpp"
#include "exciton/ops/simd/activation_kernels.hpp"
#include "exciton/ops/simd/channel_kernels.hpp"
#include "exciton/ops/simd/direct_kernels.hpp"
#include "exciton/ops/simd/matrix_kernels.hpp"
#include "exciton/ops/simd/pointwise_kernels.hpp"
#include "exciton/ops/simd/winograd_kernels.hpp"

namespace exciton::ops::simd {
namespace {

enum class Isa { baseline, avx2, avx512 };

Isa detect() {
  const Processor& p = processor();
  Isa best = p.avx512 && p.avx2 ? Isa::avx512 : p.avx2 ? Isa::avx2 : Isa::baseline;
  if (const char* wanted = std::getenv("EXCITON_ISA")) {
    const std::string_view w = wanted;
    check(w == "baseline" || w == "avx2" || w == "avx512", "EXCITON_ISA: \"", w,
          "\" is not one of baseline, avx2, avx512");
    const Isa asked = w == "baseline" ? Isa::baseline : w == "avx2" ? Isa::avx2 : Isa::avx512;
    if (asked < best) best = asked;
  }
  return best;
}

Isa isa() {
  static const Isa chosen = detect();
  return chosen;
}

}  // namespace

#define EXCITON_DECLARE(target)                                          \
  namespace target {                                                     \
  template <class T>                                                     \
  const ActivationKernels<T>& activation_kernels();                      \
  template <class T>                                                     \
  const ChannelKernels<T>& channel_kernels();                            \
  template <class T>                                                     \
  const DirectKernels<T>& direct_kernels();                              \
  template <class T>                                                     \
  const WinogradKernels<T>& winograd_kernels(WinogradForm, SmallerTile); \
  const MatrixKernels& matrix_kernels();                                 \
  const PointwiseKernels<float>& pointwise_kernels();                    \
  }
EXCITON_DECLARE(baseline)
EXCITON_DECLARE(avx2)
EXCITON_DECLARE(avx512)
#undef EXCITON_DECLARE
namespace avx512bf16 {
const PointwiseKernels<bf16>& pointwise_pair_kernels();
const WinogradKernels<bf16>& winograd_pair_kernels(WinogradForm, SmallerTile);
}  // namespace avx512bf16

template <class T>
const ActivationKernels<T>& activation_kernels() {
  switch (isa()) {
    case Isa::avx512:
      return avx512::activation_kernels<T>();
    case Isa::avx2:
      return avx2::activation_kernels<T>();
    case Isa::baseline:
      break;
  }
  return baseline::activation_kernels<T>();
}
template const ActivationKernels<float>& activation_kernels<float>();
template const ActivationKernels<bf16>& activation_kernels<bf16>();

template <class T>
const ChannelKernels<T>& channel_kernels() {
  switch (isa()) {
    case Isa::avx512:
      return avx512::channel_kernels<T>();
    case Isa::avx2:
      return avx2::channel_kernels<T>();
    case Isa::baseline:
      break;
  }
  return baseline::channel_kernels<T>();
}
template const ChannelKernels<float>& channel_kernels<float>();
template const ChannelKernels<bf16>& channel_kernels<bf16>();
template const ChannelKernels<double>& channel_kernels<double>();

template <class T>
const DirectKernels<T>& direct_kernels(std::int64_t outputs) {
  switch (isa() == Isa::avx512 && outputs <= 8 ? Isa::avx2 : isa()) {
    case Isa::avx512:
      return avx512::direct_kernels<T>();
    case Isa::avx2:
      return avx2::direct_kernels<T>();
    case Isa::baseline:
      break;
  }
  return baseline::direct_kernels<T>();
}
template const DirectKernels<float>& direct_kernels<float>(std::int64_t);
template const DirectKernels<bf16>& direct_kernels<bf16>(std::int64_t);

bool have_bf16_pairs() { return isa() == Isa::avx512 && processor().bf16; }

template <class T>
const WinogradKernels<T>& winograd_kernels(WinogradForm form, std::int64_t c, std::int64_t o,
                                           SmallerTile smaller) {
  if constexpr (std::is_same_v<T, bf16>)
    if (in_pairs(form)) return avx512bf16::winograd_pair_kernels(form, smaller);
  const bool wide = c % 16 == 0 && o % 16 == 0;  // every AVX-512 processor has AVX2
  switch (isa() == Isa::avx512 && !wide ? Isa::avx2 : isa()) {
    case Isa::avx512:
      return avx512::winograd_kernels<T>(form, smaller);
    case Isa::avx2:
      return avx2::winograd_kernels<T>(form, smaller);
    case Isa::baseline:
      break;
  }
  return baseline::winograd_kernels<T>(form, smaller);
}
template const WinogradKernels<float>& winograd_kernels<float>(WinogradForm, std::int64_t,
                                                               std::int64_t, SmallerTile);
template const WinogradKernels<bf16>& winograd_kernels<bf16>(WinogradForm, std::int64_t,
                                                             std::int64_t, SmallerTile);

const MatrixKernels& matrix_kernels() {
  switch (isa()) {
    case Isa::avx512:
      return avx512::matrix_kernels();
    case Isa::avx2:
      return avx2::matrix_kernels();
    case Isa::baseline:
      break;
  }
  return baseline::matrix_kernels();
}

template <>
const PointwiseKernels<float>& pointwise_kernels<float>(std::int64_t o) {
  switch (isa() == Isa::avx512 && o % 16 != 0 ? Isa::avx2 : isa()) {
    case Isa::avx512:
      return avx512::pointwise_kernels();
    case Isa::avx2:
      return avx2::pointwise_kernels();
    case Isa::baseline:
      break;
  }
  return baseline::pointwise_kernels();
}
template <>
const PointwiseKernels<bf16>& pointwise_kernels<bf16>(std::int64_t) {
  return avx512bf16::pointwise_pair_kernels();
}

std::string_view instruction_set() {
  switch (isa()) {
    case Isa::avx512:
      return "avx512";
    case Isa::avx2:
      return "avx2";
    case Isa::baseline:
      break;
  }
  return "baseline";
}

}  // namespace exciton::ops::simd
