#include "apps/measure/floor.hpp"

#include <algorithm>
#include <chrono>
#include <functional>
#include <utility>

#include "apps/measure/convolutions.hpp"
#include "exciton/core/threads.hpp"
#include "exciton/ops/convolution/direct.hpp"
#include "exciton/ops/convolution/onednn/convolution.hpp"

namespace exciton::apps {
namespace {

namespace onednn = ops::onednn;

using Run = std::function<void()>;

/// Median milliseconds of two ways to the same result, run in turn.
std::pair<double, double> time_both(int warmup, int steps, const Run& first_way,
                                    const Run& second_way) {
  const auto ms = [](const Run& f) {
    const auto start = std::chrono::steady_clock::now();
    f();
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
        .count();
  };
  std::vector<double> first, second;
  for (int i = 0; i < warmup + steps; ++i) {
    const double x = ms(first_way), y = ms(second_way);
    if (i < warmup) continue;
    first.push_back(x);
    second.push_back(y);
  }
  return {median(std::move(first)), median(std::move(second))};
}

void add(PrimitiveTime& sum, std::int64_t count, const std::pair<double, double>& ms) {
  const auto times = static_cast<double>(count);
  sum.whole_batch += times * ms.first;
  sum.pieces += times * ms.second;
  sum.least += times * std::min(ms.first, ms.second);
}

void measure(const SharedConvolution& s, std::int64_t images, int warmup, int steps,
             ConvolutionFloor& to) {
  using onednn::Primitives;
  using ops::Direction;
  ops::ConvGeometry g = s.geometry;
  g.dtype = onednn::kernel_type(g);
  const int threads = num_threads();
  Generator rng(1);
  Tensor x = Tensor::randn({images, g.h, g.w, g.c}, rng).to(g.dtype);
  Tensor y = Tensor::randn({images, g.oh, g.ow, g.o}, rng).to(g.dtype);
  const Tensor weights = Tensor::randn(s.weight, rng), bias = Tensor::zeros({g.o});
  const float* bias_data = g.bias ? bias.data<float>() : nullptr;
  constexpr std::uint64_t version = 1;
  // The gradients of the weights do not depend on the bias.
  ops::ConvGeometry unbiased = g;
  unbiased.bias = false;

  Primitives whole, pieces;
  const auto prepared = [&](Direction direction, const ops::ConvGeometry& form) -> const auto& {
    return whole.prepare(direction, form, images, threads, weights, version);
  };
  // Where oneDNN may not run a form one way (ops/convolution/onednn/kernel_table.hpp), the other
  // counts for both; where it may in neither, our own kernel, as in a step.
  const auto timed = [&](Direction direction, const ops::ConvGeometry& form, const Run& whole_batch,
                         const Run& in_pieces, const Run& own) {
    const bool takes_pieces = onednn::takes(pieces, direction, form, images);
    const bool takes_whole =
        onednn::doubts().empty() && whole.why_not(direction, form, images, threads).empty();
    if (takes_whole) prepared(direction, form);  // outside what is timed
    const Run& first = takes_whole ? whole_batch : takes_pieces ? in_pieces : own;
    return time_both(warmup, steps, first, takes_pieces ? in_pieces : first);
  };
  // Gradients first: forward overwrites y, which stands for its own gradient here.
  Tensor packed;
  add(to.backward_weights, s.count,
      timed(
          Direction::backward_weights, unbiased,
          [&] {
            const auto& job = prepared(Direction::backward_weights, unbiased);
            if (packed.empty()) packed = Tensor({Primitives::weight_elements(job)});
            Primitives::run(job, 0, x.raw(), y.raw(), packed.data<float>());
          },
          [&] { onednn::backward_weights(pieces, unbiased, images, s.weight, x.raw(), y.raw()); },
          [&] { ops::direct::backward_weights(unbiased, images, s.weight, x.raw(), y.raw()); }));
  if (s.data_gradients > 0) {
    Tensor dx(x.shape(), x.dtype());
    add(to.backward_data, s.data_gradients,
        timed(
            Direction::backward_data, unbiased,
            [&] {
              Primitives::run(prepared(Direction::backward_data, unbiased), 0, y.raw(), nullptr,
                              dx.raw());
            },
            [&] {
              onednn::backward_data(pieces, unbiased, images, weights, version, y.raw(), dx.raw());
            },
            [&] { ops::direct::backward_data(unbiased, images, weights, y.raw(), dx.raw()); }));
  }
  add(to.forward, s.count,
      timed(
          Direction::forward, g,
          [&] { Primitives::run(prepared(Direction::forward, g), 0, x.raw(), bias_data, y.raw()); },
          [&] {
            onednn::forward(pieces, g, images, weights, version, x.raw(), bias_data, y.raw());
          },
          [&] { ops::direct::forward(g, images, weights, x.raw(), bias_data, y.raw()); }));
}

}  // namespace

ConvolutionFloor convolution_floor(Workload& workload, int warmup, int steps) {
  const NetworkConvolutions found = convolutions_of(workload, "bench floor");
  ConvolutionFloor floor;
  floor.convolutions = found.convolutions;
  floor.multiply_adds = found.multiply_adds;
  floor.shapes = static_cast<std::int64_t>(found.shapes.size());
  for (const SharedConvolution& s : found.shapes)
    measure(s, workload.images.dim(0), warmup, steps, floor);
  return floor;
}

}  // namespace exciton::apps
