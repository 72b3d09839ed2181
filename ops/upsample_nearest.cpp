#include "exciton/ops/upsample_nearest.hpp"

#include <algorithm>

#include "exciton/core/example.hpp"
#include "exciton/core/threads.hpp"

namespace exciton::ops {
namespace {

std::int64_t grain(std::int64_t row_elements) {
  return std::max<std::int64_t>(1, (1 << 14) / std::max<std::int64_t>(1, row_elements));
}

/// The first of `large` places that shows pixel i of `small`.
std::int64_t first_of(std::int64_t i, std::int64_t small, std::int64_t large) {
  return (i * large + small - 1) / small;
}

}  // namespace

Tensor UpsampleNearest::forward(Saved& saved, const Tensor& x) const {
  check_input(name, "x", x);
  check(x.rank() == 4, name, ": x must be [N, H, W, C], got ", x.shape());
  const std::int64_t n = x.dim(0), h = x.dim(1), w = x.dim(2), c = x.dim(3);
  constexpr std::int64_t most = 1 << 20;
  check(height >= h && width >= w && height <= most && width <= most, name,
        ": height and width must be at least those of x ", x.shape(), " and at most ", most,
        ", got ", height, " and ", width);
  saved.x = Form::of(x);
  Tensor y({n, height, width, c}, x.dtype());
  dispatch_float(x.dtype(), name, [&](auto tag) {
    using T = decltype(tag);
    const T* const xp = x.data<T>();
    T* const yp = y.data<T>();
    parallel_for(n * height, grain(width * c), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row) {
        const T* const from = xp + (row / height * h + row % height * h / height) * w * c;
        for (std::int64_t j = 0; j < width; ++j)
          std::copy_n(from + j * w / width * c, c, yp + (row * width + j) * c);
      }
    });
  });
  return y;
}

Grads<1> UpsampleNearest::backward(Saved& saved, Tensor dy, Needs<1>) const {
  const Shape& shape = saved.x.shape;
  check(shape.rank() == 4, name, ": backward without a forward");
  const std::int64_t h = shape[1], w = shape[2], c = shape[3];
  check_gradient(name, dy, {{shape[0], height, width, c}, saved.x.dtype});
  Tensor dx(shape, dy.dtype());
  dispatch_float(dy.dtype(), name, [&](auto tag) {
    using T = decltype(tag);
    using A = Acc<T>;
    const T* const from = dy.data<T>();
    T* const to = dx.data<T>();
    parallel_for(shape[0] * h, grain(width * c * 2), [&](std::int64_t begin, std::int64_t end) {
      std::vector<A> sum(static_cast<std::size_t>(c));
      for (std::int64_t row = begin; row < end; ++row) {
        const std::int64_t n = row / h, r = row % h;
        for (std::int64_t q = 0; q < w; ++q) {
          std::ranges::fill(sum, A{});
          for (std::int64_t i = first_of(r, h, height); i < first_of(r + 1, h, height); ++i)
            for (std::int64_t j = first_of(q, w, width); j < first_of(q + 1, w, width); ++j) {
              const T* const at = from + ((n * height + i) * width + j) * c;
              for (std::int64_t k = 0; k < c; ++k)
                sum[static_cast<std::size_t>(k)] += static_cast<A>(at[k]);
            }
          for (std::int64_t k = 0; k < c; ++k)
            to[(row * w + q) * c + k] = static_cast<T>(sum[static_cast<std::size_t>(k)]);
        }
      }
    });
  });
  return {dx};
}

std::vector<Example<UpsampleNearest>> UpsampleNearest::examples() {
  return {{{6, 10}, {{2, 3, 5, 7}}},
          {{7, 5}, {{1, 3, 5, 33}}},
          {{4, 9}, {{2, 4, 4, 2}}},
          {{3, 2}, {{1, 1, 1, 1}}}};
}

}  // namespace exciton::ops
