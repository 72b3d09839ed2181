/// Hashes that tell data sets apart.
#pragma once
#include <cstddef>
#include <cstdint>

namespace exciton::data {

/// The hash (XXH3) of these bytes and of what was hashed to `before`; 0 to begin with. Not
/// cryptographic: it finds what changed by mistake.
std::uint64_t hashed(std::uint64_t before, const void* bytes, std::size_t count);

}  // namespace exciton::data
