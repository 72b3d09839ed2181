/// In what order an epoch takes the images of a data set.
#pragma once
#include <cstdint>
#include <vector>

#include "exciton/core/random.hpp"

namespace exciton::data {

/// Blocks whose images are mixed with one another.
inline constexpr std::int64_t blocks_mixed = 16;

/// 0 .. size - 1 at random. With block = 0 every order is as likely as any other (Fisher and
/// Yates). Else neighbours stay near one another, for disks that read best in a row: runs of
/// `block` (cut anew each time) come in a random order, and indices are mixed within every
/// `blocks_mixed` block places, which hold the indices of about so many blocks.
std::vector<std::int64_t> shuffled(std::int64_t size, std::int64_t block, Generator& rng);

/// So many places in which every class comes as often as the others, to one image: rounds of all
/// classes in a random order, each with the next of its images, which are shuffled anew when all
/// have been taken. Classes without images are left out.
std::vector<std::int64_t> balanced(const std::vector<std::vector<std::int64_t>>& images_of_class,
                                   std::int64_t size, Generator& rng);

}  // namespace exciton::data
