// Every operator's backward against central differences in double.
#include "support.hpp"

namespace exciton::ops {
namespace {

template <class Op>
class Gradients : public testing::Test {};
TYPED_TEST_SUITE(Gradients, AllOpTypes, OpNames);

TYPED_TEST(Gradients, MatchCentralDifferences) {
  const auto examples = TypeParam::examples();
  ASSERT_GE(examples.size(), 2u) << "one size is not a test";
  for (std::size_t i = 0; i < examples.size(); ++i) {
    const GradcheckResult result = gradcheck(examples[i]);
    EXPECT_TRUE(result.ok) << "example " << i << ": " << result.message;
  }
}

TYPED_TEST(Gradients, ExamplesHaveOddSizes) {
  // An extent that is odd and above one finds the loops that assume an even or a full vector.
  const auto examples = TypeParam::examples();
  EXPECT_TRUE(std::any_of(examples.begin(), examples.end(), [](const auto& example) {
    return std::any_of(example.inputs.begin(), example.inputs.end(), [](const Shape& s) {
      return std::any_of(s.begin(), s.end(), [](std::int64_t d) { return d > 1 && d % 2 == 1; });
    });
  }));
}

// In evaluation the statistics are constants, which the examples, having no running ones, cannot
// show.

RunningStats statistics(std::int64_t channels) {
  Generator rng(3);
  return {Tensor::randn({channels}, rng, DType::f64),
          Tensor::rand({channels}, rng, 0.5, 2, DType::f64)};
}

TEST(GradientsInEvaluation, BatchNorm) {
  RunningStats running = statistics(5);
  const BatchNorm op{{.training = false, .running = &running}};
  for (const Shape& x : {Shape{2, 3, 4, 5}, Shape{1, 1, 1, 5}, Shape{3, 5}}) {
    const GradcheckResult result = gradcheck(Example<BatchNorm>{op, {x, {5}, {5}}});
    EXPECT_TRUE(result.ok) << result.message;
  }
}

TEST(GradientsInEvaluation, ResidualTail) {
  RunningStats running = statistics(5);
  for (SqueezeKind squeeze : {SqueezeKind::avg, SqueezeKind::max}) {
    const ResidualTail op{.norm = {.training = false, .running = &running}, .squeeze = squeeze};
    const Shape map{2, 3, 4, 5};
    const GradcheckResult result =
        gradcheck(Example<ResidualTail>{op, {map, {5}, {5}, map, {2, 5}, {2}, {5, 2}, {5}}});
    EXPECT_TRUE(result.ok) << result.message;
  }
}

// Chain rule over several operators through the tape, with a value used twice.
TEST(GradientsOfComposition, SqueezeExciteBlockThroughTheTape) {
  Generator rng(5);
  const auto draw = [&](const Shape& s) { return Tensor::randn(s, rng, DType::f64); };
  std::vector<Tensor> in{draw({2, 3, 2, 6}), draw({2, 6}), draw({2}), draw({6, 2}), draw({6})};
  const Tensor labels = Tensor::from({2}, {5, 1}, DType::i64);
  const auto loss = [&](const std::vector<Var>& v) {
    const Var gates = excite(squeeze(v[0]), v[1], v[2], v[3], v[4]);
    return cross_entropy(global_avg_pool(relu(add(scale(v[0], gates), v[0]))), labels, 0.1);
  };
  std::vector<Tensor> grads;
  {
    Tape tape;
    std::vector<Var> v;
    for (const Tensor& t : in) v.push_back(tape.watch(t));
    tape.backward(loss(v));
    for (const Var& w : v) grads.push_back(tape.gradient(w));
  }
  const auto at = [&](const std::vector<Tensor>& t) {
    return loss({t.begin(), t.end()}).value().item();
  };
  const double eps = 1e-5;
  for (std::size_t i = 0; i < in.size(); ++i)
    for (std::int64_t k = 0; k < in[i].numel(); ++k) {
      std::vector<Tensor> up = in, down = in;
      up[i] = in[i].clone();
      down[i] = in[i].clone();
      up[i].set(k, in[i].at(k) + eps);
      down[i].set(k, in[i].at(k) - eps);
      EXPECT_NEAR(grads[i].at(k), (at(up) - at(down)) / (2 * eps), 1e-8)
          << "input " << i << " element " << k;
    }
}

}  // namespace
}  // namespace exciton::ops
