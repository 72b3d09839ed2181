#include "exciton/core/threads.hpp"

#include <omp.h>
#include <pthread.h>
#include <signal.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "exciton/core/error.hpp"
#include "exciton/core/limits.hpp"

#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#endif

namespace exciton {
namespace {

// A property of the process, like its working directory: there is one crew.
std::atomic<int> chosen_count{0};  // 0: not asked for yet
// In the child of a fork, which has none of the crew's threads.
std::atomic<bool> forked{false};
// Whether this thread runs a piece of a loop.
thread_local bool inside = false;

int count_at_start() {
  const char* const wish = std::getenv("OMP_NUM_THREADS");
  if (!wish || *wish == '\0') return std::min(read_limits().threads(), omp_get_thread_limit());
  const int wanted = omp_get_max_threads();  // as OpenMP reads it: "4", "4,2"
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

void pause() {
#if defined(__x86_64__) || defined(__i386__)
  _mm_pause();
#endif
}

using Clock = std::chrono::steady_clock;
using std::chrono::microseconds;

/// How long a thread looks around before it sleeps. Waking one up takes 5 to 50 microseconds (the
/// latter where a hypervisor must be asked), several times in each of a network's layers; but
/// beside another busy process, whoever looks around keeps the processor from those who have work.
/// So threads are patient until one finds that the system has taken its processor away while it
/// looked, and for a while after that they are not.
class Patience {
 public:
  /// Waits until `ready`; false: it did not come in time. With more threads than can run at a time
  /// it is always crowded.
  template <class F>
  bool wait(const F& ready, int threads) {
    const Clock::time_point start = Clock::now();
    const bool crowded = threads > can_run_ || start.time_since_epoch().count() <
                                                   crowded_until_.load(std::memory_order_relaxed);
    const Clock::time_point end = start + (crowded ? little : much);
    Clock::time_point before = start;
    while (true) {
      for (int i = 0; i < 16; ++i) {
        if (ready()) return true;
        pause();
      }
      const Clock::time_point now = Clock::now();
      if (now - before > taken_away) found_crowded(now);
      if (now >= end) return false;
      before = now;
    }
  }
  /// Of a piece that came so much later than the waiting began.
  void late(Clock::duration by) {
    if (by > taken_away) found_crowded(Clock::now());
  }

 private:
  static constexpr microseconds little{20}, much{300}, taken_away{1000};
  static constexpr std::chrono::milliseconds remembered{500};
  void found_crowded(Clock::time_point now) {
    crowded_until_.store((now + remembered).time_since_epoch().count(), std::memory_order_relaxed);
  }
  const int can_run_ = read_limits().threads();
  std::atomic<Clock::rep> crowded_until_{0};
};

/// The threads beside the caller's. A job is a number of pieces, which the caller and whoever is
/// awake take one by one. The caller waits for pieces that were taken, never for a thread: one that
/// the system runs late finds nothing left to do.
class Crew {
 public:
  Crew() = default;
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;
  ~Crew() {
    if (forked) {
      for (std::thread& t : threads_) t.detach();  // there are none
      return;
    }
    stop_ = true;
    wake(std::ssize(threads_));
    for (std::thread& t : threads_) t.join();
  }

  /// False: another thread's loop has the crew.
  bool run(int pieces, int team, void (*body)(void*, int, int), void* context) {
    if (busy_.exchange(true, std::memory_order_acquire)) return false;
    hire(team - 1);
    FirstError error;
    body_ = body;
    context_ = context;
    error_ = &error;
    pieces_ = pieces;
    helpers_.store(team - 1, std::memory_order_relaxed);
    done_.store(0, std::memory_order_relaxed);
    job_ = (job_ + 1) & 0xffffffffU;
    ticket_.store(job_ << 32 | static_cast<std::uint64_t>(pieces), std::memory_order_release);
    wake(std::min(pieces, team) - 1);
    while (take_piece()) continue;
    const auto all_done = [&] { return done_.load(std::memory_order_acquire) == pieces; };
    if (!patience_.wait(all_done, team)) {
      const Clock::time_point asleep = Clock::now();
      for (int done = done_.load(std::memory_order_acquire); done != pieces;
           done = done_.load(std::memory_order_acquire))
        done_.wait(done, std::memory_order_acquire);
      patience_.late(Clock::now() - asleep);
    }
    busy_.store(false, std::memory_order_release);
    error.rethrow();
    return true;
  }

 private:
  static std::uint64_t left(std::uint64_t ticket) { return ticket & 0xffffffffU; }

  void hire(int helpers) {
    if (std::ssize(threads_) >= helpers) return;
    // Signals are for the threads of the program.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    try {
      while (std::ssize(threads_) < helpers)
        threads_.emplace_back(
            [this, number = static_cast<int>(std::ssize(threads_))] { work(number); });
    } catch (const std::system_error&) {
      // The system grants no more: those that there are do all pieces.
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }

  void wake(std::ptrdiff_t count) {
    calls_.fetch_add(1, std::memory_order_seq_cst);
    if (sleepers_.load(std::memory_order_seq_cst) == 0) return;
    if (count > 1)
      calls_.notify_all();
    else if (count == 1)
      calls_.notify_one();
  }

  /// Runs the next piece of the job at hand; false: none is left. Whoever takes a piece keeps its
  /// job, and what describes it, in being until the piece is done.
  bool take_piece() {
    std::uint64_t ticket = ticket_.load(std::memory_order_acquire);
    do {
      if (left(ticket) == 0) return false;
    } while (!ticket_.compare_exchange_weak(ticket, ticket - 1, std::memory_order_acq_rel,
                                            std::memory_order_acquire));
    const int pieces = pieces_, piece = pieces - static_cast<int>(left(ticket));
    inside = true;
    error_->guard(piece, [&] { body_(context_, piece, pieces); });
    inside = false;
    if (done_.fetch_add(1, std::memory_order_acq_rel) + 1 == pieces) done_.notify_one();
    return true;
  }

  void work(int number) {
    omp_set_num_threads(1);  // what runs on OpenMP inside a piece stays on this thread
    while (true) {
      const std::uint32_t call = calls_.load(std::memory_order_seq_cst);
      if (stop_) return;
      if (number < helpers_.load(std::memory_order_relaxed))
        while (take_piece()) continue;
      const auto called = [&] { return calls_.load(std::memory_order_acquire) != call; };
      if (patience_.wait(called, helpers_.load(std::memory_order_relaxed) + 1)) continue;
      sleepers_.fetch_add(1, std::memory_order_seq_cst);
      calls_.wait(call, std::memory_order_seq_cst);
      sleepers_.fetch_sub(1, std::memory_order_seq_cst);
    }
  }

  std::atomic<bool> busy_{false};
  Patience patience_;
  std::vector<std::thread> threads_;
  // Of the job at hand.
  void (*body_)(void*, int, int) = nullptr;
  void* context_ = nullptr;
  FirstError* error_ = nullptr;
  int pieces_ = 0;
  std::uint64_t job_ = 0;
  std::atomic<int> helpers_{0};
  alignas(64) std::atomic<std::uint64_t> ticket_{0};  ///< number of the job, pieces left
  alignas(64) std::atomic<int> done_{0};
  alignas(64) std::atomic<std::uint32_t> calls_{0};  ///< changes when there is something to do
  std::atomic<int> sleepers_{0};
  std::atomic<bool> stop_{false};
};

Crew& crew() {
  static Crew one;
  // The child of a fork is told. A fork before the first parallel loop does no harm.
  static const int watched = pthread_atfork(nullptr, nullptr, [] { forked = true; });
  check(watched == 0, "threads: the system has no memory for a fork handler");
  return one;
}

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

int threads_here() { return inside || forked || omp_in_parallel() != 0 ? 1 : num_threads(); }

void detail::run_pieces(int pieces, void (*body)(void*, int, int), void* context) {
  const int team = std::min(pieces, threads_here());
  if (team > 1 && crew().run(pieces, team, body, context)) return;
  for (int t = 0; t < pieces; ++t) body(context, t, pieces);
}

detail::OpenMpThreads::OpenMpThreads(int threads)
    : threads_before_(omp_get_max_threads()),
      levels_before_(omp_get_max_active_levels()),
      dynamic_before_(omp_get_dynamic() != 0) {
  const int n = std::min(threads, threads_here());
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
