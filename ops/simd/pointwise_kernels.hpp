/// The product of a 1x1 convolution over channels-last maps of type T, f32 or bf16, with what
/// follows it; ops/convolution/pointwise.cpp puts its pieces together. Built once an instruction
/// set, chosen at run time. Works on the calling thread.
#pragma once
#include <cstdint>

#include "exciton/core/dtype.hpp"

namespace exciton::ops::simd {

// Plain data, for kernel files must not share inline functions with others.

/// Pixels that follow each other in memory at one distance.
template <class T>
struct PixelLine {
  const T* x;         ///< C channels a pixel
  std::int64_t step;  ///< elements between pixels of x
  std::int64_t pixels;
};

/// y = relu(gates (y + bias) + shortcut), without absent parts; each begins with the first channel
/// that is written, the shortcut with the first pixel, too.
template <class T>
struct PointwiseEpilogue {
  const float* bias = nullptr;
  const float* gates = nullptr;
  const T* shortcut = nullptr;
  bool relu = false;
};

template <class T>
struct PointwiseKernels {
  std::int64_t panel;   ///< outputs of a panel of packed weights; the last may have fewer
  std::int64_t pixels;  ///< of which the sums fit the registers

  /// Room for packed weights [O, C], in floats.
  std::int64_t (*floats)(std::int64_t o, std::int64_t c);
  /// Packs the panel of weights [O, C], f32 with values of T, that begins with output `first`, in
  /// the order in which multiply reads it.
  void (*pack)(const float* weights, std::int64_t o, std::int64_t c, std::int64_t first,
               float* packed);
  /// y [pixels, O], from channel `first` on, = epilogue(x w) for the panel of that output; every
  /// sum is made one channel (of bf16 one pair of channels) after another. `ahead`, what will be
  /// multiplied next, is brought near meanwhile; null for nothing.
  void (*multiply)(const PixelLine<T>& line, const float* packed, const float* ahead,
                   std::int64_t o, std::int64_t c, std::int64_t first,
                   const PointwiseEpilogue<T>& epilogue, T* y);
};

/// The kernels of the best instruction set this processor has whose vectors `o` outputs fill. Maps
/// of bf16 are multiplied in pairs of channels: where have_bf16_pairs(), and C is even.
template <class T>
const PointwiseKernels<T>& pointwise_kernels(std::int64_t o);

}  // namespace exciton::ops::simd
