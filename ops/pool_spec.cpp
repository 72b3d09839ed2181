#include "exciton/ops/pool_spec.hpp"

#include <algorithm>

namespace exciton::ops {

PoolWindows::PoolWindows(std::string_view name, const Shape& x, const PoolSpec& pool) : spec(pool) {
  check(x.rank() == 4, name, ": x must be [N, H, W, C], got ", x);
  constexpr std::int64_t most = 1 << 20;  // sums of a few of them cannot overflow
  check(spec.kernel >= 1 && spec.stride >= 1 && spec.kernel <= most && spec.stride <= most, name,
        ": kernel and stride must be at least 1 and at most ", most, ", got ", spec.kernel, " and ",
        spec.stride);
  check(spec.padding >= 0 && spec.padding <= spec.kernel / 2, name,
        ": padding must be between 0 and half the kernel (", spec.kernel / 2, "), got ",
        spec.padding);
  const auto extent = [&](std::int64_t in) {
    const std::int64_t room = in + 2 * spec.padding - spec.kernel;
    check(room >= 0, name, ": a ", spec.kernel, "-pixel window does not fit into ", in,
          " pixels padded by ", spec.padding, " (x ", x, ")");
    std::int64_t out = (room + (spec.ceil_mode ? spec.stride - 1 : 0)) / spec.stride + 1;
    if (spec.ceil_mode && (out - 1) * spec.stride >= in + spec.padding) --out;
    return out;
  };
  n = x[0];
  h = x[1];
  w = x[2];
  c = x[3];
  oh = extent(h);
  ow = extent(w);
}

PoolWindows::Range PoolWindows::pixels(std::int64_t i, std::int64_t extent) const {
  const std::int64_t first = i * spec.stride - spec.padding;
  return {std::max<std::int64_t>(0, first), std::min(extent, first + spec.kernel)};
}

PoolWindows::Range PoolWindows::windows(std::int64_t r, std::int64_t count) const {
  const std::int64_t last = r + spec.padding;  // window i covers [i s, i s + kernel) of padded axis
  const std::int64_t first = std::max<std::int64_t>(0, last - spec.kernel + spec.stride);
  return {first / spec.stride, std::min(count, last / spec.stride + 1)};
}

std::int64_t PoolWindows::grain(std::int64_t row_elements) const {
  return std::max<std::int64_t>(1, (1 << 14) / std::max<std::int64_t>(1, row_elements));
}

}  // namespace exciton::ops
