// Images with objects: COCO's JSON, good and bad, and the loader of detection.
#include <algorithm>
#include <cstdlib>
#include <fstream>

#include "exciton/core/threads.hpp"
#include "exciton/data/detection/loader.hpp"
#include "exciton/data/image.hpp"
#include "exciton/data/write_image.hpp"
#include "support.hpp"

namespace exciton::data {
namespace {

using namespace testing;

const std::string coco_head =
    R"({"info": {"year": 2017, "x": [[1, {"bbox": 3}]]}, "images": [)"
    R"({"id": 9, "file_name": "b.jpg", "width": 40, "height": 30, "license": 3},)"
    R"({"id": 4, "file_name": "a.jpg", "width": 20, "height": 50}],)"
    R"("categories": [{"id": 7, "name": "cat", "supercategory": "animal"}, {"id": 2, "name": "dog"}],)"
    R"("annotations": [)";

std::string with_annotations(const std::string& list) { return coco_head + list + "]}"; }

std::string annotation(const std::string& changes) {
  return R"({"id": 5, "image_id": 9, "category_id": 7, "bbox": [1, 2, 10, 20], "area": 120.5)" +
         (changes.empty() ? "" : ", " + changes) + "}";
}

TEST(Coco, reads_objects_and_passes_over_all_else) {
  const CocoAnnotations got = parse_coco(
      with_annotations(annotation(R"("segmentation": [[1, 2, 3, 4]], "caption": "x")") + "," +
                       R"({"id": 6, "image_id": 4, "category_id": 2, "bbox": [0.5, 0, 3, 4],)"
                       R"("iscrowd": 1, "segmentation": {"counts": [3, 4], "size": [50, 20]}})"),
      "coco");
  EXPECT_EQ(got.category_names(), (std::vector<std::string>{"dog", "cat"})) << "by id";
  ASSERT_EQ(got.images.size(), 2u);
  EXPECT_EQ(got.images[0].file, "a.jpg") << "by id";
  EXPECT_EQ(got.images[1].size, (Size{30, 40}));
  const CocoObject& cat = got.images[1].objects.at(0);
  EXPECT_EQ(cat.category, 1);
  EXPECT_EQ(cat.area, 120.5);
  EXPECT_EQ(cat.box.height, 20);
  EXPECT_FALSE(cat.crowd);
  const CocoObject& dogs = got.images[0].objects.at(0);
  EXPECT_TRUE(dogs.crowd);
  EXPECT_EQ(dogs.area, 12) << "that of the box";
}

TEST(Coco, bad_files_are_refused_in_one_line) {
  const auto refuses = [](const std::string& text, std::initializer_list<std::string> parts) {
    SCOPED_TRACE(text.substr(0, 60));
    expect_error([&] { parse_coco(text, "coco: FILE"); }, parts);
  };
  const std::string good = with_annotations(annotation(""));
  EXPECT_NO_THROW(parse_coco(good, "coco"));
  for (std::size_t cut = 0; cut < good.size(); cut += 7)
    refuses(good.substr(0, cut), {"coco: FILE", "damaged or cut off"});
  refuses(good + "x", {"damaged or cut off"});
  refuses("[]", {"expected an object", "a list"});
  refuses("3", {"expected an object", "a number"});
  refuses("{}", {"no list \"images\""});
  refuses(R"({"images": [], "categories": [], "annotations": []})", {"images is empty"});
  refuses(R"({"images": {"id": 1}})", {"images: expected a list of objects"});
  refuses(R"({"images": 3})", {"images: expected a list of objects"});
  refuses(R"({"images": [3]})", {"expected a list of objects", "a number"});
  refuses(R"({"images": [[]]})", {"a list of lists"});
  refuses(with_annotations(annotation(R"("image_id": 3)")), {"annotation 5", "image 3"});
  refuses(with_annotations(annotation(R"("category_id": 3)")), {"annotation 5", "category 3"});
  refuses(with_annotations(annotation(R"("image_id": "9")")),
          {"annotations[0].image_id: expected an integer, got a string"});
  refuses(with_annotations(annotation(R"("image_id": 9.5)")), {"expected an integer"});
  refuses(with_annotations(annotation(R"("category_id": 18446744073709551615)")),
          {"expected an integer"});
  refuses(with_annotations(annotation(R"("bbox": [1, 2, 3])")), {"annotation 5", "3 numbers"});
  refuses(with_annotations(annotation(R"("bbox": [1, 2, 3, 4, 5])")), {"more numbers"});
  refuses(with_annotations(annotation(R"("bbox": [1, 2, 3, null])")), {"got null"});
  refuses(with_annotations(annotation(R"("bbox": "1 2 3 4")")), {"got a string"});
  refuses(with_annotations(annotation(R"("bbox": [1, 2, 3e300, 4])")), {"numbers up to"});
  refuses(with_annotations(annotation(R"("bbox": [1, 2, 3e999, 4])")), {"out of range"});
  refuses(with_annotations(annotation(R"("iscrowd": 2)")), {"expected 0 or 1"});
  refuses(with_annotations(R"({"id": 5})"), {"annotations[0] has no image_id"});
  const auto with_image = [](const std::string& image) {
    return R"({"images": [)" + image + R"(], "categories": [{"id": 1, "name": "x"}]})";
  };
  refuses(with_image(R"({"id": 1, "file_name": "../../secret", "width": 4, "height": 4})"),
          {"image 1", "leads out of the folder"});
  refuses(with_image(R"({"id": 1, "file_name": "/etc/passwd", "width": 4, "height": 4})"),
          {"leads out"});
  refuses(with_image(R"({"id": 1, "file_name": "a.jpg", "width": 0, "height": 4})"),
          {"image 1 is 0 x 4"});
  const std::string image = R"({"id": 1, "file_name": "a.jpg", "width": 4, "height": 4})";
  refuses(with_image(image + "," + image), {"two images have the id 1"});
  refuses(R"({"images": [)" + image +
              R"(], "categories": [{"id": 1, "name": "x"},)"
              R"({"id": 1, "name": "y"}]})",
          {"two categories have the id 1"});
  refuses(R"({"a": )" + std::string(100, '[') + std::string(100, ']') + "}", {"deep"});
  std::string many;
  for (int i = 0; i <= most_objects; ++i) many += (i ? "," : "") + annotation("");
  refuses(with_annotations(many), {"image 9 (b.jpg) has more than 10000 objects"});
}

/// Four images, one grey, one without objects, with a crowd, boxes over the border and without
/// area.
void make_set(const TempDir& dir) {
  std::filesystem::create_directories(dir / "annotations");
  const std::vector<Size> sizes{{30, 40}, {50, 20}, {33, 65}, {24, 24}};
  std::string images, objects;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    const std::string id = std::to_string(i + 1);
    write_file(
        dir / ("train2017/" + id + ".jpg"),
        jpeg(smooth_image(sizes[i].height, sizes[i].width, i == 1 ? 1 : 3, static_cast<int>(i))));
    images += (i ? "," : "") + std::string(R"({"id": )") + id + R"(, "file_name": ")" + id +
              R"(.jpg", "width": )" + std::to_string(sizes[i].width) + R"(, "height": )" +
              std::to_string(sizes[i].height) + "}";
  }
  const auto object = [&](int image, const std::string& box, int category, int crowd) {
    objects += (objects.empty() ? "" : ",") + std::string(R"({"id": )") +
               std::to_string(objects.size() + 1) + R"(, "image_id": )" + std::to_string(image) +
               R"(, "category_id": )" + std::to_string(category) + R"(, "bbox": )" + box +
               R"(, "iscrowd": )" + std::to_string(crowd) + "}";
  };
  object(1, "[4, 6, 20, 12]", 3, 0);
  object(1, "[0, 0, 40, 30]", 9, 1);
  object(2, "[10, 30, 30, 40]", 9, 0);
  object(2, "[5, 5, 0, 9]", 9, 0);
  object(2, "[60, 5, 3, 9]", 9, 0);
  object(4, "[1, 2, 3, 4]", 3, 0);
  write_file(dir / "annotations/instances_train2017.json",
             R"({"images": [)" + images + R"(], "categories": [{"id": 3, "name": "pear"},)" +
                 R"({"id": 9, "name": "plum"}], "annotations": [)" + objects + "]}");
}

TEST(DetectionSet, opens_cocos_folders_and_tells_what_does_not_train) {
  const TempDir dir;
  make_set(dir);
  const auto set = open_coco(dir.path(), "train");
  EXPECT_EQ(set->size(), 4);
  EXPECT_NE(set->description().find("4 images, 6 objects in 2 of 2 categories"), std::string::npos);
  EXPECT_EQ(set->read(1).channels, 3) << "grey becomes colour";
  const auto notes = set->notes();
  ASSERT_EQ(notes.size(), 4u);
  EXPECT_NE(notes[0].find("1 crowds"), std::string::npos);
  EXPECT_NE(notes[1].find("2 objects without area"), std::string::npos);
  EXPECT_NE(notes[1].find("in 2.jpg"), std::string::npos);
  EXPECT_NE(notes[2].find("1 boxes reach over the border"), std::string::npos);
  EXPECT_NE(notes[3].find("1 images without objects"), std::string::npos);
  expect_error([&] { open_coco(dir.path(), "val"); }, {"annotations/instances_val"});
  EXPECT_TRUE(find_coco(dir / "train2017").empty());

  std::filesystem::remove(dir / "train2017/3.jpg");
  expect_error([&] { open_coco(dir.path(), "train"); }, {"of 4 images 1 is not there", "3.jpg"});
  write_file(dir / "train2017/3.jpg", jpeg(smooth_image(10, 10, 3, 1)));
  const auto other = open_coco(dir.path(), "train");
  expect_error([&] { other->read(2); }, {"3.jpg is 10 x 10", "65 x 33"});
}

TEST(DetectionTransform, sizes_are_torchvisions) {
  const DetectionTransform t{.min_size = 800, .max_size = 1333};
  EXPECT_EQ(t.resized({480, 640}), (Size{800, 1066}));
  EXPECT_EQ(t.resized({640, 480}), (Size{1066, 800}));
  EXPECT_EQ(t.resized({100, 1000}), (Size{133, 1333}));
  EXPECT_EQ(t.resized({800, 800}), (Size{800, 800}));
}

TEST(DetectionLoader, pads_scales_and_flips_boxes_with_the_image) {
  const TempDir dir;
  make_set(dir);
  const auto set = open_coco(dir.path(), "train");
  DetectionTransform t{.min_size = 60, .max_size = 100, .mean = {0.5F, 0.5F, 0.5F}};
  DetectionLoader loader(set, t, {.batch = 4, .shuffle = false, .workers = 0});
  const DetectionBatch batch = *loader.next();
  EXPECT_FALSE(loader.next().has_value());
  EXPECT_EQ(batch.images.shape(), (Shape{4, 128, 128, 3}));
  EXPECT_EQ(batch.sizes[0], (Size{60, 80}));
  EXPECT_EQ(batch.sizes[1], (Size{100, 40}));
  ASSERT_EQ(batch.objects[0].size(), 1u) << "no crowd";
  EXPECT_NEAR(batch.objects[0][0].box.left, 8, 1e-9);
  EXPECT_NEAR(batch.objects[0][0].box.height, 24, 1e-9);
  ASSERT_EQ(batch.objects[1].size(), 1u) << "nothing without area";
  EXPECT_NEAR(batch.objects[1][0].box.width, 20, 1e-9) << "cut at the border";
  EXPECT_EQ(batch.objects[1][0].label, 1);
  EXPECT_TRUE(batch.objects[2].empty());
  const float* const v = batch.images.data<float>();
  EXPECT_EQ(v[80 * 3], 0) << "padding";
  EXPECT_NE(v[79 * 3], 0);

  const Image image = set->read(0);
  const Tensor plain = detection_input(image, t), mirrored = detection_input(image, t, true);
  for (std::int64_t x = 0; x < 80; ++x) EXPECT_EQ(plain.at(3 * x), mirrored.at(3 * (79 - x)));
  t.flip = true;
  DetectionLoader flipping(set, t, {.batch = 1, .shuffle = false, .workers = 0});
  bool both[2] = {};
  for (int epoch = 0; epoch < 20; ++epoch) {
    flipping.start_epoch(epoch);
    const DetectionBatch one = *flipping.next();
    const double left = one.objects[0][0].box.left;
    const bool turned = left != 8;
    EXPECT_EQ(left, turned ? 80 - 8 - 40 : 8);
    const Tensor& wanted = turned ? mirrored : plain;
    EXPECT_EQ(one.images.at(3), wanted.at(3));
    both[turned] = true;
  }
  EXPECT_TRUE(both[0] && both[1]);
}

TEST(DetectionLoader, batches_depend_on_nothing_but_seed_epoch_and_index) {
  const TempDir dir;
  make_set(dir);
  const auto set = open_coco(dir.path(), "train");
  const DetectionTransform t{.min_size = 32, .max_size = 64, .flip = true};
  const auto batches_of = [&](int workers, std::int64_t epoch, std::int64_t first) {
    DetectionLoader loader(set, t, {.batch = 2, .workers = workers, .prefetch = 2, .seed = 5});
    loader.start_epoch(epoch, first);
    std::vector<DetectionBatch> out;
    while (auto batch = loader.next()) out.push_back(std::move(*batch));
    return out;
  };
  for (const std::int64_t epoch : {0, 1, 7}) {
    const auto wanted = batches_of(0, epoch, 0);
    ASSERT_EQ(wanted.size(), 2u);
    for (const int workers : {1, 3, automatic_workers}) {
      const auto got = batches_of(workers, epoch, 0);
      ASSERT_EQ(got.size(), 2u);
      for (std::size_t b = 0; b < 2; ++b) {
        EXPECT_EQ(got[b].indices, wanted[b].indices);
        EXPECT_TRUE(
            std::ranges::equal(got[b].images.span<float>(), wanted[b].images.span<float>()));
      }
    }
    const auto resumed = batches_of(2, epoch, 1);
    ASSERT_EQ(resumed.size(), 1u);
    EXPECT_EQ(resumed[0].indices, wanted[1].indices);
  }
}

TEST(DetectionLoader, an_image_that_cannot_be_read_is_an_error_or_told) {
  const TempDir dir;
  make_set(dir);
  write_file(dir / "train2017/3.jpg", std::string("no image"));
  const auto set = open_coco(dir.path(), "train");
  const DetectionTransform t{.min_size = 32, .max_size = 64};
  DetectionLoader strict(set, t, {.batch = 4, .workers = 1});
  expect_error([&] { strict.next(); }, {"3.jpg"});
  DetectionLoader lenient(set, t, {.batch = 4, .workers = 1, .skip_errors = true});
  const DetectionBatch batch = *lenient.next();
  EXPECT_EQ(batch.images.dim(0), 3);
  ASSERT_EQ(batch.skipped.size(), 1u);
  EXPECT_NE(batch.skipped[0].find("3.jpg"), std::string::npos);
}

TEST(WriteImage, comes_back_as_it_was) {
  const TempDir dir;
  for (const std::int64_t channels : {1, 3}) {
    const Image image = smooth_image(21, 34, channels, 3);
    write_image(dir / "a.png", image);
    EXPECT_EQ(decode_image(dir / "a.png", channels).pixels, image.pixels);
    write_image(dir / "a.JPG", image);
    expect_near(decode_image(dir / "a.JPG", channels), image, 12);
  }
  const Image image = smooth_image(4, 4, 3, 1);
  expect_error([&] { write_image(dir / "a.gif", image); }, {"a.gif", ".jpg or .png"});
  expect_error([&] { write_image(dir / "none/a.png", image); }, {"none/a.png"});
  expect_error([&] { encode_png(Image{2, 2, 3, {1, 2}}); }, {"2 x 2"});
  expect_error([&] { encode_jpeg(Image{}); }, {"0 x 0"});
}

TEST(WriteImage, boxes_are_outlines_within_the_image) {
  Image image{8, 10, 3, std::vector<std::uint8_t>(240, 9)};
  draw_box(image, {2, 1, 6, 5}, {255, 0, 7}, 1);
  const auto at = [&](std::int64_t y, std::int64_t x) {
    return image.pixels[static_cast<std::size_t>(3 * (y * 10 + x))];
  };
  for (std::int64_t y = 0; y < 8; ++y)
    for (std::int64_t x = 0; x < 10; ++x) {
      const bool within = x >= 2 && x < 8 && y >= 1 && y < 6;
      const bool border = within && (x == 2 || x == 7 || y == 1 || y == 5);
      EXPECT_EQ(at(y, x), border ? 255 : 9) << y << ' ' << x;
    }
  const Image before = image;
  draw_box(image, {-50, -50, 10, 10}, {1, 1, 1}, 2);
  EXPECT_EQ(image.pixels, before.pixels);
  draw_box(image, {-5, -5, 100, 100}, {1, 2, 3}, 100);
  EXPECT_EQ(std::ranges::count(image.pixels, 3), 80) << "thicker than itself: full";
  Image grey{2, 2, 1, {1, 2, 3, 4}};
  expect_error([&] { draw_box(grey, {0, 0, 1, 1}, {1, 1, 1}, 1); }, {"1 channels"});
}

// EXCITON_COCO_SAMPLE names a folder with 86 images of COCO train2017.
TEST(RealData, all_of_the_coco_sample_loads) {
  const char* dir = std::getenv("EXCITON_COCO_SAMPLE");
  if (!dir) GTEST_SKIP() << "EXCITON_COCO_SAMPLE is not set";
  const auto set = open_coco(dir, "train");
  EXPECT_NE(set->description().find("86 images, 688 objects in 66 of 80 categories"),
            std::string::npos)
      << set->description();
  EXPECT_EQ(set->annotations().categories.back().id, 90);
  DetectionLoader loader(set, {.min_size = 128, .max_size = 256}, {.batch = 8, .workers = 2});
  std::size_t images = 0;
  while (const auto batch = loader.next()) images += batch->indices.size();
  EXPECT_EQ(images, 86u);
}

}  // namespace
}  // namespace exciton::data
