#include "exciton/data/loader.hpp"

#include <algorithm>
#include <numeric>
#include <typeinfo>
#include <utility>

#include "exciton/data/batch_queue.hpp"

namespace exciton::data {
namespace {

Order order_of(const Dataset& set, const LoaderOptions& options, std::int64_t epoch) {
  const std::int64_t size = set.size();
  if (!options.shuffle) {
    Order order(static_cast<std::size_t>(size));
    std::iota(order.begin(), order.end(), 0);
    return order;
  }
  Generator rng(options.seed, loader_stream(true, epoch, 0));
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

}  // namespace

struct Loader::State final : BatchSource<Batch> {
  State(std::shared_ptr<const Dataset> data, const Augment& augment, const LoaderOptions& o)
      : dataset(std::move(data)), augmenter(augment, dataset->channels()), options(o) {}

  const std::shared_ptr<const Dataset> dataset;
  const Augmenter augmenter;
  const LoaderOptions options;

  Order order(std::int64_t epoch) const override { return order_of(*dataset, options, epoch); }

  Batch make(const Order& from, std::int64_t at_epoch, std::int64_t batch,
             const std::stop_token& stop) const override {
    announce(from, batch);
    return options.dtype == DType::bf16 ? make_as<bf16>(from, at_epoch, batch, stop)
                                        : make_as<float>(from, at_epoch, batch, stop);
  }

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
      // What is an error of a kind of its own keeps it.
      if (!options.skip_errors && typeid(error) != typeid(Error)) throw;
      check(options.skip_errors, error.what(),
            "; data.on_error \"skip\" leaves out images that cannot be read");
      out.skipped.emplace_back(error.what());
      return false;
    }
  }

  /// Of an alternating flip: whether the image is mirrored in this epoch.
  std::optional<bool> mirrored(std::int64_t index, std::int64_t epoch) const {
    if (!augmenter.alternates()) return {};
    Generator rng(options.seed, loader_stream(false, no_epoch, index));
    return (rng.uniform() < 0.5f) != (epoch % 2 == 1);
  }

  template <class T>
  Batch make_as(const Order& from, std::int64_t at_epoch, std::int64_t batch,
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
      Generator rng(options.seed, loader_stream(false, at_epoch, options.balanced ? i : index));
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
      augmenter(image, rng, out.images.data<T>() + kept++ * values, mirrored(index, at_epoch));
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
    Generator rng(options.seed, loader_stream(true, at_epoch, batch + 1));
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
};

Loader::Loader(std::shared_ptr<const Dataset> dataset, Augment augment, LoaderOptions options) {
  check(dataset != nullptr, "loader: no data set");
  check(options.batch >= 1, "loader: batch: expected at least 1, got ", options.batch);
  check(options.shuffle_block >= 0, "loader: shuffle_block: expected at least 0, got ",
        options.shuffle_block);
  check(!options.balanced || (options.shuffle && options.shuffle_block == 0),
        "loader: balanced classes come in a random order, not in blocks; set data.shuffle_block to "
        "0");
  check(options.ranks >= 1 && options.rank >= 0 && options.rank < options.ranks, "loader: rank ",
        options.rank, " of ", options.ranks);
  check(options.dtype == DType::f32 || options.dtype == DType::bf16,
        "loader: images are f32 or bf16, not ", options.dtype);
  const std::int64_t size = dataset->size();
  const std::int64_t batches = batches_of(size, options);
  check(batches >= 1, "loader: ", dataset->description(), " has ", size,
        size == 1 ? " image" : " images", ", less than one batch of ", options.batch,
        options.drop_last && size > 1
            ? "; use a smaller data.batch, or data.last_batch \"train\" to train on what there is"
            : "; batch norm needs two or more, or data.batch 1");
  queue_ = std::make_unique<BatchQueue<Batch>>(
      std::make_unique<State>(std::move(dataset), augment, options), batches, options.workers,
      options.prefetch);
}

Loader::Loader(Loader&&) noexcept = default;
Loader::~Loader() = default;

std::int64_t Loader::batches() const { return queue_->batches(); }

std::int64_t Loader::left_out() const {
  const auto& s = static_cast<const State&>(queue_->source());
  return std::max<std::int64_t>(0, s.dataset->size() - batches() * s.options.batch);
}

void Loader::start_epoch(std::int64_t epoch, std::int64_t first) {
  queue_->start_epoch(epoch, first);
}

std::optional<Batch> Loader::next() { return queue_->next(); }
Loader::Position Loader::position() const { return queue_->position(); }
int Loader::workers() const { return queue_->workers(); }
double Loader::seconds_waited() const { return queue_->seconds_waited(); }

}  // namespace exciton::data
