#include "data/formats.hpp"
#include "support.hpp"

namespace exciton::data {
namespace {

using namespace testing;
namespace fs = std::filesystem;

/// Three classes; a grey image and a PNG among colour JPEGs.
void write_folder(const fs::path& dir, const std::string& split, std::int64_t side = 16) {
  write_file(dir / split / "dog/0001.jpg", jpeg(smooth_image(side, side, 3, 20)));
  write_file(dir / split / "dog/0000.JPEG", jpeg(smooth_image(side, side, 3, 10)));
  write_file(dir / split / "Zebra/a.png", png(noise_image(side, side, 3, 3)));
  write_file(dir / split / "cat/grey.jpg", jpeg(smooth_image(side, side, 1, 40)));
  write_file(dir / split / "cat/notes.txt", std::string("not an image"));
  write_file(dir / split / "cat/.hidden.jpg", std::string("not an image"));
}

TEST(Folder, classes_and_images_in_byte_order) {
  const TempDir dir;
  write_folder(dir.path(), "train");
  const auto set = open_dataset("auto", dir.path(), "train");
  EXPECT_EQ(set->class_names(), (std::vector<std::string>{"Zebra", "cat", "dog"}));
  ASSERT_EQ(set->size(), 4);
  EXPECT_EQ(set->channels(), 3);
  EXPECT_EQ(set->image_size(), 16);
  EXPECT_EQ(set->description(), "folder train, 4 images, " + dir.path().string());
  for (const auto& [index, label] : {std::pair{0, 0}, {1, 1}, {2, 2}, {3, 2}})
    EXPECT_EQ(set->label(index), label);
  Image image;
  set->read(0, image);
  EXPECT_EQ(image.pixels, noise_image(16, 16, 3, 3).pixels);
  set->read(1, image);
  EXPECT_EQ(image.channels, 3);
  EXPECT_EQ(image.pixels[0], image.pixels[2]);
  set->read(2, image);
  EXPECT_NEAR(image.pixels[0], 10, 5);  // 0000.JPEG
}

TEST(Folder, val_serves_as_test) {
  const TempDir dir;
  write_folder(dir.path(), "train");
  write_folder(dir.path(), "val");
  EXPECT_EQ(open_dataset("folder", dir.path(), "test")->size(), 4);
}

TEST(Folder, test_labels_are_those_of_train) {
  const TempDir dir;
  write_folder(dir.path(), "train");
  write_file(dir / "test/dog/x.png", png(noise_image(16, 16, 3, 9)));
  const auto test = open_dataset("folder", dir.path(), "test");
  ASSERT_EQ(test->size(), 1);
  EXPECT_EQ(test->label(0), 2);
  EXPECT_EQ(test->classes(), 3);
}

TEST(Folder, test_class_that_train_has_not) {
  const TempDir dir;
  write_folder(dir.path(), "train");
  write_file(dir / "test/horse/x.png", png(noise_image(16, 16, 3, 9)));
  expect_error([&] { open_dataset("folder", dir.path(), "test"); },
               {"test/horse", "no class of", "train"});
}

TEST(Folder, images_of_different_sizes_are_decoded_when_read) {
  const TempDir dir;
  write_folder(dir.path(), "train");
  write_file(dir / "train/cat/large.png", png(noise_image(20, 24, 3, 5)));
  const auto set = open_dataset("folder", dir.path(), "train");
  ASSERT_EQ(set->size(), 5);
  EXPECT_EQ(set->image_size(), 0);
  Image image;
  set->read(2, image);
  EXPECT_EQ(image.width, 24);
  EXPECT_EQ(image.pixels, noise_image(20, 24, 3, 5).pixels);
  EXPECT_EQ(set->label(2), 1);
  fs::remove(dir / "train/cat/large.png");
  expect_error([&] { set->read(2, image); }, {"train/cat/large.png"});
}

TEST(Folder, above_the_memory_limit_images_are_decoded_when_read) {
  const TempDir dir;
  write_folder(dir.path(), "train");
  const auto large = open_folder(dir.path(), "train", 16 * 16 * 3 * 4 - 1);
  const auto small = open_folder(dir.path(), "train", 16 * 16 * 3 * 4);
  EXPECT_EQ(large->image_size(), 0);
  EXPECT_EQ(small->image_size(), 16);
  Image a, b;
  for (int i = 0; i < 4; ++i) {
    large->read(i, a);
    small->read(i, b);
    EXPECT_EQ(a.pixels, b.pixels);
    EXPECT_EQ(large->label(i), small->label(i));
  }
  expect_error([&] { large->read(4, a); }, {"no image 4"});
}

TEST(Folder, damaged_image_is_named) {
  const TempDir dir;
  write_folder(dir.path(), "train");
  Bytes bytes = jpeg(noise_image(16, 16, 3, 4));
  bytes.resize(bytes.size() - 200);
  write_file(dir / "train/dog/0001.jpg", bytes);
  const auto set = open_dataset("folder", dir.path(), "train");
  ASSERT_EQ(set->size(), 4) << "it is for the loader to pass it over, or not";
  Image image;
  set->read(2, image);
  expect_error([&] { set->read(3, image); }, {"train/dog/0001.jpg", "truncated"});
}

TEST(Folder, class_without_images) {
  const TempDir dir;
  write_folder(dir.path(), "train");
  fs::create_directories(dir / "train/empty");
  expect_error([&] { open_dataset("folder", dir.path(), "train"); },
               {"train/empty has no images", ".jpg, .jpeg or .png"});
}

TEST(Folder, missing_split) {
  const TempDir dir;
  write_folder(dir.path(), "train");
  expect_error([&] { open_dataset("folder", dir.path(), "test"); },
               {(dir / "test").string(), "val", "test/<class>/<image>.jpg"});
}

TEST(Folder, split_without_classes) {
  const TempDir dir;
  fs::create_directories(dir / "train");
  expect_error([&] { open_folder(dir.path(), "train"); }, {"train has no class folders"});
  expect_error([&] { open_dataset("auto", dir.path(), "train"); }, {"no data set in"});
}

}  // namespace
}  // namespace exciton::data
