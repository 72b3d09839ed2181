#include "exciton/core/random.hpp"

#include <cmath>
#include <numbers>

namespace exciton {

std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> c,
                                    std::array<std::uint32_t, 2> k) {
  constexpr std::uint64_t m0 = 0xD2511F53u, m1 = 0xCD9E8D57u;
  constexpr std::uint32_t w0 = 0x9E3779B9u, w1 = 0xBB67AE85u;
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = m0 * c[0], p1 = m1 * c[2];
    c = {static_cast<std::uint32_t>(p1 >> 32) ^ c[1] ^ k[0], static_cast<std::uint32_t>(p1),
         static_cast<std::uint32_t>(p0 >> 32) ^ c[3] ^ k[1], static_cast<std::uint32_t>(p0)};
    k[0] += w0;
    k[1] += w1;
  }
  return c;
}

std::uint32_t Generator::bits() {
  const std::uint64_t block = state_.counter / 4;
  if (block != cached_block_) {
    block_ = philox(
        {static_cast<std::uint32_t>(block), static_cast<std::uint32_t>(block >> 32),
         static_cast<std::uint32_t>(state_.stream),
         static_cast<std::uint32_t>(state_.stream >> 32)},
        {static_cast<std::uint32_t>(state_.seed), static_cast<std::uint32_t>(state_.seed >> 32)});
    cached_block_ = block;
  }
  return block_[state_.counter++ % 4];
}

float Generator::uniform() { return static_cast<float>(bits() >> 8) * 0x1p-24f; }

double Generator::uniform_double() {
  const std::uint64_t high = bits() >> 5, low = bits() >> 6;
  return static_cast<double>(high << 26 | low) * 0x1p-53;
}

double Generator::normal() {
  const double u = 1.0 - uniform_double();  // in (0, 1]
  const double v = uniform_double();
  return std::sqrt(-2 * std::log(u)) * std::cos(2 * std::numbers::pi * v);
}

std::uint64_t Generator::below(std::uint64_t n) {
  check(n > 0, "random: below(0) has no values");
  const std::uint64_t limit = ~0ull - ~0ull % n;  // largest multiple of n
  while (true) {
    const std::uint64_t high = bits();
    const std::uint64_t r = high << 32 | bits();
    if (r < limit) return r % n;
  }
}

}  // namespace exciton
