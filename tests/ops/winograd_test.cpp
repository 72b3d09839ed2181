// Winograd's kernels against the direct sum in double, on maps of every remainder by four.
#include "exciton/ops/convolution/winograd.hpp"

#include <tuple>

#include "exciton/core/threads.hpp"
#include "exciton/ops/convolution/choices.hpp"
#include "exciton/ops/convolution/kernels.hpp"
#include "exciton/ops/convolution/path.hpp"
#include "exciton/ops/processor.hpp"
#include "exciton/ops/simd/channel_kernels.hpp"
#include "exciton/ops/simd/winograd_kernels.hpp"
#include "support.hpp"

namespace exciton::ops {
namespace {

constexpr ConvSpec same{.padding = 1};

struct Case {
  std::int64_t images, h, w, c, o, stride = 1;
  ConvSpec spec() const { return {.stride = stride, .padding = 1}; }
  Shape y() const { return {images, (h - 1) / stride + 1, (w - 1) / stride + 1, o}; }
};
std::ostream& operator<<(std::ostream& out, const Case& k) {
  return out << "images" << k.images << "_" << k.h << "x" << k.w << "_" << k.c << "to" << k.o
             << (k.stride == 2 ? "_halved" : "");
}

ConvGeometry geometry(const Case& k, DType maps = DType::f32) {
  return geometry_of({k.images, k.h, k.w, k.c}, {k.o, k.c, 3, 3}, k.spec(), maps, false);
}

/// Whether each element of `got` is that of `wanted`, rounded to bf16.
void expect_rounded(const Tensor& got, const Tensor& wanted, const char* what) {
  double largest = 0;
  for (std::int64_t i = 0; i < wanted.numel(); ++i)
    largest = std::max(largest, std::abs(wanted.at(i)));
  for (std::int64_t i = 0; i < wanted.numel(); ++i)
    ASSERT_NEAR(got.at(i), wanted.at(i), std::abs(wanted.at(i)) / 256 + 1e-5 * largest)
        << what << " " << i;
}

bool turned_off() { return conv_path() == ConvPath::direct || conv_path() == ConvPath::own; }

class WinogradCases : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    if (turned_off()) GTEST_SKIP() << "EXCITON_CONV turns Winograd's kernels off";
  }
  const Case k = GetParam();
  /// Winograd's kernels for this case, whatever the table says of it.
  KernelChoices choices() const {
    KernelChoices out;
    for (const auto direction :
         {Direction::forward, Direction::backward_data, Direction::backward_weights})
      out[form_name(geometry(k), direction)] = Winograd::kernel_of(geometry(k));
    return out;
  }
  Generator rng{3};
  Tensor x = Tensor::randn({k.images, k.h, k.w, k.c}, rng);
  Tensor w = Tensor::randn({k.o, k.c, 3, 3}, rng);
  Tensor bias = Tensor::randn({k.o}, rng);
  Tensor dy = Tensor::randn(k.y(), rng);
};

TEST_P(WinogradCases, FollowTheDirectSum) {
  ASSERT_TRUE(Winograd::can_run(geometry(k)));
  const ScopedKernelChoices here(choices());
  const Conv2d op{.spec = k.spec()};
  const Outcome fast = run(op, {x, w, bias}, dy);
  const Outcome exact =
      run(op, {x.to(DType::f64), w.to(DType::f64), bias.to(DType::f64)}, dy.to(DType::f64));
  EXPECT_LE(distance(fast.y, exact.y), 1e-5);
  for (std::size_t i = 0; i < 3; ++i)
    EXPECT_LE(distance(fast.grads[i], exact.grads[i]), 1e-5) << "gradient " << i;
}

TEST_P(WinogradCases, EndInTheEpilogue) {
  const Tensor gates = Tensor::randn({k.images, k.o}, rng),
               shortcut = Tensor::randn(dy.shape(), rng);
  auto g = geometry(k);
  g.epilogue = {.gates = true, .shortcut = true, .relu = true};
  Tensor y(dy.shape());
  Winograd winograd;
  winograd.forward(g, k.images, w, 1, x.data<float>(), bias.data<float>(), y.data<float>(),
                   {gates.data<float>(), shortcut.raw()});
  const ScopedKernelChoices here(choices());
  Conv2d::Saved unused;
  const Tensor conv = Conv2d{.spec = k.spec()}.forward(unused, x, w, bias);
  for (std::int64_t i = 0; i < y.numel(); ++i) {
    const std::int64_t n = i / (y.numel() / k.images), o = i % k.o;
    const double wanted = std::max(0.0, gates.at(n * k.o + o) * conv.at(i) + shortcut.at(i));
    ASSERT_NEAR(y.at(i), wanted, 1e-5 * (1 + std::abs(wanted))) << "element " << i;
  }
}

TEST_P(WinogradCases, RoundMapsOfBf16Once) {
  const auto rounded = [](const Tensor& t) { return t.to(DType::bf16); };
  const auto exactly = [&](const Tensor& t) { return rounded(t).to(DType::f64); };
  const Tensor shortcut = Tensor::randn(dy.shape(), rng);
  const Outcome exact =
      run(Conv2d{.spec = k.spec()}, {exactly(x), exactly(w), bias.to(DType::f64)}, exactly(dy));

  auto g = geometry(k, DType::bf16);
  Tensor y(dy.shape(), DType::bf16), dx(x.shape(), DType::bf16), relu(dy.shape(), DType::bf16);
  Winograd winograd;
  winograd.forward(g, k.images, w, 1, rounded(x).raw(), bias.data<float>(), y.raw());
  expect_rounded(y, exact.y, "y");
  g.epilogue = {.shortcut = true, .relu = true};
  winograd.forward(g, k.images, w, 1, rounded(x).raw(), bias.data<float>(), relu.raw(),
                   {nullptr, rounded(shortcut).raw()});
  const Tensor near = exactly(shortcut);
  Tensor wanted(dy.shape(), DType::f64);
  for (std::int64_t i = 0; i < wanted.numel(); ++i)
    wanted.data<double>()[i] = std::max(0.0, exact.y.at(i) + near.at(i));
  expect_rounded(relu, wanted, "relu(y + shortcut)");
  Winograd::backward_data(g, k.images, w, rounded(dy).raw(), dx.raw());
  expect_rounded(dx, exact.grads[0], "dx");
  const Tensor dw = Winograd::backward_weights(g, k.images, rounded(x).raw(), rounded(dy).raw());
  EXPECT_LE(distance(dw, exact.grads[1]), 1e-5);
}

/// Distance over the root mean square of what is wanted.
double deviation(const Tensor& got, const Tensor& wanted) {
  double error = 0, square = 0;
  for (std::int64_t i = 0; i < wanted.numel(); ++i) {
    const double w = wanted.at(i), e = got.at(i) - w;
    error += e * e;
    square += w * w;
  }
  return std::sqrt(error / square);
}

/// Which products, and how far off they may be.
struct Rounding {
  WinogradProducts products;
  ConvKernel kernel;
  const char* name;
  double least, most;
};
constexpr Rounding by_3x3{WinogradProducts::bf16, ConvKernel::winograd_bf16, "3x3", 0.002, 0.0078};
constexpr Rounding by_4x4{WinogradProducts::bf16_4x4, ConvKernel::winograd_bf16_4x4, "4x4", 0.003,
                          0.014};
constexpr Rounding halved{WinogradProducts::bf16, ConvKernel::winograd_bf16_strided, "strided",
                          0.002, 0.0078};

std::string name_of_pairs(const testing::TestParamInfo<std::tuple<Case, Rounding>>& c) {
  return testing::PrintToString(std::get<0>(c.param)) + "_by" + std::get<1>(c.param).name;
}

class WinogradPairs : public testing::TestWithParam<std::tuple<Case, Rounding>> {
 protected:
  void SetUp() override {
    if (turned_off()) GTEST_SKIP() << "EXCITON_CONV turns Winograd's kernels off";
    if (!simd::have_bf16_pairs()) GTEST_SKIP() << "no products of bf16 pairs here";
  }
  const Case k = std::get<0>(GetParam());
  const Rounding rounding = std::get<1>(GetParam());
  ConvSpec spec() const {
    ConvSpec s = k.spec();
    s.winograd_products = rounding.products;
    return s;
  }
  ConvGeometry geometry() const {
    return geometry_of({k.images, k.h, k.w, k.c}, {k.o, k.c, 3, 3}, spec(), DType::bf16, false);
  }
  Generator rng{3};
  Tensor x = Tensor::randn({k.images, k.h, k.w, k.c}, rng).to(DType::bf16);
  Tensor w = Tensor::randn({k.o, k.c, 3, 3}, rng).to(DType::bf16).to(DType::f32);
  Tensor bias = Tensor::randn({k.o}, rng);
  Tensor dy = Tensor::randn(k.y(), rng).to(DType::bf16);
};

// Numeric experiments with these points and rounding: with 3x3 outputs 0.51 % of the root mean
// square for maps as networks have them, 0.6 % for white noise in the middle of a map, 0.7 % at its
// edges; with 4x4 0.90 %, and 1.1 to 1.3 % for white noise; with stride 2 0.42 %; 0.17 % are the
// result's own.
TEST_P(WinogradPairs, FollowTheDirectSumToTheirRounding) {
  KernelChoices choices;
  for (const auto direction :
       {Direction::forward, Direction::backward_data, Direction::backward_weights}) {
    if (k.stride == 1) {
      ASSERT_TRUE(Winograd::applicable(geometry(), k.images, direction));
    }
    choices[form_name(geometry(), direction)] = rounding.kernel;
  }
  ASSERT_EQ(Winograd::kernel_of(geometry()), rounding.kernel);
  const ScopedKernelChoices here(choices);
  const Outcome fast = run(Conv2d{.spec = spec()}, {x, w, bias}, dy);
  const Outcome exact =
      run(Conv2d{.spec = k.spec()}, {x.to(DType::f64), w.to(DType::f64), bias.to(DType::f64)},
          dy.to(DType::f64));
  EXPECT_LE(deviation(fast.y, exact.y), rounding.most);
  EXPECT_LE(deviation(fast.grads[0], exact.grads[0]), rounding.most);
  EXPECT_LE(deviation(fast.grads[1], exact.grads[1]), rounding.most);
  EXPECT_GE(deviation(fast.y, exact.y), rounding.least) << "these are not the rounded products";
}

TEST_P(WinogradPairs, EndInTheEpilogue) {
  const Tensor gates = Tensor::randn({k.images, k.o}, rng),
               shortcut = Tensor::randn(dy.shape(), rng).to(DType::bf16);
  auto g = geometry();
  Tensor conv(dy.shape(), DType::bf16), y(dy.shape(), DType::bf16);
  Winograd winograd;
  winograd.forward(g, k.images, w, 1, x.raw(), bias.data<float>(), conv.raw());
  g.epilogue = {.gates = true, .shortcut = true, .relu = true};
  winograd.forward(g, k.images, w, 1, x.raw(), bias.data<float>(), y.raw(),
                   {gates.data<float>(), shortcut.raw()});
  for (std::int64_t i = 0; i < y.numel(); ++i) {
    const std::int64_t n = i / (y.numel() / k.images), o = i % k.o;
    const double product = gates.at(n * k.o + o) * conv.at(i);
    const double wanted = std::max(0.0, product + shortcut.at(i));
    ASSERT_NEAR(y.at(i), wanted, (std::abs(product) + std::abs(wanted)) / 250 + 1e-6)
        << "element " << i;
  }
}

TEST_P(WinogradPairs, GiveTheSameBitsOnAnyNumberOfThreads) {
  const int before = num_threads();
  Tensor one, one_dx, one_dw;
  for (int threads : {1, 2, 3, 8}) {
    set_num_threads(threads);
    Winograd winograd;
    Tensor y(dy.shape(), DType::bf16), dx(x.shape(), DType::bf16);
    winograd.forward(geometry(), k.images, w, 1, x.raw(), nullptr, y.raw());
    Winograd::backward_data(geometry(), k.images, w, dy.raw(), dx.raw());
    const Tensor dw = Winograd::backward_weights(geometry(), k.images, x.raw(), dy.raw());
    if (threads == 1) one = y, one_dx = dx, one_dw = dw;
    EXPECT_TRUE(same_bits(y, one)) << threads;
    EXPECT_TRUE(same_bits(dx, one_dx)) << threads;
    EXPECT_TRUE(same_bits(dw, one_dw)) << threads;
  }
  set_num_threads(before);
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, WinogradPairs,
    testing::Combine(testing::Values(Case{2, 12, 12, 32, 32}, Case{3, 15, 13, 64, 32},
                                     Case{16, 8, 8, 32, 64}, Case{5, 7, 31, 96, 64},
                                     Case{4, 16, 16, 256, 256}, Case{6, 14, 14, 128, 256},
                                     Case{30, 3, 3, 512, 512}, Case{9, 8, 8, 288, 160},
                                     Case{150, 7, 7, 32, 64}, Case{90, 8, 5, 64, 32},
                                     Case{300, 4, 4, 32, 32}, Case{70, 7, 14, 160, 192},
                                     // panels of few channels
                                     Case{16, 8, 8, 16, 16}, Case{9, 31, 30, 24, 64},
                                     Case{20, 9, 10, 48, 16}, Case{7, 12, 7, 24, 48},
                                     Case{150, 7, 7, 16, 48}, Case{25, 6, 11, 24, 160}),
                     testing::Values(by_3x3, by_4x4)),
    name_of_pairs);
// The same products, whichever tiles stride 1 takes.
INSTANTIATE_TEST_SUITE_P(
    Strided, WinogradPairs,
    testing::Combine(testing::Values(Case{4, 16, 16, 32, 16, 2}, Case{4, 17, 12, 24, 48, 2},
                                     Case{5, 15, 13, 32, 16, 2}, Case{16, 5, 6, 48, 32, 2},
                                     Case{16, 24, 24, 16, 32, 2}, Case{40, 12, 13, 128, 96, 2},
                                     Case{9, 14, 14, 256, 256, 2}),
                     testing::Values(halved)),
    name_of_pairs);

TEST_P(WinogradCases, GiveTheSameBitsOnAnyNumberOfThreads) {
  const ScopedKernelChoices here(choices());
  const int before = num_threads();
  Tensor one, one_dw;
  for (int threads : {1, 2, 3, 8}) {
    set_num_threads(threads);
    Conv2d::Saved unused;
    const Tensor y = Conv2d{.spec = k.spec()}.forward(unused, x, w, {});
    const Tensor dw = Winograd::backward_weights(geometry(k), k.images, x.raw(), dy.raw());
    if (threads == 1) one = y, one_dw = dw;
    EXPECT_TRUE(same_bits(y, one)) << threads;
    EXPECT_TRUE(same_bits(dw, one_dw)) << threads;
  }
  set_num_threads(before);
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, WinogradCases,
    testing::Values(Case{4, 8, 8, 16, 16},   // whole tiles
                    Case{4, 9, 6, 16, 48},   // a panel of one vector
                    Case{5, 7, 7, 32, 16},   //
                    Case{16, 3, 3, 16, 32},  // one tile an image
                    Case{1, 13, 18, 48, 32}, Case{4, 8, 7, 8, 24}, Case{4, 5, 8, 24, 16},  // eights
                    Case{16, 12, 12, 16, 16},  // many tiles per thread
                    Case{40, 6, 7, 80, 64},    // weights too large for one thread, several blocks
                    Case{6, 8, 8, 144, 176},   // tiles of one's own, some outputs at a time
                    Case{6, 8, 8, 200, 136},   //
                    // tiles of two sizes
                    Case{96, 7, 7, 32, 16}, Case{60, 6, 7, 16, 24}, Case{200, 5, 3, 16, 32},
                    Case{24, 14, 13, 144, 176},  //
                    // stride 2
                    Case{4, 16, 16, 32, 16, 2},   // whole tiles
                    Case{4, 17, 12, 32, 48, 2},   //
                    Case{5, 15, 13, 32, 16, 2},   //
                    Case{16, 5, 6, 48, 32, 2},    // one tile an image
                    Case{2, 24, 35, 40, 24, 2},   // eights
                    Case{16, 24, 24, 32, 16, 2},  // many tiles per thread
                    Case{40, 12, 13, 48, 96, 2}),
    [](const auto& c) { return testing::PrintToString(c.param); });

TEST(Winograd, LeavesOtherFormsAlone) {
  if (turned_off()) GTEST_SKIP() << "EXCITON_CONV turns Winograd's kernels off";
  const Shape x{8, 8, 8, 16}, w{16, 16, 3, 3};
  const auto suits = [](const Shape& maps, const Shape& weights, const ConvSpec& spec,
                        DType type = DType::f32, Direction direction = Direction::forward) {
    return Winograd::applicable(geometry_of(maps, weights, spec, type, false), maps[0], direction);
  };
  EXPECT_TRUE(suits({32, 16, 16, 32}, {32, 32, 3, 3}, same));
  const ConvSpec rounded{.padding = 1, .winograd_products = WinogradProducts::bf16_4x4};
  for (const std::int64_t odd : {8, 24, 40, 80, 144})
    EXPECT_EQ(Winograd::kernel_of(
                  geometry_of({32, 16, 16, 32}, {odd, 32, 3, 3}, rounded, DType::bf16, false)),
              ConvKernel::winograd)
        << odd << " outputs fill no panel of pairs";
  EXPECT_TRUE(suits({64, 16, 16, 64}, {64, 64, 3, 3}, {.stride = 2, .padding = 1}));
  const bool forced = conv_path() == ConvPath::winograd;
  EXPECT_EQ(suits({64, 8, 8, 8}, {8, 8, 3, 3}, {.stride = 2, .padding = 1}), forced)
      << "few channels";
  EXPECT_FALSE(suits({16, 12, 12, 16}, w, {.stride = 3, .padding = 1}));
  EXPECT_FALSE(suits(x, w, {}));
  EXPECT_FALSE(suits(x, w, {.padding = 2, .dilation = 2}));
  EXPECT_FALSE(suits(x, w, {.padding = 1, .padding_w = 0}));
  EXPECT_FALSE(suits(x, {16, 8, 3, 3}, {.padding = 1, .groups = 2}));
  EXPECT_FALSE(suits(x, {12, 16, 3, 3}, same)) << "channels that fill no vector";
  EXPECT_FALSE(suits({8, 8, 8, 16}, {16, 16, 1, 1}, {}));
  EXPECT_FALSE(suits({64, 2, 2, 16}, w, same)) << "tiles that are mostly edge";
  EXPECT_FALSE(suits({1, 8, 8, 16}, w, same)) << "too few tiles for the weights";
  const DType bf16 = DType::bf16;
  const Shape many{64, 32, 32, 64}, wide{64, 64, 3, 3};
  EXPECT_TRUE(suits(many, wide, same));
  for (const auto direction :
       {Direction::forward, Direction::backward_data, Direction::backward_weights})
    EXPECT_EQ(suits(many, wide, same, bf16, direction), forced || !processor().amx);
  EXPECT_EQ(suits({64, 32, 32, 8}, {8, 8, 3, 3}, same, bf16), forced || !processor().bf16)
      << "native products";
  if (processor().bf16) {
    EXPECT_EQ(suits({2, 14, 14, 512}, {512, 512, 3, 3}, same, bf16), forced) << "few tiles";
  }
}

TEST(Winograd, TakesRoundedProductsOfMapsToTheirEdge) {
  if (turned_off() || !simd::have_bf16_pairs()) GTEST_SKIP() << "no products of bf16 pairs here";
  const ConvSpec spec{.padding = 1, .winograd_products = WinogradProducts::bf16};
  // Tiles of 2x2 alone: with 3x3 most of them would hang over the edge.
  EXPECT_TRUE(
      Winograd::applicable(geometry_of({300, 4, 4, 32}, {32, 32, 3, 3}, spec, DType::bf16, false),
                           300, Direction::forward));
}

TEST(Winograd, RoundsLessThanALayerAllowsWhereThatIsAskedFor) {
  if (turned_off() || !simd::have_bf16_pairs()) GTEST_SKIP() << "no products of bf16 pairs here";
  const Case k{4, 12, 12, 32, 32};
  Generator rng(5);
  const Tensor x = Tensor::randn({k.images, k.h, k.w, k.c}, rng).to(DType::bf16);
  const Tensor w = Tensor::randn({k.o, k.c, 3, 3}, rng);
  const auto result = [&](WinogradProducts products, ConvKernel kernel) {
    ConvSpec spec = k.spec();
    spec.winograd_products = products;
    ConvKernels kernels;
    kernels.force(kernel);
    const Tensor y = kernels.forward(x, w, 1, spec, {});
    EXPECT_EQ(kernels.ran(), kernel);
    return y;
  };
  const Tensor three = result(WinogradProducts::bf16, ConvKernel::winograd_bf16);
  EXPECT_TRUE(same_bits(result(WinogradProducts::bf16_4x4, ConvKernel::winograd_bf16), three));
  EXPECT_FALSE(same_bits(result(WinogradProducts::bf16_4x4, ConvKernel::winograd_bf16_4x4), three));
  // Never more.
  ConvKernels kernels;
  kernels.force(ConvKernel::winograd_bf16_4x4);
  ConvSpec spec = k.spec();
  spec.winograd_products = WinogradProducts::bf16;
  EXPECT_TRUE(same_bits(kernels.forward(x, w, 1, spec, {}), three));
}

TEST(Winograd, TransformsWeightsAgainForMapsOfAnotherType) {
  const Case k{4, 8, 8, 16, 16};
  Generator rng(5);
  const Tensor x = Tensor::randn({k.images, k.h, k.w, k.c}, rng).to(DType::bf16).to(DType::f32);
  const Tensor w = Tensor::randn({k.o, k.c, 3, 3}, rng);
  Winograd winograd;
  const auto result = [&](Winograd& kernels, DType type) {
    const Tensor maps = x.to(type);
    Tensor y({k.images, k.h, k.w, k.o}, type);
    kernels.forward(geometry(k, type), k.images, w, 1, maps.raw(), nullptr, y.raw());
    return y;
  };
  for (const DType type : {DType::f32, DType::bf16, DType::f32}) {
    Winograd fresh;
    const Tensor got = result(winograd, type), expected = result(fresh, type);
    for (std::int64_t i = 0; i < got.numel(); ++i) ASSERT_EQ(got.at(i), expected.at(i)) << type;
  }
}

TEST(Winograd, TransformsWeightsAgainWithANewVersion) {
  const Case k{4, 8, 8, 16, 16};
  Generator rng(5);
  const Tensor x = Tensor::randn({k.images, k.h, k.w, k.c}, rng);
  Tensor y({k.images, k.h, k.w, k.o});
  Winograd winograd;
  double sum = 0;
  for (std::uint64_t version : {1, 2}) {
    const Tensor w = Tensor::full({k.o, k.c, 3, 3}, static_cast<double>(version));
    winograd.forward(geometry(k), k.images, w, version, x.data<float>(), nullptr, y.data<float>());
    if (version == 1)
      sum = y.at(77);
    else
      EXPECT_NEAR(y.at(77), 2 * sum, 1e-4);
  }
}

}  // namespace
}  // namespace exciton::ops
