#include "exciton/ops/convolution/norm_relu_conv.hpp"

#include "exciton/core/example.hpp"

namespace exciton::ops {

Tensor NormReluConv::forward(Saved& saved, const Tensor& y, const Tensor& gamma, const Tensor& beta,
                             const Tensor& w1, const Tensor& b1, const Tensor& w2, const Tensor& b2,
                             const Tensor& weight) const {
  const Tensor h = tail.forward(saved.tail, y, gamma, beta, {}, w1, b1, w2, b2);
  Conv2d::Saved of_conv;
  saved.weight = weight;
  const Tensor out = conv.forward(of_conv, h, weight, {});
  saved.ran = of_conv.ran;
  return out;
}

Grads<8> NormReluConv::backward(Saved& saved, Tensor dout, Needs<8> needs) const {
  // h is wanted by the weight gradient; the data gradient only asks for its shape.
  Conv2d::Saved behind{needs[7] ? tail.recompute(saved.tail) : saved.tail.y, saved.weight, {}};
  Grads<3> of_conv = conv.backward(behind, std::move(dout), {true, needs[7], false});
  saved.ran = behind.ran;
  behind = {};
  Grads<8> of_tail =
      tail.backward(saved.tail, std::move(of_conv[0]),
                    {needs[0], needs[1], needs[2], false, needs[3], needs[4], needs[5], needs[6]});
  Grads<8> grads;
  for (std::size_t i = 0; i < 3; ++i) grads[i] = std::move(of_tail[i]);
  for (std::size_t i = 3; i < 7; ++i) grads[i] = std::move(of_tail[i + 1]);
  grads[7] = std::move(of_conv[1]);
  return grads;
}

std::int64_t NormReluConv::multiply_adds(const Tensor& out, const Tensor& y, const Tensor& gamma,
                                         const Tensor& beta, const Tensor& w1, const Tensor& b1,
                                         const Tensor& w2, const Tensor& b2,
                                         const Tensor& weight) const {
  return tail.multiply_adds(y, y, gamma, beta, {}, w1, b1, w2, b2) +
         conv.multiply_adds(out, y, weight, {});
}

Var NormReluConv::composed(const NormReluConv& op, const Var& y, const Var& gamma, const Var& beta,
                           const Var& w1, const Var& b1, const Var& w2, const Var& b2,
                           const Var& weight) {
  return apply(op.conv, ResidualTail::composed(op.tail, y, gamma, beta, {}, w1, b1, w2, b2), weight,
               Var());
}

std::vector<Example<NormReluConv>> NormReluConv::examples() {
  std::vector<Example<NormReluConv>> out;
  const auto add = [&](Shape map, Shape weight, ConvSpec spec, std::int64_t hidden,
                       SqueezeKind squeeze = SqueezeKind::avg, bool relu = true) {
    const std::int64_t c = map[3];
    std::vector<Shape> in{map, {c}, {c}, absent, absent, absent, absent, weight};
    if (hidden > 0) {
      in[3] = {hidden, c};
      in[4] = {hidden};
      in[5] = {c, hidden};
      in[6] = {c};
    }
    NormReluConv op;
    op.tail.squeeze = squeeze;
    op.tail.relu = relu;
    op.conv.spec = spec;
    out.push_back({op, in});
  };
  add({2, 3, 4, 5}, {3, 5, 1, 1}, {}, 0);
  add({3, 4, 3, 7}, {5, 7, 3, 3}, {.stride = 2, .padding = 1}, 0);
  add({2, 3, 5, 6}, {4, 3, 3, 3}, {.padding = 1, .groups = 2}, 2);
  add({1, 5, 4, 17}, {2, 17, 1, 1}, {}, 3, SqueezeKind::max);
  add({2, 3, 4, 6}, {4, 6, 1, 1}, {}, 0, SqueezeKind::avg, false);
  return out;
}

}  // namespace exciton::ops
