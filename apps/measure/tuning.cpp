#include "apps/measure/tuning.hpp"

#include <algorithm>
#include <chrono>
#include <deque>

#include "exciton/ops/convolution/choices.hpp"
#include "exciton/ops/convolution/kernels.hpp"

namespace exciton::apps {
namespace {

using Clock = std::chrono::steady_clock;

double ms_of(const std::function<void()>& run) {
  const auto start = Clock::now();
  run();
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

/// A kernel under measurement, with what it has packed.
struct Candidate {
  ops::ConvKernel kernel = ops::ConvKernel::none;
  ops::ConvKernels kernels;
  std::vector<double> ms;
};

/// What the directions of a convolution read.
struct Maps {
  Tensor x, dy, weights, bias;
  Maps(const SharedConvolution& s, std::int64_t images, bool training) {
    const ops::ConvGeometry& g = s.geometry;
    Generator rng(1);
    x = Tensor::randn({images, g.h, g.w, g.c}, rng).to(g.dtype);
    dy = Tensor::randn({images, g.oh, g.ow, g.o}, rng).to(g.dtype);
    weights = Tensor::randn(s.weight, rng);
    if (g.bias || !training) bias = Tensor::zeros({g.o});
  }
};

/// One call; equal versions of the weights are packed once. In inference what follows most
/// convolutions, once norms are folded into them: a bias and a ReLU.
void run(ops::ConvKernels& kernels, ops::Direction direction, const ops::ConvSpec& spec,
         const Maps& m, bool training, std::uint64_t version) {
  if (direction == ops::Direction::forward)
    kernels.forward(m.x, m.weights, version, spec, {.bias = m.bias, .relu = !training});
  else if (direction == ops::Direction::backward_data)
    kernels.backward_data(m.dy, m.weights, version, m.x.shape(), spec);
  else
    kernels.backward_weights(m.x, m.dy, m.weights.shape(), spec);
}

TunedForm measure(const SharedConvolution& s, ops::Direction direction, std::int64_t count,
                  const Maps& maps, bool training, double seconds) {
  const auto start = Clock::now();
  const auto passed = [&] { return std::chrono::duration<double>(Clock::now() - start).count(); };
  std::deque<Candidate> candidates;  // they do not move
  ops::ConvKernels usual;
  usual.keep_weights(!training);
  for (const ops::ConvKernel kernel : usual.candidates(s.geometry, maps.x.dim(0), direction)) {
    candidates.emplace_back().kernel = kernel;
    candidates.back().kernels.force(kernel);
    candidates.back().kernels.keep_weights(!training);
  }
  std::uint64_t version = 1;
  const auto once = [&](Candidate& c) {
    c.ms.push_back(ms_of(
        [&] { run(c.kernels, direction, s.geometry.spec, maps, training, version += training); }));
  };
  // The first run makes the primitives and fills the pool.
  for (Candidate& c : candidates) {
    once(c);
    c.ms.clear();
    once(c);
  }
  double best = candidates[0].ms[0];
  for (const Candidate& c : candidates) best = std::min(best, c.ms[0]);
  constexpr int least = 5, most = 101;
  for (int round = 0; round < most && (round < least || passed() < seconds); ++round)
    for (Candidate& c : candidates)
      if (&c == &candidates.front() || c.ms[0] < 1.5 * best) once(c);
  TunedForm form{s.geometry, direction, count, {}};
  for (Candidate& c : candidates) form.kernels.push_back({c.kernel, median(std::move(c.ms))});
  return form;
}

}  // namespace

const TimedKernel& TunedForm::best() const {
  return *std::min_element(kernels.begin(), kernels.end(),
                           [](const auto& a, const auto& b) { return a.ms < b.ms; });
}

std::string TunedForm::name() const { return ops::form_name(geometry, direction); }

std::vector<TunedForm> tune(const NetworkConvolutions& found, std::int64_t images, bool training,
                            double seconds, const std::function<void(double)>& done) {
  std::vector<TunedForm> forms;
  const auto all = static_cast<double>((training ? 3 : 1) * found.shapes.size());
  for (const SharedConvolution& s : found.shapes) {
    const Maps maps(s, images, training);
    for (const auto direction : {ops::Direction::forward, ops::Direction::backward_data,
                                 ops::Direction::backward_weights}) {
      const std::int64_t count =
          direction == ops::Direction::backward_data ? s.data_gradients : s.count;
      if (count > 0 && (training || direction == ops::Direction::forward))
        forms.push_back(measure(s, direction, count, maps, training, seconds / all));
    }
    done(static_cast<double>(&s - found.shapes.data() + 1) /
         static_cast<double>(found.shapes.size()));
  }
  return forms;
}

}  // namespace exciton::apps
