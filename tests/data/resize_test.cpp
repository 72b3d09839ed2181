#include "exciton/data/resize.hpp"

#include <cstdlib>

#include "exciton/data/image.hpp"
#include "support.hpp"

namespace exciton::data {
namespace {

using namespace testing;

struct ResizeCase {
  std::string name;
  Box box;
};

/// Pillow rounds after each of the two passes, this code once at the end.
TEST(Resize, agrees_with_pillow) {
  const Image picture = golden_image("picture.png");
  const Box whole{0, 0, 61, 47};
  for (const ResizeCase& c :
       {ResizeCase{"half", whole}, ResizeCase{"small", whole}, ResizeCase{"wide", whole},
        ResizeCase{"large", whole}, ResizeCase{"part", {3.25, 5.5, 37.5, 25.5}},
        ResizeCase{"part_large", {20, 11, 9.5, 8.25}},
        ResizeCase{"centre", centre_box({47, 61}, 20, 16)}}) {
    const Image want = golden_image("resize_" + c.name + ".png");
    expect_near(resize(picture, c.box, want.height, want.width), want, 1, c.name);
  }
}

TEST(Resize, grey_is_each_channel_of_the_same_in_colour) {
  const Image picture = golden_image("picture.png");
  Image red{picture.height, picture.width, 1, {}};
  for (std::size_t i = 0; i < picture.pixels.size(); i += 3)
    red.pixels.push_back(picture.pixels[i]);
  const Image colour = resize(picture, 19, 24), grey = resize(red, 19, 24);
  ASSERT_EQ(grey.pixels.size() * 3, colour.pixels.size());
  for (std::size_t i = 0; i < grey.pixels.size(); ++i)
    ASSERT_EQ(grey.pixels[i], colour.pixels[3 * i]);
}

TEST(Resize, to_its_own_size_changes_nothing) {
  const Image noise = noise_image(9, 13, 3, 3);
  EXPECT_EQ(resize(noise, {0, 0, 13, 9}, 9, 13).pixels, noise.pixels);
  EXPECT_EQ(resize(noise, {4, 2, 5, 6}, 6, 5).pixels[0], noise.pixels[(2 * 13 + 4) * 3]);
}

TEST(Resize, one_pixel) {
  const Image pixel{1, 1, 3, {10, 20, 30}};
  const Image large = resize(pixel, 3, 2);
  EXPECT_EQ(large.pixels,
            (Bytes{10, 20, 30, 10, 20, 30, 10, 20, 30, 10, 20, 30, 10, 20, 30, 10, 20, 30}));
  EXPECT_EQ(resize(large, 1, 1).pixels, pixel.pixels);
  EXPECT_EQ(resize(pixel, {0.25, 0.5, 0.1, 0.1}, 1, 1).pixels, pixel.pixels);
}

TEST(Resize, refuses_what_cannot_be) {
  const Image image = noise_image(4, 6, 3, 1);
  expect_error([&] { resize(image, 0, 3); }, {"resize", "0 x 3", "above 0"});
  expect_error([&] { resize(image, {0, 0, 0, 4}, 2, 2); }, {"resize", "above 0"});
  expect_error([&] { resize(image, {3, 0, 4, 4}, 2, 2); }, {"leaves the image of 4 x 6"});
  expect_error([&] { resize(image, {0, -1, 4, 4}, 2, 2); }, {"leaves the image"});
}

TEST(Resize, shorter_side) {
  EXPECT_EQ(with_shorter_side({375, 500}, 256), (Size{256, 341}));
  EXPECT_EQ(with_shorter_side({500, 375}, 256), (Size{341, 256}));
  EXPECT_EQ(with_shorter_side({64, 64}, 64), (Size{64, 64}));
  expect_error([] { with_shorter_side({0, 3}, 2); }, {"0 x 3"});
}

TEST(CentreCrop, takes_the_middle) {
  const Image image = noise_image(7, 10, 1, 2);
  const Image middle = centre_crop(image, 3, 4);
  for (std::int64_t y = 0; y < 3; ++y)
    for (std::int64_t x = 0; x < 4; ++x)
      EXPECT_EQ(middle.pixels[static_cast<std::size_t>(4 * y + x)],
                image.pixels[static_cast<std::size_t>(10 * (y + 2) + x + 3)]);
  // round((whole - part) / 2) of Python and so of torchvision: 0.5, 1.5, 2.5, 3.5 are 0, 2, 2, 4.
  const auto first = [](std::int64_t extent) {
    Image row{1, extent, 1, {}};
    for (std::int64_t x = 0; x < extent; ++x) row.pixels.push_back(static_cast<std::uint8_t>(x));
    return int{centre_crop(row, 1, 2).pixels[0]};
  };
  EXPECT_EQ(first(3), 0);
  EXPECT_EQ(first(5), 2);
  EXPECT_EQ(first(7), 2);
  EXPECT_EQ(first(9), 4);
  EXPECT_EQ(centre_box({256, 341}, 256, 224).left, 58);  // torchvision: round(58.5)
  EXPECT_EQ(centre_box({343, 256}, 256, 224).top, 60);   // round(59.5)
  expect_error([&] { centre_crop(image, 8, 4); }, {"8 x 4", "7 x 10"});
  expect_error([] { centre_box({10, 10}, 8, 9); }, {"1 to 8", "got 9"});
}

}  // namespace
}  // namespace exciton::data
