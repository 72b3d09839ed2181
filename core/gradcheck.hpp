/// The gradient check: in double, against a random cotangent, tolerance 1e-7.
///
/// With f(x) = dot(forward(x), dy) for a random dy, backward must return df/dx. Every element of
/// small inputs is perturbed; larger ones are probed at random elements and along one random
/// direction. A sum as the scalar (dy of ones) would hide errors: the true input gradient of a
/// batch norm under it is zero.
#pragma once
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "exciton/core/example.hpp"
#include "exciton/core/operator_node.hpp"
#include "exciton/core/var.hpp"

namespace exciton {

struct GradcheckOptions {
  double eps = 1e-5;        ///< step of the central difference
  double tolerance = 1e-7;  ///< on |numeric - analytic| / max(1, |numeric|, |analytic|)
  int elements = 64;        ///< inputs up to this size are checked element by element
  std::uint64_t seed = 1;
};

/// The largest error and where it was.
struct GradcheckResult {
  bool ok = true;
  double worst = 0;
  std::string message;  ///< "conv2d: input 1 [8, 4, 3, 3] element 12: analytic ..., numeric ..."
};

namespace detail {

template <class Op>
auto call_forward(const Op& op, typename Op::Saved& saved, const std::vector<Tensor>& x) {
  if constexpr (arity_of<Op> == any_number) {
    return op.forward(saved, std::span<const Tensor>(x));
  } else {
    check(x.size() == static_cast<std::size_t>(arity_of<Op>), Op::name, ": takes ", arity_of<Op>,
          " inputs, an example has ", x.size(),
          "; optional ones are `absent` where they are not there");
    const auto run = [&]<std::size_t... I>(std::index_sequence<I...>) {
      return op.forward(saved, x[I]...);
    };
    return run(std::make_index_sequence<static_cast<std::size_t>(arity_of<Op>)>{});
  }
}

/// backward with every present input wanting its gradient.
template <class Op>
std::vector<Tensor> call_backward(const Op& op, typename Op::Saved& saved, Tensor dy,
                                  const std::vector<Tensor>& x) {
  std::vector<Tensor> out;
  if constexpr (arity_of<Op> == any_number) {
    const auto needs = std::make_unique<bool[]>(x.size());
    for (std::size_t i = 0; i < x.size(); ++i) needs[i] = true;
    out = op.backward(saved, std::move(dy), std::span<const bool>(needs.get(), x.size()));
  } else {
    Needs<arity_of<Op>> needs{};
    for (std::size_t i = 0; i < needs.size(); ++i) needs[i] = !x[i].empty();
    for (auto& g : op.backward(saved, std::move(dy), needs)) out.push_back(std::move(g));
  }
  return out;
}

/// The inputs of an example, in `type`.
template <class Op>
std::vector<Tensor> example_inputs(const Example<Op>& example, Generator& rng, DType type) {
  std::vector<Tensor> x;
  for (std::size_t i = 0; i < example.inputs.size(); ++i) {
    const Shape& shape = example.inputs[i];
    if (shape == absent) {
      x.emplace_back();
      continue;
    }
    if constexpr (requires { Op::sample(0, shape, rng); })
      x.push_back(Op::sample(static_cast<int>(i), shape, rng).to(type));
    else
      x.push_back(Tensor::randn(shape, rng, DType::f64).to(type));
  }
  return x;
}

GradcheckResult compare_gradients(std::string_view name, const std::vector<Tensor>& x,
                                  const std::vector<Tensor>& analytic,
                                  double (*loss)(const void*, const std::vector<Tensor>&),
                                  const void* context, const GradcheckOptions& options);

}  // namespace detail

/// Checks one example of Op. Errors: it has another number of inputs than the operator; those of
/// forward and backward.
template <Operator Op>
GradcheckResult gradcheck(const Example<Op>& example, const GradcheckOptions& options = {}) {
  Generator rng(options.seed, 77);
  const std::vector<Tensor> x = detail::example_inputs(example, rng, DType::f64);
  typename Op::Saved saved{};
  const Tensor y = detail::call_forward(example.op, saved, x);
  const Tensor dy = Tensor::randn(y.shape(), rng, DType::f64);
  const std::vector<Tensor> grads = detail::call_backward(example.op, saved, dy.clone(), x);
  struct Context {
    const Op& op;
    const Tensor& dy;
  } context{example.op, dy};
  return detail::compare_gradients(
      Op::name, x, grads,
      [](const void* c, const std::vector<Tensor>& at) {
        const auto& k = *static_cast<const Context*>(c);
        typename Op::Saved fresh{};
        return dot(detail::call_forward(k.op, fresh, at), k.dy);
      },
      &context, options);
}

/// The same for a function of tensors, whatever it is made of: operators of any language, modules.
/// `inputs` are taken in f64; what else it reads is its own. `name` opens the message. Errors: an
/// input that is not floating; a result that is not f64, or does not depend on the inputs; another
/// tape is active; those of `function`.
GradcheckResult gradcheck(std::string_view name,
                          const std::function<Var(std::span<const Var>)>& function,
                          std::vector<Tensor> inputs, const GradcheckOptions& options = {});

}  // namespace exciton
