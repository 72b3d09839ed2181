#include "exciton/core/memory.hpp"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <vector>

#include "exciton/core/error.hpp"

namespace exciton {
namespace {

constexpr std::size_t huge_page = std::size_t{2} << 20;
constexpr std::size_t large = std::size_t{256} << 10, large_step = std::size_t{64} << 10;

/// Size classes: multiples of a quarter of the next lower power of two, so at most a fifth of a
/// block is unused; from `large` up, multiples of `large_step`.
std::size_t class_of(std::size_t bytes) {
  if (bytes <= 256) return 256;
  const std::size_t quarter = std::max<std::size_t>(1, std::bit_floor(bytes - 1) / 4);
  std::size_t rounded = (bytes + quarter - 1) / quarter * quarter;
  if (rounded >= large)
    rounded = std::max(large, (bytes + large_step - 1) / large_step * large_step);
  return rounded;
}

/// Where a pool's blocks come from.
class FromSystem {
 public:
  /// Or nullptr.
  std::byte* get(std::size_t size) {
    const std::size_t alignment = size >= huge_page ? huge_page : 64;
    void* block = std::aligned_alloc(alignment, size);
    if (block && size >= huge_page) madvise(block, size, MADV_HUGEPAGE);
    return static_cast<std::byte*>(block);
  }
  void free(std::byte* block) { std::free(block); }
  /// Takes the memory behind whole pages of it; they read as zeros when touched again.
  void forget(std::byte* block, std::size_t size) {
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    const auto address = reinterpret_cast<std::uintptr_t>(block);
    const std::uintptr_t begin = (address + page - 1) / page * page,
                         end = (address + size) / page * page;
    if (begin < end) madvise(block + (begin - address), end - begin, MADV_DONTNEED);
  }
};

/// Addresses that are nobody's, for a pool that only counts.
class FromNowhere {
 public:
  std::byte* get(std::size_t size) {
    next_ += size + huge_page;
    return reinterpret_cast<std::byte*>(next_ - size);  // NOLINT: is never looked at
  }
  void free(std::byte*) {}
  void forget(std::byte*, std::size_t) {}

 private:
  std::uintptr_t next_ = huge_page;
};

/// Large blocks, cut from segments that the system gave and backs by huge pages. The smallest free
/// block that is large enough is split, and neighbours are merged when they come back, so that maps
/// of one size can lie where those of another have been: a step needs little more than the most it
/// holds at once. A segment is address space; memory is what was touched of it. Not thread-safe.
class LargeBlocks {
 public:
  struct Taken {
    std::byte* block = nullptr;  ///< nullptr when no free block is large enough
    std::size_t fresh = 0;       ///< bytes of it without memory as yet
  };
  Taken take(std::size_t size) {
    auto best = free_.end();
    for (auto at = free_.begin(); at != free_.end(); ++at)
      if (at->second.size >= size && (best == free_.end() || at->second.size < best->second.size))
        best = at;
    if (best == free_.end()) return {};
    std::byte* const block = best->first;
    auto rest = free_.extract(best);
    const std::size_t resident = std::min(size, rest.mapped().resident);
    if (rest.mapped().size > size) {
      rest.key() = block + size;
      rest.mapped() -= {size, resident};
      free_.insert(std::move(rest));
    }
    return {block, size - resident};
  }

  /// Either done or, when there is no memory for the record, not begun.
  void give_back(std::byte* block, std::size_t size) {
    const Free given{size, size};
    auto next = free_.find(block + size);
    if (next != free_.end() && segments_.count(block + size)) next = free_.end();
    const auto after = free_.lower_bound(block);
    if (after != free_.begin() && !segments_.count(block)) {
      const auto before = std::prev(after);
      if (before->first + before->second.size == block) {
        before->second += given;
        if (next == free_.end()) return;
        before->second += next->second;
        free_.erase(next);
        return;
      }
    }
    if (next == free_.end()) {
      free_[block] = given;
      return;
    }
    auto joined = free_.extract(next);
    joined.key() = block;
    joined.mapped() += given;
    free_.insert(std::move(joined));
  }

  /// Either done or, when there is no memory for the record, not begun.
  void add_segment(std::byte* block, std::size_t size) {
    free_[block] = {size, 0};
    try {
      segments_[block] = size;
    } catch (...) {
      free_.erase(block);
      throw;
    }
  }

  /// Gives the system the memory of all free blocks, and the segments that nobody uses. Returns the
  /// bytes.
  template <class System>
  std::size_t release(System& system) {
    std::size_t released = 0;
    for (auto at = free_.begin(); at != free_.end();) {
      const auto [block, free] = *at;
      released += free.resident;
      const auto segment = segments_.find(block);
      if (segment != segments_.end() && segment->second == free.size) {
        at = free_.erase(at);
        segments_.erase(segment);
        system.free(block);
        continue;
      }
      if (free.resident > 0) system.forget(block, free.size);
      at->second.resident = 0;
      ++at;
    }
    return released;
  }

 private:
  struct Free {
    std::size_t size = 0, resident = 0;  ///< bytes; those with memory, counted from the front
    Free& operator+=(const Free& other) {
      size += other.size;
      resident += other.resident;
      return *this;
    }
    Free& operator-=(const Free& other) {
      size -= other.size;
      resident -= other.resident;
      return *this;
    }
  };

  std::map<std::byte*, Free> free_;             ///< by address
  std::map<std::byte*, std::size_t> segments_;  ///< their sizes
};

/// The bookkeeping of a pool. Not thread-safe.
template <class System>
class Blocks {
 public:
  std::byte* take(std::size_t size) {
    std::byte* block = nullptr;
    // The block of this size that came back last is likely to be in cache.
    if (Stack& free = cached_[size]; !free.empty()) {
      block = free.pop();
    } else {
      free.make_place();
      block = size >= large ? take_large(size) : take_small(size);
      free.given_out();
    }
    ++stats_.requests;
    stats_.bytes_cached -= size;
    stats_.bytes_in_use += size;
    stats_.peak_bytes_in_use = std::max(stats_.peak_bytes_in_use, stats_.bytes_in_use);
    return block;
  }

  void give_back(std::byte* block, std::size_t size) {
    cached_.find(size)->second.push(block);
    stats_.bytes_cached += size;
    stats_.bytes_in_use -= size;
  }

  /// Gives the system what nobody uses.
  void release() {
    merge_large();
    for (auto& [size, blocks] : cached_)
      while (!blocks.empty()) {
        system_.free(blocks.pop_for_good());
        stats_.bytes_cached -= size;
      }
    stats_.bytes_cached -= large_.release(system_);
  }

  MemoryStats& stats() { return stats_; }

 private:
  /// The free blocks of a size. There is a place for each that was given out, so that giving one
  /// back needs no memory and cannot fail. Nothing is written into a block: a huge page of it might
  /// never have been touched.
  class Stack {
   public:
    bool empty() const { return blocks_.empty(); }
    void make_place() {
      if (blocks_.capacity() <= owned_) blocks_.reserve(std::max<std::size_t>(8, 2 * owned_));
    }
    void given_out() { ++owned_; }
    void push(std::byte* block) { blocks_.push_back(block); }
    std::byte* pop() {
      std::byte* const block = blocks_.back();
      blocks_.pop_back();
      return block;
    }
    std::byte* pop_for_good() {
      --owned_;
      return pop();
    }
    void push_again(std::byte* block) {
      ++owned_;
      push(block);
    }

   private:
    std::vector<std::byte*> blocks_;
    std::size_t owned_ = 0;  ///< free ones and those that are in use
  };

  std::byte* take_small(std::size_t size) {
    std::byte* block = system_.get(size);
    if (!block) {
      release();
      block = system_.get(size);
    }
    check_given(block, size);
    count_taken(size);
    return block;
  }

  std::byte* take_large(std::size_t size) {
    merge_large();
    auto taken = large_.take(size);
    if (!taken.block) {
      add_segment(size);
      taken = large_.take(size);
    }
    if (taken.fresh > 0) count_taken(taken.fresh);
    return taken.block;
  }

  /// A segment for a block of `size` at least. Where address space is limited (ulimit -v), smaller
  /// ones must do, which leave some for stacks and everything else.
  void add_segment(std::size_t size) {
    std::size_t segment = 0;
    std::byte* block = nullptr;
    for (const std::size_t most :
         {std::size_t{4} << 30, std::size_t{256} << 20, std::size_t{32} << 20, std::size_t{0}}) {
      segment = std::max(size, most);
      block = system_.get(segment);
      if (block) break;
    }
    if (!block) {
      release();
      block = system_.get(segment = size);
    }
    check_given(block, size);
    try {
      large_.add_segment(block, segment);
    } catch (...) {
      system_.free(block);
      throw;
    }
  }

  /// Makes what is cached of large blocks one with its neighbours.
  void merge_large() {
    for (auto& [size, blocks] : cached_)
      while (size >= large && !blocks.empty()) {
        // It goes back if there is no memory for the record.
        std::byte* const block = blocks.pop_for_good();
        try {
          large_.give_back(block, size);
        } catch (...) {
          blocks.push_again(block);
          throw;
        }
      }
  }

  void count_taken(std::size_t size) {
    ++stats_.system_allocations;
    stats_.bytes_cached += size;
  }

  static void check_given(const std::byte* block, std::size_t size) {
    check(block != nullptr, "out of memory: the system has no ", (size + (1 << 20) - 1) >> 20,
          " MiB more; try a smaller batch, fewer threads, or a higher limit (ulimit -v)");
  }

  System system_;
  std::unordered_map<std::size_t, Stack> cached_;  ///< by size
  LargeBlocks large_;
  MemoryStats stats_;
};

/// The pool of the process.
class Pool {
 public:
  void* take(std::size_t size) {
    const std::lock_guard lock(mutex_);
    return blocks_.take(size);
  }
  void give_back(void* block, std::size_t size) noexcept {
    const std::lock_guard lock(mutex_);
    blocks_.give_back(static_cast<std::byte*>(block), size);
  }
  void release() {
    const std::lock_guard lock(mutex_);
    blocks_.release();
  }
  MemoryStats stats() {
    const std::lock_guard lock(mutex_);
    return blocks_.stats();
  }
  void reset_peak() {
    const std::lock_guard lock(mutex_);
    blocks_.stats().peak_bytes_in_use = blocks_.stats().bytes_in_use;
  }

  /// Around a fork: the child must not find the mutex locked by a thread that it has not.
  void lock() { mutex_.lock(); }
  void unlock() { mutex_.unlock(); }

 private:
  std::mutex mutex_;
  Blocks<FromSystem> blocks_;
};

/// Lives until the process ends, so that tensors in static storage may outlive everything else.
Pool& pool() {
  alignas(Pool) static std::byte storage[sizeof(Pool)];
  static Pool* const instance = [] {
    Pool* const made = std::construct_at(reinterpret_cast<Pool*>(storage));
    check(pthread_atfork([] { pool().lock(); }, [] { pool().unlock(); }, [] { pool().unlock(); }) ==
              0,
          "out of memory: the system cannot keep a fork handler");
    return made;
  }();
  return *instance;
}

/// What a MemoryRecorder writes down.
struct Recording {
  std::mutex mutex;
  std::vector<MemoryEvent> events;
  std::unordered_map<const void*, std::uint64_t> blocks;  ///< that are held now
  std::uint64_t next = 0;

  void take(const void* block, std::size_t bytes) {
    const std::lock_guard lock(mutex);
    blocks[block] = next;
    events.push_back({next++, bytes, true});
  }
  void give_back(const void* block, std::size_t bytes) {
    const std::lock_guard lock(mutex);
    const auto held = blocks.find(block);
    if (held == blocks.end()) return;
    events.push_back({held->second, bytes, false});
    blocks.erase(held);
  }
};
std::atomic<Recording*> recording{nullptr};

thread_local MemoryLimit* active_limit = nullptr;
thread_local MemorySource* current_source = nullptr;

}  // namespace

MemoryLimit::MemoryLimit(std::size_t bytes, std::string message)
    : left_(bytes), message_(std::move(message)), outer_(std::exchange(active_limit, this)) {}

MemoryLimit::~MemoryLimit() { active_limit = outer_; }

void MemoryLimit::take(std::size_t bytes) {
  if (bytes > left_) throw Error(message_);
  left_ -= bytes;
}

ScopedMemorySource::ScopedMemorySource(MemorySource& source)
    : before_(std::exchange(current_source, &source)) {}
ScopedMemorySource::~ScopedMemorySource() { current_source = before_; }

Buffer::Buffer(std::size_t bytes)
    : bytes_(bytes), class_bytes_(class_of(bytes)), source_(current_source) {
  if (active_limit) active_limit->take(bytes);
  data_ = source_ ? source_->take(bytes) : pool().take(class_bytes_);
  if (Recording* to = recording; to && !source_) to->take(data_, bytes);
}

Buffer::Buffer(void* data, std::size_t bytes, std::function<void()> release)
    : data_(data), bytes_(bytes), release_(std::move(release)), foreign_(true) {}

Buffer::~Buffer() {
  if (release_) release_();
  if (!data_ || foreign_) return;
  if (source_) {
    source_->give_back(data_, bytes_);
  } else {
    if (Recording* to = recording) to->give_back(data_, bytes_);
    pool().give_back(data_, class_bytes_);
  }
}

Buffer::Buffer(Buffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      bytes_(std::exchange(other.bytes_, 0)),
      class_bytes_(std::exchange(other.class_bytes_, 0)),
      source_(std::exchange(other.source_, nullptr)),
      release_(std::exchange(other.release_, nullptr)),
      foreign_(other.foreign_) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  std::swap(class_bytes_, other.class_bytes_);
  std::swap(source_, other.source_);
  std::swap(release_, other.release_);
  std::swap(foreign_, other.foreign_);
  return *this;
}

namespace {
Recording& the_recording() {
  static Recording one;
  return one;
}
}  // namespace

MemoryRecorder::MemoryRecorder() {
  check(recording == nullptr, "memory: a recorder is at work already");
  Recording& to = the_recording();
  const std::lock_guard lock(to.mutex);
  to.events.clear();
  to.blocks.clear();
  to.next = 0;
  recording = &to;
}
MemoryRecorder::~MemoryRecorder() { recording = nullptr; }

std::vector<MemoryEvent> MemoryRecorder::events() const {
  const std::lock_guard lock(the_recording().mutex);
  return the_recording().events;
}

std::size_t replayed_memory(std::span<const MemoryEvent> events) {
  Blocks<FromNowhere> model;
  std::unordered_map<std::uint64_t, std::pair<std::byte*, std::size_t>> held;
  for (const MemoryEvent& event : events) {
    if (event.taken) {
      const std::size_t size = class_of(event.bytes);
      held[event.block] = {model.take(size), size};
    } else if (const auto block = held.find(event.block); block != held.end()) {
      model.give_back(block->second.first, block->second.second);
      held.erase(block);
    }
  }
  return model.stats().bytes_in_use + model.stats().bytes_cached;
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
