#include "exciton/core/threads.hpp"

#include <omp.h>
#include <pthread.h>

#include <atomic>
#include <exception>
#include <mutex>

#include "exciton/core/error.hpp"

#ifdef EXCITON_STD_THREADS
#include <thread>
#include <vector>
#endif

namespace exciton {
namespace {

// A property of the process, like its working directory: there is one team of threads.
std::atomic<int> chosen_count{0};  // 0: not asked for yet
// In the child of a fork. GNU's OpenMP run-time goes on waiting there for threads that the child
// has not.
std::atomic<bool> forked{false};

/// From now on the child of a fork is told. A fork before the first parallel loop does no harm.
void watch_forks() {
  static const int watched = pthread_atfork(nullptr, nullptr, [] { forked = true; });
  check(watched == 0, "threads: the system has no memory for a fork handler");
}

int count_at_start() {
  const int wanted = omp_get_max_threads();
  check(wanted <= max_threads, "OMP_NUM_THREADS: expected at most ", max_threads, " threads, got ",
        wanted, "; unset it, or set a smaller number");
  return std::min(wanted, omp_get_thread_limit());
}

/// The exception of the lowest piece that threw.
class FirstError {
 public:
  template <class F>
  void guard(int piece, const F& f) {
    try {
      f();
    } catch (...) {
      const std::lock_guard lock(mutex_);
      if (!error_ || piece < piece_) {
        error_ = std::current_exception();
        piece_ = piece;
      }
    }
  }
  void rethrow() const {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  std::mutex mutex_;
  std::exception_ptr error_;
  int piece_ = 0;
};

#ifdef EXCITON_STD_THREADS
thread_local bool inside = false;
#endif

}  // namespace

int num_threads() {
  int count = chosen_count;
  if (count > 0) return count;
  count = 0;
  const int first = count_at_start();
  return chosen_count.compare_exchange_strong(count, first) ? first : count;
}

void set_num_threads(int count) {
  check(count >= 1 && count <= max_threads, "threads: expected 1 to ", max_threads, ", got ",
        count);
  check(count <= omp_get_thread_limit(), "threads: ", count, " are more than the ",
        omp_get_thread_limit(), " that OMP_THREAD_LIMIT allows; unset it, or ask for no more");
  chosen_count = count;
}

#ifdef EXCITON_STD_THREADS

// The build for ThreadSanitizer: fork and join with std::thread, whose synchronisation the tool
// sees (that of the OpenMP run-time it does not).

int threads_here() { return inside || forked ? 1 : num_threads(); }

void detail::run_pieces(int pieces, void (*body)(void*, int, int), void* context) {
  if (pieces <= 1 || threads_here() == 1) {
    for (int t = 0; t < pieces; ++t) body(context, t, pieces);
    return;
  }
  FirstError error;
  const auto run = [&](int t) {
    inside = true;
    error.guard(t, [&] { body(context, t, pieces); });
    inside = false;
  };
  {
    std::vector<std::jthread> team;
    for (int t = 1; t < pieces; ++t) team.emplace_back(run, t);
    run(0);
  }
  error.rethrow();
}

#else

int threads_here() { return forked || omp_in_parallel() != 0 ? 1 : num_threads(); }

void detail::run_pieces(int pieces, void (*body)(void*, int, int), void* context) {
  const int team = std::min(pieces, threads_here());
  if (team <= 1) {
    for (int t = 0; t < pieces; ++t) body(context, t, pieces);
    return;
  }
  const OpenMpThreads exactly(team);
  FirstError error;
#pragma omp parallel num_threads(team)
  for (int t = omp_get_thread_num(); t < pieces; t += omp_get_num_threads())
    error.guard(t, [&] { body(context, t, pieces); });
  error.rethrow();
}

#endif

namespace {
/// A build without OpenMP threads of ours has none of oneDNN's: ThreadSanitizer cannot see their
/// barriers.
int granted(int wanted) {
#ifdef EXCITON_STD_THREADS
  static_cast<void>(wanted);
  return 1;
#else
  return std::min(wanted, threads_here());
#endif
}
}  // namespace

detail::OpenMpThreads::OpenMpThreads(int threads)
    : threads_before_(omp_get_max_threads()),
      levels_before_(omp_get_max_active_levels()),
      dynamic_before_(omp_get_dynamic() != 0) {
  const int n = granted(threads);
  if (n > 1) watch_forks();
  if (n != threads_before_) omp_set_num_threads(n);
  if (levels_before_ < 1) omp_set_max_active_levels(1);
  if (dynamic_before_) omp_set_dynamic(0);
}

detail::OpenMpThreads::~OpenMpThreads() {
  if (omp_get_max_threads() != threads_before_) omp_set_num_threads(threads_before_);
  if (levels_before_ < 1) omp_set_max_active_levels(levels_before_);
  if (dynamic_before_) omp_set_dynamic(1);
}

}  // namespace exciton
