#include "exciton/ops/slice_channels.hpp"

#include <numeric>

#include "exciton/core/example.hpp"
#include "exciton/ops/channel_copy.hpp"

namespace exciton::ops {

Tensor SliceChannels::forward(Saved& saved, const Tensor& x) const {
  check_input(name, "x", x);
  check(
      x.rank() >= 1 && begin >= 0 && count >= 1 && begin <= x.dim(-1) && count <= x.dim(-1) - begin,
      name, ": ", count, " channels from ", begin, " on are not all in x ", x.shape());
  Shape shape;
  for (int i = 0; i < x.rank() - 1; ++i) shape.push_back(x.dim(i));
  shape.push_back(count);
  Tensor y(shape, x.dtype());
  copy_channels(x, begin, y, 0, count);
  saved = {Form::of(x), Form::of(y)};
  return y;
}

Grads<1> SliceChannels::backward(Saved& saved, Tensor dy, Needs<1>) const {
  check_gradient(name, dy, saved.y);
  Tensor dx = Tensor::zeros(saved.x.shape, dy.dtype());
  copy_channels(dy, 0, dx, begin, count);
  return {dx};
}

std::vector<Example<SliceChannels>> SliceChannels::examples() {
  return {{{0, 2}, {{2, 3, 4, 5}}},
          {{2, 3}, {{2, 3, 4, 5}}},
          {{16, 1}, {{3, 33}}},
          {{0, 1}, {{1, 1, 1, 1}}}};
}

std::vector<Var> split(const Var& x, const std::vector<std::int64_t>& counts) {
  const std::int64_t total = std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
  check(total == x.dim(-1), "split: ranges of ", total, " channels for x ", x.shape(), " with ",
        x.dim(-1));
  std::vector<Var> parts;
  std::int64_t at = 0;
  for (std::int64_t count : counts) {
    parts.push_back(slice_channels(x, at, count));
    at += count;
  }
  return parts;
}

}  // namespace exciton::ops
