/// The pieces of Winograd's 3x3 convolutions over channels-last maps of type T, f32 or bf16, with
/// all between them in f32; ops/convolution/winograd.hpp has the equations and puts them together.
/// Built once an instruction set, chosen at run time. Each works on the calling thread.
///
/// A batch of output maps, or one rectangle of each, is cut into tiles, numbered through rows,
/// columns and images. A transformed block of tiles is a matrix [tiles, channels] for each position
/// of the transformed tile. Each is cut into panels of `panel(channels)` neighbouring channels, so
/// that products read it from one end to the other.
#pragma once
#include <cstdint>

#include "exciton/core/dtype.hpp"

namespace exciton::ops::simd {

/// What is computed of x or dy; see ops/convolution/winograd.hpp.
enum class WinogradForm {
  stride1,
  stride2,
  stride2_transposed,
  // with products of bf16, over maps of bf16 alone
  stride1_pairs,      ///< tiles of 3x3 outputs
  stride1_pairs_4x4,  ///< of 4x4, which take fewer products and round more
  stride2_pairs,
  stride2_transposed_pairs
};
constexpr bool in_pairs(WinogradForm form) { return form >= WinogradForm::stride1_pairs; }

/// Whether tiles are one pixel lower, or narrower, than the form's: a few of those fill maps to the
/// edge that are no multiple of it. Forms of stride 1 have them.
struct SmallerTile {
  bool down = false, across = false;
};

/// Maps [images, h, w, c] as the transforms see them: down x across tiles per image, the first of
/// which begins at the pixel (top, left) of the outputs. Plain data, for kernel files must not
/// share inline functions with others.
struct TiledMaps {
  std::int64_t h, w, c, down, across, top, left;
};

/// Tiles first .. first + count of a batch, or channels of a map.
struct TileRange {
  std::int64_t first, count;
};

/// Matrices [rows, c] of slots in panels: slot (row, k) of matrix a is at
/// data[a stride + k / panel(c) step + row panel(c) + k % panel(c)]. A slot is an f32, or two bf16.
struct Panels {
  float* data;
  std::int64_t step, stride;
};

/// What the last pass does to an output: y = relu(s (y + bias) + shortcut), without absent parts.
template <class T>
struct WinogradEpilogue {
  const float* bias = nullptr;   ///< [c]
  const float* gates = nullptr;  ///< s [images, c]
  const T* shortcut = nullptr;   ///< like y
  bool relu = false;
};

template <class T>
struct WinogradKernels {
  std::int64_t outputs_down, outputs_across;      ///< pixels of an output tile
  std::int64_t positions_down, positions_across;  ///< of a transformed tile
  std::int64_t weights_down, weights_across;      ///< of transformed weights
  std::int64_t channels_a_slot;                   ///< of V: neighbouring input channels
  std::int64_t tiles_a_slot;  ///< of V and D for the gradient: neighbouring tiles

  /// Slots side by side in a panel, for `c` of them in a row.
  std::int64_t (*panel)(std::int64_t c);

  /// w [o, c, 3, 3] -> G w G^T packed [D A, o/panel, c/channels_a_slot, panel] for outputs first ..
  /// first + count (multiples of the panel), D = weights_down, A = weights_across. Position (i, j)
  /// takes matrix (min(i, D - 1), min(j, A - 1)). `rotated` swaps the roles of o and c and turns
  /// the window by 180 degrees: the weights of the transposed convolution, outputs c.
  void (*weights)(const float* w, std::int64_t o, std::int64_t c, bool rotated, TileRange outputs,
                  float* packed);
  /// V = B^T d B of the pixels that each tile depends on; outside the map is zero. `zeros` [w, c].
  void (*input)(const T* x, const TiledMaps& maps, TileRange tiles, const T* zeros,
                const Panels& v);
  /// The same for `accumulate`: a row of v has tiles_a_slot tiles.
  void (*input_for_gradient)(const T* x, const TiledMaps& maps, TileRange tiles, const T* zeros,
                             const Panels& v);
  /// y = A^T m A, then the epilogue, of some channels of y; m begins with the first.
  void (*output)(const Panels& m, const TiledMaps& maps, TileRange tiles, TileRange channels,
                 const WinogradEpilogue<T>& epilogue, T* y);
  /// D = A dy A^T, tiles_a_slot tiles a row. Absent from the transposed form.
  void (*output_gradient)(const T* dy, const TiledMaps& maps, TileRange tiles, const Panels& d);
  /// m [rows, o] = v [rows, c] times one position's packed weights, c slots a row, for so many
  /// outputs from the first of m and packed on.
  void (*multiply)(const Panels& v, const float* packed, const Panels& m, std::int64_t rows,
                   std::int64_t c, std::int64_t o, std::int64_t outputs);
  /// sum [c, o] += v^T d of one position; v [rows, c], d [rows, o], for so many outputs from the
  /// first of d and sum on.
  void (*accumulate)(const Panels& v, const Panels& d, float* sum, std::int64_t rows,
                     std::int64_t c, std::int64_t o, std::int64_t outputs);
  /// dw [o, c, 3, 3] = G^T sum G of `sum` [D A, c, o], input channels first .. first + count.
  void (*weights_gradient)(const float* sum, std::int64_t o, std::int64_t c, TileRange inputs,
                           float* dw);
};

/// Channels, in and out, come in multiples of this.
inline constexpr std::int64_t winograd_channels = 8;

/// The kernels of the best instruction set that this processor has and whose vectors c and o
/// channels fill.
template <class T>
const WinogradKernels<T>& winograd_kernels(WinogradForm form, std::int64_t c, std::int64_t o,
                                           SmallerTile smaller = {});

/// Whether the forms in pairs, which run where have_bf16_pairs(), take so many channels in and out:
/// what fills panels, and the few of narrow networks.
constexpr bool winograd_takes_pairs(std::int64_t c, std::int64_t o) {
  const auto fills = [](std::int64_t n) { return n % 32 == 0 || n == 16 || n == 48; };
  return (fills(c) || c == 24) && fills(o);
}

}  // namespace exciton::ops::simd
