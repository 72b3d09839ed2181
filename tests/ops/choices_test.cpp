/// Kernels that were asked for in the place of the table's.
#include "exciton/ops/convolution/choices.hpp"

#include <set>

#include "exciton/ops/convolution/kernels.hpp"
#include "exciton/ops/convolution/path.hpp"
#include "exciton/ops/processor.hpp"
#include "tests/ops/support.hpp"

namespace exciton::ops {
namespace {

ConvGeometry geometry(const Shape& x, const Shape& w, const ConvSpec& spec, DType type) {
  return geometry_of(x, w, spec, type, false);
}

TEST(KernelChoices, FormsHaveNames) {
  EXPECT_EQ(form_name(geometry({2, 8, 6, 16}, {32, 16, 3, 3}, {.padding = 1}, DType::f32),
                      Direction::forward),
            "forward f32 3x3 16 to 32 on 8x6, padding 1");
  EXPECT_EQ(form_name(geometry({1, 8, 8, 8}, {8, 4, 3, 3},
                               {.stride = 2,
                                .padding = 2,
                                .dilation = 2,
                                .groups = 2,
                                .padding_w = 3,
                                .winograd_products = WinogradProducts::bf16},
                               DType::bf16),
                      Direction::backward_weights),
            "weight gradient bf16 3x3 8 to 8 on 8x8, padding 2x3, stride 2, dilation 2, 2 groups, "
            "rounded products");
  EXPECT_EQ(form_name(geometry({2, 8, 6, 32}, {32, 32, 3, 3},
                               {.padding = 1, .winograd_products = WinogradProducts::bf16_4x4},
                               DType::bf16),
                      Direction::forward),
            "forward bf16 3x3 32 to 32 on 8x6, padding 1, rounded products 4x4");
  EXPECT_EQ(
      form_name(geometry({1, 4, 4, 8}, {8, 8, 1, 1}, {}, DType::f32), Direction::backward_data),
      "data gradient f32 1x1 8 to 8 on 4x4");
}

TEST(KernelChoices, KernelsHaveNamesBothWays) {
  for (const auto kernel :
       {ConvKernel::plain, ConvKernel::winograd, ConvKernel::winograd_strided,
        ConvKernel::winograd_bf16, ConvKernel::winograd_bf16_4x4, ConvKernel::winograd_bf16_strided,
        ConvKernel::pointwise, ConvKernel::onednn, ConvKernel::direct})
    EXPECT_EQ(conv_kernel(name_of(kernel)), kernel);
  EXPECT_THROW(conv_kernel("winograd"), Error);
}

/// One convolution in all directions.
struct Results {
  Tensor y, dx, dw;
  std::set<ConvKernel> ran;
};

Results run(ConvKernels& kernels, const Tensor& x, const Tensor& w, const Tensor& dy,
            const ConvSpec& spec) {
  Results r;
  r.y = kernels.forward(x, w, 1, spec, {});
  r.ran.insert(kernels.ran());
  r.dx = kernels.backward_data(dy, w, 1, x.shape(), spec);
  r.ran.insert(kernels.ran());
  r.dw = kernels.backward_weights(x, dy, w.shape(), spec);
  r.ran.insert(kernels.ran());
  return r;
}

TEST(KernelChoices, EveryCandidateComputesTheSame) {
  const struct {
    Shape x, w;
    ConvSpec spec;
  } forms[] = {{{8, 8, 8, 32}, {32, 32, 3, 3}, {.padding = 1}},
               {{3, 9, 7, 16}, {24, 16, 3, 3}, {.padding = 1}},
               {{8, 8, 8, 32}, {32, 32, 3, 3}, {.stride = 2, .padding = 1}},
               {{4, 5, 5, 24}, {16, 24, 1, 1}, {}},
               {{2, 6, 6, 16}, {16, 4, 3, 3}, {.padding = 1, .groups = 4}}};
  for (const auto& f : forms)
    for (const DType type : {DType::f32, DType::bf16}) {
      Generator rng(3);
      const Tensor x = Tensor::randn(f.x, rng).to(type), w = Tensor::randn(f.w, rng),
                   dy = Tensor::randn(conv2d_shape(f.x, f.w, f.spec), rng).to(type);
      const ConvGeometry g = geometry(f.x, f.w, f.spec, type);
      ConvKernels usual;
      const Results expected = run(usual, x, w, dy, f.spec);
      // Rounding of bf16 results; of Winograd's sums.
      const double within = type == DType::bf16 ? 8e-3 : 2e-5;
      const auto candidates = usual.candidates(g, f.x[0], Direction::forward);
      ASSERT_FALSE(candidates.empty());
      for (const ConvKernel kernel : candidates) {
        SCOPED_TRACE(form_name(g, Direction::forward) + " by " + name_of(kernel));
        ConvKernels forced;
        forced.force(kernel);
        const Results got = run(forced, x, w, dy, f.spec);
        EXPECT_TRUE(got.ran.contains(kernel));
        EXPECT_LE(distance(got.y, expected.y), within);
        EXPECT_LE(distance(got.dx, expected.dx), within);
        EXPECT_LE(distance(got.dw, expected.dw), within);
      }
    }
}

TEST(KernelChoices, RunWhileTheyAreInUse) {
  const Shape x{8, 8, 8, 16}, w{16, 16, 3, 3};
  const ConvSpec spec{.padding = 1};
  Generator rng(4);
  const Tensor maps = Tensor::randn(x, rng), weights = Tensor::randn(w, rng);
  const std::string form = form_name(geometry(x, w, spec, DType::f32), Direction::forward);
  const auto ran = [&] {
    ConvKernels kernels;
    kernels.forward(maps, weights, 1, spec, {});
    return kernels.ran();
  };
  const ConvKernel usual = ran();
  {
    const ScopedKernelChoices choices({{form, ConvKernel::direct}});
    EXPECT_EQ(ran(), ConvKernel::direct);
    {
      const ScopedKernelChoices others({{form + ", stride 2", ConvKernel::direct}});
      EXPECT_EQ(ran(), usual) << "another form's";
    }
    EXPECT_EQ(kernel_choices().size(), 1U);
    EXPECT_EQ(ran(), ConvKernel::direct);
  }
  EXPECT_EQ(ran(), usual);
}

TEST(KernelChoices, OfAKernelThatCannotRunTheFormLeaveItToTheTable) {
  const Shape x{2, 4, 4, 3}, w{5, 3, 1, 1};
  Generator rng(4);
  const Tensor maps = Tensor::randn(x, rng), weights = Tensor::randn(w, rng);
  ConvKernels kernels;
  kernels.forward(maps, weights, 1, {}, {});
  const ConvKernel usual = kernels.ran();
  kernels.force(ConvKernel::winograd);
  kernels.forward(maps, weights, 1, {}, {});
  EXPECT_EQ(kernels.ran(), usual);
}

TEST(KernelTable, WideWeightGradientsOfFewPixelsFollowTheSum) {
  const Shape x{1, 7, 7, 1024}, w{128, 1024, 1, 1};
  Generator rng(6);
  const Tensor maps = Tensor::randn(x, rng).to(DType::bf16);
  const Tensor dy = Tensor::randn({1, 7, 7, 128}, rng).to(DType::bf16);
  ConvKernels kernels;
  const Tensor dw = kernels.backward_weights(maps, dy, w, {});
  if (processor().kind == ProcessorKind::zen3 || processor().kind == ProcessorKind::zen4) {
    EXPECT_EQ(kernels.ran(), ConvKernel::direct);
  }
  for (std::int64_t o = 0; o < 128; o += 7)
    for (std::int64_t c = 0; c < 1024; c += 31) {
      double sum = 0;
      for (std::int64_t p = 0; p < 49; ++p) sum += dy.at(p * 128 + o) * maps.at(p * 1024 + c);
      ASSERT_NEAR(dw.at(o * 1024 + c), sum, 1e-3) << o << ", " << c;
    }
}

TEST(KernelChoices, RefuseWhatIsNotHere) {
  EXPECT_THROW(ScopedKernelChoices({{"a form", ConvKernel::plain}}), Error);
  for (const auto kernel : {ConvKernel::winograd_bf16, ConvKernel::winograd_bf16_4x4,
                            ConvKernel::winograd, ConvKernel::onednn})
    if (!why_absent(kernel).empty()) {
      EXPECT_THROW(ScopedKernelChoices({{"a form", kernel}}), Error) << name_of(kernel);
    }
  EXPECT_TRUE(kernel_choices().empty());
}

}  // namespace
}  // namespace exciton::ops
