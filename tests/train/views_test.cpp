// Crops, scales and ensembles against loops over single pixels and single images.
#include "exciton/train/views.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "exciton/data/memory_dataset.hpp"
#include "exciton/data/resize.hpp"
#include "exciton/nn/registry.hpp"
#include "tests/train/support.hpp"

namespace exciton::train::testing {
namespace {

data::Image noise(std::int64_t height, std::int64_t width, std::int64_t channels, Generator& rng) {
  data::Image image{height, width, channels, {}};
  for (std::int64_t i = 0; i < height * width * channels; ++i)
    image.pixels.push_back(static_cast<std::uint8_t>(rng.below(256)));
  return image;
}

/// Pixel by pixel; mirrored: column crop - 1 - x of the unmirrored square.
data::Image cut(const data::Image& image, std::int64_t top, std::int64_t left, std::int64_t crop,
                bool mirrored) {
  data::Image out{crop, crop, image.channels, {}};
  for (std::int64_t y = 0; y < crop; ++y)
    for (std::int64_t x = 0; x < crop; ++x)
      for (std::int64_t c = 0; c < image.channels; ++c) {
        const std::int64_t column = left + (mirrored ? crop - 1 - x : x);
        out.pixels.push_back(image.pixels[static_cast<std::size_t>(
            ((top + y) * image.width + column) * image.channels + c)]);
      }
  return out;
}

std::vector<data::Image> ten_crops(const data::Image& image, std::int64_t crop) {
  const std::int64_t bottom = image.height - crop, right = image.width - crop;
  std::vector<data::Image> out;
  for (const bool mirrored : {false, true})
    for (const auto& [top, left] : {std::pair{std::int64_t{0}, std::int64_t{0}},
                                    {0, right},
                                    {bottom, 0},
                                    {bottom, right},
                                    {bottom / 2, right / 2}})
      out.push_back(cut(image, top, left, crop, mirrored));
  return out;
}

TEST(Views, CropsOfAnImageAsItComes) {
  Generator rng(1);
  for (const std::int64_t channels : {1, 3}) {
    const data::Image image = noise(7, 10, channels, rng);
    const auto one = views(image, {.crop = 4});
    ASSERT_EQ(one.size(), 1u);
    EXPECT_EQ(one[0].pixels, cut(image, 1, 3, 4, false).pixels);
    const auto ten = views(image, {.crop = 4, .ten = true}), expected = ten_crops(image, 4);
    ASSERT_EQ(ten.size(), 10u);
    for (std::size_t i = 0; i < 10; ++i) EXPECT_EQ(ten[i].pixels, expected[i].pixels) << i;
  }
}

TEST(Views, CropsOfEachScaleAreThoseOfTheResizedWhole) {
  Generator rng(2);
  for (const data::Size size : {data::Size{40, 61}, data::Size{55, 30}}) {
    const data::Image image = noise(size.height, size.width, 3, rng);
    const ViewSpec spec{.scales = {24, 32, 20}, .crop = 16, .ten = true};
    const auto all = views(image, spec);
    ASSERT_EQ(all.size(), 30u);
    ASSERT_EQ(spec.count(), 30);
    for (std::size_t s = 0; s < 3; ++s) {
      const data::Size to = data::with_shorter_side(size, spec.scales[s]);
      const auto expected = ten_crops(data::resize(image, to.height, to.width), 16);
      for (std::size_t i = 0; i < 10; ++i) {
        const auto& got = all[10 * s + i].pixels;
        ASSERT_EQ(got.size(), expected[i].pixels.size());
        for (std::size_t p = 0; p < got.size(); ++p)
          ASSERT_NEAR(got[p], expected[i].pixels[p], 1) << "scale " << s << " view " << i;
      }
    }
  }
}

TEST(Views, WhatDoesNotFitIsAnError) {
  Generator rng(3);
  const data::Image image = noise(7, 10, 3, rng);
  EXPECT_NE(error_of([&] { views(image, {.crop = 8}); }).find("8 x 8 from an image of 7 x 10"),
            std::string::npos);
  const ViewSpec mixed{.scales = {14, 5}, .crop = 6};
  EXPECT_NE(error_of([&] { views(image, mixed); }).find("from an image of"), std::string::npos);
}

TEST(Views, EnsembleIsTheMeanOfAllProbabilities) {
  Generator rng(4);
  constexpr std::int64_t images = 11, classes = 7;
  data::MemoryDataset::Contents contents{"noise", 20, 20, 3, {}, {}, {}};
  for (std::int64_t i = 0; i < images; ++i) {
    const auto pixels = noise(20, 20, 3, rng).pixels;
    contents.pixels.insert(contents.pixels.end(), pixels.begin(), pixels.end());
    contents.labels.push_back(static_cast<std::int64_t>(rng.below(classes)));
  }
  for (int c = 0; c < classes; ++c) contents.class_names.push_back("c" + std::to_string(c));
  const data::MemoryDataset set(contents);

  // Two networks with norms that are not those of a start, other normalisations, other views.
  nn::Model a = nn::make_model("se_resnet20", {.classes = classes, .blocks = {1, 1, 1}}, 5);
  nn::Model b = nn::make_model("resnet20", {.classes = classes, .blocks = {1, 1, 1}}, 6);
  for (nn::Model* m : {&a, &b}) {
    (*m->net)(Tensor::randn({16, 16, 16, 3}, rng));
    nn::set_training(*m->net, false);
  }
  std::vector<Member> members(2);
  members[0].net = a.net.get();
  members[0].views = {.scales = {20, 24}, .crop = 16, .ten = true};
  members[0].normalization.mean = {0.5F, 0.4F, 0.3F};
  members[0].normalization.std = {0.2F, 0.3F, 0.1F};
  members[1].net = b.net.get();
  members[1].views = {.crop = 12};
  members[1].normalization.mean = {0.1F, 0.2F, 0.3F};
  members[1].normalization.std = {0.5F, 0.5F, 0.5F};

  double loss = 0;
  int top1 = 0, top5 = 0;
  for (std::int64_t i = 0; i < images; ++i) {
    data::Image image;
    set.read(i, image);
    std::vector<double> p(classes, 0.0);
    for (const Member& m : members) {
      std::vector<data::Image> all;
      for (const std::int64_t s : m.views.scales)
        for (auto& view : ten_crops(data::resize(image, s, s), m.views.crop)) all.push_back(view);
      if (m.views.scales.empty()) all.push_back(cut(image, 4, 4, 12, false));
      for (const data::Image& view : all) {
        Tensor x({1, view.height, view.width, 3});
        for (std::int64_t k = 0; k < x.numel(); ++k) {
          const auto c = static_cast<std::size_t>(k % 3);
          x.set(k, (view.pixels[static_cast<std::size_t>(k)] / 255.0 - m.normalization.mean[c]) /
                       m.normalization.std[c]);
        }
        const Tensor logits = (*m.net)(x).value();
        double sum = 0;
        for (std::int64_t c = 0; c < classes; ++c) sum += std::exp(logits.at(c));
        for (std::int64_t c = 0; c < classes; ++c)
          p[static_cast<std::size_t>(c)] += std::exp(logits.at(c)) / sum / 21;
      }
    }
    const double own = p[static_cast<std::size_t>(set.label(i))];
    const auto better = std::count_if(p.begin(), p.end(), [&](double v) { return v > own; });
    loss -= std::log(own) / images;
    top1 += better == 0;
    top5 += better < 5;
  }
  for (const std::int64_t batch : {4, 100}) {
    const Evaluation result = evaluate_views(members, set, {.batch = batch});
    EXPECT_EQ(result.images(), images);
    EXPECT_NEAR(result.loss(), loss, 2e-3 * loss) << "one grey level here and there";
    EXPECT_NEAR(result.top1() * images, top1, 1e-9);
    EXPECT_NEAR(result.top5() * images, top5, 1e-9);
  }
}

TEST(Views, MirrorAndTranslationPixelByPixel) {
  Generator rng(1);
  const data::Image image = noise(5, 6, 3, rng);
  const auto six = views(image, {.crop = 5, .mirror = true, .translate = 2});
  ASSERT_EQ(six.size(), 6u);
  const data::Image square = cut(image, 0, 0, 5, false);
  const auto at = [](std::int64_t i) { return i < 0 ? -i : i < 5 ? i : 8 - i; };
  std::size_t view = 0;
  for (const std::int64_t by : {0, 2, -2})
    for (const bool mirrored : {false, true}) {
      data::Image wanted = square;
      for (std::int64_t y = 0; y < 5; ++y)
        for (std::int64_t x = 0; x < 5; ++x)
          for (std::int64_t c = 0; c < 3; ++c)
            wanted.pixels[static_cast<std::size_t>((y * 5 + x) * 3 + c)] =
                square.pixels[static_cast<std::size_t>(
                    (at(y - by) * 5 + at((mirrored ? 4 - x : x) - by)) * 3 + c)];
      EXPECT_EQ(six[view++].pixels, wanted.pixels) << by << mirrored;
    }
  EXPECT_EQ(views(image, {.crop = 5, .mirror = true}).size(), 2u);
  EXPECT_THROW(views(image, {.crop = 5, .mirror = true, .translate = 5}), Error);
}

// The mean of six views is one of logits, in which the untranslated count half.
TEST(Views, LogitsAreWeighted) {
  Generator rng(2);
  const nn::Model model = nn::make_model("resnet20", {.classes = 10, .blocks = {1, 1, 1}}, 3);
  nn::set_training(*model.net, false);
  const data::Image image = noise(12, 12, 3, rng);
  const ViewSpec spec{.crop = 12, .mirror = true, .translate = 1};
  const std::vector<data::Image> all = views(image, spec);
  std::vector<double> wanted(10);
  for (std::size_t v = 0; v < 6; ++v) {
    Tensor one({1, 12, 12, 3});
    Generator unused;
    data::Augment{}(all[v], unused, one.data<float>());
    const Tensor logits = model(one).value();
    for (std::int64_t c = 0; c < 10; ++c)
      wanted[static_cast<std::size_t>(c)] += (v < 2 ? 0.25 : 0.125) * logits.at(c);
  }
  double total = 0;
  for (const double z : wanted) total += std::exp(z);
  data::MemoryDataset::Contents contents{"noise", 12, 12, 3, image.pixels, {0}, {}};
  for (int c = 0; c < 10; ++c) contents.class_names.push_back("c" + std::to_string(c));
  const data::MemoryDataset data(contents);
  std::vector<double> got;
  evaluate_views({{.net = model.net.get(), .views = spec}}, data, {}, {},
                 [&](const Seen& seen) { got.assign(seen.logits.begin(), seen.logits.end()); });
  ASSERT_EQ(got.size(), 10u);
  for (std::size_t c = 0; c < 10; ++c) EXPECT_NEAR(got[c], wanted[c] - std::log(total), 1e-4);
  EXPECT_THROW(
      evaluate_views({{.net = model.net.get(), .views = {.crop = 12, .translate = 1}}}, data, {}),
      Error);
}

}  // namespace
}  // namespace exciton::train::testing
