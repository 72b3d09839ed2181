#include "exciton/ops/convolution/winograd.hpp"

#include <algorithm>
#include <atomic>
#include <utility>
#include <vector>

#include "exciton/core/threads.hpp"
#include "exciton/ops/convolution/path.hpp"
#include "exciton/ops/leaves.hpp"
#include "exciton/ops/processor.hpp"
#include "exciton/ops/simd/channel_kernels.hpp"
#include "exciton/ops/simd/winograd_kernels.hpp"

namespace exciton::ops {
namespace {

using simd::Panels;
using simd::SmallerTile;
using simd::TiledMaps;
using simd::TileRange;
using simd::winograd_kernels;
using simd::WinogradForm;
using simd::WinogradKernels;

/// Whether this convolution multiplies pairs of bf16.
bool in_pairs(const ConvGeometry& g) {
  return g.spec.winograd_products != WinogradProducts::f32 && g.dtype == DType::bf16 &&
         simd::winograd_takes_pairs(g.c, g.o) && simd::have_bf16_pairs();
}

WinogradForm form_of(const ConvGeometry& g) {
  const bool pairs = in_pairs(g);
  if (g.spec.stride == 2) return pairs ? WinogradForm::stride2_pairs : WinogradForm::stride2;
  if (!pairs) return WinogradForm::stride1;
  return g.spec.winograd_products == WinogradProducts::bf16 ? WinogradForm::stride1_pairs
                                                            : WinogradForm::stride1_pairs_4x4;
}
WinogradForm transposed(const ConvGeometry& g) {
  if (g.spec.stride != 2) return form_of(g);
  return in_pairs(g) ? WinogradForm::stride2_transposed_pairs : WinogradForm::stride2_transposed;
}

/// Matrices of the transformed weights.
template <class T>
std::int64_t matrices(const WinogradKernels<T>& k) {
  return k.weights_down * k.weights_across;
}

/// Positions of a transformed tile.
template <class T>
std::int64_t positions_of(const WinogradKernels<T>& k) {
  return k.positions_down * k.positions_across;
}

/// Channels of the outputs as products make them: 24 in pairs are two vectors of 16.
template <class T>
std::int64_t in_vectors(const WinogradKernels<T>& k, std::int64_t channels) {
  constexpr std::int64_t vector = 16;
  return k.channels_a_slot == 1 ? channels : (channels + vector - 1) / vector * vector;
}

/// Tiles that cover a line of pixels: whole ones, then such that are a pixel smaller.
struct Line {
  std::int64_t whole, smaller;
};

/// Whole tiles alone, of which the last may hang over the edge.
Line hanging(std::int64_t pixels, std::int64_t tile) { return {(pixels + tile - 1) / tile, 0}; }

/// To the edge and no further; where tiles of both sizes cannot do that, as above.
Line fitting(std::int64_t pixels, std::int64_t tile) {
  const std::int64_t smaller = (tile - pixels % tile) % tile, rest = pixels - smaller * (tile - 1);
  return rest < 0 ? hanging(pixels, tile) : Line{rest / tile, smaller};
}

/// Tiles of one size that cover a rectangle of every map of outputs.
struct Rectangle {
  SmallerTile size;
  std::int64_t top, left, down, across;  ///< the last two in tiles
  TiledMaps over(std::int64_t h, std::int64_t w, std::int64_t c) const {
    return {h, w, c, down, across, top, left};
  }
  std::int64_t tiles() const { return down * across; }
};

/// The rectangles of a map of outputs [h, w].
std::vector<Rectangle> rectangles(const Line& rows, const Line& columns, std::int64_t tile) {
  std::vector<Rectangle> out;
  for (const bool low : {false, true})
    for (const bool narrow : {false, true}) {
      const std::int64_t down = low ? rows.smaller : rows.whole;
      const std::int64_t across = narrow ? columns.smaller : columns.whole;
      if (down > 0 && across > 0)
        out.push_back({{low, narrow},
                       low ? rows.whole * tile : 0,
                       narrow ? columns.whole * tile : 0,
                       down,
                       across});
    }
  return out;
}

/// f(T{}) for the type of maps of this convolution.
template <class F>
decltype(auto) with_map_type(const ConvGeometry& g, const F& f) {
  return g.dtype == DType::bf16 ? f(bf16{}) : f(float{});
}

/// Room for transformed tiles of one kind, matrices [rows, c] of slots in panels. A cache line
/// between panels and matrices keeps them from falling into the same sets of the cache.
struct Block {
  std::int64_t positions, width, step, stride;
  float* data = nullptr;
  template <class T>
  Block(const WinogradKernels<T>& k, std::int64_t rows, std::int64_t c)
      : Block(k, rows, c, k.panel(c)) {}
  /// The same for some of a row's slots, whole panels of that width.
  template <class T>
  Block(const WinogradKernels<T>& k, std::int64_t rows, std::int64_t c, std::int64_t panel)
      : positions(positions_of(k)),
        width(panel),
        step(rows * width + 16),
        stride(c / width * step + 16) {}
  std::int64_t elements() const { return positions * stride; }
  Panels at(std::int64_t position, std::int64_t row = 0, std::int64_t slot = 0) const {
    return {data + position * stride + slot / width * step + row * width, step, stride};
  }
};

/// Two blocks for each of `threads` threads, or for all together.
class Scratch {
 public:
  Scratch(std::int64_t threads, const Block& first, const Block& second)
      : a_(first), b_(second), memory_({threads, first.elements() + second.elements()}) {}
  Block first(std::int64_t thread = 0) { return placed(a_, thread, 0); }
  Block second(std::int64_t thread = 0) { return placed(b_, thread, a_.elements()); }

 private:
  Block placed(Block block, std::int64_t thread, std::int64_t offset) {
    block.data = memory_.data<float>() + thread * memory_.dim(1) + offset;
    return block;
  }

  Block a_, b_;
  Tensor memory_;
};

constexpr std::int64_t few_tiles = 24;  // the least that reads a thread's weights seldom enough

/// Whether each thread takes tiles of its own from beginning to end, a block in its second-level
/// cache at a time, all its products included. Where `few_tiles` of these channels, transformed, do
/// not fit there, or the sums of the weights' gradient not in the third-level cache, the products
/// are made for some outputs at a time (own_tiles), or all threads share larger blocks, and the
/// products are cut by position.
template <class T>
bool fits_private_l2(const WinogradKernels<T>& k, std::int64_t c, std::int64_t o) {
  return matrices(k) * few_tiles * (c + o) * 4 <= processor().second_level_cache &&
         c * o < 64 * 128;
}

/// Tiles that all threads transform before they multiply.
template <class T>
std::int64_t shared_tiles(const WinogradKernels<T>& k, std::int64_t c, std::int64_t o) {
  const std::int64_t bytes = positions_of(k) * (c / k.channels_a_slot + o) * 4;
  return std::clamp<std::int64_t>((8 << 20) / bytes / 12 * 12, 96, 192);
}

/// What a thread takes at a time where it has tiles of its own: transformed tiles of x, and of so
/// many outputs at once.
struct OwnTiles {
  std::int64_t tiles = 0, outputs = 0;
  explicit operator bool() const { return tiles > 0; }
};

template <class T>
OwnTiles own_tiles(const WinogradKernels<T>& k, std::int64_t c, std::int64_t o) {
  const std::int64_t bytes = positions_of(k) * 4, slots = c / k.channels_a_slot;
  if (fits_private_l2(k, c, o))
    return {std::clamp<std::int64_t>((256 << 10) / (bytes * (c + o)) / 12 * 12, few_tiles, 48), o};
  // Wider ones keep the transformed maps, and stream the weights past them once a block: worth it
  // where a few rows of the products' kernels share them.
  constexpr std::int64_t outputs = 32, least = 12;
  const std::int64_t tiles =
      processor().second_level_cache * 5 / 8 / (bytes * (slots + outputs)) / 12 * 12;
  return tiles >= least ? OwnTiles{std::min<std::int64_t>(tiles, 96), outputs} : OwnTiles{};
}

/// What passes cost on a processor. A cycle is the time in which it multiplies and adds a vector of
/// f32 when it does nothing else.
struct Costs {
  double transform;        ///< cycles for a vector of channels of a tile, in or out
  double transform_two;    ///< the same with stride 2
  double bytes;            ///< that come from the third-level cache in a cycle
  double weight;           ///< multiply-adds that take as long as to transform a weight
  double weight_gradient;  ///< and as a sum of its gradient
};

/// Zen 4 (EPYC, 2 shared cores): measured by `exciton tune`, quiet, for 16 to 640 channels, maps of
/// 3 to 32 pixels. Zen 5 (the same), which multiplies twice as much a cycle: beside other work, its
/// gradients in proportion. Zen 3 (the same, whose cycle is two of its instructions): f32, maps of
/// 3 to 224 pixels. Others are taken for a Zen 5 with a slower third-level cache.
constexpr Costs costs_of(ProcessorKind kind) {
  switch (kind) {
    case ProcessorKind::zen3:
      return {350, 900, 14, 60, 40};
    case ProcessorKind::zen4:
      return {260, 700, 14, 60, 33};
    case ProcessorKind::zen5:
      return {470, 1300, 14, 100, 55};
    case ProcessorKind::other:
      break;
  }
  return {470, 1300, 8, 100, 55};
}

/// The part of the peak that oneDNN reaches with 3x3. Less on AVX2 (2.6.3 on Zen 3, 16 to 640
/// channels: 0.5 to 0.8 forward, 0.6 to 0.8 the data's, 0.2 to 0.6 the weights' gradient). Half
/// with the weights' gradient of bf16 maps of 14x14 and less, unless outputs come in blocks of 128
/// (Zen 4: 0.36 to 0.49 for 96 to 320 outputs, 0.8 to 0.9 for 128, 256 and 512).
double direct_reaches(const ConvGeometry& g, Direction direction) {
  const bool gradient = direction == Direction::backward_weights;
  if (!processor().avx512)
    return gradient ? 0.45 : direction == Direction::backward_data ? 0.7 : 0.65;
  const bool native = g.dtype == DType::bf16 && processor().bf16 && !processor().amx;
  const bool uneven = native && gradient && g.oh * g.ow <= 14 * 14 && g.o > 64 && g.o % 128 != 0;
  return uneven ? 0.5 : 0.9;
}

/// Cycles of the direct sum, in vectors as in Costs, times their width. The peak is that of the
/// type, which for bf16 is that of f32 elsewhere than on processors that multiply it.
double direct_cycles(const ConvGeometry& g, std::int64_t images, Direction direction) {
  const bool native = g.dtype == DType::bf16 && processor().bf16;
  const double rate = !native ? 1 : processor().amx ? 16 : 2;
  return static_cast<double>(images * g.oh * g.ow * 9 * g.c * g.o) /
         (rate * direct_reaches(g, direction));
}

/// The same of Winograd's products, transforms, and weights or sums on their way through the
/// caches, for tiles that cover maps of outputs so.
double winograd_cycles(const ConvGeometry& g, std::int64_t images, Direction direction,
                       bool keeps_weights, const std::vector<Rectangle>& cover) {
  const Costs costs = costs_of(processor().kind);
  constexpr double lanes = 16;  // of the vectors that were measured
  const auto channels = static_cast<double>(g.c + g.o);
  const double transforms = channels * (g.spec.stride == 2 ? costs.transform_two : costs.transform);
  const bool gradient = direction == Direction::backward_weights;
  const bool narrow = fits_private_l2(winograd_kernels<bf16>(form_of(g), g.c, g.o), g.c, g.o);
  // Sums are read and written for every few tiles; threads that share blocks wait for each other.
  const auto reached = [&](bool own) {
    return !gradient ? (own ? 0.97 : 0.8) : g.spec.stride == 1 ? 0.88 : 0.7;
  };
  double cycles = 0;
  for (const Rectangle& r : cover) {
    const auto& k = winograd_kernels<bf16>(form_of(g), g.c, g.o, r.size);
    const std::int64_t tiles = images * r.tiles();
    const auto products =
        static_cast<double>(positions_of(k) * g.c * g.o) / static_cast<double>(k.channels_a_slot);
    const OwnTiles own = own_tiles(k, g.c, g.o);
    cycles +=
        static_cast<double>(tiles) * (products / reached(static_cast<bool>(own)) + transforms);
    const auto weights = static_cast<double>(matrices(k) * g.c * g.o);
    if (!keeps_weights) cycles += weights * (gradient ? costs.weight_gradient : costs.weight);
    if (narrow) continue;
    const std::int64_t block = own && !gradient ? own.tiles : shared_tiles(k, g.c, g.o);
    const auto blocks = static_cast<double>((tiles + block - 1) / block);
    const double bytes = weights * 4 / static_cast<double>(k.channels_a_slot);
    cycles += blocks * bytes * (gradient ? 2 : 1) / costs.bytes * lanes;
  }
  return cycles;
}

/// The maps that the tiles of a direction are cut from, y or dx, and by which kernels.
struct Outputs {
  WinogradForm form;
  std::int64_t h, w;
  Outputs(const ConvGeometry& g, Direction direction)
      : form(direction == Direction::backward_data ? transposed(g) : form_of(g)),
        h(direction == Direction::backward_data ? g.h : g.oh),
        w(direction == Direction::backward_data ? g.w : g.ow) {}
};

/// Tiles that hang over the edge, or such of two sizes, whichever takes less time: products for
/// nothing on the one hand, several times the weights on the other.
std::vector<Rectangle> cover(const ConvGeometry& g, std::int64_t images, Direction direction,
                             bool keeps_weights) {
  const Outputs out(g, direction);
  const std::int64_t tile = winograd_kernels<bf16>(out.form, g.c, g.o).outputs_down;
  auto hang = rectangles(hanging(out.h, tile), hanging(out.w, tile), tile);
  if (g.spec.stride == 2) return hang;
  auto fit = rectangles(fitting(out.h, tile), fitting(out.w, tile), tile);
  const auto cycles = [&](const auto& tiles) {
    return winograd_cycles(g, images, direction, keeps_weights, tiles);
  };
  return cycles(fit) < cycles(hang) ? fit : hang;
}

/// Whether what can run here should, as EXCITON_CONV wants or as takes less time: f32 takes a
/// quarter of the products of the direct sum, bf16 that is multiplied natively at twice the rate
/// the half, less what transforms and the edges of maps cost; AMX multiplies at more than eight
/// times the rate.
bool wanted(const ConvGeometry& g, std::int64_t images, Direction direction, bool keeps_weights,
            const std::vector<Rectangle>& tiles) {
  if (in_pairs(g) && g.spec.stride == 1) return true;
  if (conv_path() == ConvPath::winograd) return true;
  return winograd_cycles(g, images, direction, keeps_weights, tiles) <
         direct_cycles(g, images, direction);
}

/// f(position) for every position that takes this matrix of the weights.
template <class T, class F>
void for_positions(const WinogradKernels<T>& k, std::int64_t matrix, const F& f) {
  const std::int64_t row = matrix / k.weights_across, column = matrix % k.weights_across;
  const std::int64_t below = row == k.weights_down - 1 ? k.positions_down : row + 1;
  const std::int64_t behind = column == k.weights_across - 1 ? k.positions_across : column + 1;
  for (std::int64_t i = row; i < below; ++i)
    for (std::int64_t j = column; j < behind; ++j) f(i * k.positions_across + j);
}

/// f(matrix, output, outputs) for `all` matrices of the weights and groups of outputs. Threads take
/// the next when they are free, the matrices with most positions first; every result has one owner,
/// so bits do not depend on who took it.
template <class F>
void for_products(std::int64_t all, std::int64_t o, const F& f) {
  constexpr std::int64_t group = 64;  // whole panels
  const std::int64_t groups = (o + group - 1) / group, items = all * groups;
  std::atomic<std::int64_t> next{0};
  parallel(num_threads(), [&](int, int) {
    for (std::int64_t i = next++; i < items; i = next++) {
      const std::int64_t first = i % groups * group;
      f(all - 1 - i / groups, first, std::min(group, o - first));
    }
  });
}

/// The weights as maps of their type see them, rounded to it, for each of the rectangles.
std::vector<Tensor> transform_weights(WinogradForm form, const std::vector<Rectangle>& cover,
                                      const Tensor& weights, DType maps, bool rotated) {
  Tensor w = weights.to(maps).to(DType::f32);
  const std::int64_t o = w.dim(0), real = w.dim(1);
  const std::int64_t c = rotated ? in_vectors(winograd_kernels<bf16>(form, real, o), real) : real;
  if (c > real) {
    Tensor wider = Tensor::zeros({o, c, 3, 3});
    for (std::int64_t i = 0; i < o; ++i)
      std::copy_n(w.data<float>() + i * real * 9, real * 9, wider.data<float>() + i * c * 9);
    w = std::move(wider);
  }
  const std::int64_t out = rotated ? c : o;
  std::vector<Tensor> all;
  for (const Rectangle& r : cover) {
    const auto& k = winograd_kernels<bf16>(form, c, o, r.size);
    const std::int64_t width = k.panel(out);
    Tensor packed({matrices(k), o * c / k.channels_a_slot});
    parallel_for(out / width, std::max<std::int64_t>(1, 4096 / (width * (rotated ? o : c))),
                 [&](std::int64_t begin, std::int64_t end) {
                   k.weights(w.data<float>(), o, c, rotated, {begin * width, (end - begin) * width},
                             packed.data<float>());
                 });
    all.push_back(std::move(packed));
  }
  return all;
}

/// The tiles' part of y = epilogue(conv(x)) with transformed weights, for maps of `images`.
template <class T>
void convolve(const WinogradKernels<T>& k, std::int64_t images, const TiledMaps& in,
              const TiledMaps& out, const Tensor& packed, const T* x,
              const simd::WinogradEpilogue<T>& epilogue, T* y) {
  const std::int64_t c = in.c / k.channels_a_slot, o = in_vectors(k, out.c), all = matrices(k);
  const std::int64_t tiles = images * in.down * in.across, threads = num_threads();
  const Tensor zeros = Tensor::zeros({in.w, in.c}, dtype_of<T>);
  // m begins with output `first`.
  const auto multiply = [&](const Block& v, const Panels& m, std::int64_t position,
                            std::int64_t count, std::int64_t matrix, std::int64_t first,
                            std::int64_t outputs) {
    k.multiply(v.at(position), packed.data<float>() + (matrix * o + first) * c, m, count, c, o,
               outputs);
  };
  const OwnTiles own = own_tiles(k, in.c, o);
  if (const std::int64_t most = std::min(tiles, own.tiles); own && tiles >= most * threads) {
    Scratch scratch(threads, {k, most, c}, {k, most, own.outputs, k.panel(o)});
    parallel_tasks((tiles + most - 1) / most, [&](std::int64_t block, int slot) {
      const Block v = scratch.first(slot), m = scratch.second(slot);
      const TileRange range{block * most, std::min(most, tiles - block * most)};
      k.input(x, in, range, zeros.data<T>(), v.at(0));
      for (std::int64_t first = 0; first < o; first += own.outputs) {
        const std::int64_t outputs = std::min(own.outputs, o - first);
        for (std::int64_t a = 0; a < all; ++a)
          for_positions(k, a, [&](std::int64_t p) {
            multiply(v, m.at(p), p, range.count, a, first, outputs);
          });
        k.output(m.at(0), out, range, {first, outputs}, epilogue, y);
      }
    });
    return;
  }
  const std::int64_t most = std::min(tiles, shared_tiles(k, in.c, o));
  Scratch scratch(1, {k, most, c}, {k, most, o});
  const Block v = scratch.first(), m = scratch.second();
  const std::int64_t grain = std::max<std::int64_t>(1, 512 / c);
  for (std::int64_t t = 0; t < tiles; t += most) {
    const std::int64_t count = std::min(most, tiles - t);
    parallel_for(count, grain, [&](std::int64_t begin, std::int64_t end) {
      k.input(x, in, {t + begin, end - begin}, zeros.data<T>(), v.at(0, begin));
    });
    for_products(all, o, [&](std::int64_t matrix, std::int64_t first, std::int64_t outputs) {
      for_positions(k, matrix, [&](std::int64_t p) {
        multiply(v, m.at(p, 0, first), p, count, matrix, first, outputs);
      });
    });
    parallel_for(count, grain, [&](std::int64_t begin, std::int64_t end) {
      k.output(m.at(0, begin), out, {t + begin, end - begin}, {0, o}, epilogue, y);
    });
  }
}

/// Leaves of the weights' gradient where each has sums of its own.
Leaves gradient_leaves(const ConvGeometry& g, std::int64_t images) {
  const std::int64_t weights = g.o * g.c * g.kh * g.kw;
  return Leaves::of_gradient(images, weights, images * (g.x_image() + g.y_image()))
      .worth(images * g.oh * g.ow * weights);
}

/// Adds to dw of each leaf, plain [leaves, O, C, 3, 3], what tiles of a rectangle of the maps give;
/// the first rectangle writes it.
template <class T>
void add_weight_gradient(const ConvGeometry& g, const Rectangle& tiling, bool narrow,
                         const Leaves& leaves, const T* x, const T* dy, bool first_one,
                         Tensor& each) {
  const auto& k = winograd_kernels<T>(form_of(g), g.c, g.o, tiling.size);
  const TiledMaps in = tiling.over(g.h, g.w, g.c), out = tiling.over(g.oh, g.ow, g.o);
  const std::int64_t c = g.c, o = g.o, tiles = leaves.images * tiling.tiles();
  const Tensor zeros = Tensor::zeros({in.w, c}, dtype_of<T>);
  const std::int64_t all = matrices(k), sums = all * c * o;
  const auto transform = [&](const Block& v, const Block& d, TileRange range, std::int64_t row) {
    k.input_for_gradient(x, in, range, zeros.data<T>(), v.at(0, row));
    k.output_gradient(dy, out, range, d.at(0, row));
  };
  const auto rows_of = [&](std::int64_t count) {
    return (count + k.tiles_a_slot - 1) / k.tiles_a_slot;
  };
  const auto accumulate = [&](const Block& v, const Block& d, std::int64_t count, float* sum,
                              std::int64_t matrix, std::int64_t first, std::int64_t outputs) {
    for_positions(k, matrix, [&](std::int64_t a) {
      k.accumulate(v.at(a), d.at(a, 0, first), sum + matrix * c * o + first, rows_of(count), c, o,
                   outputs);
    });
  };
  Tensor total;
  if (narrow) {
    const std::int64_t most = std::min(tiles, own_tiles(k, c, o).tiles);
    // One set of sums for each leaf. Where there are fewer leaves than threads, several transform
    // the same tiles, and each makes a part of the outputs.
    const std::int64_t panel = k.panel(o);
    const std::int64_t parts =
        std::min<std::int64_t>((num_threads() + leaves.count - 1) / leaves.count, o / panel);
    Scratch scratch(num_threads(), {k, rows_of(most), c}, {k, rows_of(most), o});
    total = Tensor({leaves.count, sums});
    parallel_tasks(leaves.count * parts, [&](std::int64_t task, int slot) {
      const std::int64_t leaf = task / parts;
      const Chunk p{leaves[leaf].begin * tiling.tiles(), leaves[leaf].end * tiling.tiles()};
      const Chunk panels =
          chunk_of(o / panel, static_cast<int>(task % parts), static_cast<int>(parts));
      const std::int64_t first = panels.begin * panel, outputs = panels.end * panel - first;
      const Block v = scratch.first(slot), d = scratch.second(slot);
      float* sum = total.data<float>() + leaf * sums;
      for (std::int64_t row = 0; row < all * c; ++row)
        std::fill_n(sum + row * o + first, outputs, 0.0F);
      for (std::int64_t t = p.begin; t < p.end; t += most) {
        const TileRange range{t, std::min(most, p.end - t)};
        transform(v, d, range, 0);
        for (std::int64_t a = 0; a < all; ++a)
          accumulate(v, d, range.count, sum, a, first, outputs);
      }
    });
  } else {
    const std::int64_t most = std::min(tiles, shared_tiles(k, c, o));
    Scratch scratch(1, {k, rows_of(most), c}, {k, rows_of(most), o});
    const Block v = scratch.first(), d = scratch.second();
    total = Tensor::zeros({1, sums});
    for (std::int64_t t = 0; t < tiles; t += most) {
      const std::int64_t count = std::min(most, tiles - t);
      parallel_for(rows_of(count), 4 / k.tiles_a_slot, [&](std::int64_t begin, std::int64_t end) {
        const std::int64_t first = begin * k.tiles_a_slot;
        transform(v, d, {t + first, std::min(count, end * k.tiles_a_slot) - first}, begin);
      });
      for_products(all, o, [&](std::int64_t matrix, std::int64_t first, std::int64_t outputs) {
        accumulate(v, d, count, total.data<float>(), matrix, first, outputs);
      });
    }
  }
  // Each leaf's is transformed back before they are added: ranks go on adding.
  Tensor more = first_one ? each : Tensor(each.shape());
  const std::int64_t elements = o * c * 9;
  parallel_for(leaves.count * c, std::max<std::int64_t>(1, 4096 / o),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t i = begin; i < end;) {
                   const std::int64_t leaf = i / c, first = i % c,
                                      rows = std::min(c - first, end - i);
                   k.weights_gradient(total.data<float>() + leaf * sums, o, c, {first, rows},
                                      more.data<float>() + leaf * elements);
                   i += rows;
                 }
               });
  if (first_one) return;
  float* to = each.data<float>();
  const float* from = more.data<float>();
  parallel_for(each.numel(), 1 << 15, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) to[i] += from[i];
  });
}

/// dw [O, C, 3, 3] of maps of `images`.
template <class T>
Tensor weight_gradient(const ConvGeometry& g, std::int64_t images, const T* x, const T* dy) {
  const bool narrow = fits_private_l2(winograd_kernels<T>(form_of(g), g.c, g.o), g.c, g.o);
  // One leaf also says to a share that this sum is not cut.
  const Leaves leaves = narrow ? gradient_leaves(g, images) : Leaves::one(images);
  const std::int64_t elements = g.o * g.c * 9;
  Tensor each({leaves.count, elements});
  bool first = true;
  for (const Rectangle& r : cover(g, images_of_batch(images), Direction::backward_weights, false)) {
    add_weight_gradient(g, r, narrow, leaves, x, dy, first, each);
    first = false;
  }
  fold_leaves(each.data<float>(), leaves.count, elements);
  if (leaves.count == 1) return each.reshape({g.o, g.c, 3, 3});
  Tensor dw({g.o, g.c, 3, 3});
  std::copy_n(each.data<float>(), elements, dw.data<float>());
  return dw;
}

}  // namespace

bool Winograd::can_run(const ConvGeometry& g) {
  if (conv_path() == ConvPath::direct || conv_path() == ConvPath::own) return false;
  const ConvSpec& s = g.spec;
  return g.kh == 3 && g.kw == 3 && s.stride <= 2 && s.dilation == 1 && s.groups == 1 &&
         s.padding == 1 && s.row_padding() == 1 && g.c % simd::winograd_channels == 0 &&
         g.o % simd::winograd_channels == 0;
}

bool Winograd::applicable(const ConvGeometry& g, std::int64_t images, Direction direction,
                          bool keeps_weights) {
  if (!can_run(g)) return false;
  images = images_of_batch(images);
  const auto tiles = cover(g, images, direction, keeps_weights);
  if (!wanted(g, images, direction, keeps_weights, tiles)) return false;
  // Tiles that are mostly edge waste products; with few tiles reading the weights, several times as
  // many, costs more than the products save.
  const Outputs out(g, direction);
  std::int64_t all = 0, pixels = 0;
  for (const Rectangle& r : tiles) {
    const auto& k = winograd_kernels<bf16>(out.form, g.c, g.o, r.size);
    all += images * r.tiles();
    pixels += r.tiles() * k.outputs_down * k.outputs_across;
  }
  return 2 * out.h * out.w >= pixels && (keeps_weights || all >= 16);
}

ConvKernel Winograd::kernel_of(const ConvGeometry& g) {
  switch (form_of(g)) {
    case WinogradForm::stride1_pairs:
      return ConvKernel::winograd_bf16;
    case WinogradForm::stride1_pairs_4x4:
      return ConvKernel::winograd_bf16_4x4;
    case WinogradForm::stride1:
      return ConvKernel::winograd;
    case WinogradForm::stride2_pairs:
    case WinogradForm::stride2_transposed_pairs:
      return ConvKernel::winograd_bf16_strided;
    case WinogradForm::stride2:
    case WinogradForm::stride2_transposed:
      break;
  }
  return ConvKernel::winograd_strided;
}

void Winograd::forward(const ConvGeometry& g, std::int64_t images, const Tensor& weights,
                       std::uint64_t version, const void* x, const float* bias, void* y,
                       const EpilogueInputs& epilogue, bool keeps_weights) {
  const auto tiles = cover(g, images_of_batch(images), Direction::forward, keeps_weights);
  Packed::Sizes sizes;
  for (const Rectangle& r : tiles) sizes.emplace_back(r.size.down, r.size.across);
  if (packed_.values.empty() || packed_.version != version || packed_.maps != g.dtype ||
      packed_.kernel != kernel_of(g) || packed_.weights != weights.shape() ||
      packed_.sizes != sizes)
    packed_ = {transform_weights(form_of(g), tiles, weights, g.dtype, false),
               version,
               weights.shape(),
               kernel_of(g),
               g.dtype,
               std::move(sizes)};
  with_map_type(g, [&]<class T>(T) {
    for (std::size_t i = 0; i < tiles.size(); ++i)
      convolve<T>(winograd_kernels<T>(form_of(g), g.c, g.o, tiles[i].size), images,
                  tiles[i].over(g.h, g.w, g.c), tiles[i].over(g.oh, g.ow, g.o), packed_.values[i],
                  static_cast<const T*>(x),
                  {.bias = bias,
                   .gates = epilogue.gates,
                   .shortcut = static_cast<const T*>(epilogue.shortcut),
                   .relu = g.epilogue.relu},
                  static_cast<T*>(y));
  });
}

void Winograd::backward_data(const ConvGeometry& g, std::int64_t images, const Tensor& weights,
                             const void* dy, void* dx) {
  const auto tiles = cover(g, images_of_batch(images), Direction::backward_data, false);
  const auto packed = transform_weights(transposed(g), tiles, weights, g.dtype, true);
  with_map_type(g, [&]<class T>(T) {
    for (std::size_t i = 0; i < tiles.size(); ++i)
      convolve<T>(winograd_kernels<T>(transposed(g), g.c, g.o, tiles[i].size), images,
                  tiles[i].over(g.oh, g.ow, g.o), tiles[i].over(g.h, g.w, g.c), packed[i],
                  static_cast<const T*>(dy), {}, static_cast<T*>(dx));
  });
}

Tensor Winograd::backward_weights(const ConvGeometry& g, std::int64_t images, const void* x,
                                  const void* dy) {
  return with_map_type(g, [&]<class T>(T) {
    return weight_gradient(g, images, static_cast<const T*>(x), static_cast<const T*>(dy));
  });
}

}  // namespace exciton::ops
