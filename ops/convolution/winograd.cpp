#include "ops/convolution/winograd.hpp"

#include <algorithm>
#include <cstdlib>
#include <string_view>

#include "core/threads.hpp"
#include "ops/simd/winograd_kernels.hpp"

namespace exciton::ops {
namespace {

using simd::Panels;
using simd::TiledMaps;
using simd::TileRange;
using simd::winograd_kernels;
using simd::WinogradKernels;

constexpr std::int64_t positions = 36;

TiledMaps tiled(std::int64_t h, std::int64_t w, std::int64_t c) {
  return {h, w, c, (h + 3) / 4, (w + 3) / 4};
}

bool switched_off() {
  static const bool off = [] {
    const char* wanted = std::getenv("EXCITON_CONV");
    if (!wanted) return false;
    const std::string_view w = wanted;
    check(w == "direct" || w == "auto", "EXCITON_CONV: \"", w, "\" is not one of auto, direct");
    return w == "direct";
  }();
  return off;
}

/// Room for transformed tiles of one kind, 36 matrices [tiles, c] in panels. A cache line between
/// panels and matrices keeps them from falling into the same sets of the cache.
struct Block {
  std::int64_t width, step, stride;
  float* data = nullptr;
  Block(const WinogradKernels& k, std::int64_t tiles, std::int64_t c)
      : width(k.panel(c)), step(tiles * width + 16), stride(c / width * step + 16) {}
  std::int64_t elements() const { return positions * stride; }
  Panels at(std::int64_t position, std::int64_t tile = 0, std::int64_t channel = 0) const {
    return {data + position * stride + channel / width * step + tile * width, step, stride};
  }
};

/// Two blocks for each of `threads` threads, or for all together.
struct Scratch {
  Block a, b;
  Tensor memory;
  Scratch(std::int64_t threads, const Block& first, const Block& second)
      : a(first), b(second), memory({threads, first.elements() + second.elements()}) {}
  std::pair<Block, Block> of(std::int64_t thread) {
    std::pair<Block, Block> two{a, b};
    two.first.data = memory.data<float>() + thread * memory.dim(1);
    two.second.data = two.first.data + a.elements();
    return two;
  }
};

/// Whether each thread takes tiles of its own from beginning to end, a block in the second-level
/// cache at a time. With more weights than that reading them again for every few tiles costs most
/// of the time: then all threads share larger blocks, and the products are cut by position.
bool alone(std::int64_t c, std::int64_t o) { return c * o <= 64 * 64; }

/// Tiles in a block of one thread, or of all.
std::int64_t block_tiles(std::int64_t c, std::int64_t o) {
  const std::int64_t bytes = positions * (c + o) * 4, step = 12;
  if (alone(c, o)) return std::clamp<std::int64_t>((256 << 10) / bytes / step * step, 24, 48);
  return std::clamp<std::int64_t>((8 << 20) / bytes / step * step, 96, 192);
}

/// f(position, output, outputs) for all positions and groups of outputs, on all threads.
template <class F>
void for_products(std::int64_t o, const F& f) {
  constexpr std::int64_t group = 64;  // whole panels
  const std::int64_t groups = (o + group - 1) / group;
  parallel_for(positions * groups, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t first = i % groups * group;
      f(i / groups, first, std::min(group, o - first));
    }
  });
}

Tensor transform_weights(const Tensor& w, bool turned) {
  const std::int64_t o = w.dim(0), c = w.dim(1), out = turned ? c : o;
  const auto& k = winograd_kernels(c, o);
  const std::int64_t width = k.panel(out);
  Tensor packed({positions, o, c});
  parallel_for(out / width, std::max<std::int64_t>(1, 4096 / (width * (turned ? o : c))),
               [&](std::int64_t begin, std::int64_t end) {
                 k.weights(w.data<float>(), o, c, turned, {begin * width, (end - begin) * width},
                           packed.data<float>());
               });
  return packed;
}

/// y = epilogue(conv(x)) with transformed weights: x [images, h, w, c], y [images, h, w, o].
void convolve(const TiledMaps& in, std::int64_t images, std::int64_t o, const Tensor& packed,
              const float* x, const simd::WinogradEpilogue& epilogue, float* y) {
  const auto& k = winograd_kernels(in.c, o);
  const std::int64_t c = in.c, tiles = images * in.down * in.across, threads = num_threads();
  const TiledMaps out = tiled(in.h, in.w, o);
  const Tensor zeros = Tensor::zeros({in.w, c});
  const auto multiply = [&](const Block& v, const Block& m, std::int64_t count, std::int64_t a,
                            std::int64_t first, std::int64_t outputs) {
    k.multiply(v.at(a), packed.data<float>() + (a * o + first) * c, m.at(a, 0, first), count, c, o,
               outputs);
  };
  const std::int64_t most = std::min(tiles, block_tiles(c, o));
  if (alone(c, o) && tiles >= most * threads) {
    Scratch scratch(threads, {k, most, c}, {k, most, o});
    parallel([&](int thread, int of) {
      const Piece p = piece_of(tiles, thread, of);
      const auto [v, m] = scratch.of(thread);
      for (std::int64_t t = p.begin; t < p.end; t += most) {
        const TileRange range{t, std::min(most, p.end - t)};
        k.input(x, in, range, zeros.data<float>(), v.at(0));
        for (std::int64_t a = 0; a < positions; ++a) multiply(v, m, range.count, a, 0, o);
        k.output(m.at(0), out, range, epilogue, y);
      }
    });
    return;
  }
  Scratch scratch(1, {k, most, c}, {k, most, o});
  const auto [v, m] = scratch.of(0);
  const std::int64_t grain = std::max<std::int64_t>(1, 512 / c);
  for (std::int64_t t = 0; t < tiles; t += most) {
    const std::int64_t count = std::min(most, tiles - t);
    parallel_for(count, grain, [&](std::int64_t begin, std::int64_t end) {
      k.input(x, in, {t + begin, end - begin}, zeros.data<float>(), v.at(0, begin));
    });
    for_products(o, [&](std::int64_t a, std::int64_t first, std::int64_t outputs) {
      multiply(v, m, count, a, first, outputs);
    });
    parallel_for(count, grain, [&](std::int64_t begin, std::int64_t end) {
      k.output(m.at(0, begin), out, {t + begin, end - begin}, epilogue, y);
    });
  }
}

}  // namespace

bool Winograd::suits(const onednn::ConvGeometry& g, std::int64_t images, DType maps) {
  if (switched_off() || maps != DType::f32) return false;
  const ConvSpec& s = g.spec;
  if (g.kh != 3 || g.kw != 3 || s.stride != 1 || s.dilation != 1 || s.groups != 1 ||
      s.padding != 1 || s.row_padding() != 1)
    return false;
  if (g.c % simd::winograd_channels != 0 || g.o % simd::winograd_channels != 0) return false;
  // Tiles that hang over the edge waste products; with few tiles reading the weights, four times as
  // many, costs more than the products save.
  const TiledMaps maps_tiled = tiled(g.h, g.w, g.c);
  const std::int64_t tiles = maps_tiled.down * maps_tiled.across;
  return g.h * g.w >= 8 * tiles && images * tiles >= 16;
}

void Winograd::forward(const onednn::ConvGeometry& g, std::int64_t images, const Tensor& weights,
                       std::uint64_t version, const float* x, const float* bias, float* y,
                       const onednn::EpilogueInputs& epilogue) {
  if (packed_.empty() || version_ != version) {
    packed_ = transform_weights(weights, false);
    version_ = version;
  }
  convolve(tiled(g.h, g.w, g.c), images, g.o, packed_, x,
           {.bias = bias,
            .gates = epilogue.gates,
            .shortcut = static_cast<const float*>(epilogue.shortcut),
            .relu = g.epilogue.relu},
           y);
}

void Winograd::backward_data(const onednn::ConvGeometry& g, std::int64_t images,
                             const Tensor& weights, const float* dy, float* dx) {
  convolve(tiled(g.h, g.w, g.o), images, g.c, transform_weights(weights, true), dy, {}, dx);
}

Tensor Winograd::backward_weights(const onednn::ConvGeometry& g, std::int64_t images,
                                  const float* x, const float* dy) {
  const auto& k = winograd_kernels(g.c, g.o);
  const TiledMaps in = tiled(g.h, g.w, g.c), out = tiled(g.h, g.w, g.o);
  const std::int64_t c = g.c, o = g.o, tiles = images * in.down * in.across;
  const Tensor zeros = Tensor::zeros({in.w, c});
  const std::int64_t sums = positions * c * o, threads = num_threads();
  const auto transform = [&](const Block& v, const Block& d, TileRange range, std::int64_t row) {
    k.input(x, in, range, zeros.data<float>(), v.at(0, row));
    k.output_gradient(dy, out, range, d.at(0, row));
  };
  const std::int64_t most = std::min(tiles, block_tiles(c, o));
  Tensor total;
  if (alone(c, o)) {
    // One set of sums a thread, added at the end.
    Scratch scratch(threads, {k, most, c}, {k, most, o});
    total = Tensor::zeros({threads, sums});
    parallel([&](int thread, int of) {
      const Piece p = piece_of(tiles, thread, of);
      const auto [v, d] = scratch.of(thread);
      float* sum = total.data<float>() + thread * sums;
      for (std::int64_t t = p.begin; t < p.end; t += most) {
        const TileRange range{t, std::min(most, p.end - t)};
        transform(v, d, range, 0);
        for (std::int64_t a = 0; a < positions; ++a)
          k.accumulate(v.at(a), d.at(a), sum + a * c * o, range.count, c, o, o);
      }
    });
    parallel_for(sums, 1 << 14, [&](std::int64_t begin, std::int64_t end) {
      float* sum = total.data<float>();
      for (std::int64_t t = 1; t < threads; ++t)
        for (std::int64_t i = begin; i < end; ++i) sum[i] += sum[t * sums + i];
    });
  } else {
    Scratch scratch(1, {k, most, c}, {k, most, o});
    const auto [v, d] = scratch.of(0);
    total = Tensor::zeros({sums});
    for (std::int64_t t = 0; t < tiles; t += most) {
      const std::int64_t count = std::min(most, tiles - t);
      parallel_for(count, 4, [&](std::int64_t begin, std::int64_t end) {
        transform(v, d, {t + begin, end - begin}, begin);
      });
      for_products(o, [&](std::int64_t a, std::int64_t first, std::int64_t outputs) {
        k.accumulate(v.at(a), d.at(a, 0, first), total.data<float>() + a * c * o + first, count, c,
                     o, outputs);
      });
    }
  }
  Tensor dw({o, c, 3, 3});
  parallel_for(c, std::max<std::int64_t>(1, 4096 / o), [&](std::int64_t begin, std::int64_t end) {
    k.weights_gradient(total.data<float>(), o, c, {begin, end - begin}, dw.data<float>());
  });
  return dw;
}

}  // namespace exciton::ops
