/// One thread count for the whole program: our loops, and oneDNN below them. A loop is cut into one
/// contiguous piece per thread, always the same way. The pieces go by the count alone: where fewer
/// threads are to be had (inside another parallel loop, in the child of a fork) those there are do
/// all of them, so results depend on the count and on nothing else.
#pragma once
#include <algorithm>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <utility>

namespace exciton {

/// The largest thread count.
inline constexpr int max_threads = 4096;

/// Pieces into which loops are cut; the same in every thread of the program. At start it is what
/// the system grants: OMP_NUM_THREADS or the number of processors, no more than OMP_THREAD_LIMIT.
/// Errors: OMP_NUM_THREADS above max_threads.
int num_threads();
/// For every thread of the program, from its next operation on. Errors: a count outside of
/// 1 ... max_threads, or above OMP_THREAD_LIMIT.
void set_num_threads(int count);
/// Threads that a loop of the calling thread runs on now: num_threads(); but 1 inside a parallel
/// loop, ours or any of OpenMP's, and in the child of a fork, where OpenMP's threads are gone.
int threads_here();

namespace detail {
/// Runs body(context, piece, pieces) once for each piece and waits.
void run_pieces(int pieces, void (*body)(void*, int, int), void* context);

/// While in scope, a library that runs on OpenMP itself (oneDNN) gets exactly `threads` threads in
/// the calling one, whatever OMP_DYNAMIC and OMP_MAX_ACTIVE_LEVELS say, and no more than
/// threads_here(): what cuts its work by the count when it is prepared must ask for that.
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

/// The t-th of n nearly equal contiguous pieces of [0, count).
struct Chunk {
  std::int64_t begin, end;
};
inline Chunk chunk_of(std::int64_t count, int t, int n) {
  const std::int64_t base = count / n, rest = count % n;
  const std::int64_t begin = t * base + std::min<std::int64_t>(t, rest);
  return {begin, begin + base + (t < rest ? 1 : 0)};
}

/// Calls f(begin, end) for one contiguous piece of [0, count) a thread. Below `grain` elements a
/// thread the loop uses fewer threads, down to the caller alone. Exceptions as in parallel().
template <class F>
void parallel_for(std::int64_t count, std::int64_t grain, F&& f) {
  if (count <= 0) return;
  const std::int64_t useful = std::max<std::int64_t>(1, count / std::max<std::int64_t>(1, grain));
  const int pieces = static_cast<int>(std::min<std::int64_t>(num_threads(), useful));
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
