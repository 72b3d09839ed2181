#include "exciton/data/loader.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <numeric>
#include <set>
#include <thread>

#include "exciton/core/threads.hpp"
#include "exciton/data/order.hpp"
#include "support.hpp"

namespace exciton::data {
namespace {

using namespace testing;

const Augment crop_and_flip{
    .pad = 2, .flip = true, .cutout = 3, .mean = {0.5f, 0.4f, 0.3f}, .std = {0.2f, 0.3f, 0.4f}};

template <class T>
bool same_values(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && a.dtype() == b.dtype() &&
         std::equal(a.span<T>().begin(), a.span<T>().end(), b.span<T>().begin());
}

void expect_same(const Batch& a, const Batch& b) {
  EXPECT_TRUE(same_values<float>(a.images, b.images));
  EXPECT_TRUE(same_values<std::int64_t>(a.labels, b.labels));
  EXPECT_EQ(a.indices, b.indices);
}

std::vector<Batch> rest_of_epoch(Loader& loader) {
  std::vector<Batch> out;
  while (auto batch = loader.next()) out.push_back(std::move(*batch));
  return out;
}

std::vector<Batch> epoch_of(Loader& loader, std::int64_t epoch, std::int64_t first = 0) {
  loader.start_epoch(epoch, first);
  return rest_of_epoch(loader);
}

TEST(Loader, an_epoch_holds_every_image_once_with_its_label) {
  const auto set = noise_dataset(53);
  Loader loader(set, {}, {.batch = 8, .drop_last = false, .workers = 2});
  EXPECT_EQ(loader.batches(), 7);
  const auto batches = epoch_of(loader, 0);
  ASSERT_EQ(batches.size(), 7u);
  std::multiset<std::int64_t> seen;
  Image image;
  for (const Batch& batch : batches) {
    const auto n = static_cast<std::int64_t>(batch.indices.size());
    ASSERT_EQ(batch.images.shape(), (Shape{n, 8, 8, 3}));
    ASSERT_EQ(batch.labels.shape(), (Shape{n}));
    for (std::int64_t i = 0; i < n; ++i) {
      const std::int64_t index = batch.indices[static_cast<std::size_t>(i)];
      seen.insert(index);
      EXPECT_EQ(batch.labels.at(i), static_cast<double>(set->label(index)));
      set->read(index, image);
      for (std::int64_t p = 0; p < 192; ++p)
        ASSERT_EQ(batch.images.at(i * 192 + p),
                  static_cast<float>(image.pixels[static_cast<std::size_t>(p)] / 255.0));
    }
  }
  EXPECT_EQ(batches.back().indices.size(), 5u);
  EXPECT_EQ(seen.size(), 53u);
  EXPECT_EQ(std::set<std::int64_t>(seen.begin(), seen.end()).size(), 53u);
}

TEST(Loader, batches_of_every_size_of_set) {
  struct Case {
    std::int64_t images, batch;
    bool drop_last, drop_single;
    std::vector<std::int64_t> sizes;
  };
  const std::vector<Case> cases{{10, 4, false, true, {4, 4, 2}}, {10, 4, true, true, {4, 4}},
                                {9, 4, false, true, {4, 4}},     {9, 4, false, false, {4, 4, 1}},
                                {8, 4, false, true, {4, 4}},     {3, 4, false, true, {3}},
                                {60, 128, false, true, {60}},    {3, 1, false, true, {1, 1, 1}}};
  for (const Case& c : cases)
    for (const int workers : {0, 2}) {
      Loader loader(noise_dataset(c.images), {},
                    {.batch = c.batch,
                     .drop_last = c.drop_last,
                     .drop_single = c.drop_single,
                     .workers = workers});
      std::vector<std::int64_t> sizes;
      std::int64_t images = 0;
      while (const auto batch = loader.next()) {
        sizes.push_back(batch->labels.dim(0));
        EXPECT_EQ(batch->images.dim(0), sizes.back());
        images += sizes.back();
      }
      EXPECT_EQ(sizes, c.sizes) << c.images << " images, batch " << c.batch;
      EXPECT_EQ(loader.batches(), static_cast<std::int64_t>(sizes.size()));
      EXPECT_EQ(loader.left_out(), c.images - images);
    }
  expect_error(
      [] { Loader(noise_dataset(1), {}, {.batch = 4, .drop_last = false, .drop_single = true}); },
      {"1 image", "data.batch 1"});
}

TEST(Loader, ranks_have_the_batches_of_one_process_in_slices) {
  const auto set = noise_dataset(53);
  Augment mixed = crop_and_flip;
  mixed.mixup = mixed.cutmix = 1;
  for (const Augment& augment : {crop_and_flip, mixed})
    for (const int ranks : {2, 3, 5, 8}) {
      SCOPED_TRACE(::testing::Message() << ranks << " ranks");
      LoaderOptions options{.batch = 16, .drop_last = false, .workers = 1};  // 16, 16, 16, 5
      Loader whole(set, augment, options);
      std::vector<std::vector<Batch>> parts;
      options.ranks = ranks;
      for (options.rank = 0; options.rank < ranks; ++options.rank) {
        Loader part(set, augment, options);
        parts.push_back(epoch_of(part, 1));
      }
      const std::vector<Batch> batches = epoch_of(whole, 1);
      for (std::size_t b = 0; b < batches.size(); ++b) {
        const Batch& batch = batches[b];
        const std::int64_t count = batch.labels.dim(0), pixels = batch.images.numel() / count;
        std::int64_t at = 0;
        for (int rank = 0; rank < ranks; ++rank) {
          const Batch& part = parts[static_cast<std::size_t>(rank)][b];
          ASSERT_EQ(at, rank * count / ranks);
          const std::int64_t here = part.images.empty() ? 0 : part.images.dim(0);
          for (std::int64_t i = 0; i < here; ++i) {
            ASSERT_EQ(part.labels.at(i), batch.labels.at(at + i));
            ASSERT_EQ(part.indices[static_cast<std::size_t>(i)],
                      batch.indices[static_cast<std::size_t>(at + i)]);
          }
          if (here > 0) {
            ASSERT_TRUE(std::equal(part.images.data<float>(),
                                   part.images.data<float>() + part.images.numel(),
                                   batch.images.data<float>() + at * pixels));
            ASSERT_EQ(part.mixing.weight, batch.mixing.weight);
            if (batch.mixing.on()) {
              ASSERT_EQ(part.label_after, batch.labels.at((at + here) % count));
            }
          }
          at += here;
        }
        ASSERT_EQ(at, count);
      }
    }
}

TEST(Loader, an_incomplete_batch_is_mixed_within_itself) {
  Augment augment;
  augment.mixup = 1;
  Loader loader(noise_dataset(6), augment, {.batch = 4, .drop_last = false, .drop_single = true});
  loader.next();
  const auto last = loader.next();
  ASSERT_TRUE(last);
  EXPECT_EQ(last->images.dim(0), 2);
  EXPECT_TRUE(last->mixing.on());
}

TEST(Loader, drop_last_leaves_out_the_incomplete_batch) {
  Loader loader(noise_dataset(53), {}, {.batch = 8});
  EXPECT_EQ(loader.batches(), 6);
  for (const Batch& batch : epoch_of(loader, 0)) EXPECT_EQ(batch.indices.size(), 8u);
}

TEST(Loader, without_shuffle_images_come_in_order) {
  Loader loader(noise_dataset(10), {}, {.batch = 4, .shuffle = false, .drop_last = false});
  std::vector<std::int64_t> all, want(10);
  std::iota(want.begin(), want.end(), 0);
  for (const Batch& b : epoch_of(loader, 3))
    all.insert(all.end(), b.indices.begin(), b.indices.end());
  EXPECT_EQ(all, want);
}

TEST(Loader, same_batches_for_any_worker_count) {
  const auto set = noise_dataset(70);
  Loader alone(set, crop_and_flip, {.batch = 8, .workers = 0, .seed = 11});
  for (const int workers : {1, 2, 5})
    for (const int prefetch : {1, 3, 20}) {
      Loader loader(set, crop_and_flip,
                    {.batch = 8, .workers = workers, .prefetch = prefetch, .seed = 11});
      for (const std::int64_t epoch : {0, 1, 2}) {
        const auto want = epoch_of(alone, epoch), got = epoch_of(loader, epoch);
        ASSERT_EQ(want.size(), got.size());
        for (std::size_t i = 0; i < want.size(); ++i) expect_same(want[i], got[i]);
      }
    }
}

TEST(Loader, epochs_and_seeds_differ_in_order_and_augmentation) {
  const auto set = noise_dataset(64);
  Loader one(set, crop_and_flip, {.batch = 64, .workers = 0, .seed = 1});
  Loader two(set, crop_and_flip, {.batch = 64, .workers = 0, .seed = 2});
  const Batch a = epoch_of(one, 0)[0], b = epoch_of(one, 1)[0], c = epoch_of(two, 0)[0];
  EXPECT_NE(a.indices, b.indices);
  EXPECT_NE(a.indices, c.indices);
  Loader fixed(set, crop_and_flip, {.batch = 64, .shuffle = false, .workers = 0, .seed = 1});
  const Batch d = epoch_of(fixed, 0)[0], e = epoch_of(fixed, 1)[0];
  EXPECT_EQ(d.indices, e.indices);
  EXPECT_FALSE(same_values<float>(d.images, e.images));
}

TEST(Loader, an_image_is_augmented_alike_wherever_the_batch_border_lies) {
  const auto set = noise_dataset(24);
  Loader small(set, crop_and_flip, {.batch = 6, .workers = 2, .seed = 4});
  Loader large(set, crop_and_flip, {.batch = 24, .workers = 0, .seed = 4});
  const auto parts = epoch_of(small, 5);
  const Batch whole = epoch_of(large, 5)[0];
  std::int64_t at = 0;
  for (const Batch& part : parts)
    for (std::int64_t i = 0; i < part.images.numel(); ++i)
      ASSERT_EQ(part.images.at(i), whole.images.at(at++));
}

TEST(Loader, resumes_in_the_middle_of_an_epoch) {
  const auto set = noise_dataset(70);
  Loader first(set, crop_and_flip, {.batch = 8, .workers = 2, .seed = 3});
  const auto want = epoch_of(first, 4);
  first.start_epoch(4);
  for (int i = 0; i < 5; ++i) first.next();
  const Loader::Position position = first.position();
  EXPECT_EQ(position.epoch, 4);
  EXPECT_EQ(position.batch, 5);
  for (const int workers : {0, 1, 5}) {
    Loader second(set, crop_and_flip, {.batch = 8, .workers = workers, .seed = 3});
    const auto got = epoch_of(second, position.epoch, position.batch);
    ASSERT_EQ(got.size(), want.size() - 5);
    for (std::size_t i = 0; i < got.size(); ++i) expect_same(want[i + 5], got[i]);
  }
}

TEST(Loader, position_counts_what_was_taken_not_what_was_prefetched) {
  Loader loader(noise_dataset(40), {}, {.batch = 4, .workers = 2, .prefetch = 8});
  EXPECT_EQ(loader.position().batch, 0);
  for (int i = 1; i <= 10; ++i) {
    ASSERT_TRUE(loader.next());
    EXPECT_EQ(loader.position().batch, i);
  }
  EXPECT_FALSE(loader.next());
  EXPECT_FALSE(loader.next());
  EXPECT_EQ(loader.position().batch, 10);
  const auto nothing = epoch_of(loader, 1, 10);
  EXPECT_TRUE(nothing.empty());
  EXPECT_EQ(loader.position().epoch, 1);
}

TEST(Loader, next_begins_epoch_zero) {
  const auto set = noise_dataset(16);
  Loader a(set, crop_and_flip, {.batch = 4}), b(set, crop_and_flip, {.batch = 4});
  const auto want = epoch_of(a, 0), got = rest_of_epoch(b);
  ASSERT_EQ(want.size(), got.size());
  for (std::size_t i = 0; i < want.size(); ++i) expect_same(want[i], got[i]);
}

TEST(Loader, restarting_an_epoch_drops_what_was_prefetched) {
  const auto set = noise_dataset(200);
  Loader reference(set, crop_and_flip, {.batch = 4, .workers = 0});
  Loader loader(set, crop_and_flip, {.batch = 4, .workers = 3, .prefetch = 6});
  for (std::int64_t epoch = 0; epoch < 30; ++epoch) {
    loader.start_epoch(epoch, epoch);
    reference.start_epoch(epoch, epoch);
    for (std::int64_t i = 0; i < epoch % 4; ++i) expect_same(*reference.next(), *loader.next());
  }
}

TEST(Loader, bf16_batches_are_the_rounded_f32_ones) {
  const auto set = noise_dataset(16);
  Loader f32(set, crop_and_flip, {.batch = 16, .dtype = DType::f32});
  Loader low(set, crop_and_flip, {.batch = 16, .dtype = DType::bf16});
  const Batch a = *f32.next(), b = *low.next();
  ASSERT_EQ(b.images.dtype(), DType::bf16);
  EXPECT_EQ(a.indices, b.indices);
  for (std::size_t i = 0; i < a.images.span<float>().size(); ++i)
    ASSERT_EQ(b.images.span<bf16>()[i].bits, bf16(a.images.span<float>()[i]).bits);
}

/// Counts reads, can wait in them, and throws at one index.
class TrickyDataset : public Dataset {
 public:
  explicit TrickyDataset(std::int64_t size, std::int64_t bad = -1) : size_(size), bad_(bad) {}
  std::int64_t size() const override { return size_; }
  std::int64_t label(std::int64_t) const override { return 0; }
  void read(std::int64_t index, Image& out) const override {
    ++reads;
    if (slow.count() > 0) std::this_thread::sleep_for(slow);
    check(index != bad_, "tricky: image ", index, " is broken");
    const std::int64_t side = index == odd_size ? 3 : 2;
    out = {side, side, 1, Bytes(static_cast<std::size_t>(side * side), 1)};
  }
  void prefetch(std::int64_t index) const override {
    const std::lock_guard lock(mutex);
    announced.push_back(index);
  }
  const std::vector<std::string>& class_names() const override { return names_; }
  std::int64_t channels() const override { return 1; }
  std::int64_t image_size() const override { return 2; }
  std::string description() const override { return "tricky"; }

  mutable std::atomic<int> reads = 0;
  mutable std::mutex mutex;
  mutable std::vector<std::int64_t> announced;  // guarded by the mutex
  std::chrono::milliseconds slow{0};
  std::int64_t odd_size = -1;

 private:
  std::int64_t size_, bad_;
  std::vector<std::string> names_{"only"};
};

TEST(Loader, blocks_are_announced_in_a_row_before_they_are_read) {
  constexpr std::int64_t size = 200, block = 3, mixed = block * blocks_mixed;
  for (const std::int64_t batch : {1, 7, 100}) {
    const auto set = std::make_shared<TrickyDataset>(size);
    Loader loader(set, {},
                  {.batch = batch, .shuffle_block = block, .drop_last = false, .workers = 0});
    loader.start_epoch(0);
    std::vector<std::int64_t> read;
    while (const auto got = loader.next()) {
      read.insert(read.end(), got->indices.begin(), got->indices.end());
      const auto ahead = static_cast<std::int64_t>(set->announced.size()),
                 behind = static_cast<std::int64_t>(read.size());
      EXPECT_GE(ahead, std::min(behind + 1, size));
      EXPECT_LE(ahead, behind + batch + 2 * mixed) << "no more than is wanted soon";
    }
    // The same images in the same order, but sorted within what is mixed.
    ASSERT_EQ(set->announced.size(), read.size());
    for (std::int64_t at = 0; at < size; at += mixed)
      std::sort(read.begin() + at, read.begin() + std::min(at + mixed, size));
    EXPECT_EQ(set->announced, read);
  }
  const auto set = std::make_shared<TrickyDataset>(size);
  Loader loader(set, {}, {.batch = 8});
  while (loader.next()) {
  }
  EXPECT_TRUE(set->announced.empty()) << "without blocks nothing lies in a row";
}

TEST(Loader, blocks_give_the_same_batches_for_any_worker_count) {
  const auto set = noise_dataset(300);
  Loader alone(set, crop_and_flip, {.batch = 8, .shuffle_block = 4, .workers = 0, .seed = 11});
  for (const int workers : {1, 3}) {
    Loader loader(set, crop_and_flip,
                  {.batch = 8, .shuffle_block = 4, .workers = workers, .seed = 11});
    for (const std::int64_t epoch : {0, 1}) {
      const auto want = epoch_of(alone, epoch, 5), got = epoch_of(loader, epoch, 5);
      ASSERT_EQ(want.size(), got.size());
      for (std::size_t i = 0; i < want.size(); ++i) expect_same(want[i], got[i]);
    }
  }
  expect_error([&] { Loader(set, {}, {.shuffle_block = -1}); }, {"loader", "shuffle_block", "-1"});
}

TEST(Loader, worker_error_arrives_with_its_own_batch) {
  for (const int workers : {0, 1, 4}) {
    const auto set = std::make_shared<TrickyDataset>(40, 21);
    Loader loader(set, {}, {.batch = 4, .shuffle = false, .workers = workers, .prefetch = 8});
    for (int i = 0; i < 5; ++i) ASSERT_TRUE(loader.next());
    expect_error([&] { loader.next(); }, {"tricky: image 21 is broken"});
    expect_error([&] { loader.next(); }, {"tricky: image 21 is broken"});
    EXPECT_EQ(loader.position().batch, 5);
    EXPECT_EQ(epoch_of(loader, 0, 6).size(), 4u) << "and the loader lives on";
  }
}

TEST(Loader, images_of_different_sizes_in_one_batch) {
  const auto set = std::make_shared<TrickyDataset>(8);
  set->odd_size = 2;
  Loader loader(set, {}, {.batch = 8, .shuffle = false});
  expect_error([&] { loader.next(); }, {"image 2 of tricky", "[3, 3, 1]", "data.image_size"});
}

TEST(Loader, a_batch_of_the_epoch_before_that_comes_late_is_dropped) {
  const auto set = std::make_shared<TrickyDataset>(100);
  Loader reference(set, {}, {.batch = 2, .workers = 0});
  set->slow = std::chrono::milliseconds(40);
  Loader loader(set, {}, {.batch = 2, .workers = 1});
  loader.start_epoch(0);
  while (set->reads == 0) std::this_thread::yield();  // the worker is in its first batch
  loader.start_epoch(1);
  const Batch got = *loader.next();
  reference.start_epoch(1);
  expect_same(*reference.next(), got);
}

TEST(Loader, prefetch_is_bounded) {
  const auto set = std::make_shared<TrickyDataset>(400);
  Loader loader(set, {}, {.batch = 4, .workers = 3, .prefetch = 2});
  loader.next();
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  EXPECT_LE(set->reads, 3 * 4);  // one taken, two ahead
}

TEST(Loader, stops_promptly_in_the_middle_of_work) {
  const auto set = std::make_shared<TrickyDataset>(10000);
  set->slow = std::chrono::milliseconds(5);
  const auto begin = std::chrono::steady_clock::now();
  {
    Loader loader(set, {}, {.batch = 1000, .workers = 4});
    loader.start_epoch(0);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(2));
  EXPECT_GT(set->reads, 0);
}

TEST(Loader, lives_and_dies_without_being_used) {
  for (int i = 0; i < 50; ++i) Loader(noise_dataset(8), {}, {.batch = 4, .workers = 3});
}

TEST(Loader, counts_the_time_it_waited) {
  const auto set = std::make_shared<TrickyDataset>(8);
  set->slow = std::chrono::milliseconds(10);
  for (const int workers : {0, 1}) {
    Loader loader(set, {}, {.batch = 4, .workers = workers});
    EXPECT_EQ(loader.seconds_waited(), 0);
    loader.next();
    EXPECT_GE(loader.seconds_waited(), 0.03);
  }
}

/// Everything at once.
Augment everything() {
  Augment a = crop_and_flip;
  a.size = 6;
  a.random_resized_crop.scale_low = 0.2;
  a.rotation = 10;
  a.jitter = {0.4, 0.4, 0.4, 0.1};
  a.lighting = 0.1;
  a.rand_augment.operations = 2;
  a.erasing.probability = 0.5;
  a.mixup = 0.2;
  a.cutmix = 1;
  return a;
}

TEST(Loader, all_augmentation_is_the_same_for_any_worker_count_and_after_a_resume) {
  const auto set = noise_dataset(70, 9);
  Loader alone(set, everything(), {.batch = 8, .workers = 0, .seed = 11});
  const auto want = epoch_of(alone, 3);
  for (const int workers : {1, 2, 5, automatic_workers}) {
    Loader loader(set, everything(), {.batch = 8, .workers = workers, .seed = 11});
    for (const std::int64_t first : {0, 4}) {
      const auto got = epoch_of(loader, 3, first);
      ASSERT_EQ(got.size(), want.size() - static_cast<std::size_t>(first));
      for (std::size_t i = 0; i < got.size(); ++i) {
        const Batch& whole = want[i + static_cast<std::size_t>(first)];
        expect_same(whole, got[i]);
        EXPECT_EQ(whole.mixing.weight, got[i].mixing.weight);
      }
    }
  }
}

TEST(Loader, resizes_images_of_all_sizes_to_one) {
  const auto set = std::make_shared<TrickyDataset>(8);
  set->odd_size = 2;
  for (const double scale : {0.0, 0.5}) {
    Augment augment;
    augment.size = 5;
    augment.random_resized_crop.scale_low = scale;
    Loader loader(set, augment, {.batch = 8, .shuffle = false});
    EXPECT_EQ(loader.next()->images.shape(), (Shape{8, 5, 5, 1}));
  }
}

TEST(Loader, leaves_broken_images_out_on_request) {
  for (const int workers : {0, 2}) {
    const auto set = std::make_shared<TrickyDataset>(10, 5);
    Loader loader(set, {},
                  {.batch = 4,
                   .shuffle = false,
                   .drop_last = false,
                   .workers = workers,
                   .skip_errors = true});
    const auto batches = epoch_of(loader, 0);
    ASSERT_EQ(batches.size(), 3u);
    EXPECT_TRUE(batches[0].skipped.empty());
    EXPECT_EQ(batches[1].indices, (std::vector<std::int64_t>{4, 6, 7}));
    EXPECT_EQ(batches[1].images.shape(), (Shape{3, 2, 2, 1}));
    EXPECT_EQ(batches[1].labels.shape(), (Shape{3}));
    EXPECT_EQ(batches[1].skipped, (std::vector<std::string>{"tricky: image 5 is broken"}));
  }
}

TEST(Loader, a_batch_of_broken_images_alone_is_an_error_all_the_same) {
  const auto set = std::make_shared<TrickyDataset>(4, 2);
  Loader loader(set, {}, {.batch = 1, .shuffle = false, .skip_errors = true});
  loader.next();
  loader.next();
  expect_error([&] { loader.next(); }, {"not one image of a batch", "tricky: image 2 is broken"});
}

TEST(Loader, automatic_workers_become_more_when_the_step_waits) {
  const int threads = num_threads();
  set_num_threads(3);
  const auto set = std::make_shared<TrickyDataset>(400);
  Loader loader(set, {}, {.batch = 2, .workers = automatic_workers});
  EXPECT_EQ(loader.workers(), 1);
  loader.next();
  EXPECT_EQ(loader.workers(), 1) << "nobody can help waiting for the first batch";
  set->slow = std::chrono::milliseconds(5);
  loader.start_epoch(1);
  for (int i = 0; i < 20; ++i) loader.next();
  EXPECT_EQ(loader.workers(), 3);
  set_num_threads(threads);
}

TEST(Loader, refuses_wrong_options) {
  const auto set = noise_dataset(10);
  expect_error([&] { Loader(set, {}, {.batch = 0}); }, {"batch", "got 0"});
  expect_error([&] { Loader(set, {}, {.batch = 4, .workers = -2}); }, {"workers", "got -2"});
  expect_error([&] { Loader(set, {}, {.batch = 4, .prefetch = 0}); }, {"prefetch", "got 0"});
  expect_error([&] { Loader(set, {}, {.batch = 4, .dtype = DType::u8}); }, {"f32 or bf16", "u8"});
  expect_error([&] { Loader(set, {}, {.batch = 11}); },
               {"10 images", "batch of 11", "data.last_batch"});
  expect_error([&] { Loader(nullptr, {}, {}); }, {"no data set"});
  Loader loader(set, {}, {.batch = 4});
  expect_error([&] { loader.start_epoch(-1); }, {"epoch", "-1"});
  expect_error([&] { loader.start_epoch(0, 3); }, {"first batch", "0 to 2", "got 3"});
}

// Every image is mirrored in every other epoch: about half of them in the first, the others in the
// second, whichever batch they are in.
TEST(Loader, alternating_flip_turns_every_image_in_every_other_epoch) {
  const auto set = noise_dataset(53);
  const Augment alternating{.flip = true, .alternating = true};
  Loader loader(set, alternating, {.batch = 8, .drop_last = false, .workers = 2});
  Loader plain(set, {}, {.batch = 53, .shuffle = false, .workers = 0});
  const Batch all = epoch_of(plain, 0).at(0);
  const std::int64_t values = 8 * 8 * 3;
  std::vector<std::vector<bool>> mirrored(4, std::vector<bool>(53));
  for (std::int64_t epoch = 0; epoch < 4; ++epoch)
    for (const Batch& batch : epoch_of(loader, epoch))
      for (std::size_t i = 0; i < batch.indices.size(); ++i) {
        const float* const got = batch.images.data<float>() + static_cast<std::int64_t>(i) * values;
        const float* const own = all.images.data<float>() + batch.indices[i] * values;
        const bool same = std::equal(got, got + values, own);
        bool turned = true;
        for (std::int64_t y = 0; y < 8; ++y)
          for (std::int64_t x = 0; x < 8; ++x)
            for (std::int64_t c = 0; c < 3; ++c)
              turned &= got[(y * 8 + x) * 3 + c] == own[(y * 8 + 7 - x) * 3 + c];
        ASSERT_NE(same, turned);
        mirrored[static_cast<std::size_t>(epoch)][static_cast<std::size_t>(batch.indices[i])] =
            turned;
      }
  const auto first = std::ranges::count(mirrored[0], true);
  EXPECT_GT(first, 15);
  EXPECT_LT(first, 38);
  for (std::size_t i = 0; i < 53; ++i) {
    EXPECT_NE(mirrored[0][i], mirrored[1][i]);
    EXPECT_EQ(mirrored[0][i], mirrored[2][i]);
    EXPECT_EQ(mirrored[1][i], mirrored[3][i]);
  }
}

TEST(Loader, several_threads_get_every_batch_once) {
  const auto set = noise_dataset(400);
  for (const int workers : {0, 1, 3}) {
    Loader loader(set, {}, {.batch = 2, .shuffle = true, .workers = workers, .prefetch = 2});
    for (int epoch = 0; epoch < 2; ++epoch) {
      loader.start_epoch(epoch);
      std::vector<std::int64_t> taken;
      std::mutex mutex;
      {
        std::vector<std::jthread> takers;
        for (int i = 0; i < 4; ++i)
          takers.emplace_back([&] {
            while (const auto batch = loader.next()) {
              const std::lock_guard lock(mutex);
              taken.insert(taken.end(), batch->indices.begin(), batch->indices.end());
            }
          });
      }
      std::ranges::sort(taken);
      std::vector<std::int64_t> all(400);
      std::iota(all.begin(), all.end(), 0);
      EXPECT_EQ(taken, all) << workers << " workers";
    }
  }
}

}  // namespace
}  // namespace exciton::data
