// Compiled once an instruction set; see vector.hpp.
#include "exciton/ops/simd/activation_kernels.hpp"
#include "exciton/ops/simd/vector.hpp"

namespace exciton::ops::simd {
namespace EXCITON_TARGET {
namespace {

constexpr int lanes = Vec<float>::lanes;
using I32 [[gnu::vector_size(EXCITON_VECTOR_BYTES)]] = std::int32_t;

EXCITON_INLINE V32 all(float value) { return V32{} + value; }

/// exp(y) for y <= 0, 0 below -87, NaN for NaN: 2^n exp(r) with |r| <= ln 2 / 2.
EXCITON_INLINE V32 exp_of_negative(V32 y) {
  const V32 floored = y > -87.0F ? y : all(-87.0F);
  // Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits.
  constexpr float rounder = 12582912.0F;
  const V32 shifted = multiply_add(floored, 1.44269504F, all(rounder));
  const V32 n = shifted - rounder;
  // ln 2 in two parts, the first with few digits: n times it is exact.
  const V32 r = multiply_add(n, 2.12194440e-4F, multiply_add(n, -0.693359375F, floored));
  V32 p = all(1.9875691500e-4F);
  for (const float c :
       {1.3981999507e-3F, 8.3334519073e-3F, 4.1665795894e-2F, 1.6666665459e-1F, 0.5F, 1.0F, 1.0F})
    p = multiply_add(p, r, all(c));
  I32 bits, power;
  std::memcpy(&bits, &shifted, sizeof bits);
  std::memcpy(&power, &p, sizeof power);
  power += bits << 23;  // the low bits of `shifted` are n; the rest leaves at the top
  V32 out;
  std::memcpy(&out, &power, sizeof out);
  return y < -87.0F ? V32{} : y != y ? y : out;
}

/// Distribution and density of the normal distribution at x.
struct Normal {
  V32 below, density;
};
EXCITON_INLINE Normal normal(V32 x) {
  const V32 e = exp_of_negative(x * x * -0.5F);
  const V32 magnitude = x < 0.0F ? -x : x;
  // 1 - erf(z) = t (a1 + t (a2 + ...)) exp(-z^2),  t = 1 / (1 + 0.3275911 z),  z = |x| / sqrt(2)
  const V32 t = 1.0F / multiply_add(magnitude, 0.231641888F, all(1.0F));
  V32 p = all(1.061405429F);
  for (const float a : {-1.453152027F, 1.421413741F, -0.284496736F, 0.254829592F})
    p = multiply_add(p, t, all(a));
  const V32 tail = p * t * e * 0.5F;
  return {x < 0.0F ? tail : 1.0F - tail, e * 0.398942280F};
}

EXCITON_INLINE V32 logistic(V32 x) {
  const V32 e = exp_of_negative(x < 0.0F ? x : -x);
  const V32 other = 1.0F / (1.0F + e);
  return x < 0.0F ? e * other : other;
}

struct Gelu {
  static EXCITON_INLINE V32 value(V32 x) { return x * normal(x).below; }
  static EXCITON_INLINE V32 slope(V32 x) {
    const Normal n = normal(x);
    return multiply_add(x, n.density, n.below);
  }
};
struct Silu {
  static EXCITON_INLINE V32 value(V32 x) { return x * logistic(x); }
  static EXCITON_INLINE V32 slope(V32 x) {
    const V32 s = logistic(x);
    return s * multiply_add(x, 1.0F - s, all(1.0F));
  }
};

template <class F, class T>
void forward(const T* x, T* y, std::int64_t n) {
  std::int64_t i = 0;
  for (; i + lanes <= n; i += lanes) store(y + i, F::value(load(x + i)));
  const int rest = static_cast<int>(n - i);
  if (rest > 0) store_part(y + i, F::value(load_part(x + i, rest)), rest);
}

template <class F, class T>
void backward(const T* x, const T* dy, T* dx, std::int64_t n) {
  std::int64_t i = 0;
  for (; i + lanes <= n; i += lanes) store(dx + i, load(dy + i) * F::slope(load(x + i)));
  const int rest = static_cast<int>(n - i);
  if (rest > 0)
    store_part(dx + i, load_part(dy + i, rest) * F::slope(load_part(x + i, rest)), rest);
}

}  // namespace

template <class T>
const ActivationKernels<T>& activation_kernels() {
  static constexpr ActivationKernels<T> kernels{forward<Gelu, T>, forward<Silu, T>,
                                                backward<Gelu, T>, backward<Silu, T>};
  return kernels;
}
template const ActivationKernels<float>& activation_kernels<float>();
template const ActivationKernels<bf16>& activation_kernels<bf16>();

}  // namespace EXCITON_TARGET
}  // namespace exciton::ops::simd
