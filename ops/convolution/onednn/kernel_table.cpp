#include "exciton/ops/convolution/onednn/kernel_table.hpp"

#include <algorithm>
#include <array>

namespace exciton::ops::onednn {
namespace {

constexpr Version first{}, none{1 << 20, 0, 0};

using Form = bool (*)(const ConvGeometry& g);
constexpr Form any = [](const ConvGeometry&) { return true; };
constexpr std::int64_t vector = 16;  // floats of AVX-512, and channels of oneDNN's blocks

bool starts_with_any(std::string_view name, std::initializer_list<std::string_view> beginnings) {
  for (const std::string_view beginning : beginnings)
    if (name.starts_with(beginning)) return true;
  return false;
}

/// Offers by their name and direction.
using Kernel = bool (*)(const Offer& offer);
constexpr Kernel every = [](const Offer&) { return true; };
constexpr Kernel general = [](const Offer& o) {
  return !starts_with_any(o.implementation, {"jit", "br"});
};
constexpr Kernel bf16_1x1 = [](const Offer& o) {
  return starts_with_any(o.implementation, {"jit_bf16_1x1", "brgconv_1x1:avx512_core_bf16"});
};
template <Direction direction>
constexpr Kernel any_1x1 = [](const Offer& o) {
  return o.direction == direction && starts_with_any(o.implementation, {"jit_1x1", "jit_bf16_1x1"});
};
constexpr Kernel brgconv = [](const Offer& o) { return o.implementation.starts_with("brg"); };
constexpr Kernel bf16_weights = [](const Offer& o) {
  return o.direction == Direction::backward_weights && o.implementation.starts_with("jit_bf16:");
};

struct Row {
  Kernel kernel;
  Version from, before;  ///< wrong in [from, before)
  Form form;
  std::string_view reason;
};

/// What was seen is in the reasons; the forms are drawn a little wider, for what was not.
constexpr std::array rows{
    Row{general, first, none, any,
        "oneDNN's general kernels (gemm, reference) add shortcuts to the wrong pixels, and are no "
        "faster than our own"},
    Row{any_1x1<Direction::backward_weights>, first, none,
        [](const ConvGeometry& g) { return g.spec.stride > 1 && g.c % vector != 0; },
        "writes past its scratchpad where it gathers every second pixel of few channels (2.6.3: "
        "f32 below 16 channels on AVX-512 and below 8 on AVX2, bf16 at 8 and 12)"},
    Row{bf16_1x1, first, none, [](const ConvGeometry& g) { return g.c % 2 != 0 || g.o % 2 != 0; },
        "bf16 pairs of channels: wrong sums over odd channels, forward behind a binary post-op "
        "(2.6.3) or without one (3.7.2, 133 of the map sizes to 800 pixels at 32 channels and "
        "fewer), and in the gradient of x over odd output channels (2.6.3)"},
    Row{bf16_weights, first, none,
        [](const ConvGeometry& g) {
          return g.spec.dilation > 1 || (g.spec.stride > 1 && std::min(g.h, g.w) <= 4);
        },
        "wrong sums, or none written, where the window is dilated or steps over a map of one or "
        "two columns (2.6.3)"},
    Row{brgconv, first, none, [](const ConvGeometry& g) { return g.spec.dilation > 1; },
        "reads past the map under a dilated window (2.6.3: where it is wider than the map; 3.7.2: "
        "a "
        "window of 2x1 on maps of one column in bf16)"},
    Row{every, first, none,
        [](const ConvGeometry& g) {
          return g.oh * g.ow == 1 && (g.epilogue.gates || g.epilogue.shortcut);
        },
        "binary post-ops of a result of one pixel are applied to some channels only (2.6.3: "
        "brdgmm_dw, brgconv)"},
};

}  // namespace

std::string_view distrusted(const Offer& offer, const ConvGeometry& g) {
  for (const Row& row : rows)
    if (row.kernel(offer) && row.from <= offer.version && offer.version < row.before && row.form(g))
      return row.reason;
  return {};
}

bool outrun(const Offer& offer) {
  return offer.direction == Direction::backward_data &&
         offer.implementation.starts_with("brgconv_strided");
}

}  // namespace exciton::ops::onednn
