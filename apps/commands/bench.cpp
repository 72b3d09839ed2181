/// exciton bench
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <memory>
#include <optional>

#include "apps/commands/commands.hpp"
#include "apps/measure/floor.hpp"
#include "apps/measure/workload.hpp"
#include "exciton/core/memory.hpp"
#include "exciton/core/threads.hpp"
#include "exciton/nn/recompute.hpp"
#include "exciton/ops/cross_entropy.hpp"
#include "exciton/optim/schedule.hpp"
#include "exciton/parallel/launch.hpp"
#include "exciton/train/json.hpp"
#include "exciton/train/loop.hpp"

namespace exciton::apps {
namespace {

struct BenchArguments {
  std::string mode;
  WorkloadOptions workload;
  int steps = 20, warmup = 3;
  double lr = 1e-3;
  std::string recompute = "none", norm = "local", gradients = "f32";
  bool json = false, departures = false;
};

/// Of the first and the last of all training steps, each on the same batch: a network that learns
/// has a lower one at the end.
struct Losses {
  double first = 0, last = 0;
};

struct Timing {
  double ms_per_step;  ///< median
  double system_allocations_per_step;
};

template <class Step>
Timing measure(int warmup, int steps, Step&& step) {
  for (int i = 0; i < warmup; ++i) step();
  const std::uint64_t before = memory_stats().system_allocations;
  std::vector<double> ms;
  for (int i = 0; i < steps; ++i) {
    const auto start = std::chrono::steady_clock::now();
    step();
    ms.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
                     .count());
  }
  const auto taken = static_cast<double>(memory_stats().system_allocations - before);
  return {median(std::move(ms)), taken / steps};
}

/// The fields that every mode reports.
train::Json description(const BenchArguments& args, const Workload& w) {
  return {{"model", w.model.name},
          {"mode", args.mode},
          {"batch", w.images.dim(0)},
          {"image_size", w.side},
          {"dtype", name_of(w.precision.dtype)},
          {"precision", w.precision.reason},
          {"processor", ops::processor().name},
          {"threads", num_threads()},
          {"steps", args.steps}};
}

void print_description(const BenchArguments& args, const Workload& w) {
  std::printf("%s, %s, batch %lld, %lld x %lld, %s, %d threads, %s\n", w.model.name.c_str(),
              args.mode.c_str(), static_cast<long long>(w.images.dim(0)),
              static_cast<long long>(w.side), static_cast<long long>(w.side),
              std::string(name_of(w.precision.dtype)).c_str(), num_threads(),
              ops::processor().name.c_str());
}

int run_floor(const BenchArguments& args, Workload& w) {
  const ConvolutionFloor floor = convolution_floor(w, args.warmup, args.steps);
  const PrimitiveTime &f = floor.forward, &d = floor.backward_data, &g = floor.backward_weights;
  const double whole = f.whole_batch + d.whole_batch + g.whole_batch;
  const double pieces = f.pieces + d.pieces + g.pieces;
  if (args.json) {
    train::Json json = description(args, w);
    json["convolutions"] = floor.convolutions;
    json["multiply_adds"] = floor.multiply_adds;
    json["ms_forward"] = f.least;
    json["ms_backward_data"] = d.least;
    json["ms_backward_weights"] = g.least;
    json["ms_total"] = floor.total();
    json["ms_total_whole_batch"] = whole;
    json["ms_total_pieces"] = pieces;
    std::cout << train::to_text(json) << std::endl;
    return 0;
  }
  print_description(args, w);
  std::printf("%lld convolutions of %lld shapes, medians of %d runs, milliseconds\n\n",
              static_cast<long long>(floor.convolutions), static_cast<long long>(floor.shapes),
              args.steps);
  std::printf("%-18s %12s %12s %12s\n", "primitive", "whole batch", "pieces", "least");
  const auto row = [](const char* name, const PrimitiveTime& t) {
    std::printf("%-18s %12.3f %12.3f %12.3f\n", name, t.whole_batch, t.pieces, t.least);
  };
  row("forward", f);
  row("backward data", d);
  row("backward weights", g);
  row("total", {whole, pieces, floor.total()});
  return 0;
}

/// What of a batch that processes share is this one's.
data::Batch slice(const Workload& w, Group& group) {
  const std::int64_t n = w.images.dim(0), first = group.rank() * n / group.size(),
                     count = (group.rank() + 1) * n / group.size() - first,
                     bytes = static_cast<std::int64_t>(w.images.bytes()) / n;
  data::Batch out;
  out.images = Tensor({count, w.images.dim(1), w.images.dim(2), w.images.dim(3)}, w.images.dtype());
  std::copy_n(static_cast<const std::byte*>(w.images.raw()) + first * bytes, count * bytes,
              static_cast<std::byte*>(out.images.raw()));
  out.labels = Tensor({count}, DType::i64);
  std::copy_n(w.labels.data<std::int64_t>() + first, count, out.labels.data<std::int64_t>());
  return out;
}

/// A group of one process that notes when its gradients would set out to the others.
class Departures final : public Group {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  void sum(std::span<double>) override {}
  void broadcast(void*, std::size_t) override {}
  void progress() override { looks.push_back(since_start()); }
  std::unique_ptr<Pending> begin_sum(std::span<float> values, bool) override {
    struct Nothing final : Pending {
      void wait() override {}
    };
    ms.push_back(since_start());
    bytes.push_back(values.size_bytes());
    return std::make_unique<Nothing>();
  }
  double since_start() const {
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
        .count();
  }
  std::vector<double> ms, looks;  ///< when gradients set out, and when others could move on
  std::vector<std::size_t> bytes;
  std::chrono::steady_clock::time_point start = std::chrono::steady_clock::now();
};

/// Of the fastest of three steps: its time, the end of its backward, and when which of its
/// gradients set out.
train::Json departures(const Workload& w, double lr) {
  optim::Sgd sgd = make_optimizer(*w.model.net);
  optim::ScheduleSpec constant;
  constant.kind = "constant";
  constant.lr = lr;
  constant.total_steps = 3;
  Departures group;
  train::Loop loop(*w.model.net, sgd, optim::Schedule(constant), {.group = &group});
  data::Batch batch;
  batch.images = w.images;
  batch.labels = w.labels;
  train::Json out;
  for (int i = 0; i < 3; ++i) {
    group.ms.clear();
    group.bytes.clear();
    group.looks.clear();
    group.start = std::chrono::steady_clock::now();
    loop.accumulate(batch);
    const double backward = group.since_start();
    loop.update();
    const double all = group.since_start();
    if (i > 0 && all >= out["ms_step"].get<double>()) continue;
    out = {{"ms_step", all},
           {"ms_backward_end", backward},
           {"ms", group.ms},
           {"bytes", group.bytes},
           {"looks", group.looks}};
  }
  return out;
}

/// A training step of several processes, by the loop of `exciton train`.
int run_ranks(const BenchArguments& args, Workload& w, ranks::Launch& launch) {
  Group& group = launch.group();
  const ranks::Place place = launch.place();
  if (args.workload.threads == 0) set_num_threads(place.threads());
  const data::Batch batch = slice(w, group);
  nn::Module& net = *w.model.net;
  nn::set_recompute(net, nn::recompute_names.parse(args.recompute));
  optim::Sgd sgd = make_optimizer(net);
  optim::ScheduleSpec constant;
  constant.kind = "constant";
  constant.lr = args.lr;
  constant.total_steps = args.warmup + args.steps;
  train::Loop loop(net, sgd, optim::Schedule(constant),
                   {.group = &group,
                    .sync_norms = args.norm == "sync",
                    .bf16_gradients = args.gradients == "bf16"});
  std::vector<double> waits;
  std::int64_t bytes = 0;
  const Timing timing = measure(args.warmup, args.steps, [&] {
    const train::StepResult one = loop.accumulate(batch);
    loop.update();
    waits.push_back(1e3 * one.exchange_seconds);
    bytes = one.exchange_bytes;
  });
  if (!group.leads()) return 0;
  const double exposed = median(std::move(waits)),
               rate = static_cast<double>(w.images.dim(0)) / timing.ms_per_step * 1e3;
  if (args.json) {
    train::Json json = description(args, w);
    json["ranks"] = group.size();
    json["machines"] = place.hosts;
    json["norm"] = args.norm;
    json["gradients"] = args.gradients;
    json["images_per_second"] = rate;
    json["ms_per_step"] = timing.ms_per_step;
    json["ms_exposed"] = exposed;
    json["bytes_per_step"] = bytes;
    json["link"] = place.link;
    std::cout << train::to_text(json) << std::endl;
    return 0;
  }
  print_description(args, w);
  if (!place.link.empty())
    std::printf("Messages take as long as over links of %s.\n", place.link.c_str());
  std::printf(
      "%d ranks on %d machines: %.1f images/s, %.2f ms per step (median of %d), of which %.2f ms "
      "wait for gradients (%.2f MB of them)\n",
      group.size(), place.hosts, rate, timing.ms_per_step, args.steps, exposed,
      static_cast<double>(bytes) / 1e6);
  return 0;
}

int run(const BenchArguments& args) {
  const auto launch = ranks::join(600);
  if (launch) {
    check(args.mode == "train", "bench: several processes share the steps of train, not of ",
          args.mode);
    Workload w = make_workload(args.workload);
    return run_ranks(args, w, *launch);
  }
  Workload w = make_workload(args.workload);
  print_precision(w.precision, args.json);
  if (args.mode == "floor") return run_floor(args, w);

  nn::Module& net = *w.model.net;
  nn::set_training(net, args.mode == "train");
  Timing timing{};
  std::optional<Losses> losses;
  if (args.mode == "train") {
    nn::set_recompute(net, nn::recompute_names.parse(args.recompute));
    optim::Sgd sgd = make_optimizer(net);
    timing = measure(args.warmup, args.steps, [&] {
      Tape tape;
      const Var loss = ops::cross_entropy(net(w.images), w.labels);
      const double value = loss.value().item();
      if (!losses) losses = {value, value};
      losses->last = value;
      tape.backward(loss);
      sgd.step(args.lr);
    });
  } else {
    timing = measure(args.warmup, args.steps, [&] { net(w.images); });
  }

  const double rate = static_cast<double>(w.images.dim(0)) / timing.ms_per_step * 1e3;
  const double peak = static_cast<double>(peak_resident_bytes()) / (1 << 20);
  if (args.json) {
    train::Json json = description(args, w);
    json["images_per_second"] = rate;
    json["ms_per_step"] = timing.ms_per_step;
    json["recompute"] = args.recompute;
    json["peak_rss_mib"] = peak;
    json["system_allocations_per_step"] = timing.system_allocations_per_step;
    if (losses) {
      json["first_loss"] = losses->first;
      json["last_loss"] = losses->last;
      if (args.departures) json["departures"] = departures(w, args.lr);
    }
    std::cout << train::to_text(json) << std::endl;
    return 0;
  }
  print_description(args, w);
  std::printf(
      "%.1f images/s, %.2f ms per step (median of %d), peak memory %.0f MiB, "
      "%.2f allocations from the system a step\n",
      rate, timing.ms_per_step, args.steps, peak, timing.system_allocations_per_step);
  if (losses)
    std::printf("loss %.4f at the first step, %.4f at the last\n", losses->first, losses->last);
  return 0;
}

}  // namespace

void add_bench(Command& program) {
  auto args = std::make_shared<BenchArguments>();
  Command& command = program.add_command(
      "bench", "Images per second of a training step or of inference, on random images");
  command
      .add_option("MODE", args->mode,
                  "train (forward, loss, backward, optimiser step), infer (forward), or floor "
                  "(the convolution primitives of a training step alone)")
      .check(one_of({"train", "infer", "floor"}));
  add_workload_options(command, args->workload, /*model_required=*/false);  // not in `bench data`
  add_bench_data(command);
  add_bench_messages(command);
  command.add_option("--steps", args->steps, "measured steps, after the warm-up")
      .check(number_in(1, 1'000'000))
      .show_default();
  command.add_option("--warmup", args->warmup, "steps that are not measured")
      .check(number_in(0, 1'000'000))
      .show_default();
  command
      .add_option("--recompute", args->recompute,
                  "what a training step computes again to save memory: none or block")
      .check(one_of({"none", "block"}))
      .show_default();
  command.add_option("--norm", args->norm, "of train under mpirun: local or sync")
      .check(one_of({"local", "sync"}))
      .show_default();
  command.add_option("--gradients", args->gradients, "between the ranks: f32 or bf16")
      .check(one_of({"f32", "bf16"}))
      .show_default();
  command.add_option("--lr", args->lr, "learning rate of train")
      .check(number_in(0.0, 1e300))
      .show_default();
  command.add_flag("--json", args->json, "print one JSON object");
  command.add_flag("--departures", args->departures,
                   "with --json: when which gradients of train would set out to other ranks");
  command.footer(
      "Example:\n  exciton bench train se_resnet20 --batch 128 --threads 2 --steps 30 --json\n"
      "  exciton bench floor se_resnet20 --batch 128 --dtype bf16 --threads 2\n"
      "  exciton bench data data-cache/imagenet\n"
      "  mpirun -n 4 exciton bench train se_resnet50 --batch 16 --dtype bf16 --threads 1");
  command.action([args] { return run(*args); },
                 [args] {
                   return args->mode.empty() ? "MODE" : args->workload.model.empty() ? "MODEL" : "";
                 });
}

}  // namespace exciton::apps
