#include "ops/convolution/winograd.hpp"

#include <algorithm>
#include <cstdlib>
#include <string_view>

#include "core/threads.hpp"
#include "ops/simd/winograd_kernels.hpp"

namespace exciton::ops {
namespace {

using simd::TiledMaps;
using simd::TileRange;
using simd::winograd_kernels;

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

/// Transformed tiles of one kind, 36 matrices [tiles, c]. A cache line between the matrices keeps
/// them from falling into the same sets of the cache.
struct Block {
  std::int64_t c, stride;
  float* data = nullptr;
  Block(std::int64_t tiles, std::int64_t channels) : c(channels), stride(tiles * channels + 16) {}
  std::int64_t elements() const { return positions * stride; }
  float* at(std::int64_t position, std::int64_t tile = 0) const {
    return data + position * stride + tile * c;
  }
};

/// Tiles that a thread transforms, multiplies and transforms back before it goes on: few enough to
/// stay in the second-level cache, enough to use the weights well.
std::int64_t block_tiles(std::int64_t c, std::int64_t o) {
  constexpr std::int64_t cache = 256 << 10, step = 12;
  const std::int64_t fits = cache / (positions * (c + o) * 4) / step * step;
  return std::clamp<std::int64_t>(fits, 2 * step, 4 * step);
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
  const auto multiply = [&](const Block& v, const Block& m, std::int64_t position,
                            std::int64_t count) {
    k.multiply(v.at(position), packed.data<float>() + position * o * c, m.at(position), count, c,
               o);
  };
  const std::int64_t most = block_tiles(c, o);
  if (tiles >= most * threads) {
    // Each thread takes its share of the tiles from beginning to end.
    const Block size_v(most, c), size_m(most, o);
    Tensor scratch({threads, size_v.elements() + size_m.elements()});
    parallel([&](int thread, int of) {
      const Piece p = piece_of(tiles, thread, of);
      Block v = size_v, m = size_m;
      v.data = scratch.data<float>() + thread * scratch.dim(1);
      m.data = v.data + v.elements();
      for (std::int64_t t = p.begin; t < p.end; t += most) {
        const TileRange range{t, std::min(most, p.end - t)};
        k.input(x, in, range, zeros.data<float>(), v.data, v.stride);
        for (std::int64_t a = 0; a < positions; ++a) multiply(v, m, a, range.count);
        k.output(m.data, m.stride, out, range, epilogue, y);
      }
    });
    return;
  }
  // Few tiles: all threads go through the three steps together, the products cut by position.
  Block v(tiles, c), m(tiles, o);
  Tensor scratch({v.elements() + m.elements()});
  v.data = scratch.data<float>();
  m.data = v.data + v.elements();
  const std::int64_t grain = std::max<std::int64_t>(1, 512 / c);
  parallel_for(tiles, grain, [&](std::int64_t begin, std::int64_t end) {
    k.input(x, in, {begin, end - begin}, zeros.data<float>(), v.data + begin * c, v.stride);
  });
  parallel_for(positions, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t a = begin; a < end; ++a) multiply(v, m, a, tiles);
  });
  parallel_for(tiles, grain, [&](std::int64_t begin, std::int64_t end) {
    k.output(m.data + begin * o, m.stride, out, {begin, end - begin}, epilogue, y);
  });
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
    k.input(x, in, range, zeros.data<float>(), v.at(0, row), v.stride);
    k.output_gradient(dy, out, range, d.at(0, row), d.stride);
  };
  Tensor total;
  if (c * o <= 64 * 64) {
    // Small sums: one set a thread, added at the end.
    const std::int64_t most = block_tiles(c, o);
    const Block size_v(most, c), size_d(most, o);
    Tensor scratch({threads, size_v.elements() + size_d.elements()});
    total = Tensor::zeros({threads, sums});
    parallel([&](int thread, int of) {
      const Piece p = piece_of(tiles, thread, of);
      Block v = size_v, d = size_d;
      v.data = scratch.data<float>() + thread * scratch.dim(1);
      d.data = v.data + v.elements();
      float* sum = total.data<float>() + thread * sums;
      for (std::int64_t t = p.begin; t < p.end; t += most) {
        const TileRange range{t, std::min(most, p.end - t)};
        transform(v, d, range, 0);
        for (std::int64_t a = 0; a < positions; ++a)
          k.accumulate(v.at(a), d.at(a), sum + a * c * o, range.count, c, o);
      }
    });
    parallel_for(sums, 1 << 14, [&](std::int64_t begin, std::int64_t end) {
      float* sum = total.data<float>();
      for (std::int64_t t = 1; t < threads; ++t)
        for (std::int64_t i = begin; i < end; ++i) sum[i] += sum[t * sums + i];
    });
  } else {
    // Large sums: one set, the products cut by position, so many tiles at a time that reading and
    // writing the sums is small beside them.
    constexpr std::int64_t memory = 16 << 20;
    const std::int64_t most =
        std::min(tiles, std::max<std::int64_t>(96, memory / (positions * (c + o) * 4)));
    Block v(most, c), d(most, o);
    Tensor scratch({v.elements() + d.elements()});
    v.data = scratch.data<float>();
    d.data = v.data + v.elements();
    total = Tensor::zeros({sums});
    for (std::int64_t t = 0; t < tiles; t += most) {
      const std::int64_t count = std::min(most, tiles - t);
      parallel_for(count, 4, [&](std::int64_t begin, std::int64_t end) {
        transform(v, d, {t + begin, end - begin}, begin);
      });
      parallel_for(positions, 1, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t a = begin; a < end; ++a)
          k.accumulate(v.at(a), d.at(a), total.data<float>() + a * c * o, count, c, o);
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
