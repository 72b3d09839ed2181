#include "exciton/ops/shake_shake.hpp"

#include "exciton/core/example.hpp"
#include "exciton/core/threads.hpp"
#include "exciton/ops/elementwise.hpp"

namespace exciton::ops {
namespace {

std::vector<double> drawn(Generator::State from, std::int64_t skip, std::int64_t count) {
  from.counter += static_cast<std::uint64_t>(skip);
  Generator generator(from);
  std::vector<double> values(static_cast<std::size_t>(count));
  for (double& v : values) v = static_cast<double>(generator.uniform());
  return values;
}

/// f(element type, image, first element, elements) for all images, in parallel.
template <class F>
void each_image(const Tensor& t, F&& f) {
  const std::int64_t images = t.dim(0), size = images > 0 ? t.numel() / images : 0;
  dispatch_float(t.dtype(), ShakeShake::name, [&](auto tag) {
    parallel_for(images, std::max<std::int64_t>(1, (1 << 14) / std::max<std::int64_t>(1, size)),
                 [&](std::int64_t begin, std::int64_t end) {
                   for (std::int64_t n = begin; n < end; ++n) f(tag, n, n * size, size);
                 });
  });
}

/// factors[n] dy[n].
Tensor scaled(const Tensor& dy, const std::vector<double>& factors) {
  Tensor out(dy.shape(), dy.dtype());
  void* const to = out.raw();
  each_image(dy, [&](auto tag, std::int64_t n, std::int64_t at, std::int64_t size) {
    using T = decltype(tag);
    using A = Acc<T>;
    const A f = static_cast<A>(factors[static_cast<std::size_t>(n)]);
    const T* d = dy.data<T>() + at;
    T* o = static_cast<T*>(to) + at;
    for (std::int64_t i = 0; i < size; ++i) o[i] = static_cast<T>(f * static_cast<A>(d[i]));
  });
  return out;
}

}  // namespace

std::vector<double> ShakeShake::alphas(std::int64_t images) const {
  if (forward_kind == ShakeKind::even)
    return std::vector<double>(static_cast<std::size_t>(images), 0.5);
  return drawn(start, images_before(images), images);
}

std::vector<double> ShakeShake::betas(std::int64_t images) const {
  switch (backward_kind) {
    case ShakeKind::shake:
      return drawn(start, images_of_batch(images) + images_before(images), images);
    case ShakeKind::even:
      return std::vector<double>(static_cast<std::size_t>(images), 0.5);
    case ShakeKind::keep:
      return alphas(images);
  }
  return {};
}

Tensor ShakeShake::forward(Saved& saved, const Tensor& a, const Tensor& b) const {
  check_alike(name, a, b);
  check(a.rank() >= 1, name, ": expected images [N, ...], got ", a.shape());
  check(forward_kind != ShakeKind::keep, name, ": forward has nothing to keep; try shake or even");
  saved.form = Form::of(a);
  Tensor y(a.shape(), a.dtype());
  const std::vector<double> alpha = alphas(a.dim(0));
  void* const to = y.raw();
  each_image(a, [&](auto tag, std::int64_t n, std::int64_t at, std::int64_t size) {
    using T = decltype(tag);
    using A = Acc<T>;
    const A f = static_cast<A>(alpha[static_cast<std::size_t>(n)]);
    const T *u = a.data<T>() + at, *v = b.data<T>() + at;
    T* o = static_cast<T*>(to) + at;
    for (std::int64_t i = 0; i < size; ++i)
      o[i] = static_cast<T>(f * static_cast<A>(u[i]) + (1 - f) * static_cast<A>(v[i]));
  });
  return y;
}

Grads<2> ShakeShake::backward(Saved& saved, Tensor dy, Needs<2> needs) const {
  // The rule alone, as its tests ask for it, needs no forward.
  if (saved.form.shape.rank() > 0) check_gradient(name, dy, saved.form);
  std::vector<double> beta = betas(dy.dim(0));
  Grads<2> grads;
  if (needs[0]) grads[0] = scaled(dy, beta);
  for (double& f : beta) f = 1 - f;
  if (needs[1]) grads[1] = scaled(dy, beta);
  return grads;
}

std::vector<Example<ShakeShake>> ShakeShake::examples() {
  const ShakeShake keep{ShakeKind::shake, ShakeKind::keep, {.seed = 3, .stream = 1, .counter = 5}};
  const ShakeShake even{ShakeKind::even, ShakeKind::even, {}};
  return {{keep, {{2, 3, 4, 5}, {2, 3, 4, 5}}},
          {keep, {{1, 1, 1, 1}, {1, 1, 1, 1}}},
          {even, {{3, 7}, {3, 7}}}};
}

}  // namespace exciton::ops
