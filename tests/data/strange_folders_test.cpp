// Folders as people have them: links that lead around, folders that cannot be listed, what lies
// beside, lists from other programs, archives that are cut short.
#include <unistd.h>

#include <fstream>
#include <iterator>

#include "exciton/data/files.hpp"
#include "exciton/data/formats.hpp"
#include "exciton/data/given_file.hpp"
#include "exciton/data/listing.hpp"
#include "exciton/data/splits.hpp"
#include "support.hpp"

namespace exciton::data {
namespace {

using namespace testing;
namespace fs = std::filesystem;

const Bytes& dot() {
  static const Bytes bytes = png(noise_image(4, 4, 3, 1));
  return bytes;
}

void write_images(const fs::path& dir, std::initializer_list<const char*> files) {
  for (const char* file : files) write_file(dir / file, dot());
}

std::string left_out_text(const Dataset& set) {
  std::string all;
  for (const std::string& line : set.left_out().lines()) all += line + '\n';
  return all;
}

std::string notes_text(const DataLayout& layout) {
  std::string all;
  for (const std::string& note : layout.notes) all += note + '\n';
  return all;
}

void expect_part(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << '"' << part << "\" in: " << text;
}

TEST(StrangeFolder, links_to_a_folder_around_end_the_walk) {
  const TempDir dir;
  write_images(dir.path(), {"a/1.png", "b/1.png"});
  fs::create_directories(dir / "c");
  for (const char* link : {"c/l1", "c/l2", "c/l3"}) {
    fs::create_directory_symlink(dir.path(), dir / link);
    fs::create_directory_symlink(".", dir / (std::string(link) + "self"));
  }
  const auto set = open_dataset("auto", dir.path(), "train");
  EXPECT_EQ(set->class_names(), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(set->size(), 2);
  expect_part(left_out_text(*set), "6 files, a link to a folder around it: c/l1, c/l1self, c/l2");
  expect_part(left_out_text(*set), "a class folder without images: c");
}

TEST(StrangeFolder, many_links_to_one_another_are_looked_through_once) {
  const TempDir dir;
  constexpr int folders = 14;  // 14! ways through them
  for (int from = 0; from < folders; ++from)
    for (int to = 0; to < folders; ++to) {
      const fs::path where = dir / "x" / std::to_string(from);
      fs::create_directories(where);
      if (to != from)
        fs::create_directory_symlink("../" + std::to_string(to), where / std::to_string(to));
    }
  EXPECT_FALSE(has_image(dir / "x" / "0"));
}

TEST(StrangeFolder, a_link_out_of_a_class_does_not_take_the_others_in) {
  for (const char* split : {"", "train/"}) {
    const TempDir dir;
    const fs::path base = dir / "set";
    for (const char* file : {"cat/1.png", "cat/2.png", "dog/1.png"})
      write_file(base / (split + std::string(file)), dot());
    fs::create_directory_symlink("..", base / (std::string(split) + "cat/up"));
    fs::create_directory_symlink(dir.path(), base / (std::string(split) + "cat/over"));
    fs::create_directory_symlink(".", base / (std::string(split) + "self"));
    // However the folder itself is reached.
    fs::create_directory_symlink("set", dir / "link");
    for (const fs::path& way : {base, dir / "link", dir / "set/", dir / "set/../link/."}) {
      const auto set = open_dataset("auto", way, "train");
      EXPECT_EQ(set->size(), 3) << way;
      EXPECT_EQ(set->class_names(), (std::vector<std::string>{"cat", "dog"})) << way;
      expect_part(left_out_text(*set), "a link to a folder around it");
      expect_part(left_out_text(*set), std::string(split) + "cat/over");
      expect_part(left_out_text(*set), std::string(split) + "cat/up");
    }
    EXPECT_EQ(open_images(dir / "link")->size(), 3);
  }
}

TEST(StrangeFolder, a_class_may_be_a_link_to_a_folder_elsewhere) {
  const TempDir dir;
  write_images(dir.path(), {"store/x/1.png", "store/x/2.png", "store/y/1.png", "set/dog/1.png"});
  fs::create_directory_symlink(dir / "store/x", dir / "set/cat");
  fs::create_directory_symlink(dir / "store/y", dir / "set/dog/more");
  EXPECT_EQ(open_dataset("auto", dir / "set", "train")->size(), 4);
}

TEST(StrangeFolder, a_class_that_cannot_be_listed_is_an_error) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may list every folder";
  for (const char* split : {"", "train/"}) {
    const TempDir dir;
    for (const char* file : {"cat/1.png", "dog/1.png", "eel/1.png"})
      write_file(dir / (split + std::string(file)), dot());
    const fs::path shut = dir / (std::string(split) + "eel");
    fs::permissions(shut, fs::perms::none);
    expect_error([&] { open_dataset("auto", dir.path(), "train"); },
                 {"cannot list " + shut.string(), "Permission denied"});
    fs::permissions(shut, fs::perms::owner_all);
    EXPECT_EQ(open_dataset("auto", dir.path(), "train")->classes(), 3);
  }
}

TEST(StrangeFolder, folders_without_images_are_told_with_splits_and_without) {
  for (const char* split : {"", "train/"}) {
    const TempDir dir;
    for (const char* file : {"cat/1.png", "dog/1.png", "eel/.cache/x.png", "fox/y.heic"})
      write_file(dir / (split + std::string(file)), dot());
    fs::create_directories(dir / (std::string(split) + "gnu"));
    const auto set = open_dataset("auto", dir.path(), "train");
    EXPECT_EQ(set->class_names(), (std::vector<std::string>{"cat", "dog"}));
    const std::string told = left_out_text(*set), below = split;
    expect_part(told, "3 files, a class folder without images: " + below + "eel, " + below +
                          "fox, " + below + "gnu");
    expect_part(told, "hidden: " + below + "eel/.cache");
    expect_part(told, "(.heic): " + below + "fox/y.heic");
  }
  const TempDir dir;
  write_images(dir.path(), {"cat/1.png", "dog/1.png", "eel/.cache/x.png"});
  expect_part(notes_text(find_layout("auto", dir.path())), "its 2 folders are the classes");
}

TEST(StrangeFolder, a_val_without_labels_is_told) {
  for (const char* val : {"val", "valid", "validation"}) {
    const TempDir dir;
    write_images(dir.path(), {"train/a/1.png", "train/a/2.png", "train/b/1.png"});
    write_file(dir / val / "0.png", dot());
    const std::string where = (dir / val).string();
    expect_part(notes_text(find_layout("auto", dir.path())), where + " has no labels: skipped");
    write_file(dir / "my_labels.csv", std::string("0.png,a\n"));
    expect_part(notes_text(find_layout("auto", dir.path())),
                (dir / "my_labels.csv").string() + " has not the name of such a list");
    const SplitPlan plan = plan_splits(find_layout("auto", dir.path()), {}, 1);
    EXPECT_EQ(plan.chooses, Part::held_out);
    expect_part(plan.notes.front(), where);
    expect_part(plan.notes.back(), "There is no val with labels: of each class");
    fs::remove(dir / val / "0.png");
    expect_part(notes_text(find_layout("auto", dir.path())), where + " has no images: skipped");
  }
}

TEST(StrangeFolder, images_beside_the_splits_are_told) {
  const TempDir dir;
  write_images(dir.path(), {"train/a/1.png", "train/b/1.png", "val/a/1.png", "eval/a/1.png",
                            "eval/b/1.png", "stray.png"});
  write_file(dir / "README.md", std::string("about it"));
  fs::create_directories(dir / "notes");
  const auto train = open_dataset("auto", dir.path(), "train");
  expect_part(left_out_text(*train),
              "3 files, beside the folders of splits: stray.png, eval/a/1.png, eval/b/1.png");
  EXPECT_EQ(train->left_out().files(), 3) << left_out_text(*train);
  EXPECT_TRUE(open_dataset("auto", dir.path(), "test")->left_out().empty()) << "told once";
}

TEST(StrangeFolder, a_class_called_train) {
  const TempDir dir;
  write_images(dir.path(), {"train/1.png", "train/2.png", "dog/1.png", "dog/2.png"});
  expect_error([&] { find_layout("auto", dir.path()); },
               {(dir / "train").string(), "is taken for the split train", "2 images", "as dog",
                "rename it"});
  fs::rename(dir / "train", dir / "trains");
  EXPECT_EQ(open_dataset("auto", dir.path(), "train")->classes(), 2);
}

TEST(WhatIsThere, images_that_are_no_data_set) {
  const auto told = [](const fs::path& dir, const std::string& kind = "auto") {
    try {
      find_layout(kind, dir);
    } catch (const NotFound& error) {
      ADD_FAILURE() << "would be fetched: " << error.what();
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  const TempDir dir;
  write_images(dir.path(), {"one/only/1.png", "one/only/2.png", "deep/x/y/data/a/1.png",
                            "deep/x/y/data/b/1.png", "class/1.png", "class/2.png"});
  expect_part(told(dir / "one"), "only one folder with images lies in it, only (2 images)");
  expect_part(told(dir / "deep"), "name the folder " + (dir / "deep/x/y/data").string());
  expect_part(told(dir / "class"), "2 images lie directly in it, but classes are folders");
  for (const char* kind : {"webdataset", "places365", "mnist", "cifar10"})
    expect_part(told(dir / "deep/x/y/data", kind), "it holds a data set of kind folder");
  for (const char* file : {"train-images.idx3-ubyte", "train-labels.idx1-ubyte"})
    write_file(dir / "dots" / file, std::string("x"));
  expect_part(told(dir / "dots"), "train-images-idx3-ubyte");
  expect_part(told(dir / "dots"), "rename");
  for (const char* name : {"base.tar", "base.tar.gz", "base.zip", "base.tar.xz"}) {
    const TempDir archives;
    write_file(archives / name, std::string("x"));
    expect_part(told(archives.path()), std::string("there is ") + name);
    expect_part(told(archives.path()), "unpack it first");
  }
  write_file(dir / "other/README", std::string("x"));
  fs::create_directories(dir / "other/docs");
  expect_part(told(dir / "other"), "no images in it, but README, docs/");
  fs::create_directories(dir / "empty");
  for (const char* kind : {"folder", "webdataset", "places365", "mnist"})
    expect_part(told(dir / "empty", kind), "the folder is empty");
  for (const char* kind : {"auto", "folder", "mnist"})
    expect_part(told(dir / "nowhere", kind), "no folder \"" + (dir / "nowhere").string());
}

TEST(WhatIsThere, only_what_can_be_fetched_is_advised) {
  const auto fetchable = [](const std::string& kind, const fs::path& dir) {
    try {
      find_layout(kind, dir);
    } catch (const NotFound& error) {
      return error.fetchable();
    } catch (const Error&) {
    }
    return std::string();
  };
  const TempDir dir;
  for (const char* kind : {"cifar10", "cifar100", "fashion-mnist"}) {
    EXPECT_EQ(fetchable(kind, dir.path()), kind);
    EXPECT_EQ(fetchable(kind, dir / "nowhere"), kind);
  }
  EXPECT_EQ(fetchable("auto", dir.path()), "cifar10");
  EXPECT_EQ(fetchable("auto", dir / "nowhere"), "");
  write_file(dir / "cifar-10-binary.tar.gz.part", std::string("x"));
  EXPECT_EQ(fetchable("cifar10", dir.path()), "cifar10") << "a download that is not finished";
}

/// train/a, train/b and two images in val, of which `list` tells the labels.
void write_listed(const fs::path& dir, const std::string& list) {
  write_images(dir, {"train/a/1.png", "train/b/1.png", "val/0.png", "val/1.png"});
  write_file(dir / "val.txt", list);
}

TEST(Lists, a_line_that_comes_twice) {
  const TempDir dir;
  write_listed(dir.path(), "0.png a\n1.png b\n0.png a\nval/1.png b\ngone.png a\n");
  const auto set = open_dataset("auto", dir.path(), "test");
  EXPECT_EQ(set->size(), 2);
  expect_part(left_out_text(*set), "2 files, named more than once in val.txt: 0.png, val/1.png");
  expect_part(left_out_text(*set), "1 file, named in val.txt, but not in val/: gone.png");
}

TEST(Lists, from_other_programs) {
  const TempDir dir;
  write_listed(dir.path(),
               "\xEF\xBB\xBF"
               "0.png a\r\n1.png b\r\n");
  const auto set = open_dataset("auto", dir.path(), "test");
  EXPECT_EQ(set->size(), 2);
  EXPECT_TRUE(set->left_out().empty()) << left_out_text(*set);
  const auto open = [&] { open_dataset("auto", dir.path(), "test"); };
  const std::string wide(
      "\xFF\xFE"
      "0\0.\0p\0n\0g\0 \0a\0\n\0",
      18);
  write_file(dir / "val.txt", wide);
  expect_error(open, {"val.txt", "UTF-16", "save it as UTF-8"});
  write_file(dir / "val.txt", wide.substr(2));
  expect_error(open, {"val.txt", "is no text: byte 1 is 0"});
  write_file(dir / "val.txt", std::string("0.png \x1b[31mred\n1.png b\n"));
  expect_error(open, {"val.txt", "is no text: byte 6 is 27"});
  EXPECT_EQ(error_of(open).find('\x1b'), std::string::npos);
}

/// A member of a tar file: its header, its bytes, and zeros up to a whole block.
std::string tar_member(const std::string& name, const std::string& bytes) {
  constexpr std::size_t block = 512;
  std::string header(block, '\0');
  const auto octal = [&](std::size_t at, std::size_t digits, std::size_t value) {
    for (std::size_t i = digits; i > 0; --i, value /= 8)
      header[at + i - 1] = static_cast<char>('0' + value % 8);
  };
  header.replace(0, name.size(), name);
  octal(124, 11, bytes.size());
  header[156] = '0';
  header.replace(257, 5, "ustar");
  header.replace(148, 8, "        ");
  std::size_t sum = 0;
  for (const char c : header) sum += static_cast<unsigned char>(c);
  octal(148, 6, sum);
  header[154] = '\0';
  return header + bytes + std::string((block - bytes.size() % block) % block, '\0');
}

TEST(Shards, labels_are_trimmed_at_both_ends) {
  const TempDir dir;
  const std::string image(dot().begin(), dot().end()), end(1024, '\0');
  write_file(dir / "train.tar", tar_member("1.cls", " \tcat \r\n") + tar_member("1.png", image) +
                                    tar_member("2.cls",
                                               "\xEF\xBB\xBF"
                                               "dog\n") +
                                    tar_member("2.png", image) + end);
  EXPECT_EQ(open_dataset("auto", dir.path(), "train")->class_names(),
            (std::vector<std::string>{"cat", "dog"}));
  write_file(dir / "train.tar",
             tar_member("1.cls", std::string("c\0", 2)) + tar_member("1.png", image) + end);
  expect_error([&] { open_dataset("auto", dir.path(), "train"); }, {"1.cls is no text"});
}

TEST(Shards, an_archive_that_is_cut_short) {
  const TempDir dir;
  const std::string image(dot().begin(), dot().end()), zeros(512, '\0');
  const std::string first = tar_member("cat/1.png", image),
                    both = first + tar_member("cat/2.png", image);
  const auto open = [&] { return open_dataset("webdataset", dir.path(), "train"); };
  for (int blocks = 1; blocks <= 20; ++blocks) {
    std::string end;
    for (int i = 0; i < blocks; ++i) end += zeros;
    write_file(dir / "train.tar", tar_member("cat/1.png", image) + end);
    EXPECT_EQ(open()->size(), 1) << blocks << " blocks at the end";
  }
  const std::size_t whole = first.size();
  for (const std::size_t bytes : {whole, whole + 1, whole + 170, whole + 511, 2 * whole,
                                  2 * whole + 100, 512 + image.size()}) {
    write_file(dir / "train.tar", (both + zeros).substr(0, bytes));
    expect_error(open, {"train.tar, byte " + std::to_string(bytes), "cut short"});
  }
  for (const std::size_t bytes : {whole - 512, whole + 600}) {
    write_file(dir / "train.tar", (both + zeros).substr(0, bytes));
    EXPECT_FALSE(error_of(open).empty()) << bytes;
  }
}

TEST(Shards, that_were_joined_are_one) {
  const TempDir dir;
  const std::string image(dot().begin(), dot().end()), end(1024, '\0');
  const std::string first = tar_member("cat/1.png", image) + end,
                    second = tar_member("dog/2.png", image) + end;
  const auto open = [&] { return open_dataset("webdataset", dir.path(), "train"); };
  for (const std::string& between : {std::string(), std::string(8 * 512, '\0')}) {
    write_file(dir / "train.tar", first + between + second + second);
    expect_error(open, {"train.tar", "two images of one sample"});  // nothing is passed over
    write_file(dir / "train.tar", first + between + second);
    EXPECT_EQ(open()->size(), 2);
    EXPECT_EQ(open()->class_names(), (std::vector<std::string>{"cat", "dog"}));
  }
  write_file(dir / "train.tar", first + std::string(4096, '\0') + second);
  EXPECT_EQ(open()->size(), 2);
  const std::size_t at = first.size();
  for (const std::size_t bytes : {1, 300, 512, 700}) {
    write_file(dir / "train.tar", first + std::string(bytes, 'x'));
    expect_error(open, {"train.tar, byte " + std::to_string(at),
                        std::to_string(bytes) + " bytes follow the end"});
  }
  write_file(dir / "train.tar", first + second.substr(0, 300));  // joined, and cut short
  expect_error(open, {"300 bytes follow the end"});
  write_file(dir / "train.tar", first + tar_member("dog/2.png", image));
  expect_error(open, {"cut short"});
  write_file(dir / "train.tar", first + std::string(100, '\0'));
  EXPECT_EQ(open()->size(), 1);
}

TEST(Shards, labels_far_beyond_the_images_are_refused) {
  const TempDir dir;
  const std::string image(dot().begin(), dot().end()), end(1024, '\0');
  const auto shard = [&](const std::string& label) {
    write_file(dir / "train.tar", tar_member("1.cls", "0") + tar_member("1.png", image) +
                                      tar_member("2.cls", label) + tar_member("2.png", image) +
                                      end);
    return open_dataset("webdataset", dir.path(), "train");
  };
  expect_error([&] { shard("999999"); }, {"up to 999999", "2 images", "classes.txt"});
  EXPECT_EQ(shard("999")->classes(), 1000);
}

TEST(GivenFile, is_known_by_its_bytes) {
  using Given = GivenFile::Kind;
  const TempDir dir;
  const std::string image(dot().begin(), dot().end());
  const auto looked_at = [&](const char* name, const std::string& bytes) {
    write_file(dir / name, bytes);
    return look_at_file(dir / name);
  };
  EXPECT_EQ(looked_at("a", std::string("PK\x03\x04", 4)).what, "a zip archive");
  EXPECT_EQ(looked_at("b", tar_member("1.png", image)).what, "a tar archive");
  EXPECT_EQ(looked_at("c", "\x1f\x8b\x08").what, "a gzip archive");
  EXPECT_EQ(looked_at("d", image).kind, Given::image);
  EXPECT_EQ(looked_at("e.safetensors", "........{").kind, Given::weights);
  EXPECT_EQ(looked_at("f.pth", std::string("PK\x03\x04", 4)).kind, Given::weights);
  EXPECT_EQ(looked_at("g.json", "{\"model\": {}}").kind, Given::unknown);
  EXPECT_EQ(looked_at("h", "").kind, Given::unknown);
  EXPECT_EQ(look_at_file(dir / "none").kind, Given::unknown);
  EXPECT_EQ(look_at_file(dir.path()).kind, Given::unknown);
  expect_error([&] { find_layout("cifar10", dir / "b"); }, {"it is a tar archive; unpack it"});
  expect_error([&] { find_layout("auto", dir / "g.json"); }, {"it is a file"});
}

TEST(Shards, in_folders_of_splits) {
  const TempDir dir;
  const std::string image(dot().begin(), dot().end()), end(1024, '\0');
  write_file(dir / "train/0.tar", tar_member("cat/1.png", image) + end);
  write_file(dir / "val/0.tar", tar_member("cat/2.png", image) + end);
  EXPECT_EQ(find_layout("auto", dir.path()).kind, "webdataset");
}

}  // namespace
}  // namespace exciton::data
