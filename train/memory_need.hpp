/// How much memory a training run takes, before it takes it.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "exciton/core/memory.hpp"
#include "exciton/train/recipe.hpp"

namespace exciton::train {

/// Bytes of address space that this process has beyond its memory: libraries, stacks. They count
/// where address space is limited (`ulimit -v`).
std::size_t address_space_overhead();

/// What is trained, as far as memory goes.
struct TrainingSize {
  std::int64_t image_size = 32, channels = 3, classes = 10;
  std::int64_t batch = 128;
};

/// Requests of a training run (the network, the optimiser, two steps) at two small batches. Every
/// request is an affine function of the batch, and so those of any batch follow, which are replayed
/// in the pool's own bookkeeping. Takes about as long as steps over twice as many images.
class MemoryNeed {
 public:
  /// Records, with the threads of the program. Errors: those of the network and of a step.
  MemoryNeed(const Recipe& recipe, const TrainingSize& size);
  /// Bytes of the process at its largest for batches of so many images: what it has now, what the
  /// pool takes, and the batches that the loader keeps ready.
  std::size_t bytes(std::int64_t batch) const;
  /// The largest power of two up to `most` with which no more than `limit` bytes are needed; 0:
  /// none.
  std::int64_t largest_batch(std::int64_t most, std::size_t limit) const;

 private:
  std::size_t pool_bytes(std::int64_t batch) const;
  std::int64_t first_batch_ = 0, second_batch_ = 0;
  std::vector<MemoryEvent> first_, second_;
  std::size_t before_ = 0;  ///< of the process
  std::int64_t image_bytes_ = 0;
};

}  // namespace exciton::train
