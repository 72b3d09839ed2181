/// Every operator of AllOps on the shapes of real networks, forward and backward, and the fused
/// residual tail against its plain twin.
///
///   bench_operators --benchmark_filter='conv2d/.*/bf16'
///   bench_operators --benchmark_filter=residual_tail --benchmark_min_time=2
///
/// items_per_second counts output elements; bytes_per_second every tensor once: forward the inputs
/// and the output, backward the inputs, their gradients and the output's. FLOP counts 2 a
/// multiply-add, twice as many backward. Threads: all, or OMP_NUM_THREADS.
#include <benchmark/benchmark.h>

#include <chrono>
#include <sstream>
#include <type_traits>

#include "exciton/core/gradcheck.hpp"
#include "exciton/core/tape.hpp"
#include "exciton/ops/all_ops.hpp"
#include "exciton/ops/processor.hpp"

namespace exciton::ops {
namespace {

/// The ends of the stages of a CIFAR ResNet at batch 128, and of ResNet-50 at batch 16.
const std::vector<Shape> cifar{{128, 32, 32, 16}, {128, 16, 16, 32}, {128, 8, 8, 64}};
const std::vector<Shape> imagenet{{16, 56, 56, 256}, {16, 28, 28, 512}, {16, 14, 14, 1024}};

std::vector<Shape> maps() {
  std::vector<Shape> all = cifar;
  all.insert(all.end(), imagenet.begin(), imagenet.end());
  return all;
}

/// One case a map: `op` on whatever `inputs` makes of it.
template <class Op, class Inputs>
std::vector<Example<Op>> on_maps(const Op& op, Inputs&& inputs) {
  std::vector<Example<Op>> out;
  for (const Shape& map : maps()) out.push_back({op, inputs(map)});
  return out;
}
template <class Op>
std::vector<Example<Op>> on_maps(const Op& op) {
  return on_maps(op, [](const Shape& map) { return std::vector<Shape>{map}; });
}

/// What to measure of an operator: its examples, or the larger shapes below.
template <class Op>
std::vector<Example<Op>> cases() {
  return Op::examples();
}

template <>
std::vector<Example<Conv2d>> cases() {
  const auto of = [](const ConvSpec& spec, const Shape& x, const Shape& w) {
    return Example<Conv2d>{Conv2d{.spec = spec}, {x, w, absent}};
  };
  ConvSpec same, down, half, stem, grouped, depthwise;
  same.padding = down.padding = grouped.padding = depthwise.padding = 1;
  down.stride = half.stride = stem.stride = 2;
  stem.padding = 3;
  grouped.groups = 32;
  depthwise.groups = 144;
  return {
      of(same, {128, 32, 32, 3}, {16, 3, 3, 3}),
      of(same, {128, 32, 32, 16}, {16, 16, 3, 3}),
      of(down, {128, 32, 32, 16}, {32, 16, 3, 3}),
      of(same, {128, 16, 16, 32}, {32, 32, 3, 3}),
      of(same, {128, 8, 8, 64}, {64, 64, 3, 3}),
      of(stem, {16, 224, 224, 3}, {64, 3, 7, 7}),
      of({}, {16, 56, 56, 256}, {64, 256, 1, 1}),
      of(same, {16, 56, 56, 64}, {64, 64, 3, 3}),
      of(half, {16, 56, 56, 256}, {512, 256, 1, 1}),
      of(same, {16, 14, 14, 256}, {256, 256, 3, 3}),
      of({}, {16, 7, 7, 2048}, {512, 2048, 1, 1}),
      of(grouped, {16, 28, 28, 256}, {256, 8, 3, 3}),
      of(depthwise, {16, 56, 56, 144}, {144, 1, 3, 3}),
  };
}

template <>
std::vector<Example<BatchNorm>> cases() {
  const auto inputs = [](const Shape& map) { return std::vector<Shape>{map, {map[3]}, {map[3]}}; };
  return on_maps(BatchNorm{}, inputs);
}

std::vector<Shape> tail_inputs(const Shape& map, bool se) {
  const std::int64_t c = map[3], r = std::max<std::int64_t>(1, c / 16);
  if (!se) return {map, {c}, {c}, map, absent, absent, absent, absent};
  return {map, {c}, {c}, map, {r, c}, {r}, {c, r}, {c}};
}

template <>
std::vector<Example<ResidualTail>> cases() {
  auto out = on_maps(ResidualTail{}, [](const Shape& map) { return tail_inputs(map, true); });
  for (auto& plain :
       on_maps(ResidualTail{}, [](const Shape& map) { return tail_inputs(map, false); }))
    out.push_back(std::move(plain));
  return out;
}

template <>
std::vector<Example<Squeeze>> cases() {
  auto out = on_maps(Squeeze{});
  for (auto& max : on_maps(Squeeze{SqueezeKind::max})) out.push_back(std::move(max));
  return out;
}
template <>
std::vector<Example<Excite>> cases() {
  std::vector<Example<Excite>> out;
  for (const Shape& map : maps()) {
    const std::int64_t c = map[3], r = std::max<std::int64_t>(1, c / 16);
    out.push_back({{}, {{map[0], c}, {r, c}, {r}, {c, r}, {c}}});
  }
  return out;
}
template <>
std::vector<Example<Scale>> cases() {
  const auto inputs = [](const Shape& map) { return std::vector<Shape>{map, {map[0], map[3]}}; };
  return on_maps(Scale{}, inputs);
}
template <>
std::vector<Example<Linear>> cases() {
  return {{{}, {{128, 64}, {10, 64}, {10}}}, {{}, {{16, 2048}, {1000, 2048}, {1000}}}};
}
template <>
std::vector<Example<Relu>> cases() {
  return on_maps(Relu{});
}
template <>
std::vector<Example<Sigmoid>> cases() {
  return on_maps(Sigmoid{});
}
template <>
std::vector<Example<Tanh>> cases() {
  return on_maps(Tanh{});
}
template <>
std::vector<Example<HardSigmoid>> cases() {
  return on_maps(HardSigmoid{});
}
template <>
std::vector<Example<Add>> cases() {
  return on_maps(Add{}, [](const Shape& map) { return std::vector<Shape>{map, map}; });
}
template <>
std::vector<Example<Mul>> cases() {
  return on_maps(Mul{}, [](const Shape& map) { return std::vector<Shape>{map, map}; });
}
template <>
std::vector<Example<MaxPool>> cases() {
  const PoolSpec halves{.kernel = 3, .stride = 2, .ceil_mode = true};
  return {{{halves}, {{16, 112, 112, 64}}}, {{halves}, {{16, 56, 56, 256}}}};
}
template <>
std::vector<Example<AvgPool>> cases() {
  const PoolSpec halves{.kernel = 2, .stride = 2};
  return {{{halves}, {{128, 32, 32, 16}}}, {{halves}, {{16, 56, 56, 256}}}};
}
template <>
std::vector<Example<GlobalAvgPool>> cases() {
  return {{{}, {{128, 8, 8, 64}}}, {{}, {{16, 7, 7, 2048}}}};
}
template <>
std::vector<Example<Reshape>> cases() {
  return {{{.to = {128, 8 * 8 * 64}}, {{128, 8, 8, 64}}}};
}
template <>
std::vector<Example<CrossEntropy>> cases() {
  std::vector<Example<CrossEntropy>> out;
  for (const Shape& logits : {Shape{128, 10}, Shape{256, 1000}}) {
    Tensor labels({logits[0]}, DType::i64);
    for (std::int64_t i = 0; i < logits[0]; ++i) labels.data<std::int64_t>()[i] = i % logits[1];
    CrossEntropy op;
    op.labels = labels;
    op.smoothing = 0.1;
    out.push_back({op, {logits}});
  }
  return out;
}
template <>
std::vector<Example<Dropout>> cases() {
  return {{{.p = 0.2}, {{128, 64}}}, {{.p = 0.2}, {{16, 7, 7, 2048}}}};
}
template <>
std::vector<Example<Concat>> cases() {
  return {{{}, {{16, 28, 28, 128}, {16, 28, 28, 192}, {16, 28, 28, 96}, {16, 28, 28, 64}}},
          {{}, {{16, 28, 28, 58}, {16, 28, 28, 58}}}};
}
template <>
std::vector<Example<SliceChannels>> cases() {
  return {{{.begin = 58, .count = 58}, {{16, 28, 28, 116}}},
          {{.begin = 0, .count = 128}, {{16, 28, 28, 256}}}};
}
template <>
std::vector<Example<ChannelShuffle>> cases() {
  return {{{.groups = 2}, {{16, 28, 28, 116}}}, {{.groups = 3}, {{16, 28, 28, 240}}}};
}
template <>
std::vector<Example<ShortcutPad>> cases() {
  return {{{.channels = 32, .stride = 2}, {{128, 32, 32, 16}}},
          {{.channels = 64, .stride = 2}, {{128, 16, 16, 32}}}};
}
template <>
std::vector<Example<Cast>> cases() {
  return on_maps(Cast{DType::f32});
}
template <>
std::vector<Example<ChannelConv>> cases() {
  return {{{}, {{128, 64}, {3}}}, {{}, {{16, 2048}, {5}}}};
}
template <>
std::vector<Example<ShakeShake>> cases() {
  return {{{}, {{128, 32, 32, 64}, {128, 32, 32, 64}}}, {{}, {{128, 8, 8, 256}, {128, 8, 8, 256}}}};
}

/// Inputs that are feature maps take the type of activations; weights, statistics and gates are
/// f32.
template <class Op>
bool is_map(std::size_t input, const Shape& shape) {
  return shape.rank() == 4 && !(std::is_same_v<Op, Conv2d> && input == 1);
}

template <class Op>
std::vector<Tensor> inputs_of(const Example<Op>& example, DType type) {
  Generator rng(1);
  std::vector<Tensor> x;
  for (std::size_t i = 0; i < example.inputs.size(); ++i) {
    const Shape& shape = example.inputs[i];
    if (shape == absent)
      x.emplace_back();
    else
      x.push_back(Tensor::randn(shape, rng).to(is_map<Op>(i, shape) ? type : DType::f32));
  }
  return x;
}

double bytes_of(const std::vector<Tensor>& x) {
  double sum = 0;
  for (const Tensor& t : x) sum += static_cast<double>(t.bytes());
  return sum;
}

template <class Op>
double flops_of(const Op& op, const Tensor& y, const std::vector<Tensor>& x) {
  if constexpr (arity_of<Op> == any_number)
    return 0;
  else {
    const auto count = [&]<std::size_t... I>(std::index_sequence<I...>) {
      return 2 * static_cast<double>(detail::multiply_adds_of(op, y, x[I]...));
    };
    return count(std::make_index_sequence<static_cast<std::size_t>(arity_of<Op>)>{});
  }
}

void report(benchmark::State& state, double items, double bytes, double flops) {
  const auto n = static_cast<double>(state.iterations());
  state.SetItemsProcessed(static_cast<std::int64_t>(n * items));
  state.SetBytesProcessed(static_cast<std::int64_t>(n * bytes));
  // Also where it is zero: the CSV reporter wants the same counters of all.
  state.counters["FLOP"] = benchmark::Counter(n * flops, benchmark::Counter::kIsRate);
}

/// Weights that are packed once, as a layer's are.
template <class Op>
Op with_cache(Op op, [[maybe_unused]] PackedWeights& packed) {
  if constexpr (std::is_same_v<Op, Conv2d>) {
    op.packed = packed.state();
    op.version = 1;
  }
  return op;
}

template <class Op>
void forward(benchmark::State& state, const Example<Op>& example, DType type) {
  PackedWeights packed;
  const Op op = with_cache(example.op, packed);
  const std::vector<Tensor> x = inputs_of(example, type);
  Tensor y;
  for (auto _ : state) {
    typename Op::Saved saved{};
    y = exciton::detail::call_forward(op, saved, x);
  }
  report(state, static_cast<double>(y.numel()), bytes_of(x) + static_cast<double>(y.bytes()),
         flops_of(op, y, x));
}

/// Backward may write into what forward saved, so every run has a forward of its own, not timed.
template <class Op>
void backward(benchmark::State& state, const Example<Op>& example, DType type) {
  PackedWeights packed;
  const Op op = with_cache(example.op, packed);
  const std::vector<Tensor> x = inputs_of(example, type);
  Generator rng(2);
  Tensor y, dy;
  for (auto _ : state) {
    typename Op::Saved saved{};
    y = exciton::detail::call_forward(op, saved, x);
    if (dy.empty()) dy = Tensor::randn(y.shape(), rng).to(y.dtype());
    Tensor own = dy.clone();
    const auto start = std::chrono::steady_clock::now();
    const auto grads = exciton::detail::call_backward(op, saved, std::move(own), x);
    state.SetIterationTime(
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  report(state, static_cast<double>(y.numel()), 2 * bytes_of(x) + static_cast<double>(y.bytes()),
         2 * flops_of(op, y, x));
}

/// Forward and backward of the tail through the tape.
void tail_step(benchmark::State& state, const Example<ResidualTail>& example, DType type,
               bool fused) {
  const std::vector<Tensor> x = inputs_of(example, type);
  Generator rng(2);
  const Tensor dy = Tensor::randn(example.inputs[0], rng).to(type);
  for (auto _ : state) {
    Tape tape;
    std::vector<Var> v;
    for (const Tensor& t : x) v.push_back(t.empty() ? Var() : tape.watch(t));
    const Var y =
        fused ? apply(example.op, v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7])
              : ResidualTail::composed(example.op, v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7]);
    tape.backward(y, dy);
  }
  report(state, static_cast<double>(dy.numel()),
         3 * bytes_of(x) + 2 * static_cast<double>(dy.bytes()), 0);
}

template <class Op>
std::string name_of_case(const Example<Op>& example, std::string_view what, DType type) {
  std::ostringstream name;
  name << Op::name << '/' << what << '/' << type << '/';
  bool first = true;
  for (const Shape& shape : example.inputs) {
    if (shape == absent || shape.rank() == 1) continue;
    name << (first ? "" : "*");
    for (int i = 0; i < shape.rank(); ++i) name << (i ? "x" : "") << shape[i];
    first = false;
  }
  if constexpr (requires { example.op.spec.stride; }) name << "/stride" << example.op.spec.stride;
  if constexpr (std::is_same_v<Op, Squeeze>)
    name << (example.op.kind == SqueezeKind::max ? "/max" : "/avg");
  return name.str();
}

struct Register {
  std::vector<DType> types;

  template <class Op>
  void operator()() const {
    for (const Example<Op>& example : cases<Op>()) {
      bool has_map = false;
      for (std::size_t i = 0; i < example.inputs.size(); ++i)
        has_map = has_map || is_map<Op>(i, example.inputs[i]);
      for (const DType type : types) {
        if (!has_map && type != DType::f32) continue;
        benchmark::RegisterBenchmark(
            name_of_case(example, "forward", type).c_str(),
            [example, type](benchmark::State& state) { forward(state, example, type); })
            ->UseRealTime();
        benchmark::RegisterBenchmark(
            name_of_case(example, "backward", type).c_str(),
            [example, type](benchmark::State& state) { backward(state, example, type); })
            ->UseManualTime();
        if constexpr (std::is_same_v<Op, ResidualTail>)
          for (const bool fused : {true, false})
            benchmark::RegisterBenchmark(
                name_of_case(example, fused ? "step_fused" : "step_plain", type).c_str(),
                [example, type, fused](benchmark::State& state) {
                  tail_step(state, example, type, fused);
                })
                ->UseRealTime();
      }
    }
  }
};

}  // namespace
}  // namespace exciton::ops

int main(int argc, char** argv) {
  using namespace exciton;
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::AddCustomContext("processor", ops::processor().name);
  std::vector<DType> types{DType::f32};
  if (ops::processor().avx512) types.push_back(DType::bf16);
  ops::for_each_operator(ops::AllOps{}, ops::Register{types});
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
