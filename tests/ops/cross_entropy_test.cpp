/// Softmax cross-entropy with class weights beside PyTorch's CrossEntropyLoss(weight,
/// label_smoothing), version 1.13, in double.
#include "exciton/ops/cross_entropy.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace exciton::ops {
namespace {

TEST(CrossEntropyWeights, AreThoseOfPyTorch) {
  struct Golden {
    double smoothing, loss;
    std::vector<double> gradient;
  };
  const std::vector<Golden> cases{
      {0.0,
       1.9890696919488755,
       {0.009233976572734373, -0.2344369215666556,  0.11249286383061385,  0.02510055072208038,
        0.08760953044122699,  0.1437692795349502,   0.03207926236705782,  0.11196762748343092,
        0.024983354651817676, -0.31279952403725664, -0.0589092770672187,  0.027075950156720947,
        0.006041461094640048, 0.021086771184456603, 0.004705094631401096, 0.09584618635663347,
        -0.2452804917552948,  0.07464508498895395,  0.01665556976787845,  0.058133650641828905}},
      {0.1,
       1.9192549332326234,
       {0.007600539000787174, -0.21415105494907266, 0.10617017908945224,   0.0236181161569461,
        0.07676222070188711,  0.13452863582719463,  0.024981569603536306,  0.10314274130517558,
        0.02294260347930104,  -0.28559555021520755, -0.05225718750197922,  0.02634552835003017,
        0.004401842814062189, 0.024004855619147555, -0.002495039281260718, 0.09139785196670955,
        -0.22464220910658106, 0.06955245306014628,  0.015447597083755734,  0.04824430699596947}}};
  std::vector<double> z;
  for (int i = 0; i < 4; ++i)
    for (int j = 0; j < 5; ++j) z.push_back((i * 7 + j * 5) % 11 / 4.0 - 1.2);
  for (const Golden& c : cases)
    for (const DType type : {DType::f64, DType::f32}) {
      const double near = type == DType::f64 ? 1e-12 : 1e-6;
      const CrossEntropy op{Tensor::from({4}, {1, 4, 0, 1}, DType::i64), c.smoothing,
                            Tensor::from({5}, {0.5, 2, 1, 0.25, 3}, DType::f64)};
      CrossEntropy::Saved saved;
      EXPECT_NEAR(op.forward(saved, Tensor::from({4, 5}, z, type)).item(), c.loss, near);
      const auto grads = op.backward(saved, Tensor::full({1}, 1, type), {true});
      for (std::size_t i = 0; i < c.gradient.size(); ++i)
        EXPECT_NEAR(grads[0].at(static_cast<std::int64_t>(i)), c.gradient[i], near) << i;
    }
}

}  // namespace
}  // namespace exciton::ops
