#include "exciton/ops/convolution/pointwise.hpp"

#include <algorithm>

#include "exciton/core/threads.hpp"
#include "exciton/ops/convolution/path.hpp"
#include "exciton/ops/processor.hpp"
#include "exciton/ops/simd/channel_kernels.hpp"
#include "exciton/ops/simd/pointwise_kernels.hpp"

namespace exciton::ops {
namespace {

using simd::pointwise_kernels;
using simd::PointwiseKernels;

/// Pixels of y in lines whose pixels lie in x at one distance: all of them, or those of a row where
/// the stride leaves some out, or of an image where each has gates of its own.
struct Lines {
  std::int64_t count, pixels;
  Lines(const ConvGeometry& g, std::int64_t images) : count(1), pixels(images * g.oh * g.ow) {
    if (g.spec.stride > 1) {
      count = images * g.oh;
      pixels = g.ow;
    } else if (g.epilogue.gates) {
      count = images;
      pixels = g.oh * g.ow;
    }
  }
  std::int64_t all() const { return count * pixels; }
};

/// f(line, first of its pixels, their number) for the pixels begin .. end.
template <class F>
void for_lines(const Lines& lines, std::int64_t begin, std::int64_t end, const F& f) {
  while (begin < end) {
    const std::int64_t line = begin / lines.pixels, first = begin % lines.pixels;
    const std::int64_t count = std::min(lines.pixels - first, end - begin);
    f(line, first, count);
    begin += count;
  }
}

template <class T>
Tensor pack(const PointwiseKernels<T>& k, const Tensor& weights) {
  const std::int64_t o = weights.dim(0), c = weights.dim(1);
  const Tensor rounded = weights.to(dtype_of<T>).to(DType::f32);
  Tensor packed({k.floats(o, c)});
  parallel_for((o + k.panel - 1) / k.panel, std::max<std::int64_t>(1, 4096 / (k.panel * c)),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t p = begin; p < end; ++p)
                   k.pack(rounded.data<float>(), o, c, p * k.panel,
                          packed.data<float>() + k.floats(p * k.panel, c));
               });
  return packed;
}

/// How the product is cut: blocks of pixels times parts of the outputs. Threads that share the
/// outputs read the weights once for all of them; such that share the pixels, the maps.
struct Cut {
  std::int64_t blocks = 1, parts = 1;
  Cut(std::int64_t pixels, std::int64_t panels, std::int64_t map_bytes, std::int64_t weight_bytes,
      std::int64_t rows) {
    constexpr std::int64_t each = 4;  // pieces a thread: the last are not waited for long
    const std::int64_t wanted = each * num_threads(), blocks_at_most = (pixels + rows - 1) / rows;
    if (weight_bytes > map_bytes) {
      parts = std::min(panels, wanted);
      return;
    }
    // A block stays in the second-level cache while the weights pass.
    const std::int64_t fitting = map_bytes / (processor().second_level_cache / 4) + 1;
    blocks = std::min(blocks_at_most, std::max(wanted, fitting));
    parts = std::clamp<std::int64_t>(wanted / blocks, 1, panels);
  }
};

template <class T>
void run(const ConvGeometry& g, std::int64_t images, const float* packed, const T* x,
         const float* bias, const EpilogueInputs& epilogue, T* y) {
  const auto& k = pointwise_kernels<T>(g.o);
  const Lines lines(g, images);
  const std::int64_t panels = (g.o + k.panel - 1) / k.panel, step = g.c * g.spec.stride;
  const auto size = static_cast<std::int64_t>(sizeof(T));
  const Cut cut(lines.all(), panels, lines.all() * g.c * size, k.floats(g.o, g.c) * 4, k.pixels);
  const auto* shortcut = static_cast<const T*>(epilogue.shortcut);
  const auto x_of = [&](std::int64_t line) {
    if (g.spec.stride == 1) return x + line * lines.pixels * g.c;
    return x + (line / g.oh * g.h + line % g.oh * g.spec.stride) * g.w * g.c;
  };
  parallel_tasks(cut.blocks * cut.parts, [&](std::int64_t task, int) {
    const auto part =
        chunk_of(panels, static_cast<int>(task % cut.parts), static_cast<int>(cut.parts));
    const auto block =
        chunk_of(lines.all(), static_cast<int>(task / cut.parts), static_cast<int>(cut.blocks));
    for (std::int64_t p = part.begin; p < part.end; ++p) {
      const std::int64_t o = p * k.panel;
      const float* w = packed + k.floats(o, g.c);
      const float* next =
          p + 1 < part.end && g.o - o >= 2 * k.panel ? w + k.floats(k.panel, g.c) : nullptr;
      for_lines(lines, block.begin, block.end,
                [&](std::int64_t line, std::int64_t first, std::int64_t count) {
                  const std::int64_t pixel = line * lines.pixels + first, at = pixel * g.o + o;
                  const bool last = pixel + count == block.end;
                  k.multiply(
                      {x_of(line) + first * step, step, count}, w, last ? next : nullptr, g.o, g.c,
                      o,
                      {bias ? bias + o : nullptr,
                       epilogue.gates ? epilogue.gates + pixel / (g.oh * g.ow) * g.o + o : nullptr,
                       shortcut ? shortcut + at : nullptr, g.epilogue.relu},
                      y + at);
                });
    }
  });
}

}  // namespace

bool Pointwise::can_run(const ConvGeometry& g) {
  if (conv_path() == ConvPath::direct || conv_path() == ConvPath::own) return false;
  const ConvSpec& s = g.spec;
  if (g.kh != 1 || g.kw != 1 || s.groups != 1 || s.padding != 0 || s.row_padding() != 0 ||
      g.below > 0)
    return false;
  if (g.dtype == DType::bf16) return simd::have_bf16_pairs() && g.c % 2 == 0 && g.o % 16 == 0;
  return g.o % 8 == 0;
}

bool Pointwise::applicable(const ConvGeometry& g, bool keeps_weights) {
  if (!can_run(g)) return false;
  // AVX2 has half the registers, for which oneDNN's products are better by some percent (Zen 3),
  // but not where there are few (0.5 to 0.65 of its time) or where it first copies the pixels that
  // a stride leaves (0.55 to 0.65).
  if (simd::instruction_set() == "avx2")
    return keeps_weights && (g.spec.stride == 1 ? g.c * g.o <= 64 * 64 : g.o <= 512 && g.ow >= 8);
  constexpr std::int64_t many_channels = 1024;
  if (!keeps_weights && g.c < many_channels) return false;
  // AMX multiplies bf16 at several times the rate of vectors; plain vectors of four gain nothing.
  return g.dtype == DType::bf16 ? !processor().amx : simd::instruction_set() != "baseline";
}

void Pointwise::forward(const ConvGeometry& g, std::int64_t images, const Tensor& weights,
                        std::uint64_t version, const void* x, const float* bias, void* y,
                        const EpilogueInputs& epilogue, bool keeps_weights) {
  const auto run_as = [&]<class T>(T) {
    if (packed_.values.empty() || packed_.version != version || packed_.maps != g.dtype ||
        packed_.weights != weights.shape())
      packed_ = {pack(pointwise_kernels<T>(g.o), weights), version, weights.shape(), g.dtype};
    run(g, images, packed_.values.data<float>(), static_cast<const T*>(x), bias, epilogue,
        static_cast<T*>(y));
  };
  if (g.dtype == DType::bf16)
    run_as(bf16{});
  else
    run_as(float{});
  if (!keeps_weights) drop_weights();
}

}  // namespace exciton::ops
