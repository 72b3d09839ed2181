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

/// Weights are transformed to 6x6, whatever the form.
constexpr std::int64_t weights_across = 6, weight_matrices = weights_across * weights_across;

WinogradForm form_of(const ConvGeometry& g) {
  return g.spec.stride == 1 ? WinogradForm::stride1 : WinogradForm::stride2;
}
WinogradForm transposed(const ConvGeometry& g) {
  return g.spec.stride == 1 ? WinogradForm::stride1 : WinogradForm::stride2_transposed;
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

/// Room for transformed tiles of one kind, matrices [tiles, c] in panels. A cache line between
/// panels and matrices keeps them from falling into the same sets of the cache.
struct Block {
  std::int64_t positions, width, step, stride;
  float* data = nullptr;
  template <class T>
  Block(const WinogradKernels<T>& k, std::int64_t tiles, std::int64_t c)
      : positions(k.positions * k.positions),
        width(k.panel(c)),
        step(tiles * width + 16),
        stride(c / width * step + 16) {}
  std::int64_t elements() const { return positions * stride; }
  Panels at(std::int64_t position, std::int64_t tile = 0, std::int64_t channel = 0) const {
    return {data + position * stride + channel / width * step + tile * width, step, stride};
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
/// cache at a time. Where `few_tiles` of these channels, transformed, do not fit there, or the sums
/// of the weights' gradient not in the third-level cache, all threads share larger blocks, and the
/// products are cut by position.
bool fits_private_l2(std::int64_t c, std::int64_t o) {
  return weight_matrices * few_tiles * (c + o) * 4 <= processor().second_level_cache &&
         c * o <= 128 * 128;
}

/// Whether maps of this convolution come here, as EXCITON_CONV wants or as is faster. Where bf16 is
/// multiplied natively, at twice the rate of f32, a quarter of the products still takes less time
/// if channels enough share the transforms and blocks stay in cache; AMX multiplies at eight times
/// the rate. (Zen 4, oneDNN's time over Winograd's, forward, data and weights: 16 channels 0.97,
/// 0.93, 1.23; 32 1.22, 1.05, 1.46; 64 1.4, 1.3, 1.5; 128 1.5, 1.4, 1.4; 256 1.2, 1.0, 1.1 on a
/// quiet machine and 0.7 on a busy one, whose third-level cache is shared.)
bool wanted(const ConvGeometry& g, Direction direction) {
  if (conv_path() != ConvPath::automatic) return conv_path() == ConvPath::winograd;
  if (g.dtype == DType::f32 || !processor().bf16) return true;
  const std::int64_t least = direction == Direction::backward_weights ? 16 : 32;
  return !processor().amx && g.spec.stride == 1 && std::min(g.c, g.o) >= least &&
         fits_private_l2(g.c, g.o);
}

/// Tiles in a block of one thread, or of all.
template <class T>
std::int64_t block_tiles(const WinogradKernels<T>& k, std::int64_t c, std::int64_t o) {
  const std::int64_t bytes = k.positions * k.positions * (c + o) * 4, step = 12;
  if (fits_private_l2(c, o))
    return std::clamp<std::int64_t>((256 << 10) / bytes / step * step, few_tiles, 48);
  return std::clamp<std::int64_t>((8 << 20) / bytes / step * step, 96, 192);
}

/// f(position) for every position that takes this matrix of the weights.
template <class T, class F>
void for_positions(const WinogradKernels<T>& k, std::int64_t matrix, const F& f) {
  const std::int64_t last = weights_across - 1;
  const auto end = [&](std::int64_t i) { return i == last ? k.positions : i + 1; };
  const std::int64_t row = matrix / weights_across, column = matrix % weights_across;
  for (std::int64_t i = row; i < end(row); ++i)
    for (std::int64_t j = column; j < end(column); ++j) f(i * k.positions + j);
}

/// f(matrix, output, outputs) for all matrices of the weights and groups of outputs. Threads take
/// the next when they are free, the matrices with most positions first; every result has one owner,
/// so bits do not depend on who took it.
template <class F>
void for_products(std::int64_t o, const F& f) {
  constexpr std::int64_t group = 64;  // whole panels
  const std::int64_t groups = (o + group - 1) / group, items = weight_matrices * groups;
  std::atomic<std::int64_t> next{0};
  parallel(num_threads(), [&](int, int) {
    for (std::int64_t i = next++; i < items; i = next++) {
      const std::int64_t first = i % groups * group;
      f(weight_matrices - 1 - i / groups, first, std::min(group, o - first));
    }
  });
}

/// The weights as maps of their type see them: rounded to it.
Tensor transform_weights(WinogradForm form, const Tensor& weights, DType maps, bool rotated) {
  const Tensor w = weights.to(maps).to(DType::f32);
  const std::int64_t o = w.dim(0), c = w.dim(1), out = rotated ? c : o;
  const auto& k = winograd_kernels<float>(form, c, o);
  const std::int64_t width = k.panel(out);
  Tensor packed({weight_matrices, o, c});
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
  const std::int64_t c = in.c, o = out.c, tiles = images * in.down * in.across;
  const Tensor zeros = Tensor::zeros({in.w, c}, dtype_of<T>);
  const auto multiply = [&](const Block& v, const Block& m, std::int64_t count, std::int64_t matrix,
                            std::int64_t first, std::int64_t outputs) {
    for_positions(k, matrix, [&](std::int64_t a) {
      k.multiply(v.at(a), packed.data<float>() + (matrix * o + first) * c, m.at(a, 0, first), count,
                 c, o, outputs);
    });
  };
  const std::int64_t most = std::min(tiles, block_tiles(k, c, o)), threads = num_threads();
  if (fits_private_l2(c, o) && tiles >= most * threads) {
    Scratch scratch(threads, {k, most, c}, {k, most, o});
    parallel_tasks((tiles + most - 1) / most, [&](std::int64_t block, int slot) {
      const Block v = scratch.first(slot), m = scratch.second(slot);
      const TileRange range{block * most, std::min(most, tiles - block * most)};
      k.input(x, in, range, zeros.data<T>(), v.at(0));
      for (std::int64_t a = 0; a < weight_matrices; ++a) multiply(v, m, range.count, a, 0, o);
      k.output(m.at(0), out, range, epilogue, y);
    });
    return;
  }
  Scratch scratch(1, {k, most, c}, {k, most, o});
  const Block v = scratch.first(), m = scratch.second();
  const std::int64_t grain = std::max<std::int64_t>(1, 512 / c);
  for (std::int64_t t = 0; t < tiles; t += most) {
    const std::int64_t count = std::min(most, tiles - t);
    parallel_for(count, grain, [&](std::int64_t begin, std::int64_t end) {
      k.input(x, in, {t + begin, end - begin}, zeros.data<T>(), v.at(0, begin));
    });
    for_products(o, [&](std::int64_t matrix, std::int64_t first, std::int64_t outputs) {
      multiply(v, m, count, matrix, first, outputs);
    });
    parallel_for(count, grain, [&](std::int64_t begin, std::int64_t end) {
      k.output(m.at(0, begin), out, {t + begin, end - begin}, epilogue, y);
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
  const std::int64_t sums = weight_matrices * c * o;
  const auto transform = [&](const Block& v, const Block& d, TileRange range, std::int64_t row) {
    k.input(x, in, range, zeros.data<T>(), v.at(0, row));
    k.output_gradient(dy, out, range, d.at(0, row));
  };
  const std::int64_t most = std::min(tiles, block_tiles(k, c, o));
  const auto accumulate = [&](const Block& v, const Block& d, std::int64_t count, float* sum,
                              std::int64_t matrix, std::int64_t first, std::int64_t outputs) {
    for_positions(k, matrix, [&](std::int64_t a) {
      k.accumulate(v.at(a), d.at(a, 0, first), sum + matrix * c * o + first, count, c, o, outputs);
    });
  };
  Tensor total;
  if (fits_private_l2(c, o)) {
    // One set of sums for each leaf. Where there are fewer leaves than threads, several transform
    // the same tiles, and each makes a part of the outputs.
    const Leaves leaves = gradient_leaves(g, images);
    const std::int64_t panel = winograd_kernels<float>(form_of(g), c, o).panel(o);
    const std::int64_t parts =
        std::min<std::int64_t>((num_threads() + leaves.count - 1) / leaves.count, o / panel);
    Scratch scratch(num_threads(), {k, most, c}, {k, most, o});
    total = Tensor({leaves.count, sums});
    parallel_tasks(leaves.count * parts, [&](std::int64_t task, int slot) {
      const std::int64_t leaf = task / parts;
      const Chunk p{leaves[leaf].begin * tiling.tiles(), leaves[leaf].end * tiling.tiles()};
      const Chunk panels =
          chunk_of(o / panel, static_cast<int>(task % parts), static_cast<int>(parts));
      const std::int64_t first = panels.begin * panel, outputs = panels.end * panel - first;
      const Block v = scratch.first(slot), d = scratch.second(slot);
      float* sum = total.data<float>() + leaf * sums;
      for (std::int64_t row = 0; row < weight_matrices * c; ++row)
        std::fill_n(sum + row * o + first, outputs, 0.0F);
      for (std::int64_t t = p.begin; t < p.end; t += most) {
        const TileRange range{t, std::min(most, p.end - t)};
        transform(v, d, range, 0);
        for (std::int64_t a = 0; a < weight_matrices; ++a)
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
    Scratch scratch(1, {k, most, c}, {k, most, o});
    const Block v = scratch.first(), d = scratch.second();
    total = Tensor::zeros({sums});
    for (std::int64_t t = 0; t < tiles; t += most) {
      const std::int64_t count = std::min(most, tiles - t);
      parallel_for(count, 4, [&](std::int64_t begin, std::int64_t end) {
        transform(v, d, {t + begin, end - begin}, begin);
      });
      for_products(o, [&](std::int64_t matrix, std::int64_t first, std::int64_t outputs) {
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
  const std::int64_t tiles =
      Tiling(g.oh, g.ow, winograd_kernels<float>(form_of(g), g.c, g.o).outputs).tiles();
  return g.oh * g.ow >= 8 * tiles && images_of_batch(images) * tiles >= 16;
}

void Winograd::forward(const ConvGeometry& g, std::int64_t images, const Tensor& weights,
                       std::uint64_t version, const void* x, const float* bias, void* y,
                       const EpilogueInputs& epilogue) {
  if (packed_.values.empty() || packed_.version != version || packed_.maps != g.dtype ||
      packed_.stride != g.spec.stride || packed_.weights != weights.shape())
    packed_ = {transform_weights(form_of(g), weights, g.dtype, false), version, weights.shape(),
               g.spec.stride, g.dtype};
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
