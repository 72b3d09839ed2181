#include "exciton/ops/concat.hpp"

#include <algorithm>
#include <string>

#include "exciton/core/example.hpp"
#include "exciton/ops/channel_copy.hpp"

namespace exciton::ops {

Tensor Concat::forward(Saved& saved, std::span<const Tensor> x) const {
  check(!x.empty(), name, ": expected at least one tensor");
  for (std::size_t i = 0; i < x.size(); ++i) check_input(name, "input " + std::to_string(i), x[i]);
  check(x[0].rank() >= 1, name, ": input 0 ", x[0].shape(), " has no channels");
  saved.shapes.clear();
  Shape shape;
  std::int64_t channels = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const Shape& s = x[i].shape();
    check(s.rank() == x[0].rank() && std::equal(s.begin(), s.end() - 1, x[0].shape().begin()) &&
              x[i].dtype() == x[0].dtype(),
          name, ": input ", i, " is ", s, ' ', x[i].dtype(),
          ", expected the extents before the channels and the type of input 0, ", x[0].shape(), ' ',
          x[0].dtype());
    channels += s[-1];
    saved.shapes.push_back(s);
  }
  for (const std::int64_t* d = x[0].shape().begin(); d != x[0].shape().end() - 1; ++d)
    shape.push_back(*d);
  shape.push_back(channels);
  Tensor y(shape, x[0].dtype());
  saved.y = Form::of(y);
  std::int64_t at = 0;
  for (const Tensor& t : x) {
    copy_channels(t, 0, y, at, t.dim(-1));
    at += t.dim(-1);
  }
  return y;
}

std::vector<Tensor> Concat::backward(Saved& saved, Tensor dy, std::span<const bool> needs) const {
  check_gradient(name, dy, saved.y);
  std::vector<Tensor> grads(saved.shapes.size());
  std::int64_t at = 0;
  for (std::size_t i = 0; i < grads.size(); ++i) {
    const Shape& s = saved.shapes[i];
    if (needs[i]) {
      grads[i] = Tensor(s, dy.dtype());
      copy_channels(dy, at, grads[i], 0, s[-1]);
    }
    at += s[-1];
  }
  return grads;
}

std::vector<Example<Concat>> Concat::examples() {
  return {{{}, {{2, 3, 4, 5}, {2, 3, 4, 1}, {2, 3, 4, 7}}},
          {{}, {{1, 1, 1, 1}}},
          {{}, {{3, 17}, {3, 16}}}};
}

}  // namespace exciton::ops
