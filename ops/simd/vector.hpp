/// Fixed-width vectors for kernel files, on the compilers' vector extensions. A kernel file is
/// compiled once an instruction set with EXCITON_TARGET naming its namespace; only such files may
/// include this header, so that code for a newer processor never leaks into shared functions.
#pragma once
#ifdef __AVX2__
#include <immintrin.h>
#endif

#include <cstdint>
#include <cstring>

#include "exciton/core/dtype.hpp"

#if defined(__AVX512F__)
#define EXCITON_VECTOR_BYTES 64
#elif defined(__AVX2__)
#define EXCITON_VECTOR_BYTES 32
#else
#define EXCITON_VECTOR_BYTES 16
#endif
#define EXCITON_INLINED __attribute__((always_inline))  // of lambdas
#define EXCITON_INLINE inline EXCITON_INLINED

namespace exciton::ops::simd {
namespace EXCITON_TARGET {
namespace {

/// A is float or double. Vec<A>::V holds `lanes` of them.
template <class A>
struct Vec {
  static constexpr int lanes = EXCITON_VECTOR_BYTES / static_cast<int>(sizeof(A));
  using V [[gnu::vector_size(EXCITON_VECTOR_BYTES)]] = A;
  using Mask = decltype(V{} > V{});  ///< integers as wide as A: 0 or -1 as results of comparisons
  using Bytes [[gnu::vector_size(EXCITON_VECTOR_BYTES / sizeof(A))]] = std::uint8_t;
};

using V32 = Vec<float>::V;
using V64 = Vec<double>::V;
using U32 [[gnu::vector_size(EXCITON_VECTOR_BYTES)]] = std::uint32_t;
using U16 [[gnu::vector_size(EXCITON_VECTOR_BYTES / 2)]] = std::uint16_t;

EXCITON_INLINE V32 load(const float* p) {
  V32 v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
EXCITON_INLINE V64 load(const double* p) {
  V64 v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
/// Two instructions, where GCC 12 makes five of the plain form.
EXCITON_INLINE V32 load(const bf16* p) {
#if defined(__AVX512F__)
  const __m256i half = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  const U32 wide = U32(_mm512_maskz_cvtepu16_epi32(0xffff, half)) << 16;
#elif defined(__AVX2__)
  const __m128i half = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  const U32 wide = U32(_mm256_cvtepu16_epi32(half)) << 16;
#else
  U16 half;
  std::memcpy(&half, p, sizeof half);
  const U32 wide = __builtin_convertvector(half, U32) << 16;
#endif
  V32 v;
  std::memcpy(&v, &wide, sizeof v);
  return v;
}

EXCITON_INLINE void store(float* p, V32 v) { std::memcpy(p, &v, sizeof v); }
EXCITON_INLINE void store(double* p, V64 v) { std::memcpy(p, &v, sizeof v); }
/// Rounds to nearest even; NaN, whatever its payload, becomes a quiet NaN.
EXCITON_INLINE void store(bf16* p, V32 v) {
  U32 u;
  std::memcpy(&u, &v, sizeof u);
  const U32 finite = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
  const U32 rounded = v != v ? (u >> 16) | 0x40u : finite;
  const U16 half = __builtin_convertvector(rounded, U16);
  std::memcpy(&p->bits, &half, sizeof half);
}

/// sum + a b, rounded once where the instruction set can. Said outright: where the compiler may
/// choose between that and two roundings it chooses block by block (GCC 14 does for AVX2), and a
/// result then depends on whether its row fell into a full block or the rest, so on the thread
/// count.
EXCITON_INLINE V32 multiply_add(V32 a, V32 b, V32 sum) {
#if defined(__AVX512F__)
  return V32(_mm512_fmadd_ps(a, b, sum));
#elif defined(__AVX2__)
  return V32(_mm256_fmadd_ps(a, b, sum));
#else
  return sum + a * b;
#endif
}
EXCITON_INLINE V32 multiply_add(V32 a, float b, V32 sum) {
#if defined(__AVX512F__)
  return multiply_add(a, V32(_mm512_set1_ps(b)), sum);
#elif defined(__AVX2__)
  return multiply_add(a, V32(_mm256_set1_ps(b)), sum);
#else
  return sum + a * b;
#endif
}

/// max(0, v); NaN stays NaN.
template <class V>
EXCITON_INLINE V relu(V v) {
  return v < V{} ? V{} : v;
}
/// d where a ReLU whose output (or, as good, input) is y lets gradients pass; it does where y is
/// NaN.
template <class V>
EXCITON_INLINE V relu_gradient(V d, V y) {
  return y <= V{} ? V{} : d;
}

/// The first n lanes; the others are zero (load) or not written (store).
template <class T>
EXCITON_INLINE typename Vec<Acc<T>>::V load_part(const T* p, int n) {
  T buffer[Vec<Acc<T>>::lanes] = {};
  for (int i = 0; i < n; ++i) buffer[i] = p[i];
  return load(buffer);
}
template <class T>
EXCITON_INLINE void store_part(T* p, typename Vec<Acc<T>>::V v, int n) {
  T buffer[Vec<Acc<T>>::lanes];
  store(buffer, v);
  for (int i = 0; i < n; ++i) p[i] = buffer[i];
}

}  // namespace
}  // namespace EXCITON_TARGET
}  // namespace exciton::ops::simd
