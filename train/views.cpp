#include "exciton/train/views.hpp"

#include <algorithm>
#include <cmath>

#include "exciton/core/error.hpp"
#include "exciton/data/files.hpp"
#include "exciton/data/resize.hpp"
#include "exciton/train/remedy.hpp"

namespace exciton::train {
namespace {

/// The square of side `crop` whose corner is at (top, left) once `image` has the size `resized`.
data::Image square(const data::Image& image, data::Size resized, std::int64_t top,
                   std::int64_t left, std::int64_t crop) {
  const double down = static_cast<double>(image.height) / static_cast<double>(resized.height);
  const double across = static_cast<double>(image.width) / static_cast<double>(resized.width);
  const auto side = static_cast<double>(crop);
  return data::resize(image,
                      {static_cast<double>(left) * across, static_cast<double>(top) * down,
                       side * across, side * down},
                      crop, crop);
}

data::Image mirrored(const data::Image& image) {
  data::Image out = image;
  const std::int64_t c = image.channels;
  for (std::int64_t y = 0; y < image.height; ++y)
    for (std::int64_t x = 0; x < image.width; ++x) {
      const auto from = image.pixels.begin() + (y * image.width + image.width - 1 - x) * c;
      std::copy(from, from + c, out.pixels.begin() + (y * image.width + x) * c);
    }
  return out;
}

/// The image moved down and right by so many pixels, its reflection coming in.
data::Image moved(const data::Image& image, std::int64_t by) {
  data::Image out = image;
  const std::int64_t h = image.height, w = image.width, c = image.channels;
  const auto from = [by](std::int64_t i, std::int64_t n) {
    const std::int64_t at = std::abs(i - by);
    return at < n ? at : 2 * (n - 1) - at;
  };
  for (std::int64_t y = 0; y < h; ++y)
    for (std::int64_t x = 0; x < w; ++x)
      std::copy_n(image.pixels.begin() + (from(y, h) * w + from(x, w)) * c, c,
                  out.pixels.begin() + (y * w + x) * c);
  return out;
}

/// Each square and what is made of it.
std::vector<data::Image> with_variants(std::vector<data::Image> squares, const ViewSpec& spec) {
  if (!spec.mirror) return squares;
  check(spec.translate < std::max<std::int64_t>(1, spec.crop), "eval: squares of ", spec.crop,
        " pixels cannot be moved by ", spec.translate);
  std::vector<data::Image> out;
  for (const data::Image& square : squares) {
    const auto both = [&](const data::Image& image) {
      out.push_back(image);
      out.push_back(mirrored(image));
    };
    both(square);
    if (spec.translate == 0) continue;
    both(moved(square, spec.translate));
    both(moved(square, -spec.translate));
  }
  return out;
}

/// What a view counts among those of its square.
double weight_of_view(const ViewSpec& spec, std::int64_t view) {
  if (spec.each() < 6) return 1.0 / static_cast<double>(spec.each());
  return view % 6 < 2 ? 0.25 : 0.125;
}

struct ImageBatch {
  std::vector<data::Image> images;
  Tensor labels;                      ///< [n]
  std::vector<std::int64_t> indices;  ///< of the set
  std::vector<std::string> skipped;   ///< why images are missing
};

/// Images begin to end of the set, without those that cannot be read where they are to be skipped.
ImageBatch read_batch(const data::Dataset& set, std::int64_t begin, std::int64_t end,
                      bool skip_errors) {
  std::vector<data::Image> images(static_cast<std::size_t>(end - begin));
  std::vector<std::string> reasons(images.size());
  data::for_each_index(end - begin, [&](std::int64_t i) {
    data::Image& image = images[static_cast<std::size_t>(i)];
    try {
      set.read(begin + i, image);
    } catch (const Error& error) {
      if (!skip_errors) throw;
      image = {};
      reasons[static_cast<std::size_t>(i)] = error.what();
    }
  });
  std::vector<std::int64_t> labels, indices;
  for (std::int64_t i = 0; i < std::ssize(images); ++i)
    if (!images[static_cast<std::size_t>(i)].pixels.empty()) {
      indices.push_back(begin + i);
      labels.push_back(set.label(begin + i));
    }
  std::erase_if(images, [](const data::Image& image) { return image.pixels.empty(); });
  std::erase_if(reasons, [](const std::string& reason) { return reason.empty(); });
  Tensor out({static_cast<std::int64_t>(labels.size())}, DType::i64);
  std::copy(labels.begin(), labels.end(), out.data<std::int64_t>());
  return {std::move(images), std::move(out), std::move(indices), std::move(reasons)};
}

/// A batch of images as the inputs of one member: a tensor [n, crop, crop, channels] a view.
std::vector<Tensor> inputs_of(const Member& member, const std::vector<data::Image>& images) {
  const std::int64_t side = member.views.crop, channels = images.front().channels;
  const auto n = static_cast<std::int64_t>(images.size());
  std::vector<Tensor> inputs;
  for (std::int64_t v = 0; v < member.views.count(); ++v)
    inputs.emplace_back(Shape{n, side, side, channels}, member.dtype);
  const data::Augmenter normalize(member.normalization, channels);
  const auto write = [&]<class T>(T, std::int64_t i) {
    Generator unused;
    const std::vector<data::Image> made = views(images[static_cast<std::size_t>(i)], member.views);
    for (std::size_t v = 0; v < made.size(); ++v)
      normalize(made[v], unused, inputs[v].data<T>() + i * side * side * channels);
  };
  data::for_each_index(n, [&](std::int64_t i) {
    member.dtype == DType::bf16 ? write(bf16{}, i) : write(float{}, i);
  });
  return inputs;
}

/// Adds the softmax of each row of `logits` [n, classes] to `sums` [n classes].
void add_probabilities(const Tensor& logits, std::vector<double>& sums) {
  const Tensor values = logits.to(DType::f32);
  const std::int64_t c = values.dim(1);
  for (std::int64_t n = 0; n < values.dim(0); ++n) {
    const float* row = values.data<float>() + n * c;
    const double highest = *std::max_element(row, row + c);
    double total = 0;
    for (std::int64_t j = 0; j < c; ++j) total += std::exp(row[j] - highest);
    for (std::int64_t j = 0; j < c; ++j)
      sums[static_cast<std::size_t>(n * c + j)] += std::exp(row[j] - highest) / total;
  }
}

}  // namespace

std::vector<data::Image> views(const data::Image& image, const ViewSpec& spec) {
  const data::Size own{image.height, image.width};
  std::vector<data::Size> sizes;
  for (const std::int64_t scale : spec.scales) sizes.push_back(data::with_shorter_side(own, scale));
  if (sizes.empty()) sizes.push_back(own);
  std::vector<data::Image> out;
  for (const data::Size& size : sizes) {
    const std::int64_t bottom = size.height - spec.crop, right = size.width - spec.crop;
    check_or(Remedy::larger_images, spec.crop >= 1 && bottom >= 0 && right >= 0, "eval: a crop of ",
             spec.crop, " x ", spec.crop, " from an image of ", size.height, " x ", size.width);
    const auto cut = [&](std::int64_t top, std::int64_t left) {
      out.push_back(square(image, size, top, left, spec.crop));
    };
    if (spec.ten)
      for (const std::int64_t top : {std::int64_t{0}, bottom})
        for (const std::int64_t left : {std::int64_t{0}, right}) cut(top, left);
    cut(bottom / 2, right / 2);
    if (spec.ten)
      for (int i = 0; i < 5; ++i) out.push_back(mirrored(out[out.size() - 5]));
  }
  return with_variants(std::move(out), spec);
}

Evaluation evaluate_views(const std::vector<Member>& members, const data::Dataset& set,
                          const ViewsOptions& options,
                          const std::function<void(std::int64_t)>& each, const EachImage& image) {
  check(!members.empty() && options.batch >= 1, "eval: expected a model and a batch of 1 or more");
  for (const Member& member : members)
    check(member.views.translate >= 0 && (member.views.mirror || member.views.translate == 0),
          "eval: views that are moved are mirrored, too; set mirror");
  const std::int64_t classes = set.classes();
  double votes = 0;
  for (const Member& member : members) votes += static_cast<double>(member.views.squares());
  Evaluation result(classes);
  for (std::int64_t begin = 0; begin < set.size(); begin += options.batch) {
    const std::int64_t end = std::min(begin + options.batch, set.size());
    const auto [images, labels, indices, skipped] =
        read_batch(set, begin, end, options.skip_errors);
    const auto n = static_cast<std::int64_t>(images.size());
    result.skip(skipped);
    if (n == 0) continue;
    std::vector<double> sums(static_cast<std::size_t>(n * classes));
    for (const Member& member : members) {
      std::int64_t view = 0;
      Tensor mean;  // of the logits of a square's views
      for (const Tensor& input : inputs_of(member, images)) {
        const Tensor logits = (*member.net)(input).value();
        check(logits.rank() == 2 && logits.dim(1) == classes, "eval: a model has ", logits.dim(-1),
              " classes, the data ", classes);
        if (member.views.each() == 1) {
          add_probabilities(logits, sums);
          continue;
        }
        if (view % member.views.each() == 0) mean = Tensor::zeros({n, classes});
        const Tensor values = logits.to(DType::f32);
        const auto weight = static_cast<float>(weight_of_view(member.views, view));
        for (std::int64_t i = 0; i < n * classes; ++i)
          mean.data<float>()[i] += weight * values.data<float>()[i];
        if (++view % member.views.each() == 0) add_probabilities(mean, sums);
      }
    }
    // The softmax of log p is p: Evaluation takes logits.
    Tensor logits({n, classes});
    for (std::size_t i = 0; i < sums.size(); ++i)
      logits.data<float>()[i] = static_cast<float>(std::log(sums[i] / votes));
    result.add(logits, labels);
    if (image) for_each_seen(logits, labels, indices, image);
    if (each) each(result.images());
  }
  return result;
}

}  // namespace exciton::train
