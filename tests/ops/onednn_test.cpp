// What is done about oneDNN's faults: the kernel table, and the trial of a processor.
#include <unistd.h>

#include <csignal>

#include "exciton/core/threads.hpp"
#include "exciton/ops/convolution/onednn/convolution.hpp"
#include "exciton/ops/convolution/onednn/kernel_table.hpp"
#include "exciton/ops/convolution/onednn/trial.hpp"
#include "support.hpp"
#include "sweep/check.hpp"

namespace exciton::ops::onednn {
namespace {

ConvGeometry geometry(std::int64_t c, std::int64_t o, std::int64_t window, ConvSpec spec = {},
                      DType type = DType::f32) {
  return geometry_of({2, 24, 24, c}, {o, c / spec.groups, window, window}, spec, type, false);
}
bool trusts(const Offer& offer, const ConvGeometry& g) { return distrusted(offer, g).empty(); }

constexpr Version debian12{2, 6, 3}, debian13{3, 7, 2};

TEST(KernelTable, TrustsWhatNetworksAreMadeOf) {
  for (const Version v : {debian12, debian13})
    for (const auto d :
         {Direction::forward, Direction::backward_data, Direction::backward_weights}) {
      EXPECT_TRUE(trusts({"jit:avx512_core", v, d}, geometry(3, 64, 7, {.stride = 2})));
      EXPECT_TRUE(trusts({"jit_1x1:avx512_core", v, d}, geometry(64, 128, 1, {.stride = 2})));
      EXPECT_TRUE(trusts({"jit_1x1:avx2", v, d}, geometry(64, 128, 1)));
      const auto bf16 = geometry(64, 128, 3, {.stride = 2, .padding = 1}, DType::bf16);
      EXPECT_TRUE(trusts({"jit_bf16:avx512_core_bf16", v, d}, bf16));
      EXPECT_TRUE(trusts({"brgconv:avx512_core_amx", v, d}, bf16));
    }
}

TEST(KernelTable, DistrustsWhatWasSeenToFail) {
  const auto forward = Direction::forward, data = Direction::backward_data,
             weights = Direction::backward_weights;
  const auto bf16 = DType::bf16;
  // The weight gradient of a narrow shortcut writes past its scratchpad.
  EXPECT_FALSE(
      trusts({"jit_1x1:avx512_core", debian12, weights}, geometry(8, 16, 1, {.stride = 2})));
  EXPECT_FALSE(trusts({"jit_1x1:avx2", debian12, weights}, geometry(4, 16, 1, {.stride = 2})));
  EXPECT_FALSE(trusts({"jit_bf16_1x1:avx512_core_bf16", debian12, weights},
                      geometry(12, 16, 1, {.stride = 2}, bf16)));
  EXPECT_FALSE(
      trusts({"jit_bf16_1x1:avx512_core_bf16", debian13, forward}, geometry(31, 32, 1, {}, bf16)));
  EXPECT_FALSE(
      trusts({"jit_bf16_1x1:avx512_core_bf16", debian12, data}, geometry(48, 45, 1, {}, bf16)));
  EXPECT_FALSE(trusts({"jit_bf16:avx512_core_bf16", debian12, weights},
                      geometry(32, 32, 3, {.padding = 2, .dilation = 2}, bf16)));
  EXPECT_FALSE(trusts({"gemm:jit", debian12, forward}, geometry(32, 32, 3)));
  EXPECT_FALSE(trusts({"ref:any", debian13, data}, geometry(32, 32, 3)));
  EXPECT_NE(distrusted({"ref:any", debian13, data}, geometry(32, 32, 3)), "");
}

TEST(KernelTable, PassesOverAnOfferThatTheNextOutruns) {
  EXPECT_TRUE(outrun({"brgconv_strided:avx512_core_bf16", debian13, Direction::backward_data}));
  EXPECT_FALSE(outrun({"brgconv_strided:avx512_core", debian13, Direction::forward}));
  EXPECT_FALSE(outrun({"jit_dw:avx512_core_bf16", debian13, Direction::backward_data}));
}

/// Forms that failed before the table, by the reports they came from.
TEST(KernelTable, FormsThatFailedAreRight) {
  const int before = num_threads();
  for (const char* const form : {
           "n=8 h=64 w=64 c=8 o=16 kh=1 kw=1 stride=2 type=f32 threads=2",
           "n=1 h=12 w=12 c=8 o=16 kh=1 kw=1 stride=2 type=f32 threads=2",
           "n=2 h=224 w=224 c=4 o=8 kh=1 kw=1 stride=2 type=f32 threads=2 guard=end",
           "n=4 h=48 w=48 c=12 o=24 kh=1 kw=1 stride=2 type=bf16 threads=2",
           "n=4 h=7 w=9 c=31 o=32 kh=1 kw=1 type=bf16 threads=2 epilogue=bias,gates,shortcut",
           "n=1 h=60 w=39 c=12 o=13 kh=1 kw=1 type=bf16 threads=2",
           "n=1 h=11 w=46 c=9 o=9 kh=3 kw=3 padding=3 dilation=3 groups=9 type=bf16 threads=2",
           "n=1 h=3 w=1 c=21 o=16 kh=3 kw=3 stride=2 padding_w=1 type=bf16 threads=2",
           "n=7 h=2 w=2 c=22 o=22 kh=3 kw=3 stride=2 padding=1 groups=22 threads=3 epilogue=gates",
           "n=8 h=4 w=11 c=7 o=52 kh=1 kw=7 padding_w=6 dilation=2 threads=3 epilogue=bias",
       })
    EXPECT_EQ(sweep::check_form(sweep::parse_form(form)), "") << form;
  set_num_threads(before);
}

/// Maps of ever other sizes, as detectors have them.
TEST(Primitives, OfManySizesAreLetGoAndMadeAnew) {
  Generator rng(5);
  const Tensor w = Tensor::randn({16, 8, 3, 3}, rng);
  Primitives conv;
  std::vector<Tensor> first;
  for (int round = 0; round < 2; ++round)
    for (std::int64_t side = 8; side < 40; ++side) {
      Generator own(static_cast<std::uint64_t>(side));
      const Tensor x = Tensor::randn({3, side, side + 1, 8}, own),
                   dy = Tensor::randn({3, side, side + 1, 16}, own);
      const ConvGeometry g = geometry_of(x.shape(), w.shape(), {.padding = 1}, DType::f32, false);
      if (!takes(conv, Direction::forward, g, 3) || !takes(conv, Direction::backward_weights, g, 3))
        GTEST_SKIP() << "oneDNN does not run it here";
      Tensor y(dy.shape());
      forward(conv, g, 3, w, 1, x.raw(), nullptr, y.raw());
      const Tensor dw = backward_weights(conv, g, 3, w.shape(), x.raw(), dy.raw());
      EXPECT_LE(conv.jobs(), Primitives::most_jobs);
      const auto at = static_cast<std::size_t>(2 * (side - 8));
      if (round == 0) {
        first.push_back(y);
        first.push_back(dw);
      } else {
        EXPECT_TRUE(same_bits(y, first[at])) << side;
        EXPECT_TRUE(same_bits(dw, first[at + 1])) << side;
      }
    }
  EXPECT_GT(conv.jobs(), 10u);
}

TEST(Trial, TellsHowAProcessEnded) {
  EXPECT_EQ(tried([] { return true; }), "");
  EXPECT_EQ(tried([] { return false; }), "computes wrong numbers");
  EXPECT_EQ(tried([]() -> bool { fail("no kernel"); }), "computes wrong numbers");
  EXPECT_EQ(tried([] { return std::raise(SIGKILL) == 0; }), "dies of Killed");
  EXPECT_EQ(tried([] { return ::pause() == 0; }, 1), "does not come to an end");
}

}  // namespace
}  // namespace exciton::ops::onednn
