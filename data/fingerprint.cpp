#include "exciton/data/fingerprint.hpp"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace exciton::data {

std::uint64_t hashed(std::uint64_t before, const void* bytes, std::size_t count) {
  return XXH3_64bits_withSeed(bytes, count, before);
}

}  // namespace exciton::data
