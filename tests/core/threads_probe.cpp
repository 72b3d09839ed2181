// What threads_test.cpp runs with other environments: prints the thread count and a sum whose bits
// depend on it. PROBE=n sets the count.
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "exciton/core/error.hpp"
#include "exciton/core/threads.hpp"

int main() {
  using namespace exciton;
  try {
    if (const char* count = std::getenv("PROBE")) set_num_threads(std::atoi(count));
    std::vector<float> parts(static_cast<std::size_t>(num_threads()), 0.0f);
    parallel(num_threads(), [&](int t, int n) {
      const Chunk p = chunk_of(1000000, t, n);
      for (std::int64_t i = p.begin; i < p.end; ++i)
        parts[static_cast<std::size_t>(t)] += 1.0f / static_cast<float>(i + 1);
    });
    float total = 0;
    for (float p : parts) total += p;
    std::printf("%d threads, %a\n", num_threads(), static_cast<double>(total));
  } catch (const Error& error) {
    std::printf("%s\n", error.what());
    return 1;
  }
}
