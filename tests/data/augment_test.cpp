#include "exciton/data/augment.hpp"

#include <algorithm>
#include <map>
#include <set>

#include <cmath>

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

// Reflected padding: the image and its mirror image at every border, whose pixels come once.
TEST(Augment, reflection_reaches_every_place) {
  Augment augment = normalise;
  augment.pad = 3;
  augment.flip = augment.reflect = true;
  const Image in = noise_image(6, 8, 3, 2);
  const auto at = [](std::int64_t i, std::int64_t n) {
    return i < 0 ? -i : i < n ? i : 2 * n - 2 - i;
  };
  std::set<std::vector<float>> places;
  for (std::int64_t dy = -3; dy <= 3; ++dy)
    for (std::int64_t dx = -3; dx <= 3; ++dx)
      for (const bool mirrored : {false, true}) {
        Image seen = in;
        for (std::int64_t y = 0; y < 6; ++y)
          for (std::int64_t x = 0; x < 8; ++x)
            for (std::int64_t c = 0; c < 3; ++c)
              seen.pixels[static_cast<std::size_t>((y * 8 + x) * 3 + c)] =
                  in.pixels[static_cast<std::size_t>(
                      (at(y + dy, 6) * 8 + at((mirrored ? 7 - x : x) + dx, 8)) * 3 + c)];
        places.insert(expected(augment, seen, 0, 0, false));
      }
  ASSERT_EQ(places.size(), 98u);
  Generator rng(5);
  std::set<std::vector<float>> found;
  for (int i = 0; i < 3000; ++i) {
    const std::vector<float> out = run(augment, in, rng);
    ASSERT_TRUE(places.contains(out));
    found.insert(out);
  }
  EXPECT_EQ(found.size(), 98u);
  augment.pad = 6;
  EXPECT_THROW(run(augment, in, rng), Error) << "six rows have no sixth to mirror";
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
  expect_error([&] { Augmenter({}, 3)(in, rng, out); }, {"1 channels", "expected 3"});
}

/// Draws `count` frames of an image.
std::vector<Box> frames(const Augment& augment, Size size, int count) {
  const Augmenter ready(augment, 3);
  Generator rng(3);
  std::vector<Box> out;
  for (int i = 0; i < count; ++i) {
    const View view = ready.frame(size, rng);
    EXPECT_EQ(view.size, (Size{augment.size, augment.size}));
    out.push_back(view.box);
  }
  return out;
}

TEST(RandomResizedCrop, areas_and_ratios_are_those_that_were_asked_for) {
  Augment augment;
  augment.size = 224;
  augment.random_resized_crop = {0.08, 1, 0.75, 4.0 / 3};
  double area = 0, log_ratio = 0, smallest = 1;
  const auto boxes = frames(augment, {375, 500}, 4000);
  for (const Box& box : boxes) {
    ASSERT_GE(box.left, 0);
    ASSERT_GE(box.top, 0);
    ASSERT_LE(box.left + box.width, 500);
    ASSERT_LE(box.top + box.height, 375);
    const double share = box.width * box.height / (375 * 500);
    area += share / 4000;
    smallest = std::min(smallest, share);
    log_ratio += std::log(box.width / box.height) / 4000;
    ASSERT_GT(box.width / box.height, 0.75 * 0.95);
    ASSERT_LT(box.width / box.height, 4.0 / 3 * 1.05);
  }
  EXPECT_NEAR(smallest, 0.08, 0.01);
  EXPECT_NEAR(area, 0.43, 0.01) << "as a simulation in Python says";
  EXPECT_NEAR(log_ratio, 0, 0.05);
}

TEST(RandomResizedCrop, what_never_fits_is_the_middle) {
  Augment augment;
  augment.size = 8;
  augment.random_resized_crop = {1, 1, 0.75, 4.0 / 3};
  const Box box = frames(augment, {10, 100}, 1)[0];
  EXPECT_EQ(box.height, 10);
  EXPECT_EQ(box.width, 13);
  EXPECT_EQ(box.left, 43);
  EXPECT_EQ(frames(augment, {1, 1}, 1)[0].width, 1);
}

TEST(Augment, evaluation_takes_the_middle) {
  Augment augment;
  augment.size = 224;
  augment.shorter_side = 256;
  const Box box = frames(augment, {512, 768}, 1)[0];  // scale 2
  EXPECT_DOUBLE_EQ(box.width, 448);
  EXPECT_DOUBLE_EQ(box.left, 160);
  EXPECT_DOUBLE_EQ(box.top, 32);
}

TEST(Augment, lighting_adds_the_same_to_every_pixel) {
  Augment plain, lit;
  plain.std = lit.std = {0.5f, 0.25f, 0.2f};
  lit.lighting = 0.1;
  const Image image = noise_image(5, 6, 3, 2);
  std::vector<float> a(90), b(90);
  Generator rng(1);
  plain(image, rng, a.data());
  lit(image, rng, b.data());
  for (std::size_t c = 0; c < 3; ++c) {
    EXPECT_NE(a[c], b[c]);
    for (std::size_t i = c; i < 90; i += 3) EXPECT_NEAR(b[i] - a[i], b[c] - a[c], 1e-5);
  }
}

TEST(Augment, erasing_zeroes_one_rectangle_of_2_to_33_percent) {
  Augment augment;
  augment.mean = {-1, -1, -1};  // so that only what is erased is 0
  augment.erasing.probability = 0.5;
  const Image image = noise_image(40, 50, 3, 2);
  const Augmenter ready(augment, 3);
  std::vector<float> out(40 * 50 * 3);
  Generator rng(5);
  int erased = 0;
  for (int i = 0; i < 300; ++i) {
    ready(image, rng, out.data());
    std::int64_t count = 0, top = 40, bottom = -1, left = 50, right = -1;
    for (std::int64_t y = 0; y < 40; ++y)
      for (std::int64_t x = 0; x < 50; ++x)
        if (out[static_cast<std::size_t>((y * 50 + x) * 3)] == 0) {
          ++count;
          top = std::min(top, y), bottom = std::max(bottom, y);
          left = std::min(left, x), right = std::max(right, x);
        }
    if (count == 0) continue;
    ++erased;
    ASSERT_EQ(count, (bottom - top + 1) * (right - left + 1));
    ASSERT_GT(count, 0.015 * 2000);
    ASSERT_LT(count, 0.35 * 2000);
  }
  EXPECT_NEAR(erased, 150, 30);
}

/// A batch whose image n is n everywhere.
Tensor numbered(std::int64_t n, std::int64_t side, DType type = DType::f32) {
  Tensor out({n, side, side, 1});
  for (std::int64_t i = 0; i < out.numel(); ++i)
    out.data<float>()[i] = static_cast<float>(i / (side * side));
  return out.to(type);
}

TEST(Mixing, mixup_is_a_weighted_mean_with_the_next_image) {
  Augment augment;
  augment.mixup = 0.4;
  for (const DType type : {DType::f32, DType::bf16}) {
    Tensor batch = numbered(4, 3, type);
    Generator rng(2);
    const Mixing mixing = Augmenter(augment, 1).mix(batch, rng);
    ASSERT_TRUE(mixing.on());
    for (std::int64_t i = 0; i < batch.numel(); ++i) {
      const double own = static_cast<double>(i / 9), next = static_cast<double>((i / 9 + 1) % 4);
      EXPECT_NEAR(batch.at(i), mixing.weight * own + (1 - mixing.weight) * next, 1e-2);
    }
  }
}

TEST(Mixing, cutmix_weighs_by_what_is_left_of_the_image) {
  Augment augment;
  augment.cutmix = 1;
  const Augmenter ready(augment, 1);
  Generator rng(2);
  double sum = 0;
  for (int round = 0; round < 200; ++round) {
    Tensor batch = numbered(3, 16);
    const Mixing mixing = ready.mix(batch, rng);
    sum += mixing.weight / 200;
    for (std::int64_t n = 0; n < 3; ++n) {
      std::int64_t own = 0;
      for (std::int64_t i = 0; i < 256; ++i) {
        const double value = batch.at(n * 256 + i);
        own += value == static_cast<double>(n);
        ASSERT_TRUE(value == static_cast<double>(n) || value == static_cast<double>((n + 1) % 3));
      }
      ASSERT_DOUBLE_EQ(mixing.weight, static_cast<double>(own) / 256);
    }
  }
  EXPECT_GT(sum, 0.5);
  EXPECT_LT(sum, 0.75) << "patches that hang over the border are smaller";
}

/// With a tiny alpha the gammas behind the Beta are below any double for most draws, and 0 / 0 is
/// no half: the weights lie at the ends.
TEST(Mixing, weights_are_drawn_from_beta) {
  for (const double alpha : {0.4, 1e-2, 1e-3, 1e-6}) {
    Augment augment;
    augment.mixup = alpha;  // variance of Beta(a, a): 1 / (4 (2 a + 1))
    const Augmenter ready(augment, 1);
    Generator rng(8);
    double sum = 0, squares = 0;
    for (int i = 0; i < 4000; ++i) {
      Tensor batch = numbered(2, 1);
      const double w = ready.mix(batch, rng).weight;
      ASSERT_NE(w, 0.5) << alpha;
      sum += w / 4000;
      squares += (w - 0.5) * (w - 0.5) / 4000;
    }
    EXPECT_NEAR(sum, 0.5, 0.03) << alpha;
    EXPECT_NEAR(squares, 1 / (4 * (2 * alpha + 1)), 0.01) << alpha;
    Tensor one = numbered(1, 3);
    EXPECT_FALSE(ready.mix(one, rng).on()) << "one image has nobody to mix with";
  }
}

TEST(Augment, refuses_ranges_that_are_none) {
  const auto refuse = [](auto&& change, std::initializer_list<std::string> parts) {
    Augment augment;
    change(augment);
    expect_error([&] { Augmenter(augment, 3); }, parts);
  };
  refuse([](Augment& a) { a.random_resized_crop.scale_low = 0.5; }, {"needs a size"});
  refuse([](Augment& a) { a.random_resized_crop.scale_low = 2; }, {"scale", "2 and 1"});
  refuse([](Augment& a) { a.random_resized_crop.ratio_low = 2; }, {"ratio", "2 and 1.3"});
  refuse([](Augment& a) { a.size = 10, a.shorter_side = 9; }, {"shorter side of 9", "10"});
  refuse([](Augment& a) { a.shorter_side = 9; }, {"shorter_side", "set size, too"});
  refuse([](Augment& a) { a.mean[1] = NAN; }, {"mean of channel 1"});
  refuse([](Augment& a) { a.std[1] = INFINITY; }, {"std of channel 1"});
  refuse([](Augment& a) { a.erasing.probability = 1.5; }, {"probability", "1.5"});
  refuse([](Augment& a) { a.jitter.hue = 0.6; }, {"jitter"});
  refuse([](Augment& a) { a.rand_augment.magnitude = 31; }, {"rand_augment"});
  refuse([](Augment& a) { a.mixup = -1; }, {"mixup"});
  Augment lit;
  lit.lighting = 0.1;
  expect_error([&] { Augmenter(lit, 1); }, {"lighting", "not 1"});
}

}  // namespace
}  // namespace exciton::data
