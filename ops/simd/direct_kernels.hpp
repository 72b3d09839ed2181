/// The pieces of the own direct convolution over channels-last maps of type T, f32 or bf16, with
/// all between them in f32; ops/convolution/direct.cpp puts them together. Built once an
/// instruction set, chosen at run time. Each works on the calling thread, reads and writes inside
/// the maps alone, and takes any number of channels.
///
/// What a result pixel reads of x is gathered into one row of a matrix, tap by tap with the
/// channels of a tap side by side; so every geometry becomes a product of matrices. Rows lie in
/// panels of `lanes` neighbouring columns, so that products read them from one end to the other.
#pragma once
#include <cstdint>

#include "exciton/core/dtype.hpp"

namespace exciton::ops::simd {

// Plain data, for kernel files must not share inline functions with others.

/// Maps [images, h, w, pixel] of which channels data[0 .. c) of every pixel are read.
template <class T>
struct SourceMaps {
  const T* data;
  std::int64_t h, w, pixel, c;
};

/// Results: h x w an image, of which (i, j) reads source pixels (step i + row, step j + column)
/// with the row and column of each tap. Outside the source there are zeros.
struct ResultGrid {
  std::int64_t h, w, step;
};

/// Taps whose source pixels are neighbours in a row, from (row, column) on.
struct TapRun {
  std::int64_t row, column, taps;
};
struct TapRuns {
  const TapRun* runs;
  std::int64_t count;
};

/// Results first .. first + count of a grid, numbered through rows, columns and images.
struct ResultRange {
  std::int64_t first, count;
};

/// A matrix in panels: element (row, k) is at data[k / lanes step + row lanes + k % lanes].
struct RowPanels {
  float* data;
  std::int64_t step;
};

/// Where results go: result (i, j) of a grid is pixel (step i + row, step j + column) of maps
/// [images, h, w, pixel], and channels data[0 .. c) of it are written.
template <class T>
struct TargetMaps {
  T* data;
  std::int64_t h, w, pixel, c, step, row, column;
};

/// y = relu(gates (y + bias) + shortcut), without absent parts; each begins with the first channel
/// that is written.
template <class T>
struct DirectEpilogue {
  const float* bias = nullptr;
  const float* gates = nullptr;  ///< a row of TargetMaps::pixel an image
  const T* shortcut = nullptr;   ///< like the target
  bool relu = false;
};

template <class T>
struct DirectKernels {
  std::int64_t lanes;

  /// v (t, ...) = what result first + t reads, taps in their order, filled up with zeros to a
  /// multiple of `lanes`. `row` has space for one row of v.
  void (*gather)(const SourceMaps<T>& x, const ResultGrid& grid, const TapRuns& taps,
                 ResultRange results, float* row, const RowPanels& v);
  /// m [rows, panels lanes] = v [rows, k] w, or += where `add`; k a multiple of `lanes`,
  /// w [panels, k, lanes].
  void (*multiply)(const RowPanels& v, const float* w, const RowPanels& m, std::int64_t rows,
                   std::int64_t k, std::int64_t panels, bool add);
  /// sum [panels, k, lanes] += v^T d of `rows` rows; k a multiple of `lanes`.
  void (*accumulate)(const RowPanels& v, const RowPanels& d, float* sum, std::int64_t rows,
                     std::int64_t k, std::int64_t panels);
  /// Depthwise: m (t, c) = sum over taps of x[., c] w[tap, c]; w [taps, line].
  void (*depthwise)(const SourceMaps<T>& x, const ResultGrid& grid, const TapRuns& taps,
                    ResultRange results, const float* w, std::int64_t line, const RowPanels& m);
  /// Depthwise: sum[tap, c] += sum over results of x[., c] d(t, c); sum [taps, line].
  void (*depthwise_accumulate)(const SourceMaps<T>& x, const ResultGrid& grid, const TapRuns& taps,
                               ResultRange results, const RowPanels& d, float* sum,
                               std::int64_t line);
  /// y = epilogue(m), rounded to T.
  void (*finish)(const RowPanels& m, const ResultGrid& grid, ResultRange results,
                 const DirectEpilogue<T>& epilogue, const TargetMaps<T>& y);
};

/// The kernels of the best instruction set that this processor has and whose vectors `outputs`
/// channels do not leave half empty.
template <class T>
const DirectKernels<T>& direct_kernels(std::int64_t outputs);

}  // namespace exciton::ops::simd
