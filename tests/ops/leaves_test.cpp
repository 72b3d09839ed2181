/// Sums over images, and that no number of threads changes a bit of what is computed.
#include "exciton/ops/leaves.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "exciton/core/random.hpp"
#include "exciton/core/threads.hpp"
#include "exciton/ops/convolution/kernels.hpp"
#include "tests/ops/support.hpp"

namespace exciton::ops {
namespace {

TEST(Leaves, HoldEveryImageOnceAndHalvesAreWholeLeaves) {
  for (const std::int64_t n : {1, 2, 3, 7, 16, 20, 33, 100, 128, 1000}) {
    const Leaves leaves(n);
    EXPECT_EQ(leaves[0].begin, 0);
    EXPECT_EQ(leaves[leaves.count - 1].end, n);
    for (int l = 0; l < leaves.count; ++l) {
      EXPECT_LT(leaves[l].begin, leaves[l].end);
      EXPECT_EQ(leaves[l].begin, l > 0 ? leaves[l - 1].end : 0);
    }
    Leaves half = leaves;
    half.count /= 2;
    for (int l = 0; l < half.count; ++l) {
      EXPECT_EQ(half[l].begin, leaves[2 * l].begin);
      EXPECT_EQ(half[l].end, leaves[2 * l + 1].end);
    }
  }
  EXPECT_EQ(Leaves(1).count, 1);
  EXPECT_EQ(Leaves(15).count, 8);
  EXPECT_EQ(Leaves(4096).count, Leaves::most);
}

TEST(Leaves, AreFewWhereWeightsOutweighMapsOrThereIsLittleToDo) {
  EXPECT_EQ(Leaves::of_gradient(128, 2304, 4'194'304).count, 16);
  EXPECT_EQ(Leaves::of_gradient(128, 36'864, 1'048'576).count, 4);
  EXPECT_EQ(Leaves::of_gradient(16, 2'359'296, 802'816).count, 1);
  EXPECT_EQ(Leaves(64).worth(3 * Leaves::least_work).count, 2);
  EXPECT_EQ(Leaves(64).worth(1).count, 1);
}

TEST(Leaves, FoldAsABalancedTree) {
  // Values of which every association gives another sum.
  const int count = 8;
  std::vector<float> rows;
  Generator rng(3);
  for (int i = 0; i < count * 3; ++i)
    rows.push_back(static_cast<float>(rng.normal() * std::pow(10.0, i % 5)));
  std::vector<float> expected(3);
  for (int k = 0; k < 3; ++k) {
    const auto at = [&](int row) { return rows[static_cast<std::size_t>(row * 3 + k)]; };
    expected[static_cast<std::size_t>(k)] =
        ((at(0) + at(1)) + (at(2) + at(3))) + ((at(4) + at(5)) + (at(6) + at(7)));
  }
  fold_leaves(rows.data(), count, 3);
  for (std::size_t k = 0; k < 3; ++k) EXPECT_EQ(rows[k], expected[k]);
}

/// Layers of the zoo, of batches that leaves do not divide.
struct ConvLayer {
  std::int64_t n, side, c, o, window;
  ConvSpec spec;
};

void PrintTo(const ConvLayer& l, std::ostream* out) {
  *out << l.n << 'x' << l.side << 'x' << l.side << ", " << l.c << " -> " << l.o << ", window "
       << l.window << ", stride " << l.spec.stride << ", groups " << l.spec.groups;
}

class ThreadsAndLayers : public ::testing::TestWithParam<ConvLayer> {
 protected:
  void TearDown() override { set_num_threads(before_); }
  const int before_ = num_threads();
};

TEST_P(ThreadsAndLayers, GiveTheSameBits) {
  const ConvLayer& l = GetParam();
  for (const DType type : {DType::f32, DType::bf16}) {
    Generator rng(5);
    const Shape window{l.o, l.c / l.spec.groups, l.window, l.window};
    const Tensor x = Tensor::randn({l.n, l.side, l.side, l.c}, rng).to(type);
    const Tensor w = Tensor::randn(window, rng);
    Tensor y, dx, dw;
    for (const int threads : {1, 2, 3, 5, 8, 16}) {
      SCOPED_TRACE(testing::Message() << type << ", " << threads << " threads");
      set_num_threads(threads);
      ConvKernels kernels;
      const Tensor y2 = kernels.forward(x, w, 1, l.spec, {});
      if (threads == 1) y = y2;
      // The map itself as its gradient.
      const Tensor dx2 = kernels.backward_data(y, w, 1, x.shape(), l.spec);
      const Tensor dw2 = kernels.backward_weights(x, y, window, l.spec);
      if (threads == 1) dx = dx2, dw = dw2;
      EXPECT_TRUE(same_bits(y, y2));
      EXPECT_TRUE(same_bits(dx, dx2));
      EXPECT_TRUE(same_bits(dw, dw2));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    OfTheZoo, ThreadsAndLayers,
    ::testing::Values(
        ConvLayer{33, 32, 3, 16, 3, {.padding = 1}}, ConvLayer{33, 32, 16, 16, 3, {.padding = 1}},
        ConvLayer{20, 32, 16, 32, 3, {.stride = 2, .padding = 1}},
        ConvLayer{20, 32, 16, 32, 1, {.stride = 2}}, ConvLayer{50, 8, 64, 64, 3, {.padding = 1}},
        ConvLayer{3, 16, 64, 64, 3, {.padding = 1}}, ConvLayer{17, 14, 192, 256, 3, {.padding = 1}},
        ConvLayer{9, 7, 512, 512, 3, {.padding = 1}},
        ConvLayer{9, 14, 256, 512, 3, {.stride = 2, .padding = 1}},
        ConvLayer{5, 56, 64, 256, 1, {}}, ConvLayer{18, 14, 256, 1024, 1, {}},
        ConvLayer{9, 7, 2048, 512, 1, {}}, ConvLayer{3, 112, 3, 64, 7, {.stride = 2, .padding = 3}},
        ConvLayer{1, 28, 128, 128, 3, {.padding = 1}}, ConvLayer{1, 14, 1024, 256, 1, {}},
        ConvLayer{17, 14, 256, 256, 3, {.padding = 1, .groups = 32}},
        ConvLayer{17, 28, 96, 96, 3, {.padding = 1, .groups = 96}},
        ConvLayer{6, 17, 7, 13, 5, {.padding = 2, .dilation = 1}}));

}  // namespace
}  // namespace exciton::ops
