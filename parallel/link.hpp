/// A network where there is none: messages between ranks of one machine take as long as over links
/// of a given rate and latency, so that what a cluster would do can be measured before there is
/// one.
#pragma once
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace exciton::ranks {

/// What joins each rank to all others: so many bits a second out and as many in, at a time.
struct LinkSpec {
  double gbit = 0;        ///< 1e9 bits a second, each way
  double latency_ms = 0;  ///< from one end to the other
  /// How long a message occupies one end.
  std::chrono::nanoseconds occupies(std::size_t bytes) const {
    return std::chrono::nanoseconds(
        static_cast<std::int64_t>(8 * static_cast<double>(bytes) / gbit));
  }
  std::string text() const;  ///< "10 Gbit/s and 0.1 ms"
  std::chrono::nanoseconds latency() const {
    return std::chrono::nanoseconds(static_cast<std::int64_t>(1e6 * latency_ms));
  }
};

/// "10Gbit/s,0.1ms". Errors: anything else, a rate that is not above 0.
LinkSpec parse_link(const std::string& text);

/// What EXCITON_LINK says, nothing where it is not set or empty.
std::optional<LinkSpec> link_from_environment();

/// One direction of one end of a link. Messages pass it one after another.
class Port {
 public:
  using Time = std::chrono::steady_clock::time_point;
  struct Passage {
    Time first, last;  ///< when its first bit passes, and its last
  };
  /// A message that is there at `ready` and occupies the end for `takes`.
  Passage pass(Time ready, std::chrono::nanoseconds takes) {
    const Time first = std::max(ready, free_);
    free_ = first + takes;
    return {first, free_};
  }

 private:
  Time free_{};
};

}  // namespace exciton::ranks
