/// The passes over channels-last feature maps from which batch norm, the SE operators and the
/// fused residual tail are made, and the pixels of max pooling. Each works on `pixels` consecutive
/// pixels of C channels, or on one, on the calling thread; callers cut the work. Built once an
/// instruction set and chosen at run time.
///
/// T is the element type of the maps; A = Acc<T> that of per-channel factors. Sums are added to
/// double accumulators every 64 pixels, so long maps lose nothing. NaN in comes out as NaN.
#pragma once
#include <cstdint>
#include <string_view>

#include "exciton/core/dtype.hpp"

namespace exciton::ops::simd {

template <class T>
struct ChannelKernels {
  using A = Acc<T>;

  /// sum[c] += sum over p of y.
  void (*sums)(const T* y, std::int64_t pixels, std::int64_t c, double* sum);

  /// About a finite reference k[c]: sum[c] += sum over p of (y - k), square[c] += sum over p of
  /// (y - k)^2. Each 64 pixels are summed about the first of them and moved to k in double, so that
  /// no mean, however large beside the deviation, cancels digits.
  void (*moments)(const T* y, const A* k, std::int64_t pixels, std::int64_t c, double* sum,
                  double* square);

  /// a (y - center) + b. center and b may be null (0). With the mean as center nothing cancels.
  struct Affine {
    const A *a = nullptr, *b = nullptr, *center = nullptr;
  };
  /// out = act(affine(y) + shortcut); act is max(0, .), which keeps NaN, when `relu`; shortcut may
  /// be null.
  void (*apply)(const T* y, const Affine& affine, const T* shortcut, bool relu, T* out,
                std::int64_t pixels, std::int64_t c);

  /// How a ReLU's derivative is found: not at all, from its output, or recomputed from its affine
  /// argument of y. Gradients pass unless that is <= 0, so they pass where it is NaN.
  struct Mask {
    const T* out = nullptr;
    Affine of{};
  };

  /// g = (d + d2) [mask];  G[c] += sum g,  P[c] += sum g (y - center);  g is written when not null.
  /// d2 and center may be null. g may be d or d2 itself. An affine mask has the same center.
  void (*backward_sums)(const T* d, const T* d2, const Mask& mask, const T* y, const A* center,
                        T* g, std::int64_t pixels, std::int64_t c, double* sum, double* product);

  /// dy = p[c] g [mask] + q[c] (y - center) + r[c];  q and r may both be null (dy = p g), center,
  /// too. dy may be g or y. An affine mask has the same center.
  void (*backward_apply)(const T* g, const Mask& mask, const T* y, const A* center, const A* p,
                         const A* q, const A* r, T* dy, std::int64_t pixels, std::int64_t c);

  /// y = max(0, y) for n elements; NaN stays NaN.
  void (*relu)(T* y, std::int64_t n);

  /// For max squeeze: high/low[c] = extreme values of y with the index of their first pixel; where
  /// there are NaN, both are the last of them.
  void (*extremes)(const T* y, std::int64_t pixels, std::int64_t c, A* high, std::int64_t* high_at,
                   A* low, std::int64_t* low_at);

  /// A pixel of max pooling: y[c] = the largest of x[t][c], the first of equals, but any NaN;
  /// where[c] = which[t] of it. 1 <= taps.
  void (*largest)(const T* const* x, const std::uint8_t* which, std::int64_t taps, std::int64_t c,
                  T* y, std::uint8_t* where);
  /// A pixel of its gradient: dx[c] = sum over t of dy[t][c] [where[t][c] = which[t]].
  void (*sum_where)(const T* const* dy, const std::uint8_t* const* where, const std::uint8_t* which,
                    std::int64_t taps, std::int64_t c, T* dx);
  /// The same for all pixels of a window that no other window sees: dx[t][c] = dy[c] [where[c] =
  /// which[t]].
  void (*spread)(const T* dy, const std::uint8_t* where, const std::uint8_t* which,
                 std::int64_t taps, std::int64_t c, T* const* dx);

  /// out[r] += sum over c of w[r, c] x[c], w [rows, c]: a layer of one image.
  void (*matrix_vector)(const A* w, const A* x, A* out, std::int64_t rows, std::int64_t c);
};

/// The kernels of the best instruction set this processor has, for T float, bf16 or double.
template <class T>
const ChannelKernels<T>& channel_kernels();

/// "avx512", "avx2" or "baseline"; the environment variable EXCITON_ISA lowers the choice.
std::string_view instruction_set();

/// Whether this processor, and EXCITON_ISA, have products of pairs of bf16 (AVX512_BF16).
bool have_bf16_pairs();

}  // namespace exciton::ops::simd
