/// What the machine can do at most, measured: the roof over every operator.
#pragma once
#include <cstdint>
#include <vector>

namespace exciton::apps {

/// Copying between two buffers of `bytes` together; reads and writes both count.
struct CopyRate {
  const char* where;
  std::int64_t bytes = 0;
  double gb_per_second = 0;
};

struct Peaks {
  double f32_gflops = 0;         ///< a large 1x1 convolution
  double bf16_gflops = 0;        ///< 0 where the processor has no bf16 kernels
  std::vector<CopyRate> copies;  ///< second-level cache, third, memory

  double memory_gb_per_second() const { return copies.back().gb_per_second; }
};

/// Measures with num_threads() threads, in about a second. Buffers: half of each thread's
/// second-level cache; four times all second-level caches; what exceeds the third (512 MiB at
/// most).
Peaks measure_peaks();

}  // namespace exciton::apps
