/// Looking through a data set: what sizes, what cannot be read.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "exciton/data/dataset.hpp"

namespace exciton::data {

struct Survey {
  std::int64_t images = 0;                        ///< that can be read
  std::int64_t bytes = 0;                         ///< of their files; 0 for sets of pixels
  Size smallest, largest;                         ///< extents, each taken for itself
  std::map<std::int64_t, std::int64_t> channels;  ///< images by channels as stored
  std::vector<std::string> unreadable;            ///< why, each with its path, in order
  bool one_size() const { return smallest == largest; }
};

/// Reads every header, or with `decode` every pixel, on all threads. A file whose header is good
/// but whose pixels are not is found with `decode` only. `each` is called now and then, from any
/// thread, with the number of images looked at.
Survey survey(const Dataset& dataset, bool decode,
              const std::function<void(std::int64_t)>& each = {});

}  // namespace exciton::data
