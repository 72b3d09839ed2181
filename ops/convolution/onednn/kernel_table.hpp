/// Which of oneDNN's kernels are not trusted with which forms. A foreign kernel is used for what
/// the sweep (tests/ops/sweep) has tried and found right; what it found wrong stands here, with the
/// reason and the versions, and runs on the own direct convolution (ops/convolution/direct.hpp).
#pragma once
#include <string_view>

#include "exciton/ops/convolution/geometry.hpp"

namespace exciton::ops::onednn {

struct Version {
  int major = 0, minor = 0, patch = 0;
  auto operator<=>(const Version&) const = default;
};

/// What oneDNN would run a job with.
struct Offer {
  std::string_view implementation;  ///< as oneDNN names it: "jit_1x1:avx512_core"
  Version version;                  ///< of oneDNN
  Direction direction = Direction::forward;
};

/// Why `offer` must not run the convolution `g`; empty: it may.
std::string_view distrusted(const Offer& offer, const ConvGeometry& g);

/// Whether oneDNN's next offer, where it is trusted, is the faster one. oneDNN 3 puts
/// `brgconv_strided` before what 2.6 ran for gradients of x over strides: 0.9 to 4.6 times its time
/// (3.7.2, layers of seven networks on AVX-512), and 40 to 240 times for depthwise layers in bf16.
bool outrun(const Offer& offer);

}  // namespace exciton::ops::onednn
