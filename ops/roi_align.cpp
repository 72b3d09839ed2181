#include "exciton/ops/roi_align.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "exciton/core/example.hpp"
#include "exciton/core/threads.hpp"

namespace exciton::ops {
namespace {

/// Which pixels the bins of a region read along one axis, and how much each counts. Bilinear
/// weights are products of those of the axes, so two lists say all.
struct Axis {
  struct Tap {
    std::int64_t pixel;
    double weight;
  };
  std::vector<Tap> taps;
  std::vector<std::size_t> begin;  ///< of each bin; one more at the end

  /// A region from `low` to `high` in pixels of a map that has `extent`.
  void fill(double low, double high, std::int64_t extent, std::int64_t bins, std::int64_t sampling,
            bool aligned) {
    const double size = aligned ? high - low : std::max(high - low, 1.0);
    const double bin = size / static_cast<double>(bins);
    const std::int64_t samples =
        sampling > 0 ? sampling : static_cast<std::int64_t>(std::ceil(bin));
    taps.clear();
    begin.clear();
    for (std::int64_t b = 0; b < bins; ++b) {
      begin.push_back(taps.size());
      for (std::int64_t s = 0; s < samples; ++s) {
        const double at = low + static_cast<double>(b) * bin +
                          (static_cast<double>(s) + 0.5) * bin / static_cast<double>(samples);
        add_sample(at, extent, 1 / static_cast<double>(samples));
      }
    }
    begin.push_back(taps.size());
  }
  std::span<const Tap> of(std::int64_t bin) const {
    const auto b = static_cast<std::size_t>(bin);
    return {taps.data() + begin[b], begin[b + 1] - begin[b]};
  }

 private:
  void add_sample(double at, std::int64_t extent, double share) {
    if (at < -1 || at > static_cast<double>(extent)) return;
    at = std::clamp(at, 0.0, static_cast<double>(extent - 1));
    const auto pixel = static_cast<std::int64_t>(at);
    const double beyond = at - static_cast<double>(pixel);
    add(pixel, (1 - beyond) * share);
    if (pixel + 1 < extent) add(pixel + 1, beyond * share);
  }
  /// Neighbouring samples of a bin often share a pixel.
  void add(std::int64_t pixel, double weight) {
    for (std::size_t i = taps.size(); i > begin.back(); --i)
      if (taps[i - 1].pixel == pixel) {
        taps[i - 1].weight += weight;
        return;
      }
    taps.push_back({pixel, weight});
  }
};

/// A region, read out of its row.
struct Region {
  std::int64_t image, level;
  double x1, y1, x2, y2;  ///< in pixels of the map
};

std::vector<Region> regions_of(const RoiAlign& op, std::size_t levels, std::int64_t images) {
  constexpr std::string_view name = RoiAlign::name;
  check(!op.rois.empty() && op.rois.rank() == 2 && op.rois.dim(1) == 5 &&
            (op.rois.dtype() == DType::f32 || op.rois.dtype() == DType::f64),
        name, ": rois must be [K, 5] f32 or f64, got ", Form::of(op.rois));
  const std::int64_t count = op.rois.dim(0);
  check(op.levels.empty() || Form::of(op.levels) == Form{{count}, DType::i64}, name,
        ": levels must be [", count, "] i64, got ", Form::of(op.levels));
  std::vector<Region> out;
  const Tensor rois = op.rois.to(DType::f64);
  for (std::int64_t k = 0; k < count; ++k) {
    const double* const row = rois.data<double>() + 5 * k;
    constexpr double most = 1 << 20;
    for (int i = 1; i < 5; ++i)
      check(std::abs(row[i]) <= most, name, ": region ", k, " has a corner at ", row[i],
            ", expected numbers up to ", most);
    const std::int64_t level = op.levels.empty() ? 0 : op.levels.data<std::int64_t>()[k];
    check(row[0] >= 0 && row[0] < static_cast<double>(images), name, ": region ", k,
          " is of image ", row[0], ", there are ", images);
    check(level >= 0 && level < static_cast<std::int64_t>(levels), name, ": region ", k,
          " is of level ", level, ", there are ", levels);
    const double scale = op.scales[static_cast<std::size_t>(level)], shift = op.aligned ? 0.5 : 0;
    out.push_back({static_cast<std::int64_t>(row[0]), level, row[1] * scale - shift,
                   row[2] * scale - shift, row[3] * scale - shift, row[4] * scale - shift});
  }
  return out;
}

/// Both axes of a region in a map of shape `x`.
struct Grid {
  Axis rows, columns;
  void fill(const RoiAlign& op, const Region& region, const Shape& x) {
    rows.fill(region.y1, region.y2, x[1], op.height, op.sampling, op.aligned);
    columns.fill(region.x1, region.x2, x[2], op.width, op.sampling, op.aligned);
  }
};

}  // namespace

Tensor RoiAlign::forward(Saved& saved, std::span<const Tensor> x) const {
  check(!x.empty() && x.size() == scales.size(), name, ": expected one map for each of ",
        scales.size(), " scales, got ", x.size());
  saved.x.clear();
  for (std::size_t l = 0; l < x.size(); ++l) {
    check_input(name, "map " + std::to_string(l), x[l]);
    check(x[l].rank() == 4 && x[l].dim(0) == x[0].dim(0) && x[l].dim(3) == x[0].dim(-1) &&
              x[l].dtype() == x[0].dtype(),
          name, ": map ", l, " is ", Form::of(x[l]),
          ", expected [N, H, W, C] with N, C and type of ", Form::of(x[0]));
    saved.x.push_back(Form::of(x[l]));
  }
  constexpr std::int64_t most = 1024;
  check(height >= 1 && width >= 1 && height <= most && width <= most && sampling >= 0 &&
            sampling <= most,
        name, ": height and width must be 1 to ", most, " and sampling 0 to ", most, ", got ",
        height, ", ", width, " and ", sampling);
  const std::vector<Region> regions = regions_of(*this, x.size(), x[0].dim(0));
  check(!regions.empty(), name, ": there are no regions");
  const std::int64_t c = x[0].dim(3);
  Tensor y({static_cast<std::int64_t>(regions.size()), height, width, c}, x[0].dtype());
  saved.y = Form::of(y);
  dispatch_float(y.dtype(), name, [&](auto tag) {
    using T = decltype(tag);
    using A = Acc<T>;
    T* const yp = y.data<T>();
    const auto pool = [&](std::int64_t k, Grid& grid, std::vector<A>& sum) {
      const Region& region = regions[static_cast<std::size_t>(k)];
      const Tensor& map = x[static_cast<std::size_t>(region.level)];
      grid.fill(*this, region, map.shape());
      const T* const image = map.data<T>() + region.image * map.dim(1) * map.dim(2) * c;
      for (std::int64_t bin = 0; bin < height * width; ++bin) {
        std::ranges::fill(sum, A{});
        A* const to = sum.data();
        for (const Axis::Tap& row : grid.rows.of(bin / width))
          for (const Axis::Tap& column : grid.columns.of(bin % width)) {
            const A weight = static_cast<A>(row.weight * column.weight);
            const T* const from = image + (row.pixel * map.dim(2) + column.pixel) * c;
#pragma omp simd
            for (std::int64_t i = 0; i < c; ++i) to[i] += weight * static_cast<A>(from[i]);
          }
        T* const out = yp + (k * height * width + bin) * c;
        for (std::int64_t i = 0; i < c; ++i) out[i] = static_cast<T>(to[i]);
      }
    };
    const std::int64_t grain = std::max<std::int64_t>(1, (1 << 12) / (height * width * c));
    parallel_for(y.dim(0), grain, [&](std::int64_t begin, std::int64_t end) {
      Grid grid;
      std::vector<A> sum(static_cast<std::size_t>(c));
      for (std::int64_t k = begin; k < end; ++k) pool(k, grid, sum);
    });
  });
  return y;
}

std::vector<Tensor> RoiAlign::backward(Saved& saved, Tensor dy, std::span<const bool> needs) const {
  check_gradient(name, dy, saved.y);
  const std::int64_t images = saved.x[0].shape[0], c = saved.x[0].shape[3];
  const std::vector<Region> regions = regions_of(*this, saved.x.size(), images);
  std::vector<Tensor> grads(saved.x.size());
  dispatch_float(dy.dtype(), name, [&](auto tag) {
    using T = decltype(tag);
    using A = Acc<T>;
    for (std::size_t l = 0; l < grads.size(); ++l)
      if (needs[l]) grads[l] = Tensor::zeros(saved.x[l].shape, dtype_of<A>);
    // A task has some channels of one image, and goes through its regions in order: each element is
    // summed by one thread.
    constexpr std::int64_t together = 32;
    const std::int64_t blocks = (c + together - 1) / together;
    parallel_tasks(images * blocks, [&](std::int64_t task, int) {
      const std::int64_t n = task / blocks, first = task % blocks * together;
      const std::int64_t count = std::min(together, c - first);
      Grid grid;
      for (std::size_t k = 0; k < regions.size(); ++k) {
        const Region& region = regions[k];
        const auto l = static_cast<std::size_t>(region.level);
        if (region.image != n || grads[l].empty()) continue;
        const Shape& shape = saved.x[l].shape;
        grid.fill(*this, region, shape);
        A* const image = grads[l].data<A>() + n * shape[1] * shape[2] * c + first;
        for (std::int64_t bin = 0; bin < height * width; ++bin) {
          const T* const from =
              dy.data<T>() + (static_cast<std::int64_t>(k) * height * width + bin) * c + first;
          for (const Axis::Tap& row : grid.rows.of(bin / width))
            for (const Axis::Tap& column : grid.columns.of(bin % width)) {
              const A weight = static_cast<A>(row.weight * column.weight);
              A* const to = image + (row.pixel * shape[2] + column.pixel) * c;
#pragma omp simd
              for (std::int64_t i = 0; i < count; ++i) to[i] += weight * static_cast<A>(from[i]);
            }
        }
      }
    });
  });
  for (Tensor& grad : grads)
    if (!grad.empty()) grad = grad.to(dy.dtype());
  return grads;
}

std::vector<Example<RoiAlign>> RoiAlign::examples() {
  const Tensor rois = Tensor::from({4, 5}, {0, 1.3, 2.1, 40.7, 30.2, 1, 0,  0,  66.5, 47.9,  //
                                            1, 50,  33,  55,   36,   0, -9, -7, 3,    90},
                                   DType::f64);
  const Tensor levels = Tensor::from({4}, {1, 0, 0, 1}, DType::i64);
  const Tensor one = Tensor::from({1, 5}, {0, 0.2, 0.1, 0.7, 0.6}, DType::f64);
  return {
      {{rois, 3, 4, {0.25}}, {{2, 12, 17, 3}}},
      {{.rois = rois, .height = 3, .width = 2, .scales = {0.25}, .sampling = 0, .aligned = true},
       {{2, 12, 17, 5}}},
      {{.rois = rois, .height = 2, .width = 2, .scales = {0.25, 0.125}, .levels = levels},
       {{2, 12, 17, 35}, {2, 6, 9, 35}}},
      {{.rois = one, .height = 1, .width = 1}, {{1, 1, 1, 1}}}};
}

}  // namespace exciton::ops
