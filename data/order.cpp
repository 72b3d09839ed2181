#include "exciton/data/order.hpp"

#include <algorithm>
#include <numeric>
#include <span>
#include <utility>

namespace exciton::data {
namespace {

template <class T>
void shuffle(std::span<T> values, Generator& rng) {
  for (std::size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[rng.below(i)]);
}

}  // namespace

std::vector<std::int64_t> shuffled(std::int64_t size, std::int64_t block, Generator& rng) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(size));
  std::iota(order.begin(), order.end(), 0);
  if (block == 0) {
    shuffle(std::span(order), rng);
    return order;
  }
  std::vector<std::int64_t> starts;  // the first block begins before index 0
  const auto cut = static_cast<std::int64_t>(rng.below(static_cast<std::uint64_t>(block)));
  for (std::int64_t at = -cut; at < size; at += block) starts.push_back(at);
  shuffle(std::span(starts), rng);
  auto to = order.begin();
  for (const std::int64_t start : starts)
    for (std::int64_t i = std::max<std::int64_t>(start, 0); i < std::min(start + block, size); ++i)
      *to++ = i;
  const std::int64_t window = block * blocks_mixed;
  for (std::int64_t at = 0; at < size; at += window)
    shuffle(std::span(order).subspan(static_cast<std::size_t>(at),
                                     static_cast<std::size_t>(std::min(window, size - at))),
            rng);
  return order;
}

std::vector<std::int64_t> balanced(const std::vector<std::vector<std::int64_t>>& images_of_class,
                                   std::int64_t size, Generator& rng) {
  struct Class {
    std::vector<std::int64_t> images;
    std::size_t next = 0;
  };
  std::vector<Class> classes;
  for (const std::vector<std::int64_t>& images : images_of_class)
    if (!images.empty()) classes.push_back({images, images.size()});
  std::vector<std::size_t> round(classes.size());
  std::iota(round.begin(), round.end(), std::size_t{0});
  std::vector<std::int64_t> order;
  order.reserve(static_cast<std::size_t>(size));
  for (std::size_t at = round.size(); std::ssize(order) < size && !classes.empty(); ++at) {
    if (at == round.size()) {
      shuffle(std::span(round), rng);
      at = 0;
    }
    Class& own = classes[round[at]];
    if (own.next == own.images.size()) {
      shuffle(std::span(own.images), rng);
      own.next = 0;
    }
    order.push_back(own.images[own.next++]);
  }
  return order;
}

}  // namespace exciton::data
