/// The caching memory pool behind every tensor. A training step asks for the same sizes again and
/// again; after the first steps the pool serves all of them without a call into the system. Blocks
/// are kept by size. From 256 KiB up they are cut from segments of address space (4 GiB; less
/// where a limit grants less), and split and merged where no block of the size is free, so that the
/// process grows little beyond the most it uses at once.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace exciton {

struct MemoryStats {
  std::size_t bytes_in_use = 0;          ///< held by live buffers
  std::size_t bytes_cached = 0;          ///< free, kept for the next request
  std::size_t peak_bytes_in_use = 0;     ///< since start or reset_peak_memory()
  std::uint64_t system_allocations = 0;  ///< times the pool grew
  std::uint64_t requests = 0;            ///< buffers handed out
};

/// Where buffers come from in place of the pool: a hook for tests, which put guard pages around
/// what kernels read and write (tests/ops/sweep/guarded_memory.hpp).
class MemorySource {
 public:
  virtual ~MemorySource() = default;
  /// A block of `bytes`, aligned to 64.
  virtual void* take(std::size_t bytes) = 0;
  virtual void give_back(void* block, std::size_t bytes) noexcept = 0;
};

/// While it lives, buffers made by this thread come from `source`, which must outlive them.
class ScopedMemorySource {
 public:
  explicit ScopedMemorySource(MemorySource& source);
  ~ScopedMemorySource();
  ScopedMemorySource(const ScopedMemorySource&) = delete;
  ScopedMemorySource& operator=(const ScopedMemorySource&) = delete;

 private:
  MemorySource* before_;
};

/// Owns one block of the pool, aligned to 64 bytes (from 256 KiB up to 64 KiB, and in huge pages
/// where the system grants them). Contents are not initialised. Thread-safe.
class Buffer {
 public:
  Buffer() = default;
  /// Errors: Error "out of memory: ..." when the system has no more; that of a MemoryLimit.
  explicit Buffer(std::size_t bytes);
  /// Memory of somebody else's, `release` called when the last user is gone; may be empty.
  Buffer(void* data, std::size_t bytes, std::function<void()> release);
  ~Buffer();
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  void* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }
  /// Of somebody else's.
  bool foreign() const { return foreign_; }

 private:
  void* data_ = nullptr;
  std::size_t bytes_ = 0;
  std::size_t class_bytes_ = 0;
  MemorySource* source_ = nullptr;  ///< null: the pool
  std::function<void()> release_;
  bool foreign_ = false;
};

/// While in scope, the buffers that this thread asks for may have so many bytes together, returned
/// ones included: for work whose size somebody else's file decides, such as building the network
/// that a checkpoint describes. The innermost limit counts.
class MemoryLimit {
 public:
  /// `message` is the text of the Error of the request that goes beyond.
  MemoryLimit(std::size_t bytes, std::string message);
  ~MemoryLimit();
  MemoryLimit(const MemoryLimit&) = delete;
  MemoryLimit& operator=(const MemoryLimit&) = delete;

 private:
  friend class Buffer;
  void take(std::size_t bytes);

  std::size_t left_;
  std::string message_;
  MemoryLimit* outer_;
};

/// A buffer of the pool that was asked for, or given back.
struct MemoryEvent {
  std::uint64_t block = 0;  ///< which, counted from 0 in the order of requests
  std::size_t bytes = 0;    ///< asked for
  bool taken = false;
};

/// While it lives, what all threads ask of the pool and give back is written down, but for what was
/// taken before. One at a time.
class MemoryRecorder {
 public:
  /// Errors: there is one already.
  MemoryRecorder();
  ~MemoryRecorder();
  MemoryRecorder(const MemoryRecorder&) = delete;
  MemoryRecorder& operator=(const MemoryRecorder&) = delete;
  /// Until now.
  std::vector<MemoryEvent> events() const;
};

/// Bytes that an empty pool would have taken from the system after these requests.
std::size_t replayed_memory(std::span<const MemoryEvent> events);

MemoryStats memory_stats();
void reset_peak_memory();
/// Gives what is cached back to the system.
void release_cached_memory();
/// Peak resident set of this process in bytes, from the system's accounting.
std::size_t peak_resident_bytes();

}  // namespace exciton
