#include "exciton/data/memory_dataset.hpp"

#include <array>
#include <utility>

#include "exciton/data/fingerprint.hpp"

namespace exciton::data {

MemoryDataset::MemoryDataset(Contents contents) : contents_(std::move(contents)) {
  const Contents& c = contents_;
  check(c.height >= 1 && c.width >= 1 && c.channels >= 1, "data: ", c.description,
        ": images of height ", c.height, ", width ", c.width, ", channels ", c.channels);
  const auto wanted = size() * c.height * c.width * c.channels;
  check(static_cast<std::int64_t>(c.pixels.size()) == wanted, "data: ", c.description, ": ",
        c.pixels.size(), " bytes of pixels, expected ", wanted);
  for (std::size_t i = 0; i < c.labels.size(); ++i)
    check(c.labels[i] >= 0 && c.labels[i] < classes(), "data: ", c.description, ": image ", i,
          " has label ", c.labels[i], ", expected 0 to ", classes() - 1);
}

std::int64_t MemoryDataset::size() const {
  return static_cast<std::int64_t>(contents_.labels.size());
}

std::int64_t MemoryDataset::label(std::int64_t index) const {
  check_index(index);
  return contents_.labels[static_cast<std::size_t>(index)];
}

void MemoryDataset::read(std::int64_t index, Image& out) const {
  check_index(index);
  out.height = contents_.height;
  out.width = contents_.width;
  out.channels = contents_.channels;
  const std::int64_t bytes = out.height * out.width * out.channels;
  const std::uint8_t* first = contents_.pixels.data() + index * bytes;
  out.pixels.assign(first, first + bytes);
}

const std::vector<std::string>& MemoryDataset::class_names() const { return contents_.class_names; }
std::int64_t MemoryDataset::channels() const { return contents_.channels; }
std::int64_t MemoryDataset::image_size() const {
  return contents_.height == contents_.width ? contents_.height : 0;
}
std::uint64_t MemoryDataset::fingerprint() const {
  const Contents& c = contents_;
  if (c.fingerprint) return *c.fingerprint;
  const std::array<std::int64_t, 3> extents{c.height, c.width, c.channels};
  std::uint64_t out = hashed(0, extents.data(), sizeof extents);
  out = hashed(out, c.pixels.data(), c.pixels.size());
  return hashed(out, c.labels.data(), c.labels.size() * sizeof c.labels[0]);
}

std::string MemoryDataset::description() const { return contents_.description; }

std::string MemoryDataset::name(std::int64_t index) const {
  return contents_.named ? contents_.named->name(index) : Dataset::name(index);
}

void MemoryDataset::check_index(std::int64_t index) const {
  check(index >= 0 && index < size(), "data: ", contents_.description, ": no image ", index);
}

}  // namespace exciton::data
