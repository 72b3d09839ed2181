/// One crew of threads for the whole program. A loop is cut into contiguous pieces, which go to
/// whoever is free: a thread that the system runs less does less, and nobody waits for one that has
/// no piece. No result depends on who did what, nor on the count: sums are cut by shapes alone
/// (ops/leaves.hpp). Threads that have nothing to do look around for 300 microseconds, beside
/// other busy processes for 20, then sleep.
///
/// The crew helps one loop at a time. Where it is not to be had (inside another loop, ours or
/// OpenMP's; beside a loop of another thread; in the child of a fork, which has no crew), the
/// calling thread does all pieces itself.
#pragma once
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <utility>

namespace exciton {

/// The largest thread count.
inline constexpr int max_threads = 4096;

/// Threads that loops run on; the same in every thread of the program. At start it is
/// OMP_NUM_THREADS, or what affinity and control groups let run at a time (core/limits.hpp), no
/// more than OMP_THREAD_LIMIT. Errors: OMP_NUM_THREADS above max_threads.
int num_threads();
/// For every thread of the program, from its next operation on. Errors: a count outside of
/// 1 ... max_threads, or above OMP_THREAD_LIMIT.
void set_num_threads(int count);
/// Threads that a loop of the calling thread may run on now: num_threads(); but 1 inside a parallel
/// loop, ours or any of OpenMP's, and in the child of a fork.
int threads_here();

namespace detail {
/// Runs body(context, piece, pieces) once for each piece and waits.
void run_pieces(int pieces, void (*body)(void*, int, int), void* context);

/// While in scope, a library that runs on OpenMP itself (oneDNN) gets exactly `threads` threads in
/// the calling one, whatever OMP_DYNAMIC and OMP_MAX_ACTIVE_LEVELS say, and no more than
/// threads_here(). All but measurements ask for one: two crews would fight for the processors.
class OpenMpThreads {
 public:
  explicit OpenMpThreads(int threads);
  ~OpenMpThreads();
  OpenMpThreads(const OpenMpThreads&) = delete;
  OpenMpThreads& operator=(const OpenMpThreads&) = delete;

 private:
  int threads_before_, levels_before_;
  bool dynamic_before_;
};
}  // namespace detail

/// Runs f(piece, pieces) once for each of so many pieces, on up to as many threads, and waits. What
/// was sized by num_threads() before takes that number here: another thread may set a new one.
/// If f throws, the exception of the lowest piece arrives here, after all threads have come back.
template <class F>
void parallel(int pieces, F&& f) {
  using Body = std::remove_reference_t<F>;
  detail::run_pieces(
      pieces, [](void* context, int t, int n) { (*static_cast<Body*>(context))(t, n); },
      const_cast<std::remove_const_t<Body>*>(std::addressof(f)));
}

/// The same for num_threads() pieces.
template <class F>
void parallel(F&& f) {
  parallel(num_threads(), std::forward<F>(f));
}

/// Runs f(task, slot) once for each task; 0 <= slot < num_threads() is nobody else's meanwhile, for
/// working memory. Tasks go in order to whoever is free.
template <class F>
void parallel_tasks(std::int64_t tasks, F&& f) {
  std::atomic<std::int64_t> next{0};
  const int threads = num_threads();
  parallel(static_cast<int>(std::min<std::int64_t>(threads, tasks)), [&](int slot, int) {
    for (std::int64_t task = next++; task < tasks; task = next++) f(task, slot);
  });
}

/// The t-th of n nearly equal contiguous pieces of [0, count).
struct Chunk {
  std::int64_t begin, end;
};
inline Chunk chunk_of(std::int64_t count, int t, int n) {
  const std::int64_t base = count / n, rest = count % n;
  const std::int64_t begin = t * base + std::min<std::int64_t>(t, rest);
  return {begin, begin + base + (t < rest ? 1 : 0)};
}

/// Calls f(begin, end) for contiguous pieces of [0, count), a few a thread, which go to whoever is
/// free. Below `grain` elements a thread the loop uses fewer threads, down to the caller alone.
/// What f computes of an element must not depend on the piece it is in. Exceptions as in
/// parallel().
template <class F>
void parallel_for(std::int64_t count, std::int64_t grain, F&& f) {
  if (count <= 0) return;
  const std::int64_t useful = std::max<std::int64_t>(1, count / std::max<std::int64_t>(1, grain));
  constexpr std::int64_t pieces_each = 4;
  const int threads = num_threads();
  const int pieces =
      threads == 1 ? 1 : static_cast<int>(std::min<std::int64_t>(pieces_each * threads, useful));
  if (pieces == 1) {
    f(std::int64_t{0}, count);
    return;
  }
  parallel(pieces, [&](int t, int n) {
    const Chunk p = chunk_of(count, t, n);
    if (p.begin < p.end) f(p.begin, p.end);
  });
}

}  // namespace exciton
