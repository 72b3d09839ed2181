#include "exciton/train/preprocessing.hpp"

#include <algorithm>
#include <iomanip>
#include <sstream>

#include "exciton/core/error.hpp"
#include "exciton/data/resize.hpp"
#include "exciton/train/preprocessing_json.hpp"
#include "exciton/train/remedy.hpp"

namespace exciton::train {
namespace fs = std::filesystem;

namespace {

Json to_json(const SetContents& set) {
  return {{"images", set.images}, {"fingerprint", set.fingerprint}};
}

std::optional<SetContents> contents_in(const Json& json, const char* key) {
  if (!json.contains(key)) return std::nullopt;
  const Json& set = json.at(key);
  return SetContents{set.at("images").get<std::int64_t>(),
                     set.at("fingerprint").get<std::string>()};
}

/// How two lists of classes differ; "" when they do not.
std::string difference(const std::vector<std::string>& before,
                       const std::vector<std::string>& now) {
  if (before.size() != now.size())
    return "it had " + std::to_string(before.size()) + " classes, now there are " +
           std::to_string(now.size());
  for (std::size_t i = 0; i < now.size(); ++i)
    if (before[i] != now[i])
      return "class " + std::to_string(i) + " was \"" + before[i] + "\", now it is \"" + now[i] +
             '"';
  return "";
}

/// The same of the images of a split.
std::string difference(const std::optional<SetContents>& before,
                       const std::optional<SetContents>& now, const std::string& split) {
  if (!before || !now) return "";
  if (before->images != now->images)
    return "it had " + std::to_string(before->images) + ' ' + split + " images, now there are " +
           std::to_string(now->images);
  if (before->fingerprint != now->fingerprint)
    return "the " + split + " images have other names, labels or pixels than it had";
  return "";
}

}  // namespace

SetContents contents_of(const data::Dataset& set) {
  std::ostringstream out;
  out << std::hex << std::setw(16) << std::setfill('0') << set.fingerprint();
  return {set.size(), out.str()};
}

Json to_json(const Preprocessing& of) {
  Json out{{"class_names", of.class_names},
           {"image_size", of.image_size},
           {"shorter_side", of.shorter_side},
           {"channels", of.channels},
           {"mean", of.mean},
           {"std", of.std}};
  if (of.train) out["train"] = to_json(*of.train);
  if (of.test) out["test"] = to_json(*of.test);
  return out;
}

Preprocessing preprocessing_from(const Json& json, const fs::path& path) {
  try {
    Preprocessing out;
    out.class_names = json.at("class_names").get<std::vector<std::string>>();
    out.image_size = json.at("image_size").get<std::int64_t>();
    out.shorter_side = json.value("shorter_side", std::int64_t{0});
    out.channels = json.at("channels").get<std::int64_t>();
    out.mean = json.at("mean").get<std::array<float, 3>>();
    out.std = json.at("std").get<std::array<float, 3>>();
    out.train = contents_in(json, "train");
    out.test = contents_in(json, "test");
    check(!out.class_names.empty() && out.image_size > 0 && out.image_size <= 65536 &&
              (out.shorter_side == 0 ||
               (out.shorter_side >= out.image_size && out.shorter_side <= 65536)) &&
              (out.channels == 1 || out.channels == 3),
          "checkpoint: ", path.string(), ": no usable description of its data");
    return out;
  } catch (const Json::exception&) {
    fail("checkpoint: ", path.string(), ": no usable description of its data");
  }
}

data::Augment Preprocessing::evaluation() const {
  data::Augment out;
  if (shorter_side > 0) {
    out.size = image_size;
    out.shorter_side = shorter_side;
  }
  out.mean = mean;
  out.std = std;
  return out;
}

data::View Preprocessing::view(data::Size of_image) const {
  const data::Size size{image_size, image_size};
  return {shorter_side > 0 ? data::centre_box(of_image, shorter_side, image_size)
                           : data::whole(of_image),
          size};
}

Preprocessing preprocessing_of(const data::Dataset& train, const DataRecipe& recipe,
                               const std::optional<Preprocessing>& stored) {
  constexpr std::int64_t images_for_statistics = 10'000;
  const NormalizeRecipe& normalize = recipe.normalize;
  Preprocessing out;
  out.class_names = train.class_names();
  out.image_size = recipe.image_size > 0 ? recipe.image_size : train.image_size();
  if (recipe.image_size > 0) out.shorter_side = std::max(recipe.image_size, recipe.eval_resize);
  out.channels = train.channels();
  check(out.image_size > 0, "train: ", train.description(),
        ": expected square images of one size; set data.image_size to resize them");
  if (stored) {
    out.mean = stored->mean;
    out.std = stored->std;
  } else if (normalize.from_dataset) {
    const data::ChannelStats stats = data::channel_stats(train, images_for_statistics);
    out.mean = stats.mean;
    out.std = stats.std;
  } else {
    check(static_cast<std::int64_t>(normalize.mean.size()) == out.channels,
          "recipe: data.normalize: mean and std want ", out.channels, " channels, got ",
          normalize.mean.size());
    for (std::size_t c = 0; c < normalize.mean.size(); ++c) {
      out.mean[c] = static_cast<float>(normalize.mean[c]);
      out.std[c] = static_cast<float>(normalize.std[c]);
    }
  }
  return out;
}

void check_same_data(const Preprocessing& stored, const Preprocessing& now,
                     const fs::path& checkpoint) {
  std::string what = difference(stored.class_names, now.class_names);
  if (what.empty() && stored.channels != now.channels)
    what = "its images had " + std::to_string(stored.channels) + " channels, now they have " +
           std::to_string(now.channels);
  if (what.empty() && stored.image_size != now.image_size)
    what = "its images had side " + std::to_string(stored.image_size) + ", now " +
           std::to_string(now.image_size);
  if (what.empty()) what = difference(stored.train, now.train, "train");
  if (what.empty()) what = difference(stored.test, now.test, "validation or test");
  check_or(Remedy::own_data, what.empty(), "train: resume: ", checkpoint.string(),
           " was trained on other data: ", what);
}

void check_same_train(const Preprocessing& stored, const data::Dataset& now,
                      const fs::path& checkpoint) {
  const std::string what = difference(stored.train, contents_of(now), "train");
  check(what.empty(), "data: ", checkpoint.string(),
        " was trained on other images than the folder has now (", what,
        "): what is held out of them now may have trained; put the folder back as it was, or give "
        "other images");
}

}  // namespace exciton::train
