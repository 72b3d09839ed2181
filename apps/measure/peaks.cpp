#include "apps/measure/peaks.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "exciton/core/memory.hpp"
#include "exciton/core/threads.hpp"
#include "exciton/ops/convolution/conv2d.hpp"
#include "exciton/ops/processor.hpp"

namespace exciton::apps {
namespace {

template <class F>
double fastest_seconds(int runs, F&& f) {
  double least = 1e30;
  for (int i = 0; i < runs; ++i) {
    const auto start = std::chrono::steady_clock::now();
    f();
    least = std::min(
        least, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return least;
}

/// A large 1x1 convolution reads each value of a map that fits in cache hundreds of times, and no
/// short cut (Winograd's products, for one) makes its arithmetic less than is counted.
double convolution_gflops(DType type) {
  constexpr std::int64_t channels = 512;
  Generator rng(1);
  const Tensor x = Tensor::randn({4 * num_threads(), 14, 14, channels}, rng).to(type);
  const Tensor w = Tensor::randn({channels, channels, 1, 1}, rng);
  ops::PackedWeights packed;
  const ops::Conv2d conv{.packed = packed.state(), .version = 1};
  std::int64_t multiply_adds = 0;
  const double seconds = fastest_seconds(20, [&] {
    ops::Conv2d::Saved saved;
    const Tensor y = conv.forward(saved, x, w, {});
    multiply_adds = conv.multiply_adds(y, x, w, {});
  });
  return 2 * static_cast<double>(multiply_adds) / seconds / 1e9;
}

CopyRate copy_rate(const char* where, std::int64_t bytes) {
  const std::int64_t half = bytes / 2;
  Tensor from = Tensor::zeros({half}, DType::u8), to = Tensor::zeros({half}, DType::u8);
  auto* source = from.data<std::uint8_t>();
  auto* target = to.data<std::uint8_t>();
  const std::int64_t rounds = std::max<std::int64_t>(1, (std::int64_t{64} << 20) / bytes);
  const double seconds = fastest_seconds(3, [&] {
    parallel(num_threads(), [&](int t, int n) {
      const Chunk p = chunk_of(half, t, n);
      for (std::int64_t i = 0; i < rounds; ++i) {
        std::memcpy(target + p.begin, source + p.begin, static_cast<std::size_t>(p.end - p.begin));
        asm volatile("" : : "r"(target) : "memory");  // every round is wanted
      }
    });
  });
  return {where, 2 * half, static_cast<double>(2 * half * rounds) / seconds / 1e9};
}

}  // namespace

Peaks measure_peaks() {
  Peaks peaks;
  peaks.f32_gflops = convolution_gflops(DType::f32);
  if (ops::processor().avx512) peaks.bf16_gflops = convolution_gflops(DType::bf16);
  constexpr std::int64_t mib = 1 << 20;
  const std::int64_t second = num_threads() * ops::processor().second_level_cache;
  const std::int64_t third = ops::processor().third_level_cache;
  peaks.copies.push_back(copy_rate("second-level cache", second / 2));
  peaks.copies.push_back(copy_rate("third-level cache", 4 * second));
  peaks.copies.push_back(copy_rate("memory", std::clamp(4 * third, 128 * mib, 512 * mib)));
  release_cached_memory();
  return peaks;
}

}  // namespace exciton::apps
