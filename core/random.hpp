/// Counter-based random numbers (Philox 4x32-10; Salmon et al., SC 2011). A number is a pure
/// function of (seed, stream, counter), so streams never depend on thread or worker count, and the
/// whole state of a generator is three integers in a checkpoint.
#pragma once
#include <array>
#include <cstdint>

#include "exciton/core/error.hpp"

namespace exciton {

/// Ten rounds of Philox on `counter` under `key`.
std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter,
                                    std::array<std::uint32_t, 2> key);

class Generator {
 public:
  struct State {
    std::uint64_t seed = 0, stream = 0, counter = 0;
    bool operator==(const State&) const = default;
  };

  explicit Generator(std::uint64_t seed = 0, std::uint64_t stream = 0) : state_{seed, stream, 0} {}
  explicit Generator(State state) : state_(state) {}

  /// 32 random bits; advances the counter by one (a Philox block serves four).
  std::uint32_t bits();
  /// Uniform in [0, 1) with 24 random bits.
  float uniform();
  /// Uniform in [low, high).
  float uniform(float low, float high) { return low + (high - low) * uniform(); }
  /// Uniform in [0, 1) with 53 random bits.
  double uniform_double();
  /// Standard normal (Box-Muller; two uniforms a call).
  double normal();
  /// Uniform integer in [0, n) without modulo bias. Errors: n = 0.
  std::uint64_t below(std::uint64_t n);

  /// The exact position, for checkpoints.
  State state() const { return state_; }
  void set_state(const State& s) {
    state_ = s;
    cached_block_ = ~0ull;
  }

 private:
  State state_;
  std::array<std::uint32_t, 4> block_{};
  std::uint64_t cached_block_ = ~0ull;
};

}  // namespace exciton
