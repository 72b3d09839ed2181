#include "exciton/data/formats.hpp"

#include <sys/resource.h>
#include <zlib.h>

#include <cmath>
#include <fstream>

#include "exciton/core/threads.hpp"
#include "support.hpp"

namespace exciton::data {
namespace {

using namespace testing;
namespace fs = std::filesystem;

constexpr std::int64_t plane = 32 * 32;

/// The official layout with few records.
CifarFormat small(CifarFormat format, std::int64_t train, std::int64_t test) {
  format.train_records = train;
  format.test_records = test;
  return format;
}

/// Record r of file f: label (f + r) % classes, pixel i of channel c = (r + 5 c + i) % 251.
Bytes cifar_file(const CifarFormat& format, int f, std::int64_t records) {
  Bytes out;
  for (std::int64_t r = 0; r < records; ++r) {
    if (format.coarse_classes > 0) out.push_back(static_cast<std::uint8_t>(r % 20));
    out.push_back(
        static_cast<std::uint8_t>((f + r) % static_cast<std::int64_t>(format.class_names.size())));
    for (std::int64_t c = 0; c < 3; ++c)
      for (std::int64_t i = 0; i < plane; ++i)
        out.push_back(static_cast<std::uint8_t>((r + 5 * c + i) % 251));
  }
  return out;
}

void write_cifar(const CifarFormat& format, const fs::path& where) {
  int f = 0;
  for (const auto& file : format.train_files)
    write_file(where / file, cifar_file(format, f++, format.train_records));
  for (const auto& file : format.test_files)
    write_file(where / file, cifar_file(format, f++, format.test_records));
}

TEST(Cifar, official_layout) {
  const CifarFormat ten = cifar10_format(), hundred = cifar100_format();
  EXPECT_EQ(ten.train_files.size(), 5u);
  EXPECT_EQ(ten.train_records * 5, 50000);
  EXPECT_EQ(ten.test_records, 10000);
  EXPECT_EQ(ten.class_names.size(), 10u);
  EXPECT_EQ(hundred.train_records, 50000);
  EXPECT_EQ(hundred.test_records, 10000);
  EXPECT_EQ(hundred.class_names.size(), 100u);
  EXPECT_TRUE(std::is_sorted(hundred.class_names.begin(), hundred.class_names.end()));
}

TEST(Cifar, ten_reads_five_batches_in_order_as_channels_last) {
  const TempDir dir;
  const CifarFormat format = small(cifar10_format(), 3, 4);
  write_cifar(format, dir.path());
  const auto train = open_cifar(format, dir.path(), "train");
  ASSERT_EQ(train->size(), 15);
  EXPECT_EQ(train->classes(), 10);
  EXPECT_EQ(train->class_names()[9], "truck");
  EXPECT_EQ(train->channels(), 3);
  EXPECT_EQ(train->image_size(), 32);
  EXPECT_EQ(train->description(), "CIFAR-10 train, 15 images, " + dir.path().string());
  for (int f = 0; f < 5; ++f)
    for (int r = 0; r < 3; ++r) EXPECT_EQ(train->label(3 * f + r), f + r);
  Image image;
  train->read(7, image);  // record 1 of the third file
  ASSERT_EQ(image.pixels.size(), 3u * plane);
  for (std::int64_t i = 0; i < plane; ++i)
    for (std::int64_t c = 0; c < 3; ++c)
      ASSERT_EQ(image.pixels[static_cast<std::size_t>(3 * i + c)], (1 + 5 * c + i) % 251);
  const auto test = open_cifar(format, dir.path(), "test");
  ASSERT_EQ(test->size(), 4);
  EXPECT_EQ(test->label(0), 5);
}

TEST(Cifar, hundred_takes_the_fine_label_and_the_names_file) {
  const TempDir dir;
  CifarFormat format = small(cifar100_format(), 5, 2);
  const fs::path where = dir / "cifar-100-binary";
  write_cifar(format, where);
  std::string names;
  for (int i = 0; i < 100; ++i) names += "name" + std::to_string(i) + "\n";
  write_file(where / "fine_label_names.txt", names + "\n");
  const auto found = find_cifar(format, dir.path());
  ASSERT_EQ(found, where);
  const auto train = open_cifar(format, *found, "train");
  ASSERT_EQ(train->size(), 5);
  EXPECT_EQ(train->label(4), 4);
  EXPECT_EQ(train->class_names()[42], "name42");
  EXPECT_EQ(open_cifar(format, *found, "test")->label(1), 2);
}

TEST(Cifar, truncated_file_names_file_and_sizes) {
  const TempDir dir;
  const CifarFormat format = small(cifar10_format(), 3, 3);
  write_cifar(format, dir.path());
  fs::resize_file(dir / "data_batch_4.bin", 9000);
  expect_error([&] { open_cifar(format, dir.path(), "train"); },
               {"cifar10", "data_batch_4.bin", "9000 bytes", "9219", "3 records of 3073", "fetch"});
}

TEST(Cifar, file_short_by_whole_records_is_truncated_too) {
  const TempDir dir;
  const CifarFormat format = small(cifar10_format(), 3, 3);
  write_cifar(format, dir.path());
  fs::resize_file(dir / "data_batch_2.bin", 2 * 3073);
  expect_error([&] { open_cifar(format, dir.path(), "train"); }, {"data_batch_2.bin", "6146"});
}

TEST(Cifar, overlong_file) {
  const TempDir dir;
  const CifarFormat format = small(cifar100_format(), 3, 3);
  write_cifar(format, dir.path());
  fs::resize_file(dir / "train.bin", 3 * 3074 + 1);
  expect_error([&] { open_cifar(format, dir.path(), "train"); }, {"cifar100", "train.bin", "9223"});
}

TEST(Cifar, wrong_label_byte_names_record_wanted_and_got) {
  const TempDir dir;
  const CifarFormat format = small(cifar10_format(), 3, 3);
  write_cifar(format, dir.path());
  Bytes bytes = cifar_file(format, 1, 3);
  bytes[2 * 3073] = 10;
  write_file(dir / "data_batch_2.bin", bytes);
  expect_error([&] { open_cifar(format, dir.path(), "train"); },
               {"data_batch_2.bin", "record 2", "label byte is 10", "0 to 9"});
}

TEST(Cifar, wrong_coarse_label_byte) {
  const TempDir dir;
  const CifarFormat format = small(cifar100_format(), 3, 3);
  write_cifar(format, dir.path());
  Bytes bytes = cifar_file(format, 0, 3);
  bytes[3074] = 20;
  write_file(dir / "train.bin", bytes);
  expect_error([&] { open_cifar(format, dir.path(), "train"); },
               {"train.bin", "record 1", "coarse label byte is 20", "0 to 19"});
}

TEST(Cifar, missing_batch_file) {
  const TempDir dir;
  const CifarFormat format = small(cifar10_format(), 3, 3);
  write_cifar(format, dir.path());
  fs::remove(dir / "data_batch_5.bin");
  expect_error([&] { open_cifar(format, dir.path(), "train"); },
               {"No such file", "data_batch_5.bin"});
}

TEST(Cifar, names_file_with_too_few_names) {
  const TempDir dir;
  const CifarFormat format = small(cifar10_format(), 3, 3);
  write_cifar(format, dir.path());
  write_file(dir / "batches.meta.txt", "cat\ndog\n");
  expect_error([&] { open_cifar(format, dir.path(), "train"); },
               {"batches.meta.txt", "names 2", "expected 10"});
}

// The real sizes, through the front door: ten thousand records per file.
TEST(Cifar, open_dataset_wants_the_official_record_count) {
  const TempDir dir;
  const CifarFormat format = small(cifar10_format(), 10000, 10000);
  write_file(dir / "cifar-10-batches-bin/test_batch.bin", cifar_file(format, 5, 10000));
  for (const char* kind : {"auto", "cifar10"}) {
    const auto test = open_dataset(kind, dir.path(), "test");
    EXPECT_EQ(test->size(), 10000);
    EXPECT_EQ(test->label(9999), (5 + 9999) % 10);
  }
  fs::resize_file(dir / "cifar-10-batches-bin/test_batch.bin", 9999 * 3073);
  expect_error([&] { open_dataset("auto", dir.path(), "test"); },
               {"test_batch.bin", "30730000", "truncated"});
}

void append_word(Bytes& out, std::uint32_t value) {
  for (int shift : {24, 16, 8, 0}) out.push_back(static_cast<std::uint8_t>(value >> shift));
}

Bytes idx_images(std::uint32_t count, std::uint32_t h, std::uint32_t w) {
  Bytes out;
  for (std::uint32_t v : {0x803u, count, h, w}) append_word(out, v);
  for (std::uint32_t i = 0; i < count * h * w; ++i) out.push_back(static_cast<std::uint8_t>(i * 7));
  return out;
}

Bytes idx_labels(const Bytes& labels) {
  Bytes out;
  append_word(out, 0x801);
  append_word(out, static_cast<std::uint32_t>(labels.size()));
  out.insert(out.end(), labels.begin(), labels.end());
  return out;
}

void write_idx(const fs::path& where, bool gz, const Bytes& labels) {
  const auto n = static_cast<std::uint32_t>(labels.size());
  for (const std::string split : {"train", "t10k"}) {
    const Bytes images = idx_images(n, 5, 5), marks = idx_labels(labels);
    const std::string end = gz ? ".gz" : "";
    write_file(where / (split + "-images-idx3-ubyte" + end), gz ? gzip(images) : images);
    write_file(where / (split + "-labels-idx1-ubyte" + end), gz ? gzip(marks) : marks);
  }
}

TEST(Idx, plain_and_gzip_read_the_same) {
  const TempDir plain, zipped;
  const Bytes labels{5, 0, 4, 1, 9};
  write_idx(plain.path(), false, labels);
  write_idx(zipped.path(), true, labels);
  for (const fs::path& dir : {plain.path(), zipped.path()}) {
    for (const char* split : {"train", "test"}) {
      const auto set = open_dataset("mnist", dir, split);
      ASSERT_EQ(set->size(), 5);
      EXPECT_EQ(set->channels(), 1);
      EXPECT_EQ(set->image_size(), 5);
      EXPECT_EQ(set->classes(), 10);
      Image image;
      for (int i = 0; i < 5; ++i) {
        EXPECT_EQ(set->label(i), labels[static_cast<std::size_t>(i)]);
        set->read(i, image);
        for (int p = 0; p < 25; ++p)
          ASSERT_EQ(image.pixels[static_cast<std::size_t>(p)], (i * 25 + p) * 7 % 256);
      }
    }
  }
}

TEST(Idx, auto_tells_fashion_from_digits) {
  const TempDir digits, fashion;
  write_idx(digits.path(), false, {5, 0, 4, 1, 9});
  write_idx(fashion / "FashionMNIST/raw", true, {9, 0, 0, 3, 0});
  EXPECT_EQ(open_dataset("auto", digits.path(), "train")->class_names()[9], "9");
  const auto set = open_dataset("auto", fashion.path(), "train");
  EXPECT_EQ(set->class_names()[9], "Ankle boot");
  EXPECT_EQ(set->description(),
            "Fashion-MNIST train, 5 images, " + (fashion / "FashionMNIST/raw").string());
  EXPECT_EQ(open_dataset("fashion-mnist", digits.path(), "train")->class_names()[0], "T-shirt/top");
}

TEST(Idx, non_square_images_have_no_single_size) {
  const TempDir dir;
  write_file(dir / "train-images-idx3-ubyte", idx_images(2, 3, 4));
  write_file(dir / "train-labels-idx1-ubyte", idx_labels({1, 2}));
  EXPECT_EQ(open_dataset("mnist", dir.path(), "train")->image_size(), 0);
}

TEST(Idx, truncated_file) {
  const TempDir dir;
  write_idx(dir.path(), false, {1, 2, 3});
  fs::resize_file(dir / "train-images-idx3-ubyte", 80);
  expect_error([&] { open_dataset("mnist", dir.path(), "train"); },
               {"mnist", "train-images-idx3-ubyte", "80 bytes", "91", "3 records"});
}

TEST(Idx, truncated_header) {
  const TempDir dir;
  write_idx(dir.path(), false, {1, 2, 3});
  fs::resize_file(dir / "train-images-idx3-ubyte", 7);
  expect_error([&] { open_dataset("mnist", dir.path(), "train"); },
               {"train-images-idx3-ubyte", "7 bytes", "header of 16"});
}

TEST(Idx, unpacks_no_more_than_its_header_says) {
  const TempDir dir;
  write_idx(dir.path(), true, {1, 2, 3});
  // Written in pieces, so that it is the reader that would need the memory.
  const Bytes images = idx_images(3, 5, 5), zeros(1 << 20);
  gzFile out = gzopen((dir / "train-images-idx3-ubyte.gz").c_str(), "wb1");
  gzwrite(out, images.data(), static_cast<unsigned>(images.size()));
  for (int mib = 0; mib < 200; ++mib) gzwrite(out, zeros.data(), 1u << 20);
  gzclose(out);
  rusage before{}, after{};
  ::getrusage(RUSAGE_SELF, &before);
  expect_error([&] { open_dataset("mnist", dir.path(), "train"); },
               {"train-images-idx3-ubyte.gz", "at least 92 bytes", "91"});
  ::getrusage(RUSAGE_SELF, &after);
  EXPECT_LT(after.ru_maxrss - before.ru_maxrss, 50 << 10) << "KB";
}

TEST(Idx, truncated_gzip) {
  const TempDir dir;
  write_idx(dir.path(), true, {1, 2, 3});
  fs::resize_file(dir / "t10k-images-idx3-ubyte.gz", 40);
  expect_error([&] { open_dataset("mnist", dir.path(), "test"); },
               {"t10k-images-idx3-ubyte.gz", "gzip"});
}

TEST(Idx, damaged_gzip) {
  const TempDir dir;
  Bytes bytes = gzip(idx_images(40, 20, 20));
  bytes[bytes.size() - 6] ^= 0x55;  // its CRC
  write_file(dir / "train-images-idx3-ubyte.gz", bytes);
  write_file(dir / "train-labels-idx1-ubyte", idx_labels({1, 2}));
  expect_error([&] { open_dataset("mnist", dir.path(), "train"); },
               {"train-images-idx3-ubyte.gz", "gzip"});
}

TEST(Idx, wrong_magic_number) {
  const TempDir dir;
  write_idx(dir.path(), false, {1, 2, 3});
  write_file(dir / "train-images-idx3-ubyte", idx_labels({1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3}));
  expect_error([&] { open_dataset("mnist", dir.path(), "train"); },
               {"train-images-idx3-ubyte", "magic number 2049", "2051"});
}

TEST(Idx, extents_too_large_to_be_true) {
  const TempDir dir;
  Bytes bytes;
  for (std::uint32_t v : {0x803u, 0xffffffffu, 0xffffffffu, 0xffffffffu}) append_word(bytes, v);
  write_file(dir / "train-images-idx3-ubyte", bytes);
  expect_error([&] { open_dataset("mnist", dir.path(), "train"); },
               {"train-images-idx3-ubyte", "extent 4294967295"});
}

TEST(Idx, wrong_label_byte) {
  const TempDir dir;
  write_idx(dir.path(), false, {1, 2, 11});
  expect_error([&] { open_dataset("mnist", dir.path(), "train"); },
               {"train-labels-idx1-ubyte", "record 2", "label byte is 11", "0 to 9"});
}

TEST(Idx, counts_that_differ) {
  const TempDir dir;
  write_idx(dir.path(), false, {1, 2, 3});
  write_file(dir / "train-labels-idx1-ubyte", idx_labels({1, 2}));
  expect_error([&] { open_dataset("mnist", dir.path(), "train"); }, {"2 labels", "3 images"});
}

TEST(OpenDataset, empty_folder_tells_what_it_looked_for) {
  const TempDir dir;
  expect_error([&] { open_dataset("auto", dir.path(), "train"); },
               {"no data set in " + dir.path().string(), "data_batch_1.bin", "train.bin",
                "train-images-idx3-ubyte", "train/<class>"});
  try {
    open_dataset("cifar100", dir.path(), "train");
    FAIL() << "no error";
  } catch (const NotFound& error) {
    EXPECT_EQ(error.fetchable(), "cifar100");
    EXPECT_EQ(error.dir(), dir.path());
    EXPECT_NE(std::string(error.what()).find("cifar-100-binary"), std::string::npos);
  }
}

TEST(OpenDataset, folder_that_is_not_there) {
  const TempDir dir;
  expect_error([&] { open_dataset("auto", dir / "nowhere", "train"); }, {"no folder", "nowhere"});
}

TEST(OpenDataset, unknown_kind_and_split) {
  const TempDir dir;
  expect_error([&] { open_dataset("cifar11", dir.path(), "train"); },
               {"cifar11", "auto, cifar10, cifar100, mnist, fashion-mnist, folder"});
  expect_error([&] { open_dataset("auto", dir.path(), "dev"); },
               {"\"dev\"", "train, val and test"});
}

TEST(OpenDataset, several_kinds_in_one_folder) {
  const TempDir dir;
  write_idx(dir.path(), false, {5, 0, 4, 1, 9});
  write_file(dir / "train/cat/a.png", png(noise_image(4, 4, 3, 1)));
  expect_error([&] { open_dataset("auto", dir.path(), "train"); }, {"several", "mnist, folder"});
  EXPECT_EQ(open_dataset("folder", dir.path(), "train")->size(), 1);
  EXPECT_EQ(open_dataset("mnist", dir.path(), "train")->size(), 5);
}

TEST(MemoryDataset, refuses_contents_that_do_not_fit) {
  const auto contents = [] {
    return MemoryDataset::Contents{"x", 2, 2, 1, Bytes(8), {0, 1}, {"a", "b"}};
  };
  EXPECT_EQ(MemoryDataset(contents()).size(), 2);
  auto pixels = contents();
  pixels.pixels.pop_back();
  expect_error([&] { MemoryDataset{pixels}; }, {"7 bytes", "expected 8"});
  auto label = contents();
  label.labels[1] = 2;
  expect_error([&] { MemoryDataset{label}; }, {"image 1", "label 2", "0 to 1"});
  Image image;
  expect_error([&] { MemoryDataset(contents()).read(2, image); }, {"no image 2"});
}

TEST(ChannelStats, agree_with_the_definition) {
  const auto set = noise_dataset(50, 6, 3);
  double mean[3] = {}, square[3] = {};
  Image image;
  for (int i = 0; i < 50; ++i) {
    set->read(i, image);
    for (std::size_t p = 0; p < image.pixels.size(); ++p) {
      const double v = image.pixels[p] / 255.0;
      mean[p % 3] += v / (50 * 36);
      square[p % 3] += v * v / (50 * 36);
    }
  }
  const ChannelStats stats = channel_stats(*set);
  for (std::size_t c = 0; c < 3; ++c) {
    EXPECT_NEAR(stats.mean[c], mean[c], 1e-6);
    EXPECT_NEAR(stats.std[c], std::sqrt(square[c] - mean[c] * mean[c]), 1e-6);
  }
}

TEST(ChannelStats, do_not_depend_on_the_thread_count) {
  const auto set = noise_dataset(101, 5, 3);
  const int before = num_threads();
  set_num_threads(1);
  const ChannelStats one = channel_stats(*set);
  set_num_threads(3);
  const ChannelStats three = channel_stats(*set);
  set_num_threads(before);
  EXPECT_EQ(one.mean, three.mean);
  EXPECT_EQ(one.std, three.std);
}

TEST(ChannelStats, constant_and_absent_channels_can_be_divided_by) {
  const MemoryDataset set({"grey", 2, 2, 1, Bytes(8, 200), {0, 0}, {"a"}});
  const ChannelStats stats = channel_stats(set);
  EXPECT_FLOAT_EQ(stats.mean[0], 200 / 255.0f);
  EXPECT_EQ(stats.std, (std::array<float, 3>{1, 1, 1}));
  EXPECT_EQ(stats.mean[1], 0);
}

}  // namespace
}  // namespace exciton::data
