#include "exciton/ops/convolution/direct.hpp"

#include <algorithm>
#include <bit>
#include <type_traits>
#include <vector>

#include "exciton/core/threads.hpp"
#include "exciton/ops/leaves.hpp"
#include "exciton/ops/processor.hpp"
#include "exciton/ops/simd/direct_kernels.hpp"

namespace exciton::ops::direct {
namespace {

using simd::direct_kernels;
using simd::DirectEpilogue;
using simd::DirectKernels;
using simd::ResultGrid;
using simd::ResultRange;
using simd::RowPanels;
using simd::SourceMaps;
using simd::TapRun;
using simd::TargetMaps;

/// f(T{}) for the type of maps of this convolution.
template <class F>
void with_map_type(const ConvGeometry& g, const F& f) {
  if (g.dtype == DType::bf16)
    f(bf16{});
  else
    f(float{});
}

std::int64_t round_up(std::int64_t n, std::int64_t to) { return (n + to - 1) / to * to; }

/// Maps [images, h, w, c] of groups of `each` channels.
struct Side {
  std::int64_t h, w, c, each;
};
Side x_side(const ConvGeometry& g) { return {g.h, g.w, g.c, g.c / g.spec.groups}; }
Side y_side(const ConvGeometry& g) { return {g.oh, g.ow, g.o, g.o / g.spec.groups}; }

bool is_depthwise(const ConvGeometry& g) { return g.c == g.spec.groups && g.o == g.spec.groups; }

/// An offset in one direction of a window: the source coordinate that result 0 sees through it.
struct Tap {
  std::int64_t offset, index;
};

/// Some taps of a window, of which products are made together.
struct TapGroup {
  std::vector<std::int64_t> taps;  ///< places in the window, row by row
  std::vector<TapRun> runs;
  std::int64_t k = 0;       ///< taps times channels, filled up to whole vectors
  std::int64_t before = 0;  ///< k of the chunks before
  simd::TapRuns tap_runs() const { return {runs.data(), static_cast<std::int64_t>(runs.size())}; }
};

/// A convolution as results of a grid that read pixels through taps. A forward pass is one; so is
/// the gradient of the data for each phase, which is those of its rows and columns that leave the
/// same remainder by the stride: they see the same taps.
struct Pass {
  Side in, out;
  ResultGrid grid;
  std::int64_t step = 1, row = 0, column = 0;  ///< where results lie in the target
  std::int64_t k = 0;
  std::vector<TapGroup> chunks;  ///< at least one, which may be empty
};

/// How much a chunk holds. Outside the maps a row of the product has zeros, which beside weights
/// (or gradients) that are infinite or NaN would be NaN where the formula has no term at all. With
/// such values every result and every tap is a product of its own, and is left out where it sees
/// nothing.
enum class Care { finite_values, any_values };

/// Channels times taps of a chunk: panels of so many weights stay in the second-level cache.
constexpr std::int64_t most_k = 1536;

void add_chunks(Pass& pass, const std::vector<Tap>& rows, const std::vector<Tap>& columns,
                std::int64_t window_width, std::int64_t lanes, std::int64_t most_taps) {
  pass.chunks.emplace_back();
  const auto close = [&] {
    TapGroup& chunk = pass.chunks.back();
    chunk.k = round_up(static_cast<std::int64_t>(chunk.taps.size()) * pass.in.each, lanes);
    chunk.before = pass.k;
    pass.k += chunk.k;
  };
  for (const Tap& row : rows)
    for (const Tap& column : columns) {
      if (static_cast<std::int64_t>(pass.chunks.back().taps.size()) == most_taps) {
        close();
        pass.chunks.emplace_back();
      }
      TapGroup& chunk = pass.chunks.back();
      chunk.taps.push_back(row.index * window_width + column.index);
      const bool follows = !chunk.runs.empty() && chunk.runs.back().row == row.offset &&
                           chunk.runs.back().column + chunk.runs.back().taps == column.offset;
      if (follows)
        ++chunk.runs.back().taps;
      else
        chunk.runs.push_back({row.offset, column.offset, 1});
    }
  close();
}

/// Depthwise kernels leave out what lies outside by themselves, and take all taps at once.
std::int64_t most_taps(const ConvGeometry& g, const Pass& pass, Care care) {
  if (is_depthwise(g)) return g.kh * g.kw;
  return care == Care::any_values ? 1 : std::max<std::int64_t>(1, most_k / pass.in.each);
}

/// Whether a result sees a pixel through the one tap of a chunk.
bool sees(const Pass& pass, const TapGroup& chunk, std::int64_t result) {
  if (chunk.runs.empty()) return false;
  const std::int64_t r = result / pass.grid.w % pass.grid.h * pass.grid.step + chunk.runs[0].row;
  const std::int64_t q = result % pass.grid.w * pass.grid.step + chunk.runs[0].column;
  return r >= 0 && r < pass.in.h && q >= 0 && q < pass.in.w;
}

/// Whether all values are finite.
template <class T>
bool finite(const T* values, std::int64_t count) {
  using Bits = std::conditional_t<std::is_same_v<T, bf16>, std::uint16_t, std::uint32_t>;
  constexpr Bits exponent = std::is_same_v<T, bf16> ? Bits{0x7f80} : static_cast<Bits>(0x7f800000);
  bool all = true;
  for (std::int64_t i = 0; i < count; ++i)
    all = all & ((std::bit_cast<Bits>(values[i]) & exponent) != exponent);
  return all;
}

template <class T>
Care care_for(const T* values, std::int64_t count) {
  std::vector<char> all(static_cast<std::size_t>(num_threads()), 1);
  parallel([&](int t, int n) {
    const Chunk p = chunk_of(count, t, n);
    all[static_cast<std::size_t>(t)] = finite(values + p.begin, p.end - p.begin);
  });
  return std::all_of(all.begin(), all.end(), [](char f) { return f != 0; }) ? Care::finite_values
                                                                            : Care::any_values;
}

/// y (i, j) sees x through every tap of the window.
Pass forward_pass(const ConvGeometry& g, std::int64_t lanes, Care care) {
  const ConvSpec& s = g.spec;
  Pass pass{x_side(g), y_side(g), {g.oh, g.ow, s.stride}, 1, 0, 0, 0, {}};
  const auto taps = [&](std::int64_t window, std::int64_t padding) {
    std::vector<Tap> all;
    for (std::int64_t a = 0; a < window; ++a) all.push_back({a * s.dilation - padding, a});
    return all;
  };
  add_chunks(pass, taps(g.kh, s.padding), taps(g.kw, s.row_padding()), g.kw, lanes,
             most_taps(g, pass, care));
  return pass;
}

/// dx (r, q) with r = row + i stride sees dy (i', .) through tap a where i' stride = r + padding -
/// a dilation.
Pass data_pass(const ConvGeometry& g, std::int64_t row, std::int64_t column, std::int64_t lanes,
               Care care) {
  const ConvSpec& s = g.spec;
  const auto results = [&](std::int64_t size, std::int64_t phase) {
    return size > phase ? (size - phase + s.stride - 1) / s.stride : 0;
  };
  Pass pass{y_side(g), x_side(g), {results(g.h, row), results(g.w, column), 1},
            s.stride,  row,       column,
            0,         {}};
  const auto taps = [&](std::int64_t window, std::int64_t phase, std::int64_t padding) {
    std::vector<Tap> seen;
    for (std::int64_t a = window - 1; a >= 0; --a) {
      const std::int64_t offset = phase + padding - a * s.dilation;
      if (offset % s.stride == 0) seen.push_back({offset / s.stride, a});
    }
    return seen;
  };
  add_chunks(pass, taps(g.kh, row, s.padding), taps(g.kw, column, s.row_padding()), g.kw, lanes,
             most_taps(g, pass, care));
  return pass;
}

/// Weights [O, C/groups, kH, kW] beside their packed form, [groups, chunks, panels, k, lanes]; of
/// depthwise ones [taps, channels filled up to vectors].
class Packing {
 public:
  Packing(const ConvGeometry& g, const Pass& pass, bool rotated, std::int64_t lanes)
      : pass_(pass),
        depthwise_(is_depthwise(g)),
        lanes_(lanes),
        groups_(g.spec.groups),
        in_(pass.in.each),
        out_(pass.out.each),
        taps_(g.kh * g.kw),
        next_output_(rotated ? taps_ : in_ * taps_),
        next_input_(rotated ? out_ * taps_ : taps_) {}

  std::int64_t panels() const { return round_up(depthwise_ ? groups_ : out_, lanes_) / lanes_; }
  std::int64_t line() const { return panels() * lanes_; }
  std::int64_t elements() const {
    return depthwise_ ? static_cast<std::int64_t>(pass_.chunks[0].taps.size()) * line()
                      : groups_ * pass_.k * line();
  }
  /// Where the weights of a panel of a chunk begin.
  std::int64_t at(std::int64_t group, const TapGroup& chunk, std::int64_t panel) const {
    return ((group * pass_.k + chunk.before) * panels() + panel * chunk.k) * lanes_;
  }

  /// f(first packed, first plain, distance of plain ones, count): vectors of neighbouring outputs.
  /// Packed elements that no call names stand for nothing and are zero.
  template <class F>
  void each_vector(const F& f) const {
    if (depthwise_) {
      for (std::size_t t = 0; t < pass_.chunks[0].taps.size(); ++t)
        f(static_cast<std::int64_t>(t) * line(), pass_.chunks[0].taps[t], taps_, groups_);
      return;
    }
    const std::int64_t all = groups_ * panels();
    parallel_for(all, std::max<std::int64_t>(1, 4096 / std::max<std::int64_t>(1, pass_.k)),
                 [&](std::int64_t begin, std::int64_t end) {
                   for (std::int64_t p = begin; p < end; ++p)
                     each_of(p / panels(), p % panels(), f);
                 });
  }

 private:
  template <class F>
  void each_of(std::int64_t group, std::int64_t panel, const F& f) const {
    const std::int64_t outputs = std::min(lanes_, out_ - panel * lanes_);
    const std::int64_t plain = group * in_ * out_ * taps_ + panel * lanes_ * next_output_;
    for (const TapGroup& chunk : pass_.chunks) {
      const std::int64_t packed = at(group, chunk, panel);
      for (std::int64_t i = 0; i < in_; ++i)
        for (std::size_t t = 0; t < chunk.taps.size(); ++t)
          f(packed + (static_cast<std::int64_t>(t) * in_ + i) * lanes_,
            plain + i * next_input_ + chunk.taps[t], next_output_, outputs);
    }
  }

  const Pass& pass_;
  bool depthwise_;
  std::int64_t lanes_, groups_, in_, out_, taps_, next_output_, next_input_;
};

Tensor pack(const Packing& packing, const Tensor& weights) {
  Tensor packed = Tensor::zeros({std::max<std::int64_t>(1, packing.elements())});
  const float* from = weights.data<float>();
  float* to = packed.data<float>();
  packing.each_vector([&](std::int64_t p, std::int64_t w, std::int64_t next, std::int64_t count) {
    for (std::int64_t l = 0; l < count; ++l) to[p + l] = from[w + l * next];
  });
  return packed;
}

/// Pieces of the results; where there are fewer than threads, output channels are cut, too, which
/// changes no bit.
struct Cut {
  std::int64_t pieces, panels, parts;
  Cut(std::int64_t of_results, std::int64_t all_panels) : pieces(of_results), panels(all_panels) {
    const std::int64_t each = (num_threads() + pieces - 1) / pieces;
    parts = std::clamp<std::int64_t>(each, 1, std::max<std::int64_t>(1, panels));
  }
  /// f(slot, piece, its panels).
  template <class F>
  void run(const F& f) const {
    parallel_tasks(pieces * parts, [&](std::int64_t task, int slot) {
      f(slot, task % pieces,
        chunk_of(panels, static_cast<int>(task / pieces), static_cast<int>(parts)));
    });
  }
};

/// Rows of `width` vectors for a block of results. A cache line between panels keeps them from
/// falling into the same sets of the cache.
std::int64_t panel_step(std::int64_t rows, std::int64_t lanes) { return rows * lanes + 16; }

/// Working memory of each thread: two matrices of `rows` rows and `first`, `second` panels, and one
/// row of either.
class Scratch {
 public:
  Scratch(std::int64_t rows, std::int64_t lanes, std::int64_t first, std::int64_t second)
      : step_(panel_step(rows, lanes)),
        first_(first * step_),
        second_(second * step_),
        memory_({num_threads(), first_ + second_ + (std::max(first, second) + 1) * lanes}) {}
  RowPanels first(int thread) { return {at(thread), step_}; }
  RowPanels second(int thread) { return {at(thread) + first_, step_}; }
  float* row(int thread) { return at(thread) + first_ + second_; }

 private:
  float* at(int thread) { return memory_.data<float>() + thread * memory_.dim(1); }
  std::int64_t step_, first_, second_;
  Tensor memory_;
};

/// Results of a block: their gathered rows take half the second-level cache.
std::int64_t block_of(std::int64_t k, std::int64_t results) {
  constexpr std::int64_t rows = 12;  // of a product in registers
  const std::int64_t fit =
      processor().second_level_cache / 2 / std::max<std::int64_t>(1, 4 * k) / rows * rows;
  return std::min(std::clamp<std::int64_t>(fit, 2 * rows, 16 * rows), results);
}

std::int64_t widest(const Pass& pass) {
  std::int64_t k = 0;
  for (const TapGroup& chunk : pass.chunks) k = std::max(k, chunk.k);
  return k;
}

template <class T>
SourceMaps<T> channels_of(const Side& side, const T* maps, std::int64_t first, std::int64_t count) {
  return {maps + first, side.h, side.w, side.c, count};
}

/// target = epilogue(pass over source).
template <class T>
void run(const DirectKernels<T>& k, const ConvGeometry& g, const Pass& pass, std::int64_t images,
         const Tensor& weights, Care care, bool rotated, const T* source,
         const DirectEpilogue<T>& epilogue, T* target) {
  const std::int64_t results = images * pass.grid.h * pass.grid.w;
  if (results == 0) return;
  const Packing packing(g, pass, rotated, k.lanes);
  const Tensor packed = pack(packing, weights);
  const float* w = packed.data<float>();
  const bool depthwise = is_depthwise(g);
  const std::int64_t gathered = depthwise ? 0 : widest(pass);
  const bool one_by_one = !depthwise && care == Care::any_values;
  const std::int64_t block = one_by_one ? 1 : block_of(depthwise ? g.c : gathered, results);
  const std::int64_t pieces =
      std::clamp<std::int64_t>(results / std::max<std::int64_t>(12, block), 1, 4 * num_threads());
  const Cut cut(pieces, packing.panels());
  Scratch scratch(block, k.lanes, gathered / k.lanes, packing.panels());
  cut.run([&](int thread, std::int64_t part, Chunk panels) {
    const Chunk piece = chunk_of(results, static_cast<int>(part), static_cast<int>(pieces));
    const RowPanels v = scratch.first(thread), m = scratch.second(thread);
    const std::int64_t channels = depthwise ? g.c : pass.out.each;
    const std::int64_t first = panels.begin * k.lanes;
    const std::int64_t count = std::min(panels.end * k.lanes, channels) - first;
    const auto write = [&](ResultRange range, std::int64_t at) {
      k.finish(m, pass.grid, range,
               {epilogue.bias ? epilogue.bias + at : nullptr,
                epilogue.gates ? epilogue.gates + at : nullptr,
                epilogue.shortcut ? epilogue.shortcut + at : nullptr, epilogue.relu},
               {target + at, pass.out.h, pass.out.w, pass.out.c, count, pass.step, pass.row,
                pass.column});
    };
    for (std::int64_t t = piece.begin; t < piece.end; t += block) {
      const ResultRange range{t, std::min(block, piece.end - t)};
      if (depthwise) {
        k.depthwise(channels_of(pass.in, source, first, count), pass.grid,
                    pass.chunks[0].tap_runs(), range, w + first, packing.line(), m);
        write(range, first);
        continue;
      }
      for (std::int64_t group = 0; group < g.spec.groups; ++group) {
        const auto in = channels_of(pass.in, source, group * pass.in.each, pass.in.each);
        if (one_by_one) k.multiply(v, w, m, 1, 0, panels.end - panels.begin, false);
        for (const TapGroup& chunk : pass.chunks) {
          if (one_by_one && !sees(pass, chunk, t)) continue;
          k.gather(in, pass.grid, chunk.tap_runs(), range, scratch.row(thread), v);
          k.multiply(v, w + packing.at(group, chunk, panels.begin), m, range.count, chunk.k,
                     panels.end - panels.begin, one_by_one || chunk.before > 0);
        }
        write(range, group * channels + first);
      }
    }
  });
}

/// The weights as maps of their type see them: rounded to it.
Tensor rounded(const Tensor& weights, const ConvGeometry& g) {
  return weights.to(g.dtype).to(DType::f32);
}

template <class T>
Tensor weight_gradient(const ConvGeometry& g, std::int64_t images, const Shape& weight_shape,
                       const T* x, const T* dy) {
  const bool depthwise = is_depthwise(g);
  const Side out = y_side(g);
  const auto& k = direct_kernels<T>(depthwise ? g.o : out.each);
  const Care care = care_for(dy, images * g.y_image());
  const Pass pass = forward_pass(g, k.lanes, care);
  const Packing packing(g, pass, false, k.lanes);
  const std::int64_t results = images * g.oh * g.ow, elements = packing.elements();
  const std::int64_t gathered = depthwise ? 0 : widest(pass);
  const bool one_by_one = !depthwise && care == Care::any_values;
  const std::int64_t block = one_by_one ? 1 : block_of(depthwise ? g.c : gathered, results);
  const std::int64_t maps = images * (g.x_image() + g.y_image());
  const Leaves leaves = Leaves::of_gradient(images, elements, maps).worth(results * elements);
  const Cut cut(leaves.count, packing.panels());
  Scratch scratch(block, k.lanes, gathered / k.lanes, packing.panels());
  Tensor sums = Tensor::zeros({leaves.count, elements});
  // A block's sums of a depthwise convolution are added to the others at its end, as registers are
  // in a product: long maps lose nothing.
  Tensor blocks = depthwise ? Tensor({num_threads(), elements}) : Tensor();
  cut.run([&](int thread, std::int64_t part, Chunk panels) {
    const Chunk piece{leaves[part].begin * g.oh * g.ow, leaves[part].end * g.oh * g.ow};
    const RowPanels v = scratch.first(thread), d = scratch.second(thread);
    float* sum = sums.data<float>() + part * elements;
    const std::int64_t channels = depthwise ? g.o : out.each;
    const std::int64_t first = panels.begin * k.lanes;
    const std::int64_t count = std::min(panels.end * k.lanes, channels) - first;
    constexpr TapRun itself{0, 0, 1};
    for (std::int64_t t = piece.begin; t < piece.end; t += block) {
      const ResultRange range{t, std::min(block, piece.end - t)};
      const auto gather_dy = [&](std::int64_t at) {
        k.gather(channels_of(out, dy, at, count), {g.oh, g.ow, 1}, {&itself, 1}, range,
                 scratch.row(thread), d);
      };
      if (depthwise) {
        gather_dy(first);
        float* here = blocks.data<float>() + thread * elements;
        std::fill_n(here, elements, 0.0F);
        k.depthwise_accumulate(channels_of(pass.in, x, first, count), pass.grid,
                               pass.chunks[0].tap_runs(), range, d, here + first, packing.line());
        for (std::int64_t tap = 0; tap < elements; tap += packing.line())
          for (std::int64_t i = tap + first; i < tap + first + count; ++i) sum[i] += here[i];
        continue;
      }
      for (std::int64_t group = 0; group < g.spec.groups; ++group) {
        gather_dy(group * channels + first);
        const auto in = channels_of(pass.in, x, group * pass.in.each, pass.in.each);
        for (const TapGroup& chunk : pass.chunks) {
          if (one_by_one && !sees(pass, chunk, t)) continue;
          k.gather(in, pass.grid, chunk.tap_runs(), range, scratch.row(thread), v);
          k.accumulate(v, d, sum + packing.at(group, chunk, panels.begin), range.count, chunk.k,
                       panels.end - panels.begin);
        }
      }
    }
  });
  fold_leaves(sums.data<float>(), leaves.count, elements);
  Tensor dw(weight_shape);
  const float* from = sums.data<float>();
  float* to = dw.data<float>();
  packing.each_vector([&](std::int64_t p, std::int64_t w, std::int64_t next, std::int64_t count) {
    for (std::int64_t l = 0; l < count; ++l) to[w + l * next] = from[p + l];
  });
  return dw;
}

}  // namespace

void forward(const ConvGeometry& g, std::int64_t images, const Tensor& weights, const void* x,
             const float* bias, void* y, const EpilogueInputs& epilogue) {
  const Tensor w = rounded(weights, g);
  const Care care = care_for(w.data<float>(), w.numel());
  with_map_type(g, [&]<class T>(T) {
    const auto& k = direct_kernels<T>(is_depthwise(g) ? g.o : g.o / g.spec.groups);
    run<T>(k, g, forward_pass(g, k.lanes, care), images, w, care, false, static_cast<const T*>(x),
           {bias, epilogue.gates, static_cast<const T*>(epilogue.shortcut), g.epilogue.relu},
           static_cast<T*>(y));
  });
}

void backward_data(const ConvGeometry& g, std::int64_t images, const Tensor& weights,
                   const void* dy, void* dx) {
  const Tensor w = rounded(weights, g);
  const Care care = care_for(w.data<float>(), w.numel());
  with_map_type(g, [&]<class T>(T) {
    const auto& k = direct_kernels<T>(is_depthwise(g) ? g.c : g.c / g.spec.groups);
    for (std::int64_t row = 0; row < std::min(g.spec.stride, g.h); ++row)
      for (std::int64_t column = 0; column < std::min(g.spec.stride, g.w); ++column)
        run<T>(k, g, data_pass(g, row, column, k.lanes, care), images, w, care, true,
               static_cast<const T*>(dy), {}, static_cast<T*>(dx));
  });
}

Tensor backward_weights(const ConvGeometry& g, std::int64_t images, const Shape& weight_shape,
                        const void* x, const void* dy) {
  Tensor dw;
  with_map_type(g, [&]<class T>(T) {
    dw = weight_gradient(g, images, weight_shape, static_cast<const T*>(x),
                         static_cast<const T*>(dy));
  });
  return dw;
}

}  // namespace exciton::ops::direct
