#include "exciton/data/detection/set.hpp"

#include <algorithm>
#include <set>

#include "exciton/core/error.hpp"
#include "exciton/data/files.hpp"
#include "exciton/data/fingerprint.hpp"
#include "exciton/data/image.hpp"

namespace exciton::data {
namespace fs = std::filesystem;

DetectionSet::DetectionSet(const fs::path& annotations, fs::path images)
    : folder_(std::move(images)),
      name_(annotations.stem().string()),
      annotations_(read_coco(annotations)) {
  if (const std::string prefix = "instances_"; name_.starts_with(prefix))
    name_ = name_.substr(prefix.size());
  std::int64_t missing = 0;
  std::string first;
  for (std::int64_t i = 0; i < size(); ++i)
    if (!fs::is_regular_file(file(i)) && missing++ == 0)
      first = file(i).string() + " of image " + std::to_string(image(i).id);
  check(missing == 0, "coco: ", annotations.string(), ": of ", size(), " images ", missing,
        missing == 1 ? " is" : " are", " not there", missing == 1 ? ": " : "; the first: ", first);
}

Image DetectionSet::read(std::int64_t index) const {
  const fs::path path = file(index);
  Image out = decode_image(path, 3);
  const Size said = image(index).size;
  check(out.height == said.height && out.width == said.width, "coco: ", path.string(), " is ",
        out.width, " x ", out.height, ", its annotation says ", said.width, " x ", said.height);
  return out;
}

std::uint64_t DetectionSet::fingerprint() const {
  std::uint64_t hash = 0;
  const auto add = [&](const std::string& text) { hash = hashed(hash, text.data(), text.size()); };
  const auto number = [&](double value) { hash = hashed(hash, &value, sizeof value); };
  for (const CocoCategory& category : annotations_.categories) add(category.name + '\n');
  for (const CocoImage& image : annotations_.images) {
    add(image.file + '\n');
    for (const CocoObject& o : image.objects)
      for (const double value : {o.box.left, o.box.top, o.box.width, o.box.height,
                                 static_cast<double>(o.category), o.crowd ? 1.0 : 0.0})
        number(value);
  }
  return hash;
}

std::string DetectionSet::description() const {
  std::int64_t objects = 0;
  std::set<std::int64_t> present;
  for (const CocoImage& image : annotations_.images)
    for (const CocoObject& object : image.objects) {
      ++objects;
      present.insert(object.category);
    }
  return "COCO " + name_ + ", " + std::to_string(size()) +
         (size() == 1 ? " image, " : " images, ") + std::to_string(objects) + " objects in " +
         std::to_string(present.size()) + " of " + std::to_string(annotations_.categories.size()) +
         " categories, " + folder_.string();
}

std::vector<std::string> DetectionSet::notes() const {
  std::int64_t crowds = 0, empty = 0, cut = 0, without = 0;
  std::string first_empty, first_cut;
  for (const CocoImage& image : annotations_.images) {
    bool trains = false;
    for (const CocoObject& object : image.objects) {
      const std::string where = std::to_string(object.id) + " in " + image.file;
      const Box box = inside(object.box, image.size);
      if (object.crowd) {
        ++crowds;
      } else if (box.width == 0) {
        if (empty++ == 0) first_empty = where;
      } else {
        trains = true;
        constexpr double noticeable = 1;  // pixels; many files are off by rounding
        if (std::max(object.box.width - box.width, object.box.height - box.height) > noticeable &&
            cut++ == 0)
          first_cut = where;
      }
    }
    without += trains ? 0 : 1;
  }
  std::vector<std::string> out;
  const auto note = [&](std::int64_t count, const std::string& text) {
    if (count > 0) out.push_back(std::to_string(count) + ' ' + text);
  };
  note(crowds, "crowds (iscrowd), which do not train and are ignored in the evaluation");
  note(empty, "objects without area in the image, which do not train; the first: " + first_empty);
  note(cut, "boxes reach over the border and are cut there; the first: " + first_cut);
  note(without, "images without objects, of which the background is learned");
  return out;
}

void DetectionSet::keep(std::int64_t first) {
  if (first > 0 && first < size()) annotations_.images.resize(static_cast<std::size_t>(first));
}

void DetectionSet::leave_out(std::int64_t first) {
  annotations_.images.erase(
      annotations_.images.begin(),
      annotations_.images.begin() + std::clamp<std::int64_t>(first, 0, size()));
}

void check_trains(const DetectionSet& train, const DetectionSet* val) {
  const auto trains = [](const CocoImage& image) {
    return std::ranges::any_of(image.objects, [&](const CocoObject& object) {
      return !object.crowd && inside(object.box, image.size).width > 0;
    });
  };
  check(std::ranges::any_of(train.annotations().images, trains), "coco: ", train.description(),
        ": there is no object to learn; expected annotations with boxes that are no crowds");
  check(!val || val->annotations().category_names() == train.annotations().category_names(),
        "coco: ", train.description(), " and ", val ? val->description() : "",
        " have other categories");
}

namespace {

class Images final : public Dataset {
 public:
  explicit Images(std::shared_ptr<const DetectionSet> set) : set_(std::move(set)) {}
  std::int64_t size() const override { return set_->size(); }
  std::int64_t label(std::int64_t) const override { return 0; }
  void read(std::int64_t index, Image& out) const override { out = set_->read(index); }
  bool fetch(std::int64_t index, std::vector<std::uint8_t>& out) const override {
    read_file(set_->file(index), out);
    return true;
  }
  std::string name(std::int64_t index) const override { return set_->file(index).string(); }
  const std::vector<std::string>& class_names() const override { return names_; }
  std::int64_t channels() const override { return 3; }
  std::int64_t image_size() const override { return 0; }
  std::uint64_t fingerprint() const override { return set_->fingerprint(); }
  std::string description() const override { return set_->description(); }

 private:
  std::shared_ptr<const DetectionSet> set_;
  std::vector<std::string> names_{"images"};
};

}  // namespace

std::shared_ptr<const Dataset> images_of(std::shared_ptr<const DetectionSet> set) {
  return std::make_shared<Images>(std::move(set));
}

std::vector<CocoSplit> find_coco(const fs::path& dir) {
  const fs::path annotations = dir / "annotations";
  std::vector<CocoSplit> out;
  if (!fs::is_directory(annotations)) return out;
  const std::string prefix = "instances_";
  for (const std::string split : {"train", "val"})
    for (const auto& entry : fs::directory_iterator(annotations)) {
      const std::string stem = entry.path().stem().string();
      if (entry.path().extension() != ".json" || !stem.starts_with(prefix + split)) continue;
      check(out.empty() || out.back().name != split, "coco: ", annotations.string(),
            " has several files for ", split, ": ",
            out.empty() ? "" : out.back().annotations.filename().string(), " and ",
            entry.path().filename().string(), "; leave one");
      const std::string folder = stem.substr(prefix.size());
      fs::path images = dir / folder;
      if (!fs::is_directory(images)) images = dir / "images" / folder;
      check(fs::is_directory(images), "coco: ", entry.path().string(),
            ": the folder of its images is missing; expected ", (dir / folder).string());
      out.push_back({split, entry.path(), images});
    }
  return out;
}

std::shared_ptr<DetectionSet> open_coco(const fs::path& dir, const std::string& split) {
  for (const CocoSplit& found : find_coco(dir))
    if (found.name == split) return std::make_shared<DetectionSet>(found.annotations, found.images);
  fail("coco: ", dir.string(), " has no annotations/instances_", split,
       "*.json; expected COCO's folders: annotations/instances_train2017.json, train2017/, ...");
}

}  // namespace exciton::data
