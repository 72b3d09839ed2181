#include "exciton/data/detection/loader.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "exciton/data/batch_queue.hpp"
#include "exciton/data/image.hpp"
#include "exciton/data/resize.hpp"

namespace exciton::data {

Size DetectionTransform::resized(Size size) const {
  const auto h = static_cast<double>(size.height), w = static_cast<double>(size.width);
  const double scale = std::min(static_cast<double>(min_size) / std::min(h, w),
                                static_cast<double>(max_size) / std::max(h, w));
  const auto side = [&](double x) {
    constexpr double rounding = 1e-6;  // a side that fits exactly stays so
    return std::max<std::int64_t>(1, static_cast<std::int64_t>(std::floor(x * scale + rounding)));
  };
  return {side(h), side(w)};
}

Tensor detection_input(const Image& image, const DetectionTransform& t, bool mirrored) {
  const Size size = t.resized({image.height, image.width});
  const Image resized_image = resize(image, size.height, size.width);
  std::array<std::array<float, 256>, 3> table{};
  for (std::size_t c = 0; c < 3; ++c)
    for (std::size_t v = 0; v < 256; ++v)
      table[c][v] = (static_cast<float>(v) / 255 - t.mean[c]) / t.std[c];
  Tensor out({size.height, size.width, 3});
  float* to = out.data<float>();
  const std::uint8_t* const pixels = resized_image.pixels.data();
  for (std::int64_t y = 0; y < size.height; ++y)
    for (std::int64_t x = 0; x < size.width; ++x) {
      const std::int64_t from = y * size.width + (mirrored ? size.width - 1 - x : x);
      for (std::size_t c = 0; c < 3; ++c)
        *to++ = table[c][pixels[3 * from + static_cast<std::int64_t>(c)]];
    }
  return out;
}

Tensor padded_batch(const std::vector<Tensor>& images) {
  std::int64_t height = 0, width = 0;
  for (const Tensor& image : images) {
    height = std::max(height, image.dim(0));
    width = std::max(width, image.dim(1));
  }
  const auto up = [](std::int64_t side) { return (side + padded_to - 1) / padded_to * padded_to; };
  Tensor out = Tensor::zeros({std::ssize(images), up(height), up(width), 3});
  float* to = out.data<float>();
  for (const Tensor& image : images) {
    const std::int64_t row = image.dim(1) * 3;
    for (std::int64_t y = 0; y < image.dim(0); ++y)
      std::copy_n(image.data<float>() + y * row, row, to + y * out.dim(2) * 3);
    to += out.dim(1) * out.dim(2) * 3;
  }
  return out;
}

struct DetectionLoader::State final : BatchSource<DetectionBatch> {
  State(std::shared_ptr<const DetectionSet> s, const DetectionTransform& t,
        const DetectionLoaderOptions& o)
      : set(std::move(s)), transform(t), options(o) {}

  const std::shared_ptr<const DetectionSet> set;
  const DetectionTransform transform;
  const DetectionLoaderOptions options;

  Order order(std::int64_t epoch) const override {
    if (!options.shuffle) {
      Order out(static_cast<std::size_t>(set->size()));
      std::iota(out.begin(), out.end(), 0);
      return out;
    }
    Generator rng(options.seed, loader_stream(true, epoch, 0));
    return shuffled(set->size(), options.shuffle_block, rng);
  }

  DetectionBatch make(const Order& order, std::int64_t epoch, std::int64_t batch,
                      const std::stop_token& stop) const override {
    const std::int64_t first = batch * options.batch;
    const std::int64_t end = std::min(first + options.batch, std::ssize(order));
    DetectionBatch out;
    std::vector<Tensor> images;
    for (std::int64_t i = first; i < end && !stop.stop_requested(); ++i)
      add(order[static_cast<std::size_t>(i)], epoch, images, out);
    if (stop.stop_requested()) return out;  // nobody will see it
    check(!images.empty(), "loader: not one image of a batch can be read; the first: ",
          out.skipped.empty() ? "" : out.skipped.front());
    out.images = padded_batch(images);
    return out;
  }

 private:
  void add(std::int64_t index, std::int64_t epoch, std::vector<Tensor>& images,
           DetectionBatch& out) const {
    Generator rng(options.seed, loader_stream(false, epoch, index));
    const bool mirrored = transform.flip && rng.uniform() < 0.5f;
    Image image;
    try {
      image = set->read(index);
    } catch (const Error& error) {
      check(options.skip_errors, error.what(),
            "; data.on_error \"skip\" leaves out images that cannot be read");
      out.skipped.emplace_back(error.what());
      return;
    }
    images.push_back(detection_input(image, transform, mirrored));
    const Size size{images.back().dim(0), images.back().dim(1)};
    out.sizes.push_back(size);
    out.indices.push_back(index);
    out.objects.push_back(objects_of(set->image(index), size, mirrored));
  }

  static std::vector<LabelledBox> objects_of(const CocoImage& image, Size size, bool mirrored) {
    const double right = static_cast<double>(size.width) / static_cast<double>(image.size.width);
    const double down = static_cast<double>(size.height) / static_cast<double>(image.size.height);
    std::vector<LabelledBox> out;
    for (const CocoObject& object : image.objects) {
      Box box = inside(object.box, image.size);
      if (object.crowd || box.width == 0) continue;
      box = {box.left * right, box.top * down, box.width * right, box.height * down};
      if (mirrored) box.left = static_cast<double>(size.width) - box.left - box.width;
      out.push_back({box, object.category});
    }
    return out;
  }
};

DetectionLoader::DetectionLoader(std::shared_ptr<const DetectionSet> set,
                                 const DetectionTransform& transform,
                                 const DetectionLoaderOptions& options) {
  check(set != nullptr && set->size() > 0, "loader: no images");
  check(options.batch >= 1 && options.shuffle_block >= 0,
        "loader: expected a batch of at least 1 and a shuffle_block of at least 0, got ",
        options.batch, " and ", options.shuffle_block);
  check(transform.min_size >= 1 && transform.max_size >= transform.min_size,
        "loader: expected a shorter side of at least 1 and a longer one of no less, got ",
        transform.min_size, " and ", transform.max_size);
  for (const float deviation : transform.std)
    check(deviation > 0, "loader: expected deviations above 0, got ", deviation);
  const std::int64_t batches = (set->size() + options.batch - 1) / options.batch;
  queue_ = std::make_unique<BatchQueue<DetectionBatch>>(
      std::make_unique<State>(std::move(set), transform, options), batches, options.workers,
      options.prefetch);
}

DetectionLoader::DetectionLoader(DetectionLoader&&) noexcept = default;
DetectionLoader::~DetectionLoader() = default;

std::int64_t DetectionLoader::batches() const { return queue_->batches(); }
void DetectionLoader::start_epoch(std::int64_t epoch, std::int64_t first) {
  queue_->start_epoch(epoch, first);
}
std::optional<DetectionBatch> DetectionLoader::next() { return queue_->next(); }
LoaderPosition DetectionLoader::position() const { return queue_->position(); }
int DetectionLoader::workers() const { return queue_->workers(); }
double DetectionLoader::seconds_waited() const { return queue_->seconds_waited(); }

}  // namespace exciton::data
