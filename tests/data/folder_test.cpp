#include "exciton/data/formats.hpp"
#include "exciton/data/listing.hpp"
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
  fs::create_directories(dir / "test");
  fs::copy(dir / "train", dir / "test", fs::copy_options::recursive);
  write_file(dir / "test/empty/a.png", png(noise_image(4, 4, 3, 1)));
  const auto train = open_dataset("folder", dir.path(), "train");
  for (const std::string& name : train->class_names()) EXPECT_NE(name, "empty");
  const auto told = [](const Dataset& set) {
    std::string all;
    for (const std::string& line : set.left_out().lines()) all += line + '\n';
    return all;
  };
  EXPECT_NE(told(*train).find("a class folder without images: train/empty"), std::string::npos)
      << told(*train);
  const auto test = open_dataset("folder", dir.path(), "test");
  EXPECT_EQ(test->class_names(), train->class_names());
  EXPECT_NE(told(*test).find("of a class without train images: test/empty/a.png"),
            std::string::npos)
      << told(*test);
}

TEST(Folder, what_is_left_out_is_counted_and_named) {
  const TempDir dir;
  const auto image = png(noise_image(4, 4, 3, 1));
  for (const char* file :
       {"train/cat/a.png", "train/cat/2024/may/b.PNG", "train/cat/images/c.jpeg",
        "train/cat/images/deep/d.webp", "train/cat/e.png", "train/dog/f.bmp", "train/dog/g.TIF"})
    write_file(dir / file, image);
  for (const char* file : {"train/cat/notes.txt", "train/cat/x.heic", "train/dog/y.heic",
                           "train/dog/.hidden.png", "train/beside.png", "train/dog/z.svg"})
    write_file(dir / file, image);
  const auto set = open_dataset("folder", dir.path(), "train");
  EXPECT_EQ(set->size(), 7);
  std::string all;
  for (const std::string& line : set->left_out().lines()) all += line + '\n';
  EXPECT_EQ(set->left_out().files(), 6) << all;
  for (const char* part :
       {"ending .txt is no image's: train/cat/notes.txt",
        "2 files, an image format that is not read "
        "(.heic): train/cat/x.heic, train/dog/y.heic",
        "hidden: train/dog/.hidden.png", "beside the class folders: train/beside.png", ".svg"})
    EXPECT_NE(all.find(part), std::string::npos) << part << " in\n" << all;
}

TEST(Folder, a_folder_of_class_folders_is_train) {
  const TempDir dir;
  for (const char* file : {"photos/cat/a.png", "photos/cat/b.png", "photos/test/c.png"})
    write_file(dir / file, png(noise_image(4, 4, 3, 1)));
  const auto set = open_dataset("auto", dir / "photos", "train");
  EXPECT_EQ(set->class_names(), (std::vector<std::string>{"cat", "test"}));
  EXPECT_EQ(set->size(), 3);
}

TEST(Folder, names_of_classes_become_utf8) {
  const TempDir dir;
  const auto image = png(noise_image(4, 4, 3, 1));
  for (const char* name : {"lat\xe9n", "ho\xc3\xb1o", "plain"})
    write_file(dir / "train" / name / "a.png", image);
  const auto set = open_dataset("folder", dir.path(), "train");
  EXPECT_EQ(set->class_names(), (std::vector<std::string>{"ho\xc3\xb1o", "lat\xc3\xa9n", "plain"}));
  EXPECT_EQ(as_utf8("\xc0\xaf"), "\xc3\x80\xc2\xaf") << "not the shortest form";
  EXPECT_EQ(as_utf8("\xf0\x9f\x90\xb1"), "\xf0\x9f\x90\xb1");
}

TEST(Folder, splits_go_by_many_names) {
  const auto image = png(noise_image(4, 4, 3, 1));
  for (const char* val : {"val", "valid", "validation", "dev", "Val"}) {
    const TempDir dir;
    for (const std::string split : {"train", val, "test"})
      for (const char* file : {"/a/1.png", "/b/2.png"}) write_file(dir / (split + file), image);
    const DataLayout layout = find_layout("auto", dir.path());
    EXPECT_TRUE(layout.has("train") && layout.has("val") && layout.has("test")) << val;
    EXPECT_EQ(open_split(layout, "val")->size(), 2) << val;
    // Without labels a test is skipped, and val stands in for it.
    const TempDir bare;
    for (const std::string split : {"train", val})
      for (const char* file : {"/a/1.png", "/b/2.png"}) write_file(bare / (split + file), image);
    write_file(bare / "test/images/3.png", image);
    const DataLayout unlabelled = find_layout("auto", bare.path());
    EXPECT_FALSE(unlabelled.has("test")) << val;
    EXPECT_NE(unlabelled.notes.at(0).find("test has no labels"), std::string::npos);
    EXPECT_EQ(open_dataset("auto", bare.path(), "test")->size(), 2);
  }
  const TempDir twice;
  for (const char* split : {"train", "val", "valid"}) write_file(twice / split / "a/1.png", image);
  expect_error([&] { find_layout("auto", twice.path()); }, {"val", "valid", "rename one"});
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
  expect_error([&] { open_dataset("auto", dir.path(), "train"); }, {"train has no class folders"});
}

}  // namespace
}  // namespace exciton::data
