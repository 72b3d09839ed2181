/// A module's own random stream, kept as a buffer so that a checkpoint resumes it exactly: [3] i64
/// of seed, stream and counter.
#pragma once
#include "exciton/core/random.hpp"
#include "exciton/core/tensor.hpp"

namespace exciton::nn {

/// A new stream, seeded by two numbers of `init`.
inline Tensor new_stream(Generator& init) {
  const std::uint64_t high = init.bits(), low = init.bits();
  Tensor state(Shape{3}, DType::i64);
  auto s = state.span<std::int64_t>();
  s[0] = static_cast<std::int64_t>(high << 32 | low);
  s[1] = s[2] = 0;
  return state;
}

/// Runs f(Generator&) from the stream's position, and keeps where it came to.
template <class F>
auto draw_from(Tensor& state, F&& f) {
  auto s = state.span<std::int64_t>();
  Generator generator({.seed = static_cast<std::uint64_t>(s[0]),
                       .stream = static_cast<std::uint64_t>(s[1]),
                       .counter = static_cast<std::uint64_t>(s[2])});
  auto result = f(generator);
  s[2] = static_cast<std::int64_t>(generator.state().counter);
  return result;
}

}  // namespace exciton::nn
