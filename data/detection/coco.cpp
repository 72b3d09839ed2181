#include "exciton/data/detection/coco.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "exciton/core/error.hpp"
#include "exciton/core/file.hpp"

namespace exciton::data {
namespace {

/// An element of one of the three lists, as far as it was there.
struct Item {
  std::optional<std::int64_t> id, image, category, width, height;
  std::optional<double> area;
  bool crowd = false;
  std::optional<std::string> text;  ///< file_name or name
  std::vector<double> box;
};

enum class List { images, annotations, categories, other };

constexpr const char* name_of(List list) {
  switch (list) {
    case List::images:
      return "images";
    case List::annotations:
      return "annotations";
    case List::categories:
      return "categories";
    case List::other:
      break;
  }
  return "";
}

/// Walks the document without keeping it: the elements of the lists come out one after another, and
/// what lies deeper, but for boxes, is passed over.
class Walker final : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit Walker(std::string who) : who_(std::move(who)) {}

  std::vector<Item> images, annotations, categories;
  bool seen_images = false, seen_categories = false;

  bool null() override { return value("null"); }
  bool boolean(bool b) override { return number(b ? 1 : 0, true); }
  bool number_integer(number_integer_t n) override {
    return number(static_cast<double>(n), true, n);
  }
  bool number_unsigned(number_unsigned_t n) override {
    constexpr auto most = static_cast<number_unsigned_t>(std::numeric_limits<std::int64_t>::max());
    return n <= most ? number(static_cast<double>(n), true, static_cast<std::int64_t>(n))
                     : number(static_cast<double>(n), false);
  }
  bool number_float(number_float_t x, const string_t&) override { return number(x, false); }
  bool string(string_t& s) override {
    if (!in_item()) return value("a string");
    const bool wanted = (list_ == List::images && key_ == "file_name") ||
                        (list_ == List::categories && key_ == "name");
    if (wanted)
      item_.text = std::move(s);
    else
      refuse_known("a string");
    return true;
  }
  bool binary(binary_t&) override { return value("binary data"); }
  bool start_object(std::size_t) override {
    if (depth_ == 1 && list_ != List::other) wrong_list();
    if (in_item()) refuse_known("an object");
    if (depth_ == 2 && list_ != List::other) item_ = {};
    return enter();
  }
  bool key(string_t& k) override {
    if (depth_ == 1) {
      list_ = k == "images"        ? List::images
              : k == "annotations" ? List::annotations
              : k == "categories"  ? List::categories
                                   : List::other;
      seen_images = seen_images || list_ == List::images;
      seen_categories = seen_categories || list_ == List::categories;
    } else if (depth_ == 3) {
      key_ = k;
    }
    return true;
  }
  bool end_object() override {
    --depth_;
    if (depth_ == 2 && list_ != List::other) items().push_back(std::move(item_));
    return true;
  }
  bool start_array(std::size_t) override {
    check(depth_ > 0, who_,
          ": expected an object with images, annotations and categories, got a list");
    check(depth_ != 2 || list_ == List::other, who_, ": ", name_of(list_),
          ": expected a list of objects, got a list of lists");
    if (in_item() && key_ == "bbox" && list_ == List::annotations)
      item_.box.clear();
    else if (in_item())
      refuse_known("a list");
    return enter();
  }
  bool end_array() override {
    --depth_;
    return true;
  }
  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception& error) override {
    const std::string what = error.what();
    check(what.find("out_of_range") == std::string::npos, who_, ": a number at byte ", position,
          " is out of range");
    fail(who_, ": not JSON from byte ", position, " on: damaged or cut off; fetch it again");
  }

 private:
  bool in_item() const { return depth_ == 3 && list_ != List::other; }
  bool in_box() const { return depth_ == 4 && list_ == List::annotations && key_ == "bbox"; }
  std::vector<Item>& items() {
    return list_ == List::images ? images : list_ == List::annotations ? annotations : categories;
  }
  bool enter() {
    constexpr int most = 64;
    check(++depth_ <= most, who_, ": objects and lists lie more than ", most,
          " deep in one another");
    return true;
  }
  [[noreturn]] void wrong_list() const {
    fail(who_, ": ", name_of(list_), ": expected a list of objects");
  }
  [[noreturn]] void wrong(const char* expected, const char* got) {
    fail(who_, ": ", name_of(list_), "[", items().size(), "].", shortened(key_, 40), ": expected ",
         expected, ", got ", got);
  }
  /// What a known key must not be.
  void refuse_known(const char* got) {
    static const std::map<std::pair<List, std::string>, const char*> known{
        {{List::images, "id"}, "an integer"},
        {{List::images, "width"}, "an integer"},
        {{List::images, "height"}, "an integer"},
        {{List::images, "file_name"}, "a string"},
        {{List::annotations, "id"}, "an integer"},
        {{List::annotations, "image_id"}, "an integer"},
        {{List::annotations, "category_id"}, "an integer"},
        {{List::annotations, "area"}, "a number"},
        {{List::annotations, "iscrowd"}, "0 or 1"},
        {{List::annotations, "bbox"}, "[x, y, width, height]"},
        {{List::categories, "id"}, "an integer"},
        {{List::categories, "name"}, "a string"}};
    const auto found = known.find({list_, key_});
    if (found != known.end()) wrong(found->second, got);
  }
  bool value(const char* what) {
    check(depth_ > 0, who_, ": expected an object with images, annotations and categories, got ",
          what);
    if (depth_ == 1 && list_ != List::other) wrong_list();
    check(depth_ != 2 || list_ == List::other, who_, ": ", name_of(list_),
          ": expected a list of objects, got ", what, " in it");
    if (in_item()) refuse_known(what);
    if (in_box()) wrong("[x, y, width, height]", what);
    return true;
  }
  bool number(double x, bool whole, std::int64_t n = 0) {
    if (in_box()) {
      if (item_.box.size() == 4) wrong("[x, y, width, height]", "more numbers");
      item_.box.push_back(x);
      return true;
    }
    if (!in_item()) return value("a number");
    const auto integer = [&](std::optional<std::int64_t>& to) {
      if (!whole) wrong("an integer", "a fraction, or one too large");
      to = n;
      return true;
    };
    if (key_ == "id") return integer(item_.id);
    if (list_ == List::images && key_ == "width") return integer(item_.width);
    if (list_ == List::images && key_ == "height") return integer(item_.height);
    if (list_ == List::annotations && key_ == "image_id") return integer(item_.image);
    if (list_ == List::annotations && key_ == "category_id") return integer(item_.category);
    if (list_ == List::annotations && key_ == "area") {
      item_.area = x;
      return true;
    }
    if (list_ == List::annotations && key_ == "iscrowd") {
      if (x != 0 && x != 1) wrong("0 or 1", "another number");
      item_.crowd = x == 1;
      return true;
    }
    refuse_known("a number");
    return true;
  }

  std::string who_;
  int depth_ = 0;
  List list_ = List::other;
  std::string key_;
  Item item_;
};

template <class T>
const T& need(const std::optional<T>& value, const std::string& who, const char* list,
              std::size_t index, const char* key) {
  check(value.has_value(), who, ": ", list, '[', index, "] has no ", key);
  return *value;
}

std::vector<CocoCategory> categories_of(const std::vector<Item>& items, const std::string& who) {
  std::vector<CocoCategory> out;
  for (std::size_t i = 0; i < items.size(); ++i)
    out.push_back({need(items[i].id, who, "categories", i, "id"),
                   need(items[i].text, who, "categories", i, "name")});
  std::ranges::sort(out, {}, &CocoCategory::id);
  std::set<std::string> names;
  for (std::size_t i = 0; i < out.size(); ++i) {
    check(i == 0 || out[i - 1].id != out[i].id, who, ": two categories have the id ", out[i].id);
    check(!out[i].name.empty() && names.insert(out[i].name).second, who, ": the name \"",
          shortened(out[i].name, 60), "\" of a category is ",
          out[i].name.empty() ? "empty" : "taken");
  }
  return out;
}

/// Whether a name stays within the folder it is looked for in.
bool stays_inside(const std::string& name) {
  const std::filesystem::path path(name);
  if (name.empty() || path.is_absolute() || name.find('\0') != std::string::npos) return false;
  return std::ranges::none_of(path, [](const auto& part) { return part == ".."; });
}

std::vector<CocoImage> images_of(const std::vector<Item>& items, const std::string& who) {
  constexpr std::int64_t most_side = 65536;
  std::vector<CocoImage> out;
  for (std::size_t i = 0; i < items.size(); ++i) {
    CocoImage image{need(items[i].id, who, "images", i, "id"),
                    need(items[i].text, who, "images", i, "file_name"),
                    {need(items[i].height, who, "images", i, "height"),
                     need(items[i].width, who, "images", i, "width")},
                    {}};
    const auto fits = [&](std::int64_t side) { return side >= 1 && side <= most_side; };
    check(fits(image.size.height) && fits(image.size.width), who, ": image ", image.id, " is ",
          image.size.width, " x ", image.size.height, ", expected sides of 1 to ", most_side);
    check(stays_inside(image.file), who, ": image ", image.id, ": the file name \"",
          shortened(image.file, 60), "\" leads out of the folder of images, or is empty");
    out.push_back(std::move(image));
  }
  std::ranges::sort(out, {}, &CocoImage::id);
  for (std::size_t i = 1; i < out.size(); ++i)
    check(out[i - 1].id != out[i].id, who, ": two images have the id ", out[i].id);
  return out;
}

/// The index of an id in a list that is sorted by it.
template <class T>
std::optional<std::size_t> find_id(const std::vector<T>& list, std::int64_t id) {
  const auto at = std::ranges::lower_bound(list, id, {}, &T::id);
  if (at == list.end() || at->id != id) return std::nullopt;
  return static_cast<std::size_t>(at - list.begin());
}

void add_object(CocoAnnotations& to, const Item& item, std::size_t index, const std::string& who) {
  constexpr double most_pixels = 1e6;
  const char* const list = "annotations";
  CocoObject object{.id = item.id.value_or(static_cast<std::int64_t>(index)), .crowd = item.crowd};
  const std::int64_t image_id = need(item.image, who, list, index, "image_id");
  const std::int64_t category_id = need(item.category, who, list, index, "category_id");
  const auto image = find_id(to.images, image_id), category = find_id(to.categories, category_id);
  check(image.has_value(), who, ": annotation ", object.id, " is of image ", image_id,
        ", which is not among the images");
  check(category.has_value(), who, ": annotation ", object.id, " is of category ", category_id,
        ", which is not among the categories");
  check(item.box.size() == 4, who, ": annotation ", object.id,
        ": bbox: expected [x, y, width, height], got ", item.box.size(), " numbers");
  for (const double value : item.box)
    check(std::abs(value) <= most_pixels, who, ": annotation ", object.id, ": bbox has ", value,
          ", expected numbers up to ", most_pixels);
  object.box = {item.box[0], item.box[1], item.box[2], item.box[3]};
  object.area = item.area.value_or(object.box.width * object.box.height);
  check(std::abs(object.area) <= most_pixels * most_pixels, who, ": annotation ", object.id,
        ": area is ", object.area);
  object.category = static_cast<std::int64_t>(*category);
  std::vector<CocoObject>& objects = to.images[*image].objects;
  check(std::ssize(objects) < most_objects, who, ": image ", image_id, " (",
        shortened(to.images[*image].file, 60), ") has more than ", most_objects, " objects");
  objects.push_back(object);
}

}  // namespace

std::vector<std::string> CocoAnnotations::category_names() const {
  std::vector<std::string> names;
  for (const CocoCategory& category : categories) names.push_back(category.name);
  return names;
}

CocoAnnotations parse_coco(std::string_view json, const std::string& who) {
  Walker walker(who);
  nlohmann::json::sax_parse(json.begin(), json.end(), &walker);
  check(walker.seen_images && walker.seen_categories, who, ": has no list \"",
        walker.seen_images ? "categories" : "images", "\", so it is no COCO file of objects");
  CocoAnnotations out;
  out.categories = categories_of(walker.categories, who);
  out.images = images_of(walker.images, who);
  check(!out.images.empty() && !out.categories.empty(), who, ": the list of ",
        out.images.empty() ? "images" : "categories", " is empty");
  for (std::size_t i = 0; i < walker.annotations.size(); ++i)
    add_object(out, walker.annotations[i], i, who);
  return out;
}

CocoAnnotations read_coco(const std::filesystem::path& file) {
  return parse_coco(read_text(file, "coco", most_coco_bytes), "coco: " + file.string());
}

Box inside(const Box& box, Size image) {
  const double right = std::min(box.left + box.width, static_cast<double>(image.width));
  const double bottom = std::min(box.top + box.height, static_cast<double>(image.height));
  const double left = std::max(box.left, 0.0), top = std::max(box.top, 0.0);
  if (!(right > left && bottom > top)) return {left, top, 0, 0};
  return {left, top, right - left, bottom - top};
}

}  // namespace exciton::data
