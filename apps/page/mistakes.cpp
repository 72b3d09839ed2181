#include "apps/page/mistakes.hpp"

#include <algorithm>
#include <cmath>
#include <string_view>

#include "apps/page/page.hpp"
#include "exciton/data/resize.hpp"
#include "exciton/train/predict.hpp"

namespace exciton::apps {

void Mistakes::add(const train::Seen& seen) {
  const std::int64_t as = train::top_class(seen.logits);
  if (as == seen.label) return;
  const std::vector<double> p = train::softmax(seen.logits);
  const auto surer = [](const One& a, const One& b) { return a.probability > b.probability; };
  const One one{seen.index, seen.label, as, p[static_cast<std::size_t>(as)],
                p[static_cast<std::size_t>(seen.label)]};
  if (worst_.size() == most) {
    if (!surer(one, worst_.front())) return;
    std::ranges::pop_heap(worst_, surer);
    worst_.pop_back();
  }
  worst_.push_back(one);
  std::ranges::push_heap(worst_, surer);
}

train::Json Mistakes::to_json(const data::Dataset& set) const {
  std::vector<One> sorted = worst_;
  std::ranges::sort(sorted, [](const One& a, const One& b) {
    return a.probability != b.probability ? a.probability > b.probability : a.index < b.index;
  });
  train::Json out = train::Json::array();
  for (const One& one : sorted) {
    constexpr std::int64_t side = 96;
    data::Image image;
    set.read(one.index, image);
    if (std::max(image.height, image.width) > side) {
      const double scale =
          static_cast<double>(side) / static_cast<double>(std::max(image.height, image.width));
      const auto scaled = [&](std::int64_t n) {
        return std::max<std::int64_t>(1, std::llround(scale * static_cast<double>(n)));
      };
      image = data::resize(image, data::whole({.height = image.height, .width = image.width}),
                           scaled(image.height), scaled(image.width));
    }
    const std::string_view pixels(reinterpret_cast<const char*>(image.pixels.data()),
                                  image.pixels.size());
    out.push_back({{"image", set.name(one.index)},
                   {"label", set.class_names()[static_cast<std::size_t>(one.label)]},
                   {"prediction", set.class_names()[static_cast<std::size_t>(one.as)]},
                   {"probability", rounded(one.probability)},
                   {"of_label", rounded(one.of_label)},
                   {"height", image.height},
                   {"width", image.width},
                   {"channels", image.channels},
                   {"pixels", base64(pixels)}});
  }
  return out;
}

}  // namespace exciton::apps
