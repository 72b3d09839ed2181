#include "exciton/ops/channel_shuffle.hpp"

#include "exciton/core/example.hpp"
#include "exciton/core/threads.hpp"

namespace exciton::ops {
namespace {

Tensor shuffled(const Tensor& x, std::int64_t groups) {
  const std::int64_t c = x.dim(-1), m = c / groups;
  Tensor y(x.shape(), x.dtype());
  dispatch_float(x.dtype(), ChannelShuffle::name, [&](auto tag) {
    using T = decltype(tag);
    const T* xp = x.data<T>();
    T* yp = y.data<T>();
    parallel_for(x.numel() / std::max<std::int64_t>(1, c),
                 std::max<std::int64_t>(1, (1 << 14) / std::max<std::int64_t>(1, c)),
                 [=](std::int64_t begin, std::int64_t end) {
                   for (std::int64_t p = begin; p < end; ++p)
                     for (std::int64_t g = 0; g < groups; ++g)
                       for (std::int64_t k = 0; k < m; ++k)
                         yp[p * c + k * groups + g] = xp[p * c + g * m + k];
                 });
  });
  return y;
}

}  // namespace

Tensor ChannelShuffle::forward(Saved& saved, const Tensor& x) const {
  check_input(name, "x", x);
  check(x.rank() >= 1 && groups >= 1 && x.dim(-1) % groups == 0, name, ": ", groups,
        " groups do not divide the channels of x ", x.shape());
  saved.form = Form::of(x);
  return shuffled(x, groups);
}

Grads<1> ChannelShuffle::backward(Saved& saved, Tensor dy, Needs<1>) const {
  check_gradient(name, dy, saved.form);
  return {shuffled(dy, dy.dim(-1) / groups)};
}

std::vector<Example<ChannelShuffle>> ChannelShuffle::examples() {
  return {{{2}, {{2, 3, 4, 6}}}, {{3}, {{2, 3, 1, 6}}}, {{5}, {{3, 35}}}, {{1}, {{1, 1, 1, 1}}}};
}

}  // namespace exciton::ops
