#include "exciton/ops/convolution/winograd.hpp"

#include <algorithm>
#include <atomic>

#include "exciton/core/threads.hpp"
#include "exciton/ops/convolution/path.hpp"
#include "exciton/ops/leaves.hpp"
#include "exciton/ops/processor.hpp"
#include "exciton/ops/simd/winograd_kernels.hpp"

namespace exciton::ops {
namespace {

using simd::Panels;
using simd::TiledMaps;
using simd::TileRange;
using simd::winograd_kernels;
using simd::WinogradForm;
using simd::WinogradKernels;

/// Whether this convolution multiplies pairs of bf16.
bool in_pairs(const ConvGeometry& g) {
  constexpr std::int64_t whole = simd::winograd_pair_channels;
  return g.spec.winograd_products == WinogradProducts::bf16 && g.dtype == DType::bf16 &&
         g.spec.stride == 1 && g.c % whole == 0 && g.o % whole == 0 && simd::have_winograd_pairs();
}

WinogradForm form_of(const ConvGeometry& g) {
  if (g.spec.stride == 2) return WinogradForm::stride2;
  return in_pairs(g) ? WinogradForm::stride1_pairs : WinogradForm::stride1;
}
WinogradForm transposed(const ConvGeometry& g) {
  return g.spec.stride == 2 ? WinogradForm::stride2_transposed : form_of(g);
}

/// Matrices of the transformed weights.
template <class T>
std::int64_t matrices(const WinogradKernels<T>& k) {
  return k.weights_across * k.weights_across;
}

/// Maps beside the tiles of outputs [h, w] that they belong to.
struct Tiling {
  std::int64_t down, across;
  Tiling(std::int64_t h, std::int64_t w, std::int64_t tile)
      : down((h + tile - 1) / tile), across((w + tile - 1) / tile) {}
  TiledMaps over(std::int64_t h, std::int64_t w, std::int64_t c) const {
    return {h, w, c, down, across};
  }
  std::int64_t tiles() const { return down * across; }
};

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
      : positions(k.positions * k.positions),
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
         c * o <= 128 * 128;
}

/// Tiles that all threads transform before they multiply.
template <class T>
std::int64_t shared_tiles(const WinogradKernels<T>& k, std::int64_t c, std::int64_t o) {
  const std::int64_t bytes = k.positions * k.positions * (c / k.channels_a_slot + o) * 4;
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
  const std::int64_t bytes = k.positions * k.positions * 4, slots = c / k.channels_a_slot;
  if (fits_private_l2(k, c, o))
    return {std::clamp<std::int64_t>((256 << 10) / (bytes * (c + o)) / 12 * 12, few_tiles, 48), o};
  // Wider ones keep the transformed maps, and stream the weights past them once a block: worth it
  // where a few rows of the products' kernels share them.
  constexpr std::int64_t outputs = 32, least = 12;
  const std::int64_t tiles =
      processor().second_level_cache * 5 / 8 / (bytes * (slots + outputs)) / 12 * 12;
  return tiles >= least ? OwnTiles{std::min<std::int64_t>(tiles, 96), outputs} : OwnTiles{};
}

/// Whether maps of this convolution come here, as EXCITON_CONV wants or as is faster. Where bf16 is
/// multiplied natively, at twice the rate of f32, a quarter of the products still takes less time
/// if channels enough share the transforms and blocks stay in the thread's own cache; AMX
/// multiplies at eight times the rate. oneDNN's time over Winograd's, forward, data and weights:
///   Zen 4, quiet             16 channels 0.97, 0.93, 1.23; 32 1.22, 1.05, 1.46; 64 1.4, 1.3, 1.5;
///                            128 1.5, 1.4, 1.4
///   Zen 5, beside other work 16x16 maps of 256 channels 1.36, 1.31, 1.27; 32x32 of 128 to 256 1.6,
///                            1.6, 1.3; 14x14 of 256 1.07, 1.03, 0.98; 8x8 of 512 0.88, 0.98, 1.23
/// The weights' gradient of wide layers shares the third-level cache with whoever is there, and has
/// no leaves: it stays with oneDNN.
bool wanted(const ConvGeometry& g, Direction direction) {
  if (conv_path() == ConvPath::direct || conv_path() == ConvPath::own) return false;
  if (in_pairs(g) || conv_path() == ConvPath::winograd) return true;
  if (g.dtype == DType::f32 || !processor().bf16) return true;
  const std::int64_t least = direction == Direction::backward_weights ? 16 : 32;
  if (processor().amx || g.spec.stride != 1 || std::min(g.c, g.o) < least) return false;
  const auto& k = winograd_kernels<bf16>(form_of(g), g.c, g.o);
  if (fits_private_l2(k, g.c, g.o)) return true;
  const std::int64_t pixels = Tiling(g.oh, g.ow, k.outputs).tiles() * k.outputs * k.outputs;
  return direction != Direction::backward_weights && g.c * g.o <= 256 * 256 &&
         own_tiles(k, g.c, g.o) && own_tiles(k, g.o, g.c) && 10 * pixels <= 11 * g.oh * g.ow;
}

/// f(position) for every position that takes this matrix of the weights.
template <class T, class F>
void for_positions(const WinogradKernels<T>& k, std::int64_t matrix, const F& f) {
  const std::int64_t across = k.weights_across, last = across - 1;
  const auto end = [&](std::int64_t i) { return i == last ? k.positions : i + 1; };
  const std::int64_t row = matrix / across, column = matrix % across;
  for (std::int64_t i = row; i < end(row); ++i)
    for (std::int64_t j = column; j < end(column); ++j) f(i * k.positions + j);
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

/// The weights as maps of their type see them: rounded to it.
Tensor transform_weights(WinogradForm form, const Tensor& weights, DType maps, bool rotated) {
  const Tensor w = weights.to(maps).to(DType::f32);
  const std::int64_t o = w.dim(0), c = w.dim(1), out = rotated ? c : o;
  const auto& k = winograd_kernels<bf16>(form, c, o);
  const std::int64_t width = k.panel(out);
  Tensor packed({matrices(k), o * c / k.channels_a_slot});
  parallel_for(out / width, std::max<std::int64_t>(1, 4096 / (width * (rotated ? o : c))),
               [&](std::int64_t begin, std::int64_t end) {
                 k.weights(w.data<float>(), o, c, rotated, {begin * width, (end - begin) * width},
                           packed.data<float>());
               });
  return packed;
}

/// y = epilogue(conv(x)) with transformed weights, for maps of `images`.
template <class T>
void convolve(const WinogradKernels<T>& k, std::int64_t images, const TiledMaps& in,
              const TiledMaps& out, const Tensor& packed, const T* x,
              const simd::WinogradEpilogue<T>& epilogue, T* y) {
  const std::int64_t c = in.c / k.channels_a_slot, o = out.c, all = matrices(k);
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

/// dw [O, C, 3, 3] of maps of `images`.
template <class T>
Tensor weight_gradient(const ConvGeometry& g, std::int64_t images, const T* x, const T* dy) {
  const auto& k = winograd_kernels<T>(form_of(g), g.c, g.o);
  const Tiling tiling(g.oh, g.ow, k.outputs);
  const TiledMaps in = tiling.over(g.h, g.w, g.c), out = tiling.over(g.oh, g.ow, g.o);
  const std::int64_t c = g.c, o = g.o, tiles = images * tiling.tiles();
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
  if (fits_private_l2(k, c, o)) {
    const std::int64_t most = std::min(tiles, own_tiles(k, c, o).tiles);
    // One set of sums for each leaf. Where there are fewer leaves than threads, several transform
    // the same tiles, and each makes a part of the outputs.
    const Leaves leaves = gradient_leaves(g, images);
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
    // Each leaf's is transformed back before they are added: ranks go on adding.
    const std::int64_t elements = o * c * 9;
    Tensor each({leaves.count, elements});
    parallel_for(leaves.count * c, std::max<std::int64_t>(1, 4096 / o),
                 [&](std::int64_t begin, std::int64_t end) {
                   for (std::int64_t i = begin; i < end;) {
                     const std::int64_t leaf = i / c, first = i % c,
                                        rows = std::min(c - first, end - i);
                     k.weights_gradient(total.data<float>() + leaf * sums, o, c, {first, rows},
                                        each.data<float>() + leaf * elements);
                     i += rows;
                   }
                 });
    fold_leaves(each.data<float>(), leaves.count, elements);
    if (leaves.count == 1) return each.reshape({o, c, 3, 3});
    Tensor dw({o, c, 3, 3});
    std::copy_n(each.data<float>(), elements, dw.data<float>());
    return dw;
  } else {
    Leaves::one(images);  // so that a share knows: this sum is not cut
    const std::int64_t most = std::min(tiles, shared_tiles(k, c, o));
    Scratch scratch(1, {k, rows_of(most), c}, {k, rows_of(most), o});
    const Block v = scratch.first(), d = scratch.second();
    total = Tensor::zeros({sums});
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
  Tensor dw({o, c, 3, 3});
  parallel_for(c, std::max<std::int64_t>(1, 4096 / o), [&](std::int64_t begin, std::int64_t end) {
    k.weights_gradient(total.data<float>(), o, c, {begin, end - begin}, dw.data<float>());
  });
  return dw;
}

}  // namespace

bool Winograd::applicable(const ConvGeometry& g, std::int64_t images, Direction direction) {
  if (!wanted(g, direction)) return false;
  const ConvSpec& s = g.spec;
  if (g.kh != 3 || g.kw != 3 || s.stride > 2 || s.dilation != 1 || s.groups != 1 ||
      s.padding != 1 || s.row_padding() != 1)
    return false;
  if (g.c % simd::winograd_channels != 0 || g.o % simd::winograd_channels != 0) return false;
  // Transforming the 9x9 pixels of few channels costs what their products save.
  if (s.stride == 2 && g.c < 32) return false;
  // Tiles that hang over the edge waste products; with few tiles reading the weights, four times as
  // many, costs more than the products save.
  const std::int64_t across = winograd_kernels<bf16>(form_of(g), g.c, g.o).outputs;
  const std::int64_t tiles = Tiling(g.oh, g.ow, across).tiles();
  return 2 * g.oh * g.ow >= across * across * tiles && images_of_batch(images) * tiles >= 16;
}

ConvKernel Winograd::kernel_of(const ConvGeometry& g) {
  if (g.spec.stride == 2) return ConvKernel::winograd_strided;
  return in_pairs(g) ? ConvKernel::winograd_bf16 : ConvKernel::winograd;
}

void Winograd::forward(const ConvGeometry& g, std::int64_t images, const Tensor& weights,
                       std::uint64_t version, const void* x, const float* bias, void* y,
                       const EpilogueInputs& epilogue) {
  if (packed_.values.empty() || packed_.version != version || packed_.maps != g.dtype ||
      packed_.kernel != kernel_of(g) || packed_.weights != weights.shape())
    packed_ = {transform_weights(form_of(g), weights, g.dtype, false), version, weights.shape(),
               kernel_of(g), g.dtype};
  with_map_type(g, [&]<class T>(T) {
    const auto& k = winograd_kernels<T>(form_of(g), g.c, g.o);
    const Tiling tiling(g.oh, g.ow, k.outputs);
    convolve<T>(k, images, tiling.over(g.h, g.w, g.c), tiling.over(g.oh, g.ow, g.o), packed_.values,
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
  with_map_type(g, [&]<class T>(T) {
    const auto& k = winograd_kernels<T>(transposed(g), g.c, g.o);
    const Tiling tiling(g.h, g.w, k.outputs);
    convolve<T>(k, images, tiling.over(g.oh, g.ow, g.o), tiling.over(g.h, g.w, g.c),
                transform_weights(transposed(g), weights, g.dtype, true), static_cast<const T*>(dy),
                {}, static_cast<T*>(dx));
  });
}

Tensor Winograd::backward_weights(const ConvGeometry& g, std::int64_t images, const void* x,
                                  const void* dy) {
  return with_map_type(g, [&]<class T>(T) {
    return weight_gradient(g, images, static_cast<const T*>(x), static_cast<const T*>(dy));
  });
}

}  // namespace exciton::ops
