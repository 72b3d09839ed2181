// 1x1 convolutions by the own product of matrices, against the direct sum in double.
#include "exciton/ops/convolution/pointwise.hpp"

#include "exciton/ops/convolution/kernels.hpp"
#include "exciton/ops/convolution/path.hpp"
#include "exciton/ops/simd/channel_kernels.hpp"
#include "support.hpp"

namespace exciton::ops {
namespace {

struct Case {
  std::int64_t images, h, w, c, o, stride;
};

void PrintTo(const Case& k, std::ostream* out) {
  *out << "images" << k.images << '_' << k.h << 'x' << k.w << '_' << k.c << "to" << k.o << "_stride"
       << k.stride;
}

class Pointwise1x1 : public testing::TestWithParam<std::tuple<Case, DType>> {
 protected:
  void SetUp() override {
    if (conv_path() == ConvPath::direct || conv_path() == ConvPath::own)
      GTEST_SKIP() << "EXCITON_CONV leaves the kernel out";
    if (type == DType::bf16 && !simd::have_bf16_pairs())
      GTEST_SKIP() << "no products of bf16 pairs here";
    kernels.force(ConvKernel::pointwise);
  }
  ~Pointwise1x1() override { set_num_threads(threads); }

  const Case k = std::get<0>(GetParam());
  const DType type = std::get<1>(GetParam());
  const int threads = num_threads();
  const ConvSpec spec{.stride = k.stride};
  ConvKernels kernels;
  Generator rng{5};
  const Tensor x = Tensor::randn({k.images, k.h, k.w, k.c}, rng).to(type);
  const Tensor w = Tensor::randn({k.o, k.c, 1, 1}, rng).to(type).to(DType::f32);
  const Shape shape = conv2d_shape(x.shape(), w.shape(), spec);
  const Tensor bias = Tensor::randn({k.o}, rng), gates = Tensor::randn({k.images, k.o}, rng);
  const Tensor shortcut = Tensor::randn(shape, rng).to(type);

  /// The sum by its formula, and what follows it.
  Tensor wanted(const ConvKernels::Epilogue& e) const {
    Tensor y(shape, DType::f64);
    double* to = y.data<double>();
    for (std::int64_t n = 0; n < shape[0]; ++n)
      for (std::int64_t i = 0; i < shape[1]; ++i)
        for (std::int64_t j = 0; j < shape[2]; ++j)
          for (std::int64_t o = 0; o < k.o; ++o, ++to) {
            double sum = e.bias.empty() ? 0 : e.bias.at(o);
            for (std::int64_t c = 0; c < k.c; ++c)
              sum += w.at(o * k.c + c) *
                     x.at(((n * k.h + i * k.stride) * k.w + j * k.stride) * k.c + c);
            if (!e.gates.empty()) sum *= e.gates.at(n * k.o + o);
            if (!e.shortcut.empty()) sum += e.shortcut.at(to - y.data<double>());
            *to = e.relu ? std::max(0.0, sum) : sum;
          }
    return y;
  }
};

TEST_P(Pointwise1x1, FollowsTheSumWithWhatComesBehindIt) {
  const double most = type == DType::bf16 ? 0.004 : 2e-6;
  std::uint64_t version = 0;
  for (const bool has_bias : {false, true})
    for (const bool has_gates : {false, true})
      for (const bool has_shortcut : {false, true})
        for (const bool relu : {false, true}) {
          ConvKernels::Epilogue e{.relu = relu};
          if (has_bias) e.bias = bias;
          if (has_gates) e.gates = gates;
          if (has_shortcut) e.shortcut = shortcut;
          const Tensor y = kernels.forward(x, w, ++version, spec, e);
          ASSERT_EQ(kernels.ran(), ConvKernel::pointwise);
          EXPECT_EQ(y.dtype(), type);
          EXPECT_LE(distance(y, wanted(e)), most) << has_bias << has_gates << has_shortcut << relu;
        }
}

TEST_P(Pointwise1x1, HasTheSameBitsOnAnyThreadsAndInAnyBatch) {
  const ConvKernels::Epilogue e{bias, gates, shortcut, true};
  set_num_threads(1);
  const Tensor alone = kernels.forward(x, w, 1, spec, e);
  for (const int count : {2, 3, 5}) {
    set_num_threads(count);
    EXPECT_TRUE(same_bits(kernels.forward(x, w, 1, spec, e), alone)) << count << " threads";
  }
  // The last image by itself.
  const auto last = [](const Tensor& all) {
    Tensor image(
        all.rank() == 2 ? Shape{1, all.dim(1)} : Shape{1, all.dim(1), all.dim(2), all.dim(3)},
        all.dtype());
    std::copy_n(static_cast<const char*>(all.raw()) + all.bytes() - image.bytes(), image.bytes(),
                static_cast<char*>(image.raw()));
    return image;
  };
  EXPECT_TRUE(
      same_bits(kernels.forward(last(x), w, 1, spec, {bias, last(gates), last(shortcut), true}),
                last(alone)));
}

TEST_P(Pointwise1x1, PacksOnceAVersion) {
  kernels.keep_weights(true);
  const Tensor y = kernels.forward(x, w, 1, spec, {});
  Tensor other = w.clone();
  for (std::int64_t i = 0; i < other.numel(); ++i) other.data<float>()[i] *= 2;
  EXPECT_TRUE(same_bits(kernels.forward(x, other, 1, spec, {}), y)) << "packed again";
  EXPECT_FALSE(same_bits(kernels.forward(x, other, 2, spec, {}), y)) << "packed no more";
  kernels.drop_weights();
  EXPECT_TRUE(same_bits(kernels.forward(x, w, 2, spec, {}), y)) << "kept what was dropped";
}

TEST_P(Pointwise1x1, PassesOnWhatIsNotFinite) {
  Tensor odd = x.to(DType::f32);
  odd.data<float>()[0] = NAN;
  const Tensor y = kernels.forward(odd.to(type), w, 1, spec, {.relu = true});
  for (std::int64_t o = 0; o < k.o; ++o) EXPECT_TRUE(std::isnan(y.at(o))) << o;
  for (std::int64_t i = k.o; i < y.numel(); ++i) ASSERT_FALSE(std::isnan(y.at(i))) << i;
}

std::string name_of_case(const testing::TestParamInfo<std::tuple<Case, DType>>& info) {
  std::ostringstream name;
  PrintTo(std::get<0>(info.param), &name);
  return name.str();
}

INSTANTIATE_TEST_SUITE_P(
    F32, Pointwise1x1,
    testing::Combine(testing::Values(Case{1, 1, 1, 1, 8, 1}, Case{2, 5, 3, 3, 8, 1},
                                     Case{1, 7, 7, 64, 256, 1}, Case{3, 7, 7, 15, 48, 1},
                                     Case{1, 14, 14, 8, 24, 1}, Case{4, 6, 5, 33, 112, 1},
                                     Case{5, 2, 2, 24, 136, 1}, Case{1, 3, 3, 512, 32, 1},
                                     Case{3, 8, 8, 10, 96, 2}, Case{1, 13, 4, 18, 16, 3},
                                     Case{2, 4, 4, 5, 40, 5}),
                     testing::Values(DType::f32)),
    name_of_case);
INSTANTIATE_TEST_SUITE_P(
    Bf16, Pointwise1x1,
    testing::Combine(testing::Values(Case{1, 1, 1, 2, 16, 1}, Case{1, 7, 7, 64, 256, 1},
                                     Case{3, 7, 7, 16, 48, 1}, Case{2, 5, 3, 6, 80, 1},
                                     Case{4, 6, 5, 34, 112, 1}, Case{1, 3, 3, 512, 32, 1},
                                     Case{3, 8, 8, 10, 96, 2}, Case{1, 13, 4, 18, 16, 3}),
                     testing::Values(DType::bf16)),
    name_of_case);

ConvGeometry geometry(const Shape& x, const Shape& w, const ConvSpec& spec, DType type) {
  return geometry_of(x, w, spec, type, false);
}

TEST(Pointwise, TakesWindowsOfOnePixelWhoseOutputsFillVectors) {
  const auto can = [](const Shape& w, const ConvSpec& spec, DType type = DType::f32) {
    return Pointwise::can_run(geometry({1, 8, 8, 16}, w, spec, type));
  };
  const bool on = conv_path() != ConvPath::direct && conv_path() != ConvPath::own;
  EXPECT_EQ(can({32, 16, 1, 1}, {}), on);
  EXPECT_EQ(can({32, 16, 1, 1}, {.stride = 2}), on);
  EXPECT_EQ(can({32, 16, 1, 1}, {}, DType::bf16), on && simd::have_bf16_pairs());
  EXPECT_FALSE(can({12, 16, 1, 1}, {}));
  EXPECT_FALSE(can({24, 16, 1, 1}, {}, DType::bf16));
  EXPECT_FALSE(can({32, 16, 3, 3}, {.padding = 1}));
  EXPECT_FALSE(can({32, 16, 1, 1}, {.padding = 1}));
  EXPECT_FALSE(can({32, 8, 1, 1}, {.groups = 2}));
  EXPECT_FALSE(Pointwise::can_run(geometry({1, 8, 8, 15}, {32, 15, 1, 1}, {}, DType::bf16)));
}

TEST(Pointwise, RunsWhereWeightsAreKeptOrChannelsMany) {
  if (!Pointwise::applicable(geometry({1, 8, 8, 16}, {32, 16, 1, 1}, {}, DType::f32), true))
    GTEST_SKIP() << "not here";
  Generator rng(1);
  const Tensor x = Tensor::randn({1, 8, 8, 16}, rng), w = Tensor::randn({32, 16, 1, 1}, rng);
  ConvKernels kernels;
  kernels.forward(x, w, 1, {}, {});
  EXPECT_NE(kernels.ran(), ConvKernel::pointwise);
  const Tensor deep = Tensor::randn({1, 2, 2, 1024}, rng);
  kernels.forward(deep, Tensor::randn({32, 1024, 1, 1}, rng), 1, {}, {});
  const bool avx2 = simd::instruction_set() == "avx2";  // for kept weights alone, and few of them
  EXPECT_EQ(kernels.ran() == ConvKernel::pointwise, !avx2);
  kernels.keep_weights(true);
  kernels.forward(x, w, 1, {}, {});
  EXPECT_EQ(kernels.ran(), ConvKernel::pointwise);
  kernels.forward(Tensor::randn({1, 32, 32, 256}, rng), Tensor::randn({128, 256, 1, 1}, rng), 1,
                  {.stride = 2}, {});
  EXPECT_EQ(kernels.ran(), ConvKernel::pointwise);
  kernels.backward_data(Tensor::randn({1, 8, 8, 32}, rng), w, 1, x.shape(), {});
  EXPECT_NE(kernels.ran(), ConvKernel::pointwise);
}

}  // namespace
}  // namespace exciton::ops
