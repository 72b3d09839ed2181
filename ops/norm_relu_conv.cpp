#include "exciton/ops/norm_relu_conv.hpp"

namespace exciton::ops {

Tensor NormReluConv::forward(Saved& saved, const Tensor& y, const Tensor& gamma, const Tensor& beta,
                             const Tensor& w1, const Tensor& b1, const Tensor& w2, const Tensor& b2,
                             const Tensor& weight) const {
  const Tensor h = tail.forward(saved.tail, y, gamma, beta, {}, w1, b1, w2, b2);
  Conv2d::Saved forgotten;
  saved.weight = weight;
  return conv.forward(forgotten, h, weight, {});
}

Grads<8> NormReluConv::backward(Saved& saved, Tensor dout, Needs<8> needs) const {
  // h is wanted by the weight gradient; the data gradient only asks for its shape.
  Conv2d::Saved behind{needs[7] ? tail.again(saved.tail) : saved.tail.y, saved.weight};
  Grads<3> of_conv = conv.backward(behind, std::move(dout), {true, needs[7], false});
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

std::vector<Example<NormReluConv>> NormReluConv::examples() {
  std::vector<Example<NormReluConv>> out;
  const auto add = [&](Shape map, Shape weight, ConvSpec spec, std::int64_t hidden,
                       SqueezeKind squeeze = SqueezeKind::avg) {
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
    op.conv.spec = spec;
    out.push_back({op, in});
  };
  add({2, 3, 4, 5}, {3, 5, 1, 1}, {}, 0);
  add({3, 4, 3, 7}, {5, 7, 3, 3}, {.stride = 2, .padding = 1}, 0);
  add({2, 3, 5, 6}, {4, 3, 3, 3}, {.padding = 1, .groups = 2}, 2);
  add({1, 5, 4, 17}, {2, 17, 1, 1}, {}, 3, SqueezeKind::max);
  return out;
}

}  // namespace exciton::ops
