#include "core/memory.hpp"

#include <sys/mman.h>
#include <sys/resource.h>

#include <bit>
#include <cstdlib>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/error.hpp"

namespace exciton {
namespace {

constexpr std::size_t huge_page = std::size_t{2} << 20;

/// Size classes: multiples of a quarter of the next lower power of two, so at most a fifth of a
/// block is unused; from one huge page up, whole huge pages.
std::size_t class_of(std::size_t bytes) {
  if (bytes <= 256) return 256;
  const std::size_t quarter = std::bit_floor(bytes - 1) / 4;
  std::size_t rounded = (bytes + quarter - 1) / quarter * quarter;
  if (rounded >= huge_page) rounded = (bytes + huge_page - 1) / huge_page * huge_page;
  return rounded;
}

class Pool {
 public:
  void* take(std::size_t size) {
    {
      const std::lock_guard lock(mutex_);
      auto& free = free_[size];
      ++stats_.requests;
      if (!free.empty()) {
        void* block = free.back();
        free.pop_back();
        stats_.bytes_cached -= size;
        count(size);
        return block;
      }
      ++stats_.system_allocations;
    }
    const std::size_t alignment = size >= huge_page ? huge_page : 64;
    void* block = std::aligned_alloc(alignment, size);
    if (!block) {
      release();
      block = std::aligned_alloc(alignment, size);
    }
    check(block != nullptr, "memory: the system has no ", size >> 20,
          " MiB more; try a smaller batch");
    if (size >= huge_page) madvise(block, size, MADV_HUGEPAGE);
    const std::lock_guard lock(mutex_);
    count(size);
    return block;
  }

  void give_back(void* block, std::size_t size) {
    const std::lock_guard lock(mutex_);
    free_[size].push_back(block);
    stats_.bytes_cached += size;
    stats_.bytes_in_use -= size;
  }

  void release() {
    const std::lock_guard lock(mutex_);
    for (auto& [size, blocks] : free_) {
      for (void* block : blocks) std::free(block);
      stats_.bytes_cached -= size * blocks.size();
      blocks.clear();
    }
  }

  MemoryStats stats() {
    const std::lock_guard lock(mutex_);
    return stats_;
  }
  void reset_peak() {
    const std::lock_guard lock(mutex_);
    stats_.peak_bytes_in_use = stats_.bytes_in_use;
  }

 private:
  void count(std::size_t size) {
    stats_.bytes_in_use += size;
    if (stats_.bytes_in_use > stats_.peak_bytes_in_use)
      stats_.peak_bytes_in_use = stats_.bytes_in_use;
  }

  std::mutex mutex_;
  std::unordered_map<std::size_t, std::vector<void*>> free_;
  MemoryStats stats_;
};

/// Lives until the process ends, so that tensors in static storage may outlive everything else.
Pool& pool() {
  alignas(Pool) static std::byte storage[sizeof(Pool)];
  static Pool* const instance = std::construct_at(reinterpret_cast<Pool*>(storage));
  return *instance;
}

}  // namespace

Buffer::Buffer(std::size_t bytes) : bytes_(bytes), class_bytes_(class_of(bytes)) {
  data_ = pool().take(class_bytes_);
}

Buffer::~Buffer() {
  if (data_) pool().give_back(data_, class_bytes_);
}

Buffer::Buffer(Buffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      bytes_(std::exchange(other.bytes_, 0)),
      class_bytes_(std::exchange(other.class_bytes_, 0)) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  std::swap(class_bytes_, other.class_bytes_);
  return *this;
}

MemoryStats memory_stats() { return pool().stats(); }
void reset_peak_memory() { pool().reset_peak(); }
void release_cached_memory() { pool().release(); }

std::size_t peak_resident_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::size_t>(usage.ru_maxrss) * 1024;
}

}  // namespace exciton
