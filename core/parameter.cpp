#include "exciton/core/parameter.hpp"

#include <atomic>

namespace exciton::detail {

std::uint64_t next_version() {
  static std::atomic<std::uint64_t> last{0};
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

}  // namespace exciton::detail
