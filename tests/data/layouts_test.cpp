// The layouts of big data sets, tiny.
#include <archive.h>
#include <archive_entry.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <iterator>

#include "exciton/data/file_dataset.hpp"
#include "exciton/data/formats.hpp"
#include "exciton/data/label_list.hpp"
#include "exciton/data/tar.hpp"
#include "support.hpp"

namespace exciton::data {
namespace {

using namespace testing;
namespace fs = std::filesystem;

Bytes picture(int shade) { return jpeg(smooth_image(12, 16, 3, shade)); }

/// The first value of each image, which tells the shade it was made with, and its label.
std::vector<std::pair<int, std::int64_t>> contents(const Dataset& set) {
  std::vector<std::pair<int, std::int64_t>> out;
  Image image;
  for (std::int64_t i = 0; i < set.size(); ++i) {
    set.read(i, image);
    out.emplace_back((image.pixels[0] + 5) / 10 * 10, set.label(i));
  }
  return out;
}
using Pairs = std::vector<std::pair<int, std::int64_t>>;

TEST(Layouts, tiny_imagenet_as_it_is_downloaded) {
  const TempDir dir;
  write_file(dir / "train/n02/images/n02_0.JPEG", picture(20));
  write_file(dir / "train/n01/images/n01_0.JPEG", picture(10));
  write_file(dir / "train/n01/n01_boxes.txt", std::string("n01_0.JPEG 0 0 1 1\n"));
  write_file(dir / "val/images/val_1.JPEG", picture(40));
  write_file(dir / "val/images/val_0.JPEG", picture(30));
  write_file(dir / "val/val_annotations.txt",
             std::string("val_1.JPEG\tn01\t0\t0\t1\t1\nval_0.JPEG\tn02\t0\t0\t1\t1\n"));
  const auto train = open_dataset("auto", dir.path(), "train");
  EXPECT_EQ(train->class_names(), (std::vector<std::string>{"n01", "n02"}));
  EXPECT_EQ(contents(*train), (Pairs{{10, 0}, {20, 1}}));
  const auto test = open_dataset("auto", dir.path(), "test");
  EXPECT_EQ(test->class_names(), train->class_names());
  EXPECT_EQ(contents(*test), (Pairs{{30, 1}, {40, 0}}));
}

TEST(Layouts, flat_ilsvrc_val_with_each_list_people_have) {
  const TempDir dir;
  write_file(dir / "train/n01/a.JPEG", picture(10));
  write_file(dir / "train/n02/a.JPEG", picture(20));
  write_file(dir / "val/ILSVRC2012_val_00000001.JPEG", picture(30));
  write_file(dir / "val/ILSVRC2012_val_00000002.JPEG", picture(40));
  const std::pair<const char*, const char*> lists[] = {
      {"val.txt", "ILSVRC2012_val_00000001.JPEG 1\nILSVRC2012_val_00000002.JPEG 0\n"},
      {"imagenet_2012_validation_synset_labels.txt", "n02\nn01\n"},
      {"LOC_val_solution.csv",
       "ImageId,PredictionString\nILSVRC2012_val_00000002,n01 1 2 3 4 \n"
       "ILSVRC2012_val_00000001,n02 1 2 3 4 n02 5 6 7 8 \n"}};
  for (const auto& [name, text] : lists) {
    write_file(dir / name, std::string(text));
    EXPECT_EQ(contents(*open_dataset("auto", dir.path(), "test")), (Pairs{{30, 1}, {40, 0}}))
        << name;
    fs::remove(dir / name);
  }
  expect_error([&] { open_dataset("auto", dir.path(), "test"); }, {"val", "no list of labels"});
  write_file(dir / "val.txt", std::string("ILSVRC2012_val_00000001.JPEG 1\n"));
  expect_error([&] { open_dataset("auto", dir.path(), "test"); },
               {"val.txt", "no label for", "val_00000002.JPEG"});
  write_file(dir / "val.txt", std::string("n01\n"));
  expect_error([&] { open_dataset("auto", dir.path(), "test"); }, {"1 labels", "2 images"});
  write_file(dir / "val.txt", std::string("n01\nn09\n"));
  expect_error([&] { open_dataset("auto", dir.path(), "test"); }, {"\"n09\"", "none of the 2"});
  write_file(dir / "val.txt", std::string("n01\na b\n"));
  expect_error([&] { open_dataset("auto", dir.path(), "test"); }, {"val.txt", "some do not"});
}

TEST(Layouts, a_flat_folder_alone_has_the_classes_of_its_list) {
  const TempDir dir;
  write_file(dir / "val/b.jpg", picture(20));
  write_file(dir / "val/a.jpg", picture(10));
  write_file(dir / "val.txt", std::string("b.jpg ship\na.jpg cat\n"));
  const auto set = open_dataset("folder", dir.path(), "test");
  EXPECT_EQ(set->class_names(), (std::vector<std::string>{"cat", "ship"}));
  EXPECT_EQ(contents(*set), (Pairs{{10, 0}, {20, 1}}));
  write_file(dir / "synset_words.txt", std::string("ship, boat\ncat, puss\n"));
  write_file(dir / "val.txt", std::string("b.jpg 0\na.jpg 1\n"));
  EXPECT_EQ(open_dataset("folder", dir.path(), "test")->label(0), 1);
}

TEST(Layouts, places365) {
  const TempDir dir;
  write_file(dir / "categories_places365.txt", std::string("/a/airfield 0\n/z/zen_garden 1\n"));
  write_file(dir / "places365_train_standard.txt",
             std::string("/z/zen_garden/1.jpg 1\n/a/airfield/1.jpg 0\n"));
  write_file(dir / "places365_val.txt", std::string("Places365_val_1.jpg 1\n"));
  write_file(dir / "data_256/z/zen_garden/1.jpg", picture(20));
  write_file(dir / "data_256/a/airfield/1.jpg", picture(10));
  write_file(dir / "val_256/Places365_val_1.jpg", picture(30));
  const auto train = open_dataset("auto", dir.path(), "train");
  EXPECT_EQ(train->class_names(), (std::vector<std::string>{"airfield", "zen_garden"}));
  EXPECT_EQ(contents(*train), (Pairs{{20, 1}, {10, 0}}));
  EXPECT_EQ(contents(*open_dataset("auto", dir.path(), "test")), (Pairs{{30, 1}}));
  write_file(dir / "places365_val.txt", std::string("x.jpg 2\n"));
  expect_error([&] { open_dataset("auto", dir.path(), "test"); }, {"places365_val.txt", "\"2\""});
  write_file(dir / "places365_val.txt", std::string("../x.jpg 1\n"));
  expect_error([&] { open_dataset("auto", dir.path(), "test"); }, {"no file name: \"../x.jpg\""});
  fs::remove(dir / "places365_val.txt");
  expect_error([&] { open_dataset("auto", dir.path(), "test"); }, {"no list places365_val.txt"});
}

void write_tar(const fs::path& path, const std::vector<std::pair<std::string, Bytes>>& members,
               int (*format)(archive*) = archive_write_set_format_ustar) {
  fs::create_directories(path.parent_path());
  archive* out = archive_write_new();
  format(out);
  archive_write_add_filter_none(out);
  archive_write_open_filename(out, path.c_str());
  archive_entry* entry = archive_entry_new();
  for (const auto& [name, bytes] : members) {
    archive_entry_clear(entry);
    archive_entry_set_pathname(entry, name.c_str());
    archive_entry_set_size(entry, static_cast<la_int64_t>(bytes.size()));
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_write_header(out, entry);
    archive_write_data(out, bytes.data(), bytes.size());
  }
  archive_entry_free(entry);
  archive_write_close(out);
  archive_write_free(out);
}

Bytes text(const std::string& s) { return Bytes(s.begin(), s.end()); }

/// A header of a tar file, for members that libarchive would not write so.
void append_header(const fs::path& tar, const std::string& name, char type,
                   const std::string& target) {
  std::string header(512, '\0');
  header.replace(0, name.size(), name);
  header.replace(100, 7, "0000644");
  header.replace(124, 11, "00000000000");
  header[156] = type;
  header.replace(157, target.size(), target);
  header.replace(257, 5, "ustar");
  header.replace(148, 8, "        ");
  unsigned sum = 0;
  for (const char c : header) sum += static_cast<unsigned char>(c);
  char octal[8];
  std::snprintf(octal, sizeof octal, "%06o", sum);
  header.replace(148, 7, std::string(octal, 7));
  std::string bytes;
  {
    std::ifstream in(tar, std::ios::binary);
    bytes.assign(std::istreambuf_iterator<char>(in), {});
  }
  while (bytes.size() >= 512 && bytes.find_first_not_of('\0', bytes.size() - 512) == bytes.npos)
    bytes.resize(bytes.size() - 512);  // the end of the archive
  write_file(tar, bytes + header + std::string(1024, '\0'));
}

TEST(WebDataset, samples_over_shards) {
  const TempDir dir;
  write_tar(dir / "train-0001.tar", {{"a2.jpg", picture(30)}, {"a2.cls", text("0\n")}});
  write_tar(dir / "train-0000.tar", {{"a0.cls", text("2")},
                                     {"a0.jpg", picture(10)},
                                     {"a0.json", text("{}")},
                                     {"a1.jpg", picture(20)},
                                     {"a1.cls", text("1")}});
  write_tar(dir / "val-0000.tar", {{"v.jpg", picture(40)}, {"v.cls", text("1")}});
  const auto train = open_dataset("auto", dir.path(), "train");
  EXPECT_EQ(train->class_names(), (std::vector<std::string>{"0", "1", "2"}));
  for (std::int64_t i = 0; i < 3; ++i) train->prefetch(i);
  EXPECT_EQ(contents(*train), (Pairs{{10, 2}, {20, 1}, {30, 0}}));
  EXPECT_EQ(train->name(1), (dir / "train-0000.tar/a1.jpg").string());
  const auto test = open_dataset("auto", dir.path(), "test");
  EXPECT_EQ(test->class_names(), train->class_names());
  EXPECT_EQ(contents(*test), (Pairs{{40, 1}}));
  write_file(dir / "classes.txt", std::string("cat\ndog\nship\n"));
  EXPECT_EQ(open_dataset("auto", dir.path(), "test")->class_names()[1], "dog");
}

TEST(WebDataset, folders_in_a_tar_are_classes) {
  const TempDir dir;
  const std::string deep(120, 'd');
  for (const auto format : {archive_write_set_format_ustar, archive_write_set_format_gnutar,
                            archive_write_set_format_pax}) {
    write_tar(dir / "train.tar",
              {{"./data/dog/0.jpg", picture(20)}, {deep + "/cat/1.v2.JPEG", picture(10)}}, format);
    const auto set = open_dataset("webdataset", dir.path(), "train");
    EXPECT_EQ(set->class_names(), (std::vector<std::string>{"cat", "dog"}));
    EXPECT_EQ(contents(*set), (Pairs{{20, 1}, {10, 0}}));
    EXPECT_EQ(set->name(1), (dir / ("train.tar/" + deep + "/cat/1.v2.JPEG")).string());
  }
}

TEST(WebDataset, what_is_wrong_is_named) {
  const TempDir dir;
  const auto open = [&] { open_dataset("webdataset", dir.path(), "train"); };
  expect_error(open, {"train*.tar"});
  write_tar(dir / "train.tar", {{"a.jpg", picture(10)}});
  expect_error(open, {"train.tar", "a.jpg has no label"});
  write_tar(dir / "train.tar", {{"a.jpg", picture(10)}, {"a.png", picture(10)}});
  expect_error(open, {"train.tar", "a.jpg and a.png are two images of one sample"});
  write_tar(dir / "train.tar", {{"c/a.jpg", picture(10)}, {"c/b.jpg", picture(20)}});
  fs::resize_file(dir / "train.tar", 1024);
  expect_error(open, {"train.tar", "byte", "c/a.jpg", "truncated"});
  write_file(dir / "train.tar", Bytes(2000, 7));
  expect_error(open, {"train.tar, byte 0", "no tar"});
  write_file(dir / "train.tar", Bytes{});
  expect_error(open, {"no images"});
}

TEST(WebDataset, a_shard_cut_off_while_training) {
  const TempDir dir;
  write_tar(dir / "train.tar", {{"c/a.jpg", picture(10)}, {"c/b.jpg", picture(20)}});
  const auto set = open_dataset("webdataset", dir.path(), "train");
  fs::resize_file(dir / "train.tar", 700);
  Image image;
  expect_error([&] { set->read(1, image); }, {"train.tar ends at byte"});
}

TEST(Layouts, images_of_any_folder) {
  const TempDir dir;
  write_file(dir / "b/x.jpg", picture(20));
  write_file(dir / "a.PNG", png(noise_image(4, 4, 3, 1)));
  write_file(dir / "notes.txt", std::string("no image"));
  const auto set = open_images(dir.path());
  EXPECT_EQ(set->size(), 2);
  EXPECT_EQ(set->classes(), 1);
  EXPECT_EQ(set->name(1), (dir / "b/x.jpg").string());
  Bytes bytes;
  ASSERT_TRUE(set->fetch(1, bytes));
  EXPECT_EQ(bytes, picture(20));
}

TEST(Layouts, symbolic_links_that_lead_nowhere) {
  const TempDir dir;
  write_file(dir / "train/cat/a.jpg", picture(10));
  fs::create_symlink("loop.jpg", dir / "train/cat/loop.jpg");
  fs::create_directory_symlink("around", dir / "train/around");
  const auto set = open_dataset("folder", dir.path(), "train");
  ASSERT_EQ(set->size(), 2);
  EXPECT_EQ(set->classes(), 1) << "a folder that is a loop is none";
  Image image;
  expect_error([&] { set->read(1, image); }, {"loop.jpg"});
}

TEST(FileIndex, names_and_labels) {
  FileIndex index;
  index.add("a/b.jpg", 3);
  index.add("", 0);
  index.add("c.png", 70000);
  EXPECT_EQ(index.size(), 3);
  EXPECT_EQ(index.name(0), "a/b.jpg");
  EXPECT_EQ(index.name(1), "");
  EXPECT_EQ(index.name(2), "c.png");
  EXPECT_EQ(index.label(2), 70000);
}

TEST(WebDataset, members_of_a_sample_may_lie_apart) {
  const TempDir dir;
  write_tar(dir / "train.tar", {{"a.cls", text("1")},
                                {"b.cls", text("0")},
                                {"b.jpg", picture(20)},
                                {"a.jpg", picture(10)},
                                {"notes.json", text("{}")},
                                {"c.cls", text("1")}});
  const auto set = open_dataset("webdataset", dir.path(), "train");
  ASSERT_EQ(set->size(), 2);
  EXPECT_EQ(set->name(0), (dir / "train.tar/a.jpg").string());
  EXPECT_EQ(set->label(0), 1);
  EXPECT_EQ(set->label(1), 0);
  EXPECT_EQ(set->left_out().files(), 2);
  std::string all;
  for (const std::string& line : set->left_out().lines()) all += line + '\n';
  EXPECT_NE(all.find("a label without its image: train.tar/c.cls"), std::string::npos) << all;
  EXPECT_NE(all.find("train.tar/notes.json"), std::string::npos) << all;
}

TEST(WebDataset, links_are_the_files_they_name) {
  const TempDir dir;
  write_tar(dir / "train.tar", {{"cat/a.jpg", picture(10)}, {"dog/b.jpg", picture(20)}});
  append_header(dir / "train.tar", "dog/c.jpg", '1', "cat/a.jpg");
  append_header(dir / "train.tar", "dog/d.jpg", '2', "b.jpg");
  const auto set = open_dataset("webdataset", dir.path(), "train");
  ASSERT_EQ(set->size(), 3);
  std::vector<std::uint8_t> first, linked;
  set->fetch(0, first);
  set->fetch(2, linked);
  EXPECT_EQ(first, linked);
  ASSERT_EQ(set->left_out().files(), 1);
  EXPECT_NE(set->left_out().lines()[0].find("a symbolic link: train.tar/dog/d.jpg"),
            std::string::npos);
  append_header(dir / "train.tar", "dog/e.jpg", '1', "cat/none.jpg");
  expect_error([&] { open_dataset("webdataset", dir.path(), "train"); },
               {"dog/e.jpg", "cat/none.jpg", "not in the file"});
  write_tar(dir / "train.tar", {{"cat/a.jpg", picture(10)}});
  append_header(dir / "train.tar", "cat/s.jpg", 'S', "");
  expect_error([&] { open_dataset("webdataset", dir.path(), "train"); }, {"cat/s.jpg", "sparse"});
}

TEST(WebDataset, has_more_shards_than_a_process_may_have_files) {
  const TempDir dir;
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit few = before;
  few.rlim_cur = 256;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
  for (int i = 0; i < 300; ++i)
    write_tar(dir / ("train-" + std::to_string(1000 + i) + ".tar"),
              {{std::to_string(i) + ".jpg", picture(10)},
               {std::to_string(i) + ".cls", text(std::to_string(i % 2))}});
  const auto set = open_dataset("webdataset", dir.path(), "train");
  EXPECT_EQ(set->size(), 300);
  std::vector<std::uint8_t> bytes;
  for (int round = 0; round < 2; ++round)
    for (std::int64_t i = 0; i < set->size(); ++i) EXPECT_TRUE(set->fetch(i, bytes));
  ::setrlimit(RLIMIT_NOFILE, &before);
}

}  // namespace
}  // namespace exciton::data
