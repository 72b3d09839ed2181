/// Memory between pages that nobody may touch, for tests of kernels whose accesses no sanitizer
/// sees (code generated at run time).
#pragma once
#include <map>
#include <mutex>
#include <string>

#include "exciton/core/memory.hpp"

namespace exciton::sweep {

/// A source of buffers (core/memory.hpp), each between two pages without access: a read or write
/// beyond them is a segmentation fault, and so is one after a buffer was given back. A buffer lies
/// against the page behind it, up to 64 bytes of alignment, or against the page before it. The rest
/// of its pages holds a pattern that is compared when it comes back. Contents start as NaN of every
/// floating type, so that a result made of what was never written shows. Thread-safe.
class GuardedMemory : public MemorySource {
 public:
  enum class Against { end, begin };
  explicit GuardedMemory(Against side) : side_(side) {}

  void* take(std::size_t bytes) override;
  void give_back(void* block, std::size_t bytes) noexcept override;

  /// Takes away the right to write to the pages of a block, until it comes back.
  void protect(const void* block);
  /// Writes beyond the ends of buffers that came back, one line each; empty without any.
  std::string damage() const;

 private:
  struct Block {
    std::byte *pages = nullptr, *begin = nullptr;
    std::size_t size = 0;  ///< of the pages that may be touched
  };
  Block& find(const void* block);

  Against side_;
  mutable std::mutex mutex_;
  std::map<const void*, Block> blocks_;
  std::string damage_;
};

}  // namespace exciton::sweep
