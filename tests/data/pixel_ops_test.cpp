#include "exciton/data/pixel_ops.hpp"

#include <cstdlib>
#include <functional>
#include <set>

#include "exciton/data/rand_augment.hpp"
#include "support.hpp"

namespace exciton::data {
namespace {

using namespace testing;

/// The upper left 40 x 30 pixels of the golden picture.
Image picture() {
  const Image full = golden_image("picture.png");
  Image out{30, 40, 3, {}};
  for (std::int64_t y = 0; y < 30; ++y) {
    const auto row = full.pixels.begin() + y * full.width * 3;
    out.pixels.insert(out.pixels.end(), row, row + 40 * 3);
  }
  return out;
}

struct PixelCase {
  std::string name;
  int tolerance;
  std::function<void(Image&)> apply;
};

// Pillow keeps hue, saturation and value in 8 bits each: that is most of the difference in hue.
TEST(PixelOps, agree_with_pillow) {
  const Colour fill{10, 200, 90};
  const auto stretch = [](Image& i) {
    change_contrast(i, 0.5);
    stretch_contrast(i);
  };
  const Affine sheared{1, 0.3, 0, 0, 1, 0}, shifted{1, 0, 0, 0, 1, -7.25};
  std::vector<PixelCase> cases;
  const auto add = [&](const char* name, int most, std::function<void(Image&)> apply) {
    cases.push_back({name, most, std::move(apply)});
  };
  add("brightness", 1, [](Image& i) { change_brightness(i, 1.4); });
  add("contrast", 1, [](Image& i) { change_contrast(i, 0.6); });
  add("saturation", 1, [](Image& i) { change_saturation(i, 1.7); });
  add("sharpness", 2, [](Image& i) { change_sharpness(i, 1.8); });
  add("hue", 7, [](Image& i) { change_hue(i, 0.2); });
  add("posterize", 0, [](Image& i) { posterize(i, 3); });
  add("solarize", 0, [](Image& i) { solarize(i, 130); });
  add("stretch", 2, stretch);
  add("equalize", 0, [](Image& i) { equalize(i); });
  add("rotate", 1, [&](Image& i) { rotate(i, 10, fill); });
  add("shear", 1, [&](Image& i) { transform(i, sheared, fill); });
  add("shift", 1, [&](Image& i) { transform(i, shifted, fill); });
  for (const PixelCase& c : cases) {
    Image image = picture();
    c.apply(image);
    expect_near(image, golden_image("op_" + c.name + ".png"), c.tolerance, c.name);
  }
}

TEST(PixelOps, neutral_values_change_nothing) {
  const Image want = picture();
  Image image = want;
  change_brightness(image, 1);
  change_contrast(image, 1);
  change_saturation(image, 1);
  change_sharpness(image, 1);
  posterize(image, 8);
  solarize(image, 256);
  rotate(image, 0, {});
  expect_near(image, want, 0);
  change_hue(image, 1);
  expect_near(image, want, 1);
  change_saturation(image, 0);
  for (std::size_t i = 0; i < image.pixels.size(); i += 3)
    ASSERT_EQ(image.pixels[i], image.pixels[i + 2]);
}

TEST(PixelOps, grey_images_and_single_pixels_are_fine) {
  for (const std::int64_t channels : {1, 3})
    for (const std::int64_t side : {1, 2, 9}) {
      Generator rng(4);
      for (int i = 0; i < 200; ++i) {
        Image image = noise_image(side, side, channels, 3);
        random_operation(image, 1, {1, 2, 3}, rng);
        ASSERT_EQ(image.pixels.size(), static_cast<std::size_t>(side * side * channels));
      }
    }
}

TEST(PixelOps, random_operation_draws_all_of_them) {
  const Image want = picture();
  Generator rng(9);
  std::set<Bytes> results;
  for (int i = 0; i < 400; ++i) {
    Image image = want;
    random_operation(image, 0.5, {1, 2, 3}, rng);
    results.insert(image.pixels);
  }
  EXPECT_EQ(results.size(), 1 + 4u + 9 * 2) << "identity, 4 without a sign, 9 with one";
}

TEST(PixelOps, posterize_wants_bits) {
  Image image = picture();
  expect_error([&] { posterize(image, 0); }, {"1 to 8", "got 0"});
}

}  // namespace
}  // namespace exciton::data
