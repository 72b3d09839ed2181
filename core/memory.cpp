#include "exciton/core/memory.hpp"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>

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

/// Where a pool's blocks come from. Free ones are kept in stacks.
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

  /// The place of the next is written into the block itself, so that giving one back needs no
  /// memory and cannot fail.
  class Stack {
   public:
    bool empty() const { return top_ == nullptr; }
    void push(std::byte* block) {
      std::memcpy(block, &top_, sizeof top_);
      top_ = block;
    }
    std::byte* pop() {
      std::byte* const block = top_;
      std::memcpy(&top_, block, sizeof top_);
      return block;
    }

   private:
    std::byte* top_ = nullptr;
  };
};

/// Addresses that are nobody's, for a pool that only counts.
class FromNowhere {
 public:
  std::byte* get(std::size_t size) {
    next_ += size + huge_page;
    return reinterpret_cast<std::byte*>(next_ - size);  // NOLINT: is never looked at
  }
  void free(std::byte*) {}

  class Stack {
   public:
    bool empty() const { return blocks_.empty(); }
    void push(std::byte* block) { blocks_.push_back(block); }
    std::byte* pop() {
      std::byte* const block = blocks_.back();
      blocks_.pop_back();
      return block;
    }

   private:
    std::vector<std::byte*> blocks_;
  };

 private:
  std::uintptr_t next_ = huge_page;
};

/// Large blocks, cut from segments that the system gave and backs by huge pages. The smallest free
/// block that is large enough is split, and neighbours are merged when they come back, so that maps
/// of one size can lie where those of another have been: a step needs little more than the most it
/// holds at once. A segment is address space; memory is what was touched of it, its beginning. Not
/// thread-safe.
class LargeBlocks {
 public:
  struct Taken {
    std::byte* block = nullptr;  ///< nullptr when no free block is large enough
    std::size_t touched = 0;     ///< bytes of it for the first time
  };
  Taken take(std::size_t size) {
    auto best = free_.end();
    for (auto at = free_.begin(); at != free_.end(); ++at)
      if (at->second >= size && (best == free_.end() || at->second < best->second)) best = at;
    if (best == free_.end()) return {};
    std::byte* const block = best->first;
    auto rest = free_.extract(best);
    if (rest.mapped() > size) {
      rest.key() = block + size;
      rest.mapped() -= size;
      free_.insert(std::move(rest));
    }
    auto& [begin, segment] = *std::prev(segments_.upper_bound(block));
    const auto end = static_cast<std::size_t>(block + size - begin);
    const std::size_t touched = end > segment.touched ? end - segment.touched : 0;
    segment.touched += touched;
    return {block, touched};
  }

  /// Either done or, when there is no memory for the record, not begun.
  void give_back(std::byte* block, std::size_t size) {
    auto next = free_.find(block + size);
    if (next != free_.end() && segments_.count(block + size)) next = free_.end();
    const auto after = free_.lower_bound(block);
    if (after != free_.begin() && !segments_.count(block)) {
      const auto before = std::prev(after);
      if (before->first + before->second == block) {
        before->second += size;
        if (next == free_.end()) return;
        before->second += next->second;
        free_.erase(next);
        return;
      }
    }
    if (next == free_.end()) {
      free_[block] = size;
      return;
    }
    auto joined = free_.extract(next);
    joined.key() = block;
    joined.mapped() += size;
    free_.insert(std::move(joined));
  }

  /// Either done or, when there is no memory for the record, not begun.
  void add_segment(std::byte* block, std::size_t size) {
    free_[block] = size;
    try {
      segments_[block] = {.size = size};
    } catch (...) {
      free_.erase(block);
      throw;
    }
  }

  /// Frees the segments that nobody uses by free(segment); returns the bytes touched of them.
  template <class F>
  std::size_t release(const F& give) {
    std::size_t released = 0;
    for (auto at = segments_.begin(); at != segments_.end();) {
      const auto [block, segment] = *at;
      const auto free = free_.find(block);
      if (free == free_.end() || free->second != segment.size) {
        ++at;
        continue;
      }
      free_.erase(free);
      give(block);
      released += segment.touched;
      at = segments_.erase(at);
    }
    return released;
  }

 private:
  struct Segment {
    std::size_t size = 0, touched = 0;
  };

  std::map<std::byte*, std::size_t> free_;  ///< blocks by address
  std::map<std::byte*, Segment> segments_;
};

/// The bookkeeping of a pool. Not thread-safe.
template <class System>
class Blocks {
 public:
  std::byte* take(std::size_t size) {
    std::byte* block = nullptr;
    // The block of this size that came back last is likely to be in cache.
    if (Stack& free = cached_[size]; !free.empty())
      block = free.pop();
    else
      block = size >= large ? take_large(size) : take_small(size);
    ++stats_.requests;
    stats_.bytes_cached -= size;
    stats_.bytes_in_use += size;
    stats_.peak_bytes_in_use = std::max(stats_.peak_bytes_in_use, stats_.bytes_in_use);
    return block;
  }

  void give_back(std::byte* block, std::size_t size) {
    cached_.find(size)->second.push(block);  // take() made its place
    stats_.bytes_cached += size;
    stats_.bytes_in_use -= size;
  }

  /// Gives the system what nobody uses.
  void release() {
    merge_large();
    for (auto& [size, blocks] : cached_)
      while (!blocks.empty()) {
        system_.free(blocks.pop());
        stats_.bytes_cached -= size;
      }
    stats_.bytes_cached -= large_.release([&](std::byte* segment) { system_.free(segment); });
  }

  MemoryStats& stats() { return stats_; }

 private:
  using Stack = typename System::Stack;

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
    if (taken.touched > 0) count_taken(taken.touched);
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
        // Taken from the stack first, for what it holds may be written over; it goes back if there
        // is no memory for the record.
        std::byte* const block = blocks.pop();
        try {
          large_.give_back(block, size);
        } catch (...) {
          blocks.push(block);
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
