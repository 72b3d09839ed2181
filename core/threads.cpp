#include "core/threads.hpp"

#include <atomic>

#include "core/error.hpp"

#ifdef EXCITON_STD_THREADS
#include <thread>
#include <vector>
#else
#include <omp.h>
#endif

namespace exciton {

#ifdef EXCITON_STD_THREADS

// The build for ThreadSanitizer: fork and join with std::thread, whose synchronisation the tool
// sees (that of the OpenMP run-time it does not).
namespace {
std::atomic<int> count{static_cast<int>(std::max(1u, std::thread::hardware_concurrency()))};
thread_local bool inside = false;
}  // namespace

int num_threads() { return count; }
void set_num_threads(int n) {
  check(n >= 1, "threads: wants at least 1, got ", n);
  count = n;
}
bool detail::in_parallel() { return inside; }
void detail::run_parallel(int threads, void (*body)(void*, int, int), void* context) {
  if (threads <= 1) return body(context, 0, 1);
  std::vector<std::jthread> crew;
  for (int t = 1; t < threads; ++t)
    crew.emplace_back([=] {
      inside = true;
      body(context, t, threads);
    });
  inside = true;
  body(context, 0, threads);
  inside = false;
}

#else

int num_threads() { return omp_get_max_threads(); }

void set_num_threads(int count) {
  check(count >= 1, "threads: wants at least 1, got ", count);
  omp_set_num_threads(count);  // oneDNN asks OpenMP; OpenBLAS is always called on one thread
}

bool detail::in_parallel() { return omp_in_parallel() != 0; }

void detail::run_parallel(int threads, void (*body)(void*, int, int), void* context) {
  if (threads <= 1) return body(context, 0, 1);
#pragma omp parallel num_threads(threads)
  body(context, omp_get_thread_num(), omp_get_num_threads());
}

#endif

}  // namespace exciton
