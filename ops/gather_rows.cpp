#include "exciton/ops/gather_rows.hpp"

#include <algorithm>
#include <string>

#include "exciton/core/example.hpp"

namespace exciton::ops {
namespace {

/// f(m, matrix, row of it) for every row that is read.
template <class F>
void for_each_row(const Tensor& rows, const std::vector<Form>& x, const F& f) {
  const std::int64_t* const wanted = rows.data<std::int64_t>();
  for (std::int64_t m = 0; m < rows.numel(); ++m) {
    std::int64_t row = wanted[m];
    std::size_t matrix = 0;
    while (row >= x[matrix].shape[0]) row -= x[matrix++].shape[0];
    f(m, matrix, row);
  }
}

}  // namespace

Tensor GatherRows::forward(Saved& saved, std::span<const Tensor> x) const {
  check(!x.empty(), name, ": expected at least one tensor");
  check(!rows.empty() && rows.rank() == 1 && rows.dtype() == DType::i64 && rows.numel() > 0, name,
        ": rows must be [M] i64 with at least one, got ", Form::of(rows));
  saved.x.clear();
  std::int64_t there = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    check_input(name, "input " + std::to_string(i), x[i]);
    check(x[i].rank() == 2 && x[i].dim(1) == x[0].dim(-1) && x[i].dtype() == x[0].dtype(), name,
          ": input ", i, " is ", Form::of(x[i]), ", expected [R, C] with C and type of input 0, ",
          Form::of(x[0]));
    there += x[i].dim(0);
    saved.x.push_back(Form::of(x[i]));
  }
  for (const std::int64_t row : rows.span<std::int64_t>())
    check(row >= 0 && row < there, name, ": row ", row, " is outside [0, ", there, ")");
  const std::int64_t c = x[0].dim(1);
  Tensor y({rows.numel(), c}, x[0].dtype());
  dispatch_float(y.dtype(), name, [&](auto tag) {
    using T = decltype(tag);
    for_each_row(rows, saved.x, [&](std::int64_t m, std::size_t matrix, std::int64_t row) {
      std::copy_n(x[matrix].data<T>() + row * c, c, y.data<T>() + m * c);
    });
  });
  return y;
}

std::vector<Tensor> GatherRows::backward(Saved& saved, Tensor dy,
                                         std::span<const bool> needs) const {
  check(!saved.x.empty(), name, ": backward without a forward");
  const std::int64_t c = saved.x[0].shape[1];
  check_gradient(name, dy, {{rows.numel(), c}, saved.x[0].dtype});
  std::vector<Tensor> grads(saved.x.size());
  dispatch_float(dy.dtype(), name, [&](auto tag) {
    using T = decltype(tag);
    using A = Acc<T>;
    for (std::size_t i = 0; i < grads.size(); ++i)
      if (needs[i]) grads[i] = Tensor::zeros(saved.x[i].shape, dtype_of<A>);
    for_each_row(rows, saved.x, [&](std::int64_t m, std::size_t matrix, std::int64_t row) {
      if (grads[matrix].empty()) return;
      const T* const from = dy.data<T>() + m * c;
      A* const to = grads[matrix].data<A>() + row * c;
      for (std::int64_t i = 0; i < c; ++i) to[i] += static_cast<A>(from[i]);
    });
  });
  for (Tensor& grad : grads)
    if (!grad.empty()) grad = grad.to(dy.dtype());
  return grads;
}

std::vector<Example<GatherRows>> GatherRows::examples() {
  const auto of = [](std::vector<double> which, std::vector<Shape> inputs) {
    const auto m = static_cast<std::int64_t>(which.size());
    return Example<GatherRows>{{Tensor::from({m}, which, DType::i64)}, std::move(inputs)};
  };
  return {of({4, 0, 7, 4}, {{5, 3}, {3, 3}}), of({2, 1}, {{3, 17}}), of({0}, {{1, 1}})};
}

}  // namespace exciton::ops
