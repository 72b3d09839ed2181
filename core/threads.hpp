/// One thread count for everything: our loops, oneDNN and OpenBLAS. Loops are cut into one
/// contiguous piece a thread, always the same way, so results depend on the count alone.
#pragma once
#include <algorithm>
#include <cstdint>
#include <memory>
#include <type_traits>

namespace exciton {

/// Threads used by the next operation; at start the number of processors the system grants.
int num_threads();
/// Errors: count < 1.
void set_num_threads(int count);

namespace detail {
/// Runs body(context, thread, threads) on `threads` threads and waits. Nested calls run serially.
void run_parallel(int threads, void (*body)(void*, int, int), void* context);
bool in_parallel();
}  // namespace detail

/// Runs f(thread, threads) once on each of num_threads() threads; serially inside another one.
/// f must not throw.
template <class F>
void parallel(F&& f) {
  using Body = std::remove_reference_t<F>;
  detail::run_parallel(
      detail::in_parallel() ? 1 : num_threads(),
      [](void* context, int t, int n) { (*static_cast<Body*>(context))(t, n); },
      const_cast<std::remove_const_t<Body>*>(std::addressof(f)));
}

/// The t-th of n nearly equal contiguous pieces of [0, count).
struct Piece {
  std::int64_t begin, end;
};
inline Piece piece_of(std::int64_t count, int t, int n) {
  const std::int64_t base = count / n, rest = count % n;
  const std::int64_t begin = t * base + std::min<std::int64_t>(t, rest);
  return {begin, begin + base + (t < rest ? 1 : 0)};
}

/// Calls f(begin, end) for one contiguous piece of [0, count) a thread. Below `grain` elements a
/// thread the loop uses fewer threads, down to the caller alone. f must not throw.
template <class F>
void parallel_for(std::int64_t count, std::int64_t grain, F&& f) {
  if (count <= 0) return;
  const std::int64_t useful = std::max<std::int64_t>(1, count / std::max<std::int64_t>(1, grain));
  const int threads =
      detail::in_parallel() ? 1 : static_cast<int>(std::min<std::int64_t>(num_threads(), useful));
  if (threads <= 1) {
    f(std::int64_t{0}, count);
    return;
  }
  struct Context {
    F& f;
    std::int64_t count;
  } context{f, count};
  detail::run_parallel(
      threads,
      [](void* c, int t, int n) {
        auto& job = *static_cast<Context*>(c);
        const Piece p = piece_of(job.count, t, n);
        if (p.begin < p.end) job.f(p.begin, p.end);
      },
      &context);
}

}  // namespace exciton
