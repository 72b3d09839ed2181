#include "sweep/guarded_memory.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>

#include "exciton/core/error.hpp"

namespace exciton::sweep {
namespace {

constexpr std::size_t page = 4096, line = 64;
constexpr int nan_bytes = 0xff;            // NaN as bf16, f32 and f64
constexpr auto pattern = std::byte{0xa5};  // beside the contents

std::size_t up_to(std::size_t bytes, std::size_t step) { return (bytes + step - 1) / step * step; }

}  // namespace

void* GuardedMemory::take(std::size_t bytes) {
  Block b;
  b.size = std::max(page, up_to(bytes, page));
  void* all = ::mmap(nullptr, b.size + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  check(all != MAP_FAILED, "guarded memory: the system has no ", bytes, " bytes");
  b.pages = static_cast<std::byte*>(all) + page;
  check(::mprotect(b.pages, b.size, PROT_READ | PROT_WRITE) == 0,
        "guarded memory: cannot protect pages");
  b.begin = side_ == Against::end ? b.pages + b.size - up_to(bytes, line) : b.pages;
  std::fill_n(b.pages, b.size, pattern);
  std::memset(b.begin, nan_bytes, bytes);
  const std::lock_guard lock(mutex_);
  blocks_[b.begin] = b;
  return b.begin;
}

void GuardedMemory::give_back(void* block, std::size_t bytes) noexcept {
  const std::lock_guard lock(mutex_);
  const Block b = find(block);
  const auto same = [](std::byte v) { return v == pattern; };
  const std::byte* end = b.begin + bytes;
  const std::byte* wrong = std::find_if_not(b.pages, b.begin, same);
  if (wrong != b.begin)
    damage_ += std::to_string(b.begin - wrong) + " bytes before a buffer of " +
               std::to_string(bytes) + " were written\n";
  wrong = std::find_if_not(end, static_cast<const std::byte*>(b.pages + b.size), same);
  if (wrong != b.pages + b.size)
    damage_ += "byte " + std::to_string(wrong - b.begin) + " was written, of a buffer of " +
               std::to_string(bytes) + "\n";
  blocks_.erase(block);
  ::munmap(b.pages - page, b.size + 2 * page);
}

void GuardedMemory::protect(const void* block) {
  const std::lock_guard lock(mutex_);
  const Block& b = find(block);
  check(::mprotect(b.pages, b.size, PROT_READ) == 0, "guarded memory: cannot protect pages");
}

std::string GuardedMemory::damage() const {
  const std::lock_guard lock(mutex_);
  return damage_;
}

GuardedMemory::Block& GuardedMemory::find(const void* block) {
  const auto found = blocks_.find(block);
  check(found != blocks_.end(), "guarded memory: not a block of it");
  return found->second;
}

}  // namespace exciton::sweep
