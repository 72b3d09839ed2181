#include "exciton/data/survey.hpp"

#include <algorithm>
#include <limits>
#include <mutex>

#include "exciton/data/files.hpp"
#include "exciton/data/image.hpp"

namespace exciton::data {
namespace {

struct Facts {
  ImageHeader header;
  std::int64_t bytes = 0;
};

Facts look_at(const Dataset& dataset, std::int64_t index, bool decode) {
  std::vector<std::uint8_t> bytes;
  if (!dataset.fetch(index, bytes)) {
    Image image;
    dataset.read(index, image);
    return {{{image.height, image.width}, image.channels}, 0};
  }
  const std::string name = dataset.name(index);
  const ImageHeader header = read_image_header(bytes, name);
  if (decode) {  // as training reads it, which may ask for more than that it can be decoded
    Image image;
    dataset.read(index, image);
  }
  return {header, static_cast<std::int64_t>(bytes.size())};
}

}  // namespace

Survey survey(const Dataset& dataset, bool decode, const std::function<void(std::int64_t)>& each) {
  constexpr auto none = std::numeric_limits<std::int64_t>::max();
  Survey out;
  out.smallest = {none, none};
  std::map<std::int64_t, std::string> unreadable;  // by index, for threads come in any order
  std::int64_t seen = 0;
  std::mutex mutex;
  for_each_index(dataset.size(), [&](std::int64_t i) {
    Facts facts;
    std::string reason;
    try {
      facts = look_at(dataset, i, decode);
    } catch (const Error& error) {
      reason = error.what();
    }
    const std::lock_guard lock(mutex);
    if (each && ++seen % 64 == 0) each(seen);
    if (!reason.empty()) {
      unreadable.emplace(i, reason);
      return;
    }
    ++out.images;
    out.bytes += facts.bytes;
    ++out.channels[facts.header.channels];
    const Size& size = facts.header.size;
    out.smallest = {std::min(out.smallest.height, size.height),
                    std::min(out.smallest.width, size.width)};
    out.largest = {std::max(out.largest.height, size.height),
                   std::max(out.largest.width, size.width)};
  });
  if (out.images == 0) out.smallest = {};
  for (auto& [index, reason] : unreadable) out.unreadable.push_back(std::move(reason));
  return out;
}

}  // namespace exciton::data
