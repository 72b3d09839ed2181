#include "01_tensor.hpp"

#include <gtest/gtest.h>

using namespace exciton;

TEST(Tensor, offset_counts_every_element_once) {
  const Shape shape{2, 3, 4, 5};
  std::int64_t expected = 0;
  for (int n = 0; n < 2; ++n)
    for (int h = 0; h < 3; ++h)
      for (int w = 0; w < 4; ++w)
        for (int c = 0; c < 5; ++c) ASSERT_EQ(course::offset(shape, n, h, w, c), expected++);
}

TEST(Tensor, means_of_channels) {
  // Two images of one row and two pixels, three channels.
  const Tensor images = Tensor::from({2, 1, 2, 3}, {1, 10, -1,  //
                                                    2, 20, -2,  //
                                                    3, 30, -3,  //
                                                    6, 60, -6});
  const Tensor means = course::channel_means(images);
  ASSERT_EQ(means.shape(), Shape{3});
  EXPECT_EQ(means.at(0), 3);
  EXPECT_EQ(means.at(1), 30);
  EXPECT_EQ(means.at(2), -3);
}

TEST(Tensor, long_sums_keep_their_digits) {
  const Tensor images = Tensor::full({1, 2048, 2048, 1}, 0.1);
  EXPECT_NEAR(course::channel_means(images).item(), 0.1, 1e-6);
}
