// Real images, where they are installed (Debian's package dataset-fashion-mnist).
#include <array>
#include <cstdlib>
#include <numeric>

#include "exciton/data/dataset.hpp"
#include "exciton/data/formats.hpp"
#include "exciton/data/loader.hpp"
#include "exciton/data/survey.hpp"
#include "support.hpp"

namespace exciton::data {
namespace {

const std::filesystem::path fashion_dir = "/usr/share/datasets/fashion-mnist";

TEST(FashionMnist, debian_package) {
  if (!find_idx(fashion_dir)) GTEST_SKIP() << "package dataset-fashion-mnist is not installed";
  const auto train = open_dataset("auto", fashion_dir, "train");
  const auto test = open_dataset("auto", fashion_dir, "test");
  ASSERT_EQ(train->size(), 60000);
  ASSERT_EQ(test->size(), 10000);
  EXPECT_EQ(train->image_size(), 28);
  EXPECT_EQ(train->channels(), 1);
  std::vector<int> count(10);
  for (std::int64_t i = 0; i < train->size(); ++i)
    ++count[static_cast<std::size_t>(train->label(i))];
  EXPECT_EQ(count, std::vector<int>(10, 6000));
  EXPECT_EQ(train->class_names()[static_cast<std::size_t>(train->label(0))], "Ankle boot");

  const ChannelStats stats = channel_stats(*train);  // the well-known figures
  EXPECT_NEAR(stats.mean[0], 0.2860, 5e-5);
  EXPECT_NEAR(stats.std[0], 0.3530, 5e-5);

  Loader loader(train, {.pad = 4, .flip = true, .mean = stats.mean, .std = stats.std},
                {.batch = 128, .workers = 2});
  EXPECT_EQ(loader.batches(), 468);
  double sum = 0;
  for (int i = 0; i < 20; ++i) {
    const Batch batch = *loader.next();
    const auto values = batch.images.span<float>();
    sum += std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
  }
  EXPECT_LT(std::abs(sum / 20), 0.15) << "normalised, but for the black border";
}

// EXCITON_TINY_IMAGENET and EXCITON_IMAGENET_SAMPLE name folders with 50 classes of Tiny-ImageNet
// and with 300 originals of ImageNet.
TEST(RealData, all_of_tiny_imagenet_loads) {
  const char* dir = std::getenv("EXCITON_TINY_IMAGENET");
  if (!dir) GTEST_SKIP() << "EXCITON_TINY_IMAGENET is not set";
  const std::pair<const char*, std::array<std::int64_t, 2>> splits[] = {{"train", {25000, 499}},
                                                                        {"test", {2500, 44}}};
  for (const auto& [split, counts] : splits) {
    const Survey found = survey(*open_dataset("auto", dir, split, {.memory_limit = 0}), true);
    EXPECT_TRUE(found.unreadable.empty()) << found.unreadable.front();
    EXPECT_EQ(found.images, counts[0]);
    EXPECT_EQ(found.channels.at(1), counts[1]) << "grey ones";
    EXPECT_EQ(found.smallest, (Size{64, 64}));
    EXPECT_TRUE(found.one_size());
  }
}

TEST(RealData, all_of_the_imagenet_sample_loads) {
  const char* dir = std::getenv("EXCITON_IMAGENET_SAMPLE");
  if (!dir) GTEST_SKIP() << "EXCITON_IMAGENET_SAMPLE is not set";
  const auto set = open_images(dir);
  const Survey found = survey(*set, true);
  EXPECT_TRUE(found.unreadable.empty()) << found.unreadable.front();
  EXPECT_EQ(found.images, 300);
  EXPECT_EQ(found.channels.at(1), 6);
  EXPECT_EQ(found.largest, (Size{1377, 1836}));
  Augment augment;
  augment.size = 224;
  augment.random_resized_crop.scale_low = 0.08;
  Loader loader(set, augment, {.batch = 30, .workers = 2});
  while (const auto batch = loader.next())
    EXPECT_EQ(batch->images.shape(), (Shape{30, 224, 224, 3}));
}

}  // namespace
}  // namespace exciton::data
