/// The prefetching loader of images with objects. As of data/loader.hpp, batches are a pure
/// function of (seed, epoch, batch index), whatever the number of workers.
#pragma once
#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "exciton/core/tensor.hpp"
#include "exciton/data/detection/set.hpp"
#include "exciton/data/order.hpp"

namespace exciton::data {

template <class Batch>
class BatchQueue;  // data/batch_queue.hpp

/// How images become input. The shorter side is resized to `min_size`, but the longer one to no
/// more than `max_size`; sizes are rounded down. Pixels are normalised,
///   y[h,w,c] = (x[h,w,c] / 255 - mean[c]) / std[c],
/// and a batch has the largest height and width of its images, rounded up to multiples of 32; what
/// lies right of an image and below it is 0.
struct DetectionTransform {
  std::int64_t min_size = 800, max_size = 1333;
  bool flip = false;  ///< mirror image and boxes left-right with probability 1/2
  std::array<float, 3> mean{0, 0, 0}, std{1, 1, 1};

  Size resized(Size size) const;
};

/// The side of which batches have multiples: what the coarsest level of a pyramid divides by.
inline constexpr std::int64_t padded_to = 32;

/// An object that trains, in pixels of the resized image.
struct LabelledBox {
  Box box;
  std::int64_t label = 0;
};

struct DetectionBatch {
  Tensor images;                                  ///< [N, H, W, 3] f32
  std::vector<Size> sizes;                        ///< of each image in it, without the padding
  std::vector<std::vector<LabelledBox>> objects;  ///< neither crowds nor boxes without area
  std::vector<std::int64_t> indices;              ///< which images of the set
  std::vector<std::string> skipped;               ///< why images are missing (skip_errors)
};

/// One image as it goes into a batch, before it is padded: [H, W, 3] f32.
Tensor detection_input(const Image& image, const DetectionTransform& transform,
                       bool mirrored = false);

/// Such images as a batch: with the largest height and width of them, rounded up.
Tensor padded_batch(const std::vector<Tensor>& images);

struct DetectionLoaderOptions {
  std::int64_t batch = 2;
  bool shuffle = true;
  std::int64_t shuffle_block = 0;  ///< see data/order.hpp
  int workers = 1;                 ///< 0: in next() itself; or automatic_workers
  int prefetch = 4;
  std::uint64_t seed = 1;
  bool skip_errors = false;  ///< leave out images that cannot be read, and say so in the batch
};

class DetectionLoader {
 public:
  /// Errors: an option out of range, no images, a deviation that is not positive.
  DetectionLoader(std::shared_ptr<const DetectionSet> set, const DetectionTransform& transform,
                  const DetectionLoaderOptions& options);
  ~DetectionLoader();
  DetectionLoader(DetectionLoader&&) noexcept;
  DetectionLoader(const DetectionLoader&) = delete;

  /// Batches in one epoch; the last one may be smaller.
  std::int64_t batches() const;
  /// As of Loader.
  void start_epoch(std::int64_t epoch, std::int64_t first = 0);
  std::optional<DetectionBatch> next();
  LoaderPosition position() const;
  int workers() const;
  double seconds_waited() const;

 private:
  struct State;
  std::unique_ptr<BatchQueue<DetectionBatch>> queue_;
};

}  // namespace exciton::data
