#include "data/augment.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "support.hpp"

namespace exciton::data {
namespace {

using namespace testing;

std::vector<float> run(const Augment& augment, const Image& in, Generator& rng) {
  std::vector<float> out(in.pixels.size(), -1e30f);
  augment(in, rng, out.data());
  return out;
}

/// What the docstring says, pixel by pixel.
std::vector<float> expected(const Augment& a, const Image& in, std::int64_t dy, std::int64_t dx,
                            bool mirrored) {
  std::vector<float> out;
  for (std::int64_t y = 0; y < in.height; ++y)
    for (std::int64_t x = 0; x < in.width; ++x)
      for (std::int64_t c = 0; c < in.channels; ++c) {
        const std::int64_t sy = y + dy, sx = (mirrored ? in.width - 1 - x : x) + dx;
        const bool inside = sy >= 0 && sy < in.height && sx >= 0 && sx < in.width;
        const int value =
            inside ? in.pixels[static_cast<std::size_t>((sy * in.width + sx) * in.channels + c)]
                   : 0;
        const auto k = static_cast<std::size_t>(c);
        out.push_back(static_cast<float>((value / 255.0 - a.mean[k]) / a.std[k]));
      }
  return out;
}

const Augment normalise{.mean = {0.5f, 0.25f, 0.125f}, .std = {0.5f, 2, 0.25f}};

TEST(Augment, normalises_each_channel) {
  Generator rng(1);
  for (std::int64_t channels : {1, 2, 3}) {
    const Image in = noise_image(5, 7, channels, 2);
    EXPECT_EQ(run(normalise, in, rng), expected(normalise, in, 0, 0, false));
  }
  EXPECT_EQ(rng.state().counter, 0u) << "nothing random was asked for";
}

TEST(Augment, default_scales_to_0_1) {
  const Image in{1, 3, 1, {0, 51, 255}};
  Generator rng(1);
  EXPECT_EQ(run({}, in, rng), (std::vector<float>{0, 0.2f, 1}));
}

// Every crop must be one of the (2 pad + 1)^2 places of a zero-padded image, mirrored or not; over
// many draws each must come about equally often.
TEST(Augment, crops_and_flips_reach_every_place_uniformly) {
  Augment augment = normalise;
  augment.pad = 2;
  augment.flip = true;
  const Image in = noise_image(4, 6, 3, 2);
  std::map<std::vector<float>, int> count;
  for (int dy = -2; dy <= 2; ++dy)
    for (int dx = -2; dx <= 2; ++dx)
      for (bool mirrored : {false, true}) count[expected(augment, in, dy, dx, mirrored)] = 0;
  ASSERT_EQ(count.size(), 50u);
  Generator rng(5);
  const int draws = 20000;
  for (int i = 0; i < draws; ++i) {
    const auto found = count.find(run(augment, in, rng));
    ASSERT_NE(found, count.end());
    ++found->second;
  }
  double chi2 = 0;
  for (const auto& [image, n] : count) {
    const double want = draws / 50.0;
    chi2 += (n - want) * (n - want) / want;
  }
  EXPECT_LT(chi2, 86);  // 49 degrees of freedom: exceeded by chance in 0.1 % of seeds
}

TEST(Augment, padding_is_black_before_normalisation) {
  Augment augment = normalise;
  augment.pad = 1;
  const Image white{1, 1, 3, {255, 255, 255}};
  const std::vector<float> black{-1, -0.125f, -0.5f}, inside{1, 0.375f, 3.5f};
  Generator rng(3);
  std::set<std::vector<float>> seen;
  for (int i = 0; i < 200; ++i) seen.insert(run(augment, white, rng));
  EXPECT_EQ(seen, (std::set<std::vector<float>>{black, inside}));
}

TEST(Augment, padding_wider_than_the_image) {
  Augment augment = normalise;
  augment.pad = 9;
  augment.flip = true;
  const Image in = noise_image(2, 3, 3, 8);
  std::set<std::vector<float>> places;
  for (int dy = -9; dy <= 9; ++dy)
    for (int dx = -9; dx <= 9; ++dx)
      for (bool mirrored : {false, true}) places.insert(expected(augment, in, dy, dx, mirrored));
  Generator rng(3);
  for (int i = 0; i < 2000; ++i) ASSERT_TRUE(places.contains(run(augment, in, rng)));
}

TEST(Augment, cutout_zeroes_one_clipped_square_after_normalisation) {
  Augment augment = normalise;
  augment.cutout = 4;
  const Image in = noise_image(9, 7, 3, 2);
  const std::vector<float> plain = expected(normalise, in, 0, 0, false);
  Generator rng(4);
  using Rectangle = std::array<std::int64_t, 4>;  // first and last row, first and last column
  std::set<Rectangle> seen, want;  // [c - 2, c + 2) around every pixel, clipped at the border
  for (std::int64_t y = 0; y < 9; ++y)
    for (std::int64_t x = 0; x < 7; ++x)
      want.insert({std::max<std::int64_t>(0, y - 2), std::min<std::int64_t>(8, y + 1),
                   std::max<std::int64_t>(0, x - 2), std::min<std::int64_t>(6, x + 1)});
  for (int i = 0; i < 3000; ++i) {
    const std::vector<float> got = run(augment, in, rng);
    std::int64_t y1 = 9, y2 = -1, x1 = 7, x2 = -1, zeros = 0;
    for (std::int64_t y = 0; y < 9; ++y)
      for (std::int64_t x = 0; x < 7; ++x) {
        const auto* p = &got[static_cast<std::size_t>((y * 7 + x) * 3)];
        const bool cut = p[0] == 0 && p[1] == 0 && p[2] == 0;
        if (cut) {
          y1 = std::min(y1, y), y2 = std::max(y2, y), x1 = std::min(x1, x), x2 = std::max(x2, x);
          ++zeros;
        } else {
          for (int c = 0; c < 3; ++c)
            ASSERT_EQ(p[c], plain[static_cast<std::size_t>((y * 7 + x) * 3 + c)]);
        }
      }
    ASSERT_EQ(zeros, (y2 - y1 + 1) * (x2 - x1 + 1)) << "a full rectangle";
    seen.insert({y1, y2, x1, x2});
  }
  EXPECT_EQ(seen, want);
}

TEST(Augment, bf16_is_the_rounded_f32) {
  Augment augment = normalise;
  augment.pad = 2;
  augment.flip = true;
  augment.cutout = 3;
  const Image in = noise_image(8, 8, 3, 2);
  const Augmenter augmenter(augment, 3);
  Generator a(9), b(9);
  std::vector<float> f32(in.pixels.size());
  std::vector<bf16> low(in.pixels.size());
  augmenter(in, a, f32.data());
  augmenter(in, b, low.data());
  for (std::size_t i = 0; i < f32.size(); ++i) ASSERT_EQ(low[i].bits, bf16(f32[i]).bits);
  EXPECT_EQ(a.state(), b.state());
}

TEST(Augment, refuses_wrong_settings) {
  expect_error([] { Augmenter({.pad = -1}, 3); }, {"pad", "-1"});
  expect_error([] { Augmenter({.cutout = -2}, 3); }, {"cutout", "-2"});
  expect_error([] { Augmenter({.std = {1, 0, 1}}, 3); }, {"std of channel 1", "got 0"});
  expect_error([] { Augmenter({}, 4); }, {"1 to 3 channels", "got 4"});
  EXPECT_NO_THROW(Augmenter({.std = {1, 0, 0}}, 1)) << "unused channels may hold anything";
}

TEST(Augment, refuses_an_image_of_other_channels) {
  const Image in = noise_image(2, 2, 1, 1);
  Generator rng(1);
  float out[12];
  expect_error([&] { Augmenter({}, 3)(in, rng, out); }, {"1 channels", "wants 3"});
}

}  // namespace
}  // namespace exciton::data
