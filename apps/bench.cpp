/// exciton bench
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <memory>

#include "apps/command.hpp"
#include "apps/recipe.hpp"
#include "core/memory.hpp"
#include "core/threads.hpp"
#include "nn/registry.hpp"
#include "ops/cross_entropy.hpp"
#include "optim/sgd.hpp"

namespace exciton::apps {
namespace {

struct BenchArguments {
  std::string mode, model, dtype = "f32";
  std::int64_t batch = 128, classes = 0, image = 0;
  int threads = 0, steps = 20, warmup = 3;
  std::vector<std::string> set;
  bool json = false;
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
  std::sort(ms.begin(), ms.end());
  const std::size_t half = ms.size() / 2;
  return {ms.size() % 2 ? ms[half] : (ms[half - 1] + ms[half]) / 2, taken / steps};
}

int run(const BenchArguments& args) {
  if (args.threads > 0) set_num_threads(args.threads);
  const DType dtype = activation_dtype(args.dtype);
  const ModelRecipe recipe = model_recipe(args.model, args.classes, args.set);
  nn::Model model = nn::make_model(recipe.name, recipe.options);
  const std::int64_t side = args.image > 0 ? args.image : model.image_size;
  Generator rng(1);
  const Tensor images =
      Tensor::randn({args.batch, side, side, model.options.image_channels}, rng).to(dtype);
  Tensor labels({args.batch}, DType::i64);
  nn::set_training(*model.net, false);
  const std::int64_t classes = (*model.net)(images).dim(1);
  for (std::int64_t& label : labels.span<std::int64_t>())
    label = static_cast<std::int64_t>(rng.below(static_cast<std::uint64_t>(classes)));

  Timing timing{};
  if (args.mode == "train") {
    nn::set_training(*model.net, true);
    optim::Sgd sgd(nn::parameters(*model.net),
                   {.momentum = 0.9, .nesterov = true, .weight_decay = 5e-4});
    timing = measure(args.warmup, args.steps, [&] {
      Tape tape;
      const Var loss = ops::cross_entropy((*model.net)(images), labels);
      tape.backward(loss);
      sgd.step(1e-3);
    });
  } else {
    timing = measure(args.warmup, args.steps, [&] { (*model.net)(images); });
  }

  const double rate = static_cast<double>(args.batch) / timing.ms_per_step * 1e3;
  const double peak = static_cast<double>(peak_resident_bytes()) / (1 << 20);
  if (args.json) {
    std::cout << Json{{"model", model.name},
                      {"mode", args.mode},
                      {"batch", args.batch},
                      {"image_size", side},
                      {"dtype", name_of(dtype)},
                      {"threads", num_threads()},
                      {"steps", args.steps},
                      {"images_per_second", rate},
                      {"ms_per_step", timing.ms_per_step},
                      {"peak_rss_mib", peak},
                      {"system_allocations_per_step", timing.system_allocations_per_step}}
                     .dump()
              << std::endl;
    return 0;
  }
  std::printf(
      "%s, %s, batch %lld, %lld x %lld, %s, %d threads\n"
      "%.1f images/s, %.2f ms a step (median of %d), peak memory %.0f MiB, "
      "%.2f allocations from the system a step\n",
      model.name.c_str(), args.mode.c_str(), static_cast<long long>(args.batch),
      static_cast<long long>(side), static_cast<long long>(side),
      std::string(name_of(dtype)).c_str(), num_threads(), rate, timing.ms_per_step, args.steps,
      peak, timing.system_allocations_per_step);
  return 0;
}

}  // namespace

void add_bench(CLI::App& program, Action& action) {
  auto args = std::make_shared<BenchArguments>();
  CLI::App* command = program.add_subcommand(
      "bench", "Images per second of a training step or of inference, on random images");
  command
      ->add_option("MODE", args->mode,
                   "train (forward, loss, backward, optimiser step) or infer (forward)")
      ->required()
      ->check(CLI::IsMember({"train", "infer"}));
  command->add_option("MODEL", args->model, "its name, e.g. se_resnet20")->required();
  command->add_option("--batch", args->batch, "images a step")
      ->check(CLI::Range(1, 65536))
      ->capture_default_str();
  command->add_option("--dtype", args->dtype, "f32, bf16 or auto")
      ->check(CLI::IsMember({"f32", "bf16", "auto"}))
      ->capture_default_str();
  command->add_option("--threads", args->threads, "processor threads (default: all)")
      ->check(CLI::Range(1, 4096));
  command->add_option("--steps", args->steps, "measured steps, after the warm-up")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  command->add_option("--warmup", args->warmup, "steps that are not measured")
      ->check(CLI::Range(0, 1'000'000))
      ->capture_default_str();
  command->add_option("--classes", args->classes, "outputs (default: 10 or 1000)")
      ->check(CLI::Range(1, 1'000'000));
  command->add_option("--image", args->image, "height and width (default: the model's own)")
      ->check(CLI::Range(1, 4096));
  add_set_option(*command, args->set, "se.reduction=8");
  command->add_flag("--json", args->json, "print one JSON object");
  command->footer(
      "Example:\n  exciton bench train se_resnet20 --batch 128 --threads 2 --steps 30 --json");
  command->callback([args, &action] { action = [args] { return run(*args); }; });
}

}  // namespace exciton::apps
