/// The prefetching loader. Batches are a pure function of (seed, epoch, batch index): worker
/// threads change when a batch is made, never what is in it.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "exciton/core/tensor.hpp"
#include "exciton/data/augment.hpp"
#include "exciton/data/dataset.hpp"
#include "exciton/data/order.hpp"

namespace exciton::data {

struct Batch {
  Tensor images;                      ///< [N, H, W, C], f32 or bf16, normalised
  Tensor labels;                      ///< [N], i64
  std::vector<std::int64_t> indices;  ///< which images of the data set
  Mixing mixing;                      ///< how labels go together, when images were mixed
  std::int64_t label_after = -1;      ///< of the image with which the last was mixed; -1: the first
  std::vector<std::string> skipped;   ///< why images are missing, with their paths (skip_errors)
};

template <class Batch>
class BatchQueue;  // data/batch_queue.hpp

struct LoaderOptions {
  std::int64_t batch = 128;
  bool shuffle = true;             ///< a fresh permutation each epoch, drawn from (seed, epoch)
  std::int64_t shuffle_block = 0;  ///< images that stay near one another in it; 0: none. See
                                   ///< data/order.hpp
  /// As many images an epoch as there are, but every class as often as the others, see
  /// data/order.hpp; an image may come several times, each time with another augmentation.
  bool balanced = false;
  bool drop_last = true;     ///< leave out an incomplete last batch
  bool drop_single = false;  ///< leave it out when it is one image, of which batch norm can
                             ///< take no statistics; batches of 1 are as they were asked for
  int workers = 1;           ///< threads that prepare batches ahead; 0: in next() itself; or
                             ///< automatic_workers
  int prefetch = 4;          ///< batches kept ready (bounded queue)
  std::uint64_t seed = 1;
  DType dtype = DType::f32;  ///< of the images: f32 or bf16
  /// Of each batch the images [rank count / ranks, (rank + 1) count / ranks): for one of several
  /// processes that share batches. Their order, augmentation and mixing are those of the batch. A
  /// rank may have no image of a small one: `images` is empty then.
  int rank = 0, ranks = 1;
  bool skip_errors = false;  ///< leave images out that cannot be read, and say so in the batch; a
                             ///< batch of such images alone is an error all the same
};

class Loader {
 public:
  /// The augmentation is applied per image with random numbers drawn from (seed, epoch, index), and
  /// batches are mixed with numbers drawn from (seed, epoch, batch).
  /// Errors: an option out of range, no images, fewer images than one batch with drop_last, one
  /// image with drop_single.
  Loader(std::shared_ptr<const Dataset> dataset, Augment augment, LoaderOptions options);
  /// Stops the workers after the image at hand.
  ~Loader();
  Loader(Loader&&) noexcept;
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  /// Batches in one epoch.
  std::int64_t batches() const;
  /// Images that no batch of an epoch has: 0 without drop_last and drop_single.
  std::int64_t left_out() const;
  /// Begins (or re-enters, for a resume) epoch `epoch` at batch `first`, 0 to batches(). Drops what
  /// was prefetched. A new loader is before epoch 0, and begins it when next() comes first.
  void start_epoch(std::int64_t epoch, std::int64_t first = 0);
  /// The next batch in order, or nothing at the end of the epoch. What a worker threw while making
  /// this batch is thrown here, each time until start_epoch moves elsewhere.
  /// Threads that call it at once are served in turns, each with another batch.
  /// Errors: an image that cannot be read, images of different sizes in one batch.
  std::optional<Batch> next();
  /// Where the next batch comes from; with the seed in the recipe this is the loader's whole state.
  using Position = LoaderPosition;
  Position position() const;
  /// Threads that prepare batches now; of automatic_workers that grows.
  int workers() const;
  /// Seconds next() has waited for batches since construction (with no workers: to make them).
  double seconds_waited() const;

 private:
  struct State;
  std::unique_ptr<BatchQueue<Batch>> queue_;
};

}  // namespace exciton::data
