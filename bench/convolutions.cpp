/// The convolutions of a training step of ResNet-50 at 224 pixels and of ResNet-20 at 32, by the
/// own direct convolution and by oneDNN's, layer by layer and all together ("step", each layer as
/// often as the network has it; the first has no gradient of the data).
///
///   bench_convolutions --benchmark_filter='step'
///   bench_convolutions --benchmark_filter='resnet50/backward_data/.*/f32'
///
/// FLOP counts 2 a multiply-add. Weights are packed on every call, as in training. Threads: all, or
/// OMP_NUM_THREADS.
#include <benchmark/benchmark.h>

#include <map>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "exciton/core/random.hpp"
#include "exciton/ops/convolution/direct.hpp"
#include "exciton/ops/processor.hpp"
#ifdef EXCITON_ONEDNN
#include "exciton/ops/convolution/onednn/convolution.hpp"
#endif

namespace exciton::ops {
namespace {

struct Layer {
  std::int64_t size, c, o, window, stride, count;  ///< `size` pixels each way of x
  ConvGeometry geometry(DType type) const {
    return geometry_of({1, size, size, c}, {o, c, window, window},
                       {.stride = stride, .padding = window / 2}, type, false);
  }
};

struct Network {
  std::string name;
  std::int64_t images;
  std::vector<Layer> layers;
};

std::vector<Network> networks() {
  Network large{"resnet50", 8, {{224, 3, 64, 7, 2, 1}, {56, 64, 64, 1, 1, 1}}};
  std::int64_t in = 64, size = 56;
  const std::vector<std::pair<std::int64_t, std::int64_t>> stages{
      {64, 3}, {128, 4}, {256, 6}, {512, 3}};
  for (const auto& [width, blocks] : stages) {
    const std::int64_t stride = width == 64 ? 1 : 2;
    if (stride == 2) large.layers.push_back({size, in, width, 1, 2, 1});
    large.layers.push_back({size, in, 4 * width, 1, stride, 1});
    size /= stride;
    in = 4 * width;
    large.layers.push_back({size, width, width, 3, 1, blocks});
    large.layers.push_back({size, width, in, 1, 1, blocks});
    large.layers.push_back({size, in, width, 1, 1, blocks - 1});
  }
  const Network small{"resnet20",
                      128,
                      {{32, 3, 16, 3, 1, 1},
                       {32, 16, 16, 3, 1, 6},
                       {32, 16, 32, 3, 2, 1},
                       {32, 16, 32, 1, 2, 1},
                       {16, 32, 32, 3, 1, 5},
                       {16, 32, 64, 3, 2, 1},
                       {16, 32, 64, 1, 2, 1},
                       {8, 64, 64, 3, 1, 5}}};
  return {large, small};
}

enum class By { own, onednn };
constexpr std::string_view names[] = {"own", "onednn"};
const std::map<Direction, std::string> directions{
    {Direction::forward, "forward"},
    {Direction::backward_data, "backward_data"},
    {Direction::backward_weights, "backward_weights"}};

/// One layer with maps and weights of its own.
class Work {
 public:
  Work(const Layer& layer, std::int64_t images, DType type)
      : g_(layer.geometry(type)), images_(images) {
    Generator rng(1);
    x_ = Tensor::randn({images, g_.h, g_.w, g_.c}, rng).to(type);
    y_ = Tensor::randn({images, g_.oh, g_.ow, g_.o}, rng).to(type);
    w_ = Tensor::randn({g_.o, g_.c, g_.kh, g_.kw}, rng);
  }
  double flops() const {
    return 2.0 * static_cast<double>(images_ * g_.y_image() * g_.c * g_.kh * g_.kw);
  }
  void run(By by, Direction direction) {
    if (by == By::own) return own(direction);
    foreign(direction);
  }

 private:
  void own(Direction direction) {
    if (direction == Direction::forward)
      direct::forward(g_, images_, w_, x_.raw(), nullptr, y_.raw());
    else if (direction == Direction::backward_data)
      direct::backward_data(g_, images_, w_, y_.raw(), x_.raw());
    else
      direct::backward_weights(g_, images_, w_.shape(), x_.raw(), y_.raw());
  }
  void foreign([[maybe_unused]] Direction direction) {
#ifdef EXCITON_ONEDNN
    ++version_;
    if (direction == Direction::forward)
      onednn::forward(onednn_, g_, images_, w_, version_, x_.raw(), nullptr, y_.raw());
    else if (direction == Direction::backward_data)
      onednn::backward_data(onednn_, g_, images_, w_, version_, y_.raw(), x_.raw());
    else
      onednn::backward_weights(onednn_, g_, images_, w_.shape(), x_.raw(), y_.raw());
#endif
  }

  ConvGeometry g_;
  std::int64_t images_;
  Tensor x_, y_, w_;
#ifdef EXCITON_ONEDNN
  onednn::Primitives onednn_;
  std::uint64_t version_ = 0;
#endif
};

void measure(benchmark::State& state, const std::vector<Layer>& layers, std::int64_t images,
             DType type, By by, Direction direction) {
  std::vector<std::pair<std::unique_ptr<Work>, std::int64_t>> all;
  double flops = 0;
  for (const Layer& layer : layers) {
    all.emplace_back(std::make_unique<Work>(layer, images, type), layer.count);
    flops += static_cast<double>(layer.count) * all.back().first->flops();
  }
  for (auto _ : state)
    for (const auto& [work, count] : all)
      for (std::int64_t i = 0; i < count; ++i) work->run(by, direction);
  state.counters["FLOP"] = benchmark::Counter(static_cast<double>(state.iterations()) * flops,
                                              benchmark::Counter::kIsRate);
}

void add(const Network& network, Direction direction, By by, DType type) {
  std::vector<Layer> layers = network.layers;
  if (direction == Direction::backward_data) layers.erase(layers.begin());
  const auto add_one = [&](const std::string& what, const std::vector<Layer>& some) {
    std::ostringstream name;
    name << network.name << '/' << directions.at(direction) << '/' << what << '/' << type << '/'
         << names[static_cast<int>(by)];
    const std::int64_t images = network.images;
    benchmark::RegisterBenchmark(
        name.str().c_str(),
        [=](benchmark::State& state) { measure(state, some, images, type, by, direction); })
        ->UseRealTime()
        ->Unit(benchmark::kMillisecond);
  };
  add_one("step", layers);
  for (Layer layer : layers) {
    std::ostringstream what;
    what << layer.window << 'x' << layer.window << '_' << layer.c << "to" << layer.o << "_on"
         << layer.size << (layer.stride == 2 ? "_halved" : "");
    layer.count = 1;
    add_one(what.str(), {layer});
  }
}

}  // namespace
}  // namespace exciton::ops

int main(int argc, char** argv) {
  using namespace exciton;
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::AddCustomContext("processor", ops::processor().name);
  std::vector<DType> types{DType::f32};
  if (ops::processor().avx512) types.push_back(DType::bf16);
  std::vector<ops::By> by{ops::By::own};
#ifdef EXCITON_ONEDNN
  by.push_back(ops::By::onednn);
#endif
  for (const ops::Network& network : ops::networks())
    for (const auto& direction : ops::directions)
      for (const DType type : types)
        for (const ops::By who : by) ops::add(network, direction.first, who, type);
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
