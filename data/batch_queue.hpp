/// Batches made ahead by worker threads and handed out in order: what all loaders share.
#pragma once
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "exciton/core/error.hpp"
#include "exciton/core/threads.hpp"
#include "exciton/data/order.hpp"

namespace exciton::data {

/// What makes batches. Each is a pure function of (epoch, batch index), so that workers change when
/// it is made, never what is in it. Several threads may call it at once.
template <class Batch>
struct BatchSource {
  virtual ~BatchSource() = default;
  virtual Order order(std::int64_t epoch) const = 0;
  /// What it throws arrives in next(). May return anything once a stop was requested.
  virtual Batch make(const Order& order, std::int64_t epoch, std::int64_t batch,
                     const std::stop_token& stop) const = 0;
};

template <class Batch>
class BatchQueue {
 public:
  /// `workers`: threads that make batches ahead; 0: next() makes them; or automatic_workers.
  /// Where the system grants fewer threads, fewer; the batches are the same. No more than
  /// `prefetch` of them are kept ready. Errors: fewer workers than none, a prefetch
  /// below 1.
  BatchQueue(std::unique_ptr<const BatchSource<Batch>> source, std::int64_t batches, int workers,
             int prefetch)
      : source_(std::move(source)), batches_(batches), automatic_(workers == automatic_workers) {
    check(workers >= 0 || automatic_, "loader: workers: expected at least 0, got ", workers);
    check(prefetch >= 1, "loader: prefetch: expected at least 1, got ", prefetch);
    queue_.resize(static_cast<std::size_t>(prefetch));
    // More than there are batches to make would have nothing to do.
    const int threads = static_cast<int>(std::min<std::int64_t>(
        automatic_ ? num_threads() : workers, std::max<std::int64_t>(batches, 1)));
    try {
      for (int i = 0; i < threads; ++i)
        workers_.emplace_back([this, i](const std::stop_token& stop) { work(i, stop); });
    } catch (const std::system_error&) {
      // The system grants no more: those that there are make the batches, or next() does.
    }
    const std::lock_guard lock(mutex_);
    active_ = std::min(static_cast<int>(workers_.size()), automatic_ ? 1 : threads);
  }
  /// Stops the workers after the image at hand.
  ~BatchQueue() {
    for (std::jthread& worker : workers_) worker.request_stop();
  }
  BatchQueue(const BatchQueue&) = delete;
  BatchQueue& operator=(const BatchQueue&) = delete;

  const BatchSource<Batch>& source() const { return *source_; }
  std::int64_t batches() const { return batches_; }

  /// See Loader::start_epoch.
  void start_epoch(std::int64_t epoch, std::int64_t first) {
    const std::lock_guard turn(taking_);
    begin(epoch, first);
  }

  /// See Loader::next.
  std::optional<Batch> next() {
    const std::lock_guard turn(taking_);
    if (!order_) begin(0, 0);  // set by whose turn it is alone
    return take();
  }

  LoaderPosition position() const {
    const std::lock_guard lock(mutex_);
    return {epoch_, taken_};
  }
  /// Threads that make batches now; of automatic_workers that grows.
  int workers() const {
    const std::lock_guard lock(mutex_);
    return active_;
  }
  /// Seconds next() has waited since construction (with no workers: to make batches).
  double seconds_waited() const {
    const std::lock_guard lock(mutex_);
    return seconds_waited_;
  }

 private:
  void begin(std::int64_t epoch, std::int64_t first) {
    check(epoch >= 0, "loader: epoch: expected at least 0, got ", epoch);
    check(first >= 0 && first <= batches_, "loader: first batch: expected 0 to ", batches_,
          ", got ", first);
    auto order = std::make_shared<const Order>(source_->order(epoch));
    std::vector<Slot> dropped(queue_.size());
    {
      const std::lock_guard lock(mutex_);
      order_ = std::move(order);
      epoch_ = epoch;
      entered_ = taken_ = made_ = first;
      ++starts_;
      queue_.swap(dropped);
    }
    room_.notify_all();
  }

  std::optional<Batch> take() {
    std::unique_lock lock(mutex_);
    if (taken_ == batches_) return std::nullopt;
    Slot& slot = slot_of(taken_);
    const auto begin = std::chrono::steady_clock::now();
    if (workers_.empty())
      slot = fill(*order_, epoch_, taken_, {});
    else
      ready_.wait(lock, [&] { return slot.ready(); });
    const double waited =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    seconds_waited_ += waited;
    // The first batch of an epoch is always waited for. Below a millisecond it is chance.
    if (automatic_ && taken_ > entered_ && waited > 1e-3)
      active_ = std::min(active_ + 1, static_cast<int>(workers_.size()));
    if (slot.error) std::rethrow_exception(slot.error);
    std::optional<Batch> batch = std::exchange(slot, {}).batch;
    ++taken_;
    if (workers_.empty()) made_ = taken_;
    lock.unlock();
    room_.notify_all();  // one of them may have been given leave to work just now
    return batch;
  }

  /// A batch, the error that came instead, or neither while it is being made.
  struct Slot {
    std::optional<Batch> batch;
    std::exception_ptr error;
    bool ready() const { return batch || error; }
  };
  Slot& slot_of(std::int64_t batch) {
    return queue_[static_cast<std::size_t>(batch) % queue_.size()];
  }

  Slot fill(const Order& from, std::int64_t epoch, std::int64_t batch,
            const std::stop_token& stop) const {
    Slot out;
    try {
      out.batch = source_->make(from, epoch, batch, stop);
    } catch (...) {
      out.error = std::current_exception();
    }
    return out;
  }

  void work(int worker, const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    const auto has_room = [&] {
      return worker < active_ && order_ && made_ < batches_ &&
             made_ - taken_ < static_cast<std::int64_t>(queue_.size());
    };
    while (room_.wait(lock, stop, has_room) && !stop.stop_requested()) {
      const std::shared_ptr<const Order> from = order_;
      const std::int64_t epoch = epoch_, batch = made_++;
      const std::uint64_t start = starts_;
      lock.unlock();
      Slot filled = fill(*from, epoch, batch, stop);
      lock.lock();
      if (start != starts_) continue;
      slot_of(batch) = std::move(filled);
      ready_.notify_all();
    }
  }

  const std::unique_ptr<const BatchSource<Batch>> source_;
  const std::int64_t batches_;
  const bool automatic_;

  std::mutex taking_;  // of those that take batches, in turns
  mutable std::mutex mutex_;
  std::condition_variable_any room_, ready_;
  // Guarded by the mutex. Batches [taken, made) are being made or wait in the queue, batch b in
  // place b % prefetch; `made` never runs more than `prefetch` ahead.
  std::shared_ptr<const Order> order_;  // nothing before the first epoch
  std::int64_t epoch_ = 0, entered_ = 0, taken_ = 0, made_ = 0;
  std::uint64_t starts_ = 0;  // tells a worker that the epoch it works for is gone
  std::vector<Slot> queue_;
  double seconds_waited_ = 0;
  int active_ = 0;  // workers that may work

  std::vector<std::jthread> workers_;  // last, so that they end before what they use
};

}  // namespace exciton::data
