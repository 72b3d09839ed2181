/// In what order an epoch takes the images of a data set, and from which random streams.
#pragma once
#include <cstdint>
#include <vector>

#include "exciton/core/random.hpp"

namespace exciton::data {

/// As many worker threads as are needed: one, and another each time the step had to wait, up to the
/// thread count of the program.
inline constexpr int automatic_workers = -1;

/// Image indices in the order of one epoch.
using Order = std::vector<std::int64_t>;

/// Where the next batch comes from.
struct LoaderPosition {
  std::int64_t epoch = 0, batch = 0;
};

/// The random stream of an image or of a batch of an epoch, in whatever set it is. Streams of
/// loaders have the highest bit set, which leaves the others to the rest of the program: 1, then 0
/// for an image or 1 for a batch, 22 bits of epoch, 40 bits of index. The permutation of an epoch
/// has the place of a batch before the first.
inline constexpr std::int64_t no_epoch = 0x3fffff;  ///< stands for what is drawn once for a run
inline std::uint64_t loader_stream(bool of_batch, std::int64_t epoch, std::int64_t index) {
  return std::uint64_t{1} << 63 | std::uint64_t{of_batch} << 62 |
         (static_cast<std::uint64_t>(epoch) & 0x3fffff) << 40 | static_cast<std::uint64_t>(index);
}

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
