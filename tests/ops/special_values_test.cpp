// NaN, infinities, denormal numbers and -0 through every operator: each fast or fused kernel must
// pass them on as the plain twin in double does, forward and backward. The values are put at single
// elements of each input and of the incoming gradient, in f32 and bf16. Other instruction sets and
// convolutions run in processes of their own (tests/ops/CMakeLists.txt).
#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>

#include "exciton/ops/convolution/kernels.hpp"
#include "exciton/ops/convolution/path.hpp"
#include "support.hpp"

namespace exciton::ops {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

// The twins: formulas of the headers, one loop an index, or compositions of single operators.

template <class Op>
Outcome twin(const Op& op, const std::vector<Tensor>& x, const Tensor& dy) {
  if constexpr (requires { &Op::composed; })
    return run_on_tape([&](const std::vector<Var>& v) { return composed(op, v); }, x, dy);
  else
    return run(op, x, dy);  // f64 runs the plain loops
}

Outcome twin(const Excite& op, const std::vector<Tensor>& x, const Tensor& dy) {
  const auto f = [&](const std::vector<Var>& v) {
    const Var u = linear(relu(linear(v[0], v[1], v[2])), v[3], v[4]);
    switch (op.gate) {
      case GateKind::sigmoid:
        return sigmoid(u);
      case GateKind::tanh:
        return ops::tanh(u);
      case GateKind::relu:
        return relu(u);
      case GateKind::hard_sigmoid:
        return hard_sigmoid(u);
    }
    return u;
  };
  return run_on_tape(f, x, dy);
}

/// The element of [N, H, W, C] (or [N, C]) at a pixel of all images and a channel.
struct Map {
  std::int64_t pixels, c;
  explicit Map(const Shape& s) : pixels(s.numel() / s[-1]), c(s[-1]) {}
};

Outcome twin(const BatchNorm& op, const std::vector<Tensor>& x, const Tensor& dy) {
  const Map m(x[0].shape());
  const auto count = static_cast<double>(m.pixels);
  Outcome r{
      Tensor(x[0].shape(), DType::f64),
      {Tensor(x[0].shape(), DType::f64), Tensor({m.c}, DType::f64), Tensor({m.c}, DType::f64)}};
  for (std::int64_t k = 0; k < m.c; ++k) {
    const auto over = [&](auto f) {
      double sum = 0;
      for (std::int64_t p = 0; p < m.pixels; ++p) sum += f(p * m.c + k);
      return sum;
    };
    const double mean = over([&](auto i) { return x[0].at(i); }) / count;
    const double var = over([&](auto i) { return std::pow(x[0].at(i) - mean, 2); }) / count;
    const double rstd = 1 / std::sqrt(var + op.spec.eps), gamma = x[1].at(k);
    const auto normal = [&](auto i) { return (x[0].at(i) - mean) * rstd; };
    const double dbeta = over([&](auto i) { return dy.at(i); });
    const double dgamma = over([&](auto i) { return dy.at(i) * normal(i); });
    r.grads[1].set(k, dgamma);
    r.grads[2].set(k, dbeta);
    for (std::int64_t p = 0; p < m.pixels; ++p) {
      const std::int64_t i = p * m.c + k;
      r.y.set(i, gamma * normal(i) + x[2].at(k));
      r.grads[0].set(i, gamma * rstd * (dy.at(i) - dbeta / count - normal(i) * dgamma / count));
    }
  }
  return r;
}

Outcome twin(const Squeeze& op, const std::vector<Tensor>& x, const Tensor& dy) {
  const Shape& s = x[0].shape();
  const std::int64_t pixels = s[1] * s[2], c = s[3];
  Outcome r{Tensor({s[0], c}, DType::f64), {Tensor::zeros(s, DType::f64)}};
  for (std::int64_t n = 0; n < s[0]; ++n)
    for (std::int64_t k = 0; k < c; ++k) {
      const auto at = [&](std::int64_t p) { return (n * pixels + p) * c + k; };
      double sum = 0, most = -infinity;
      std::int64_t where = 0;
      for (std::int64_t p = 0; p < pixels; ++p) {
        const double v = x[0].at(at(p));
        sum += v;
        if (v > most || std::isnan(v)) {
          most = v;
          where = p;
        }
      }
      const double d = dy.at(n * c + k);
      const bool avg = op.kind == SqueezeKind::avg;
      r.y.set(n * c + k, avg ? sum / static_cast<double>(pixels) : most);
      for (std::int64_t p = 0; p < pixels; ++p)
        r.grads[0].set(at(p), avg ? d / static_cast<double>(pixels) : p == where ? d : 0);
    }
  return r;
}

Outcome twin(const GlobalAvgPool&, const std::vector<Tensor>& x, const Tensor& dy) {
  return twin(Squeeze{SqueezeKind::avg}, x, dy);
}

Outcome twin(const Scale&, const std::vector<Tensor>& x, const Tensor& dy) {
  const Shape& s = x[0].shape();
  const std::int64_t pixels = s[1] * s[2], c = s[3];
  Outcome r{Tensor(s, DType::f64), {Tensor(s, DType::f64), Tensor({s[0], c}, DType::f64)}};
  for (std::int64_t g = 0; g < s[0] * c; ++g) {
    double sum = 0;
    for (std::int64_t p = 0; p < pixels; ++p) {
      const std::int64_t i = (g / c * pixels + p) * c + g % c;
      r.y.set(i, x[1].at(g) * x[0].at(i));
      r.grads[0].set(i, x[1].at(g) * dy.at(i));
      sum += dy.at(i) * x[0].at(i);
    }
    r.grads[1].set(g, sum);
  }
  return r;
}

Outcome twin(const MaxPool& op, const std::vector<Tensor>& x, const Tensor& dy) {
  const PoolWindows w("max_pool", x[0].shape(), op.spec);
  Outcome r{Tensor(w.result(), DType::f64), {Tensor::zeros(x[0].shape(), DType::f64)}};
  for (std::int64_t i = 0; i < r.y.numel(); ++i) {
    const std::int64_t k = i % w.c, column = i / w.c % w.ow, row = i / w.c / w.ow % w.oh;
    const std::int64_t n = i / w.c / w.ow / w.oh;
    double most = -infinity;
    std::int64_t where = -1;
    for (std::int64_t a = w.pixels(row, w.h).begin; a < w.pixels(row, w.h).end; ++a)
      for (std::int64_t b = w.pixels(column, w.w).begin; b < w.pixels(column, w.w).end; ++b) {
        const std::int64_t at = ((n * w.h + a) * w.w + b) * w.c + k;
        const double v = x[0].at(at);
        if (where < 0 || v > most || std::isnan(v)) {
          most = v;
          where = at;
        }
      }
    r.y.set(i, most);
    r.grads[0].set(where, r.grads[0].at(where) + dy.at(i));
  }
  return r;
}

// Winograd's transforms add a pixel to all that share its tile; oneDNN multiplies the zeros of
// borders and of joined groups. So NaN and infinity turn more of the image to NaN (or of the
// gradient of the weights) than the sum they stand for; the own direct convolution keeps to the
// formula.

template <class Op>
bool spreads() {
  const bool convolves = std::is_same_v<Op, Conv2d> || std::is_same_v<Op, NormReluConv>;
  return convolves && conv_path() != ConvPath::own;
}

/// Operators in one pass form other infinities between: gates of a mean of infinities, say.
template <class Op>
constexpr bool fused = std::is_same_v<Op, ResidualTail> || std::is_same_v<Op, NormReluConv>;

bool all_finite(const Outcome& o) {
  const auto finite = [](const Tensor& t) {
    for (std::int64_t i = 0; i < t.numel(); ++i)
      if (!std::isfinite(t.at(i))) return false;
    return true;
  };
  return finite(o.y) && std::all_of(o.grads.begin(), o.grads.end(), finite);
}

/// What is wrong with `got`, or nothing. An infinity may stand where the twin has NaN and the other
/// way round: in sums that are ordered otherwise, infinities of both signs meet or do not.
std::string complaint(const Tensor& got, const Tensor& wanted, double tolerance, bool spread) {
  if (got.shape() != wanted.shape()) return "shape";
  double scale = 1;
  for (std::int64_t i = 0; i < wanted.numel(); ++i)
    if (std::isfinite(wanted.at(i))) scale = std::max(scale, std::abs(wanted.at(i)));
  for (std::int64_t i = 0; i < wanted.numel(); ++i) {
    const double g = got.at(i), w = wanted.at(i);
    const bool right = std::isfinite(w) ? std::abs(g - w) <= tolerance * scale : !std::isfinite(g);
    if (!right && !(spread && std::isnan(g)))
      return "element " + std::to_string(i) + " is " + std::to_string(g) + ", the twin's " +
             std::to_string(w);
  }
  return {};
}

template <class Op>
void compare_with_twin(DType type) {
  const double tolerance = type == DType::f32 ? 2e-5 : 0x1p-6;
  const auto examples = Op::examples();
  for (std::size_t e = 0; e < examples.size(); ++e) {
    const Op& op = examples[e].op;
    Generator rng(9);
    std::vector<Tensor> inputs;
    std::size_t number = 0;
    for (const Tensor& x : detail::example_inputs(examples[e], rng, DType::f64)) {
      const bool small = type == DType::bf16 && is_activation<Op>(number, examples[e].inputs);
      inputs.push_back(x.to(small ? DType::bf16 : DType::f32));
      ++number;
    }
    const Tensor gradient = random_gradient(op, inputs, rng);
    // Poisoned: each input in turn, then the gradient.
    for (std::size_t input = 0; input <= inputs.size(); ++input) {
      const Tensor& clean = input < inputs.size() ? inputs[input] : gradient;
      if (clean.empty()) continue;
      const std::int64_t n = clean.numel(), c = clean.dim(-1);
      for (const double value : {static_cast<double>(NAN), infinity, -infinity, 1e-40, -0.0})
        for (const std::int64_t at : {std::int64_t{0}, c - 1, n / 2, n - 1}) {
          Tensor poisoned = clean.clone();
          poisoned.set(at, value);
          std::vector<Tensor> x = inputs, wide;
          if (input < inputs.size()) x[input] = poisoned;
          const Tensor& dy = input < inputs.size() ? gradient : poisoned;
          for (const Tensor& t : x) wide.push_back(t.empty() ? t : t.to(DType::f64));
          const Outcome fast = run(op, x, dy), plain = twin(op, wide, dy.to(DType::f64));
          if (fused<Op> && std::isinf(value)) {
            EXPECT_EQ(all_finite(fast), all_finite(plain));
            continue;
          }
          const bool spread = spreads<Op>() && !std::isfinite(value);
          const auto expect = [&](const Tensor& got, const Tensor& wanted, const std::string& of) {
            const std::string wrong = complaint(got, wanted, tolerance, spread);
            EXPECT_TRUE(wrong.empty())
                << of << ", " << type << ", example " << e << ": " << value << " at element " << at
                << " of " << (input < inputs.size() ? "input " + std::to_string(input) : "dy")
                << ": " << wrong;
          };
          expect(fast.y, plain.y, "y");
          // A norm that is next to nothing: which value is the largest behind it is rounding's.
          if (fused<Op> && value == 1e-40) continue;
          for (std::size_t g = 0; g < x.size(); ++g)
            if (!x[g].empty())
              expect(fast.grads[g], plain.grads[g], "gradient " + std::to_string(g));
          if (testing::Test::HasFailure()) return;  // one is enough
        }
    }
  }
}

template <class Op>
class SpecialValues : public testing::Test {};
TYPED_TEST_SUITE(SpecialValues, AllOpTypes, OpNames);

TYPED_TEST(SpecialValues, PassAsInTheTwin) { compare_with_twin<TypeParam>(DType::f32); }
TYPED_TEST(SpecialValues, PassAsInTheTwinInBFloat16) { compare_with_twin<TypeParam>(DType::bf16); }

/// In evaluation a single NaN does not reach the others through the statistics.
TEST(SpecialValuesInEvaluation, ResidualTail) {
  RunningStats running{Tensor::from({5}, {0.3, -0.2, 0.1, 0.5, -0.4}),
                       Tensor::from({5}, {1, 0.5, 2, 0.7, 1.3})};
  for (const auto& example : ResidualTail::examples())
    for (const double value : {static_cast<double>(NAN), infinity, -infinity}) {
      if (example.inputs[0][3] != 5) continue;
      ResidualTail op = example.op;
      op.norm.training = false;
      op.norm.running = &running;
      Generator rng(9);
      auto x = detail::example_inputs(example, rng, DType::f32);
      x[1].set(0, 0);  // 0 times infinity is NaN, whichever pixel holds it
      x[1].set(1, -1);
      const Tensor dy = random_gradient(op, x, rng);
      for (const std::int64_t at : {0, 1, 2, 55, 56, 57}) {
        std::vector<Tensor> poisoned = x, wide;
        poisoned[0] = x[0].clone();
        poisoned[0].set(at, value);
        for (const Tensor& t : poisoned) wide.push_back(t.empty() ? t : t.to(DType::f64));
        const Outcome fast = run(op, poisoned, dy), plain = twin(op, wide, dy.to(DType::f64));
        EXPECT_EQ(complaint(fast.y, plain.y, 1e-5, false), "") << value << " at " << at;
        for (std::size_t i = 0; i < x.size(); ++i) {
          if (x[i].empty()) continue;
          EXPECT_EQ(complaint(fast.grads[i], plain.grads[i], 1e-5, false), "")
              << "gradient " << i << ": " << value << " at " << at;
        }
      }
    }
}

/// Convolutions of every size of vectors and kind of kernel with all that follows them.
TEST(SpecialValuesInEpilogues, PassThroughTheReLU) {
  for (const DType type : {DType::f32, DType::bf16})
    for (const std::int64_t c : {3, 8, 16, 40})
      for (const std::int64_t kernel : {1, 3})
        for (const bool gated : {false, true})
          for (const std::int64_t images : {1, 5}) {
            Generator rng(5);
            const ConvSpec spec{.padding = kernel / 2};
            const Shape map{images, 7, 6, c};
            const Tensor w = Tensor::randn({c, c, kernel, kernel}, rng);
            const Tensor bias = Tensor::randn({c}, rng), gates = Tensor::rand({images, c}, rng);
            const Tensor clean = Tensor::randn(map, rng).to(type);
            const Tensor shortcut = Tensor::randn(map, rng).to(type);
            for (const double value : {static_cast<double>(NAN), infinity, -infinity}) {
              for (const bool in_shortcut : {false, true}) {
                const std::int64_t at = clean.numel() - c - 1;
                Tensor poisoned = (in_shortcut ? shortcut : clean).clone();
                poisoned.set(at, value);
                const Tensor& x = in_shortcut ? clean : poisoned;
                const Tensor& s = in_shortcut ? poisoned : shortcut;
                ConvKernels kernels;
                const Tensor got = kernels.forward(
                    x, w, 1, spec, {bias, gated ? gates : Tensor(), s, /*relu=*/true});
                const auto wide = [](const Tensor& t) { return t.to(DType::f64); };
                Var y =
                    conv2d(wide(x), wide(type == DType::bf16 ? w.to(type) : w), wide(bias), spec);
                if (gated) y = scale(y, wide(gates));
                const Tensor wanted = relu(add(y, wide(s))).value();
                const bool spread = !in_shortcut && spreads<Conv2d>();
                EXPECT_EQ(complaint(got, wanted, type == DType::f32 ? 1e-5 : 0x1p-7, spread), "")
                    << type << ' ' << c << " channels, kernel " << kernel << ", images " << images
                    << ", gates " << gated << ": " << value
                    << (in_shortcut ? " in the shortcut" : " in x");
              }
            }
          }
}

TEST(SpecialValues, RoundingToBFloat16KeepsEveryNaN) {
  for (const std::uint32_t bits : {0x7f800001U, 0x7fffffffU, 0xff800001U, 0xffffffffU, 0x7fc00000U})
    for (const std::int64_t c : {1, 16, 17, 64}) {
      Tensor x({2, 2, 2, c}), gates = Tensor::full({2, c}, 1);
      for (float& v : x.span<float>()) v = std::bit_cast<float>(bits);
      // Through the vectors: a map of bf16 out of f32 gates that are NaN.
      for (float& v : gates.span<float>()) v = std::bit_cast<float>(bits);
      const Tensor y = scale(Tensor::full({2, 2, 2, c}, 1, DType::bf16), gates).value();
      const Tensor z = x.to(DType::bf16);
      for (std::int64_t i = 0; i < y.numel(); ++i) {
        EXPECT_TRUE(std::isnan(y.at(i))) << bits;
        EXPECT_TRUE(std::isnan(z.at(i))) << bits;
      }
    }
}

/// Operators that are linear in their first input keep what is denormal there.
template <class Op>
void expect_denormals_kept(DType type) {
  const auto examples = Op::examples();
  for (std::size_t e = 0; e < examples.size(); ++e) {
    Generator rng(9);
    std::vector<Tensor> x, wide;
    std::size_t number = 0;
    for (const Tensor& t : detail::example_inputs(examples[e], rng, DType::f64)) {
      const bool map = is_activation<Op>(number++, examples[e].inputs);
      Tensor v = t.clone();
      for (std::int64_t i = 0; map && i < v.numel(); ++i) v.set(i, v.at(i) * 3e-39);
      x.push_back(v.to(map ? type : DType::f32));
      wide.push_back(x.back().empty() ? Tensor() : x.back().to(DType::f64));
    }
    typename Op::Saved saved{}, exact{};
    const Tensor got = detail::call_forward(examples[e].op, saved, x);
    const Tensor wanted = detail::call_forward(examples[e].op, exact, wide);
    const double step = type == DType::f32 ? 0x1p-149 : 0x1p-133;
    const auto terms = static_cast<double>(x[0].numel());
    for (std::int64_t i = 0; i < got.numel(); ++i)
      ASSERT_NEAR(got.at(i), wanted.at(i),
                  std::abs(wanted.at(i)) * 0x1p-8 + step + terms * 0x1p-149)
          << Op::name << ' ' << type << " example " << e << " element " << i;
  }
}

TEST(SpecialValues, DenormalNumbersAreNotFlushed) {
  for (const DType type : {DType::f32, DType::bf16}) {
    expect_denormals_kept<Squeeze>(type);
    expect_denormals_kept<GlobalAvgPool>(type);
    expect_denormals_kept<Scale>(type);
    expect_denormals_kept<Relu>(type);
    expect_denormals_kept<Add>(type);
    expect_denormals_kept<MaxPool>(type);
    expect_denormals_kept<AvgPool>(type);
    expect_denormals_kept<Concat>(type);
    expect_denormals_kept<ShakeShake>(type);
  }
}

}  // namespace
}  // namespace exciton::ops
