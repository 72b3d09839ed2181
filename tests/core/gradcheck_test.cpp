// The check itself must notice wrong formulas.
#include <gtest/gtest.h>

#include "operators.hpp"

namespace exciton::testing_ops {
namespace {

TEST(Gradcheck, AcceptsTheRightFormula) {
  const GradcheckResult small = gradcheck(Example<Cube>{{1}, {{2, 3}}});
  EXPECT_TRUE(small.ok) << small.message;
  const GradcheckResult large = gradcheck(Example<Cube>{{1}, {{20, 30}}});
  EXPECT_TRUE(large.ok) << large.message;
  EXPECT_LT(large.worst, 1e-7);
  const GradcheckResult many = gradcheck(Example<Total>{{}, {{2, 3}, {1}, {4}}});
  EXPECT_TRUE(many.ok) << many.message;
}

TEST(Gradcheck, NoticesASlightlyWrongFactor) {
  for (const Shape& shape : {Shape{2, 3}, Shape{20, 30}}) {
    const GradcheckResult result = gradcheck(Example<Cube>{{1 + 1e-6}, {shape}});
    EXPECT_FALSE(result.ok);
    EXPECT_NE(result.message.find("cube: input 0 " + shape.str()), std::string::npos)
        << result.message;
  }
}

/// Right but for one element.
struct OneElementLost : Cube {
  Grads<1> backward(Saved& saved, Tensor dy, Needs<1> needs) const {
    auto grads = Cube::backward(saved, std::move(dy), needs);
    grads[0].set(4, 0);
    return grads;
  }
};
TEST(Gradcheck, NoticesOneLostElement) {
  EXPECT_FALSE(gradcheck(Example<OneElementLost>{{}, {{2, 3}}}).ok);
  // Among many elements the random direction sees it.
  EXPECT_FALSE(gradcheck(Example<OneElementLost>{{}, {{30, 30}}}).ok);
}

struct NoGradient : Cube {
  Grads<1> backward(Saved&, Tensor, Needs<1>) const { return {}; }
};
struct WrongShape : Cube {
  Grads<1> backward(Saved&, Tensor dy, Needs<1>) const { return {dy.reshape({dy.numel()})}; }
};
struct NotANumber : Cube {
  Grads<1> backward(Saved&, Tensor dy, Needs<1>) const {
    dy.fill(NAN);
    return {dy};
  }
};
TEST(Gradcheck, NoticesMissingMisshapenAndNaNGradients) {
  EXPECT_FALSE(gradcheck(Example<NoGradient>{{}, {{2, 3}}}).ok);
  EXPECT_FALSE(gradcheck(Example<WrongShape>{{}, {{2, 3}}}).ok);
  EXPECT_FALSE(gradcheck(Example<NotANumber>{{}, {{2, 3}}}).ok);
}

/// y = x - mean(x): a gradient of ones sums to zero, and this wrong backward, which forgets the
/// mean, would pass a check against the sum of y only.
struct Centred {
  static constexpr std::string_view name = "centred";
  bool right = true;
  struct Saved {};
  static double mean(const Tensor& x) {
    double sum = 0;
    for (std::int64_t i = 0; i < x.numel(); ++i) sum += x.at(i);
    return sum / static_cast<double>(x.numel());
  }
  Tensor forward(Saved&, const Tensor& x) const {
    const double m = mean(x);
    return each(x, [&](auto i) { return x.at(i) - m; });
  }
  Grads<1> backward(Saved&, Tensor dy, Needs<1>) const {
    const double m = mean(dy);
    return {each(dy, [&](auto i) { return (right ? 1 : 2) * (dy.at(i) - m); })};
  }
};
TEST(Gradcheck, SeesWhatASumCannot) {
  EXPECT_TRUE(gradcheck(Example<Centred>{{true}, {{7}}}).ok);
  EXPECT_FALSE(gradcheck(Example<Centred>{{false}, {{7}}}).ok);
}

/// Of a function of operators, whoever wrote them: a b, and a a where b is left out.
TEST(Gradcheck, TakesAnyFunction) {
  Generator rng(5);
  const std::vector<Tensor> x{Tensor::randn({2, 3}, rng), Tensor::randn({2, 3}, rng)};
  const auto cube = [](std::span<const Var> v) { return apply(Cube{1}, v[0]); };
  const GradcheckResult right = gradcheck("cubes", cube, {x[0]});
  EXPECT_TRUE(right.ok) << right.message;
  EXPECT_LT(right.worst, 1e-7);
  const auto total = [](std::span<const Var> v) { return apply(Total{}, v); };
  EXPECT_TRUE(gradcheck("total", total, x).ok);
  const auto wrong = [](std::span<const Var> v) { return apply(Cube{1.01}, v[0]); };
  const GradcheckResult found = gradcheck("my cube", wrong, {x[0]});
  EXPECT_FALSE(found.ok);
  EXPECT_TRUE(found.message.starts_with("my cube: input 0 [2, 3]")) << found.message;
  EXPECT_FALSE(gradcheck("the first alone", cube, x).ok) << "nothing came to the second";
  EXPECT_THROW(gradcheck("labels", cube, {Tensor({2}, DType::i64)}), Error);
}

}  // namespace
}  // namespace exciton::testing_ops
