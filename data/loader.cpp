#include "exciton/data/loader.hpp"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <numeric>
#include <stop_token>
#include <thread>
#include <utility>

#include "exciton/core/threads.hpp"
#include "exciton/data/order.hpp"

namespace exciton::data {
namespace {

using Order = std::vector<std::int64_t>;  // image indices in the order of one epoch

/// Streams of the loader have the highest bit set, which leaves the others to the rest of the
/// program: 1, then 0 for an image or 1 for a batch, 22 bits of epoch, 40 bits of index. The
/// permutation of an epoch has the place of a batch before the first.
std::uint64_t stream_of(bool of_batch, std::int64_t epoch, std::int64_t index) {
  return std::uint64_t{1} << 63 | std::uint64_t{of_batch} << 62 |
         (static_cast<std::uint64_t>(epoch) & 0x3fffff) << 40 | static_cast<std::uint64_t>(index);
}

Order order_of(const Dataset& set, const LoaderOptions& options, std::int64_t epoch) {
  const std::int64_t size = set.size();
  if (!options.shuffle) {
    Order order(static_cast<std::size_t>(size));
    std::iota(order.begin(), order.end(), 0);
    return order;
  }
  Generator rng(options.seed, stream_of(true, epoch, 0));
  if (options.balanced) {
    std::vector<Order> images_of_class(static_cast<std::size_t>(set.classes()));
    for (std::int64_t i = 0; i < size; ++i)
      images_of_class[static_cast<std::size_t>(set.label(i))].push_back(i);
    return balanced(images_of_class, size, rng);
  }
  return shuffled(size, options.shuffle_block, rng);
}

std::int64_t batches_of(std::int64_t size, const LoaderOptions& options) {
  const std::int64_t rest = size % options.batch;
  const bool short_one = rest > 0 && !options.drop_last && !(options.drop_single && rest == 1);
  return size / options.batch + (short_one ? 1 : 0);
}

template <class T>
Tensor first_images(const Tensor& images, std::int64_t count) {
  const Shape& shape = images.shape();
  Tensor out({count, shape[1], shape[2], shape[3]}, images.dtype());
  std::copy_n(images.data<T>(), out.numel(), out.data<T>());
  return out;
}

/// A batch, the error that came instead, or neither while it is being made.
struct Slot {
  std::optional<Batch> batch;
  std::exception_ptr error;
  bool ready() const { return batch || error; }
};

}  // namespace

struct Loader::State {
  State(std::shared_ptr<const Dataset> data, const Augment& augment, const LoaderOptions& o,
        std::int64_t count)
      : dataset(std::move(data)),
        augmenter(augment, dataset->channels()),
        options(o),
        batches(count),
        queue(static_cast<std::size_t>(o.prefetch)) {}

  const std::shared_ptr<const Dataset> dataset;
  const Augmenter augmenter;
  const LoaderOptions options;
  const std::int64_t batches;

  mutable std::mutex mutex;
  std::condition_variable_any room, ready;
  // Guarded by the mutex. Batches [taken, made) are being made or wait in `queue`, batch b in place
  // b % prefetch; `made` never runs more than `prefetch` ahead.
  std::shared_ptr<const Order> order;  // nothing before the first epoch
  std::int64_t epoch = 0, entered = 0, taken = 0, made = 0;
  std::uint64_t starts = 0;  // tells a worker that the epoch it works for is gone
  std::vector<Slot> queue;
  double seconds_waited = 0;
  int active = 0;  // workers that may work

  std::vector<std::jthread> workers;  // last, so that they end before what they use

  Slot& slot(std::int64_t batch) { return queue[static_cast<std::size_t>(batch) % queue.size()]; }

  /// False: the image cannot be read, and was left out.
  bool read(std::int64_t index, Generator& rng, Image& image, Batch& out) const {
    try {
      const auto frame = [&](Size size) { return augmenter.frame(size, rng); };
      if (augmenter.resizes())
        dataset->read_view(index, frame, image);
      else
        dataset->read(index, image);
      return true;
    } catch (const Error& error) {
      if (!options.skip_errors) throw;
      out.skipped.emplace_back(error.what());
      return false;
    }
  }

  template <class T>
  Batch make(const Order& from, std::int64_t at_epoch, std::int64_t batch,
             const std::stop_token& stop) const {
    const std::int64_t first = batch * options.batch;
    const std::int64_t count =
        std::min(options.batch, static_cast<std::int64_t>(from.size()) - first);
    const std::int64_t begin = options.rank * count / options.ranks,
                       end = (options.rank + 1) * count / options.ranks;
    Batch out;
    if (begin == end) return out;
    // The last image is mixed with the one behind it, which may be another rank's.
    const bool borrows = augmenter.mixes() && end - begin < count;
    const std::int64_t places = end - begin + (borrows ? 1 : 0);
    Image image;
    std::int64_t kept = 0, values = 0;
    std::vector<std::int64_t> labels;
    const auto take = [&](std::int64_t place) {
      const std::int64_t i = first + place, index = from[static_cast<std::size_t>(i)];
      // By the image; by the place where an image may come several times.
      Generator rng(options.seed, stream_of(false, at_epoch, options.balanced ? i : index));
      if (!read(index, rng, image, out)) return false;
      if (kept == 0) {
        out.images = Tensor({places, image.height, image.width, image.channels}, dtype_of<T>);
        values = image.height * image.width * image.channels;
      }
      const Shape& shape = out.images.shape();
      check(image.height == shape[1] && image.width == shape[2] && image.channels == shape[3],
            "loader: ", dataset->name(index), " is [", image.height, ", ", image.width, ", ",
            image.channels, "], others of its batch ", shape,
            "; set data.image_size to resize the images to one size");
      augmenter(image, rng, out.images.data<T>() + kept++ * values);
      labels.push_back(dataset->label(index));
      out.indices.push_back(index);
      return true;
    };
    for (std::int64_t place = begin; place < end && !stop.stop_requested(); ++place) take(place);
    if (stop.stop_requested()) return out;  // nobody will see it
    if (kept == 0 && options.ranks > 1) {
      out.images = {};
      return out;
    }
    check(kept > 0, "loader: not one image of a batch can be read; the first: ",
          out.skipped.empty() ? "" : out.skipped.front());
    const std::int64_t own = kept;
    if (borrows) {
      // The rank that has it says so if it cannot be read.
      const std::size_t said = out.skipped.size();
      for (std::int64_t at = end; at < begin + count && kept == own; ++at) take(at % count);
      out.skipped.resize(said);
    }
    if (kept < places) out.images = first_images<T>(out.images, kept);
    Generator rng(options.seed, stream_of(true, at_epoch, batch + 1));
    out.mixing = augmenter.mix(out.images, rng);
    out.label_after = kept > own ? labels.back() : labels.front();
    if (kept > own) out.images = first_images<T>(out.images, own);
    out.indices.resize(static_cast<std::size_t>(own));
    out.labels = Tensor({own}, DType::i64);
    std::copy_n(labels.begin(), own, out.labels.data<std::int64_t>());
    return out;
  }

  /// With blocks, what is mixed together is announced as the images before it begin to be read, in
  /// the order in which it lies on the disk.
  void announce(const Order& from, std::int64_t batch) const {
    if (!options.shuffle || options.shuffle_block == 0) return;
    const auto size = static_cast<std::int64_t>(from.size());
    const std::int64_t mixed = options.shuffle_block * blocks_mixed, first = batch * options.batch;
    const auto announce_from = [&](std::int64_t begin) {
      if (begin >= size) return;
      Order soon(from.begin() + begin, from.begin() + std::min(begin + mixed, size));
      std::sort(soon.begin(), soon.end());
      for (const std::int64_t index : soon) dataset->prefetch(index);
    };
    if (first == 0) announce_from(0);
    for (std::int64_t at = (first + mixed - 1) / mixed * mixed; at < first + options.batch;
         at += mixed)
      announce_from(at + mixed);
  }

  Slot fill(const Order& from, std::int64_t at_epoch, std::int64_t batch,
            const std::stop_token& stop = {}) const {
    Slot out;
    try {
      announce(from, batch);
      out.batch = options.dtype == DType::bf16 ? make<bf16>(from, at_epoch, batch, stop)
                                               : make<float>(from, at_epoch, batch, stop);
    } catch (...) {
      out.error = std::current_exception();
    }
    return out;
  }

  void work(int worker, const std::stop_token& stop) {
    std::unique_lock lock(mutex);
    const auto has_room = [&] {
      return worker < active && order && made < batches &&
             made - taken < static_cast<std::int64_t>(queue.size());
    };
    while (room.wait(lock, stop, has_room) && !stop.stop_requested()) {
      const std::shared_ptr<const Order> from = order;
      const std::int64_t at_epoch = epoch, batch = made++;
      const std::uint64_t start = starts;
      lock.unlock();
      Slot filled = fill(*from, at_epoch, batch, stop);
      lock.lock();
      if (start != starts) continue;
      slot(batch) = std::move(filled);
      ready.notify_all();
    }
  }
};

Loader::Loader(std::shared_ptr<const Dataset> dataset, Augment augment, LoaderOptions options) {
  check(dataset != nullptr, "loader: no data set");
  check(options.batch >= 1, "loader: batch: expected at least 1, got ", options.batch);
  check(options.workers >= 0 || options.workers == automatic_workers,
        "loader: workers: expected at least 0, got ", options.workers);
  check(options.shuffle_block >= 0, "loader: shuffle_block: expected at least 0, got ",
        options.shuffle_block);
  check(!options.balanced || (options.shuffle && options.shuffle_block == 0),
        "loader: balanced classes come in a random order, not in blocks; set data.shuffle_block to "
        "0");
  check(options.ranks >= 1 && options.rank >= 0 && options.rank < options.ranks, "loader: rank ",
        options.rank, " of ", options.ranks);
  check(options.prefetch >= 1, "loader: prefetch: expected at least 1, got ", options.prefetch);
  check(options.dtype == DType::f32 || options.dtype == DType::bf16,
        "loader: images are f32 or bf16, not ", options.dtype);
  const std::int64_t size = dataset->size();
  const std::int64_t batches = batches_of(size, options);
  check(batches >= 1, "loader: ", dataset->description(), " has ", size,
        size == 1 ? " image" : " images", ", less than one batch of ", options.batch,
        options.drop_last && size > 1
            ? "; use a smaller data.batch, or data.last_batch \"train\" to train on what there is"
            : "; batch norm needs two or more, or data.batch 1");
  state_ = std::make_unique<State>(std::move(dataset), augment, options, batches);
  const bool automatic = options.workers == automatic_workers;
  const int workers = automatic ? num_threads() : options.workers;
  state_->active = automatic ? 1 : workers;
  for (int i = 0; i < workers; ++i)
    state_->workers.emplace_back(
        [state = state_.get(), i](const std::stop_token& stop) { state->work(i, stop); });
}

Loader::Loader(Loader&&) noexcept = default;

Loader::~Loader() {
  if (!state_) return;  // moved from
  for (std::jthread& worker : state_->workers) worker.request_stop();
}

std::int64_t Loader::batches() const { return state_->batches; }

std::int64_t Loader::left_out() const {
  const State& s = *state_;
  return std::max<std::int64_t>(0, s.dataset->size() - s.batches * s.options.batch);
}

void Loader::start_epoch(std::int64_t epoch, std::int64_t first) {
  State& s = *state_;
  check(epoch >= 0, "loader: epoch: expected at least 0, got ", epoch);
  check(first >= 0 && first <= s.batches, "loader: first batch: expected 0 to ", s.batches,
        ", got ", first);
  auto order = std::make_shared<const Order>(order_of(*s.dataset, s.options, epoch));
  std::vector<Slot> dropped(s.queue.size());
  {
    const std::lock_guard lock(s.mutex);
    s.order = std::move(order);
    s.epoch = epoch;
    s.entered = s.taken = s.made = first;
    ++s.starts;
    s.queue.swap(dropped);
  }
  s.room.notify_all();
}

std::optional<Batch> Loader::next() {
  State& s = *state_;
  if (!s.order) start_epoch(0);  // only this thread ever sets it
  std::unique_lock lock(s.mutex);
  if (s.taken == s.batches) return std::nullopt;
  Slot& slot = s.slot(s.taken);
  const auto begin = std::chrono::steady_clock::now();
  if (s.workers.empty())
    slot = s.fill(*s.order, s.epoch, s.taken);
  else
    s.ready.wait(lock, [&] { return slot.ready(); });
  const double waited =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  s.seconds_waited += waited;
  // The first batch of an epoch is always waited for. Below a millisecond it is chance.
  if (s.options.workers == automatic_workers && s.taken > s.entered && waited > 1e-3)
    s.active = std::min(s.active + 1, static_cast<int>(s.workers.size()));
  if (slot.error) std::rethrow_exception(slot.error);
  std::optional<Batch> batch = std::exchange(slot, {}).batch;
  ++s.taken;
  if (s.workers.empty()) s.made = s.taken;
  lock.unlock();
  s.room.notify_all();  // one of them may have been given leave to work just now
  return batch;
}

Loader::Position Loader::position() const {
  const std::lock_guard lock(state_->mutex);
  return {state_->epoch, state_->taken};
}

int Loader::workers() const {
  const std::lock_guard lock(state_->mutex);
  return state_->active;
}

double Loader::seconds_waited() const {
  const std::lock_guard lock(state_->mutex);
  return state_->seconds_waited;
}

}  // namespace exciton::data
