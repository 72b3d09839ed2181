/// exciton tune
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <memory>

#include "apps/commands/commands.hpp"
#include "apps/measure/tuning.hpp"
#include "apps/terminal/progress.hpp"
#include "exciton/core/file.hpp"
#include "exciton/core/threads.hpp"
#include "exciton/train/kernel_file.hpp"

namespace exciton::apps {
namespace {

struct TuneArguments {
  WorkloadOptions workload;
  double seconds = 60, least = 5;
  std::string out, mode = "train";
  bool json = false;
};

/// What of all convolutions of a step is where, in milliseconds.
struct Totals {
  double now = 0, best = 0;
  double ratio() const { return best > 0 ? now / best : 1; }
};

Totals totals_of(const std::vector<TunedForm>& forms) {
  Totals t;
  for (const TunedForm& f : forms) {
    t.now += f.step_ms(f.now());
    t.best += f.step_ms(f.best());
  }
  return t;
}

/// By how much the best kernel beats the one that runs now, in percent of its time.
double gain(const TunedForm& f) { return 100 * (f.now().ms / f.best().ms - 1); }

train::Json to_json(const TunedForm& f) {
  train::Json kernels = train::Json::object();
  for (const TimedKernel& k : f.kernels) kernels[ops::name_of(k.kernel)] = k.ms;
  return {{"form", f.name()},
          {"count", f.count},
          {"now", ops::name_of(f.now().kernel)},
          {"best", ops::name_of(f.best().kernel)},
          {"ms", std::move(kernels)}};
}

void write_file(const TuneArguments& args, const Workload& w, const std::vector<TunedForm>& forms,
                const ops::KernelChoices& changed) {
  train::Json measured = train::Json::array();
  for (const TunedForm& f : forms)
    if (changed.contains(f.name())) measured.push_back(to_json(f));
  const train::Json file{{"processor", ops::processor().name},
                         {"exciton", EXCITON_VERSION},
                         {"model", w.model.name},
                         {"mode", args.mode},
                         {"batch", w.images.dim(0)},
                         {"threads", num_threads()},
                         {"kernels", train::to_json(changed)},
                         {"measured", std::move(measured)}};
  write_text(args.out, file.dump(2) + "\n", "tune");
}

int run(const TuneArguments& args) {
  check(args.out.empty() || !std::filesystem::is_directory(args.out), "tune: ", args.out,
        " is a folder; expected the name of a file to write");
  Workload w = make_workload(args.workload);
  print_precision(w.precision, args.json);
  const NetworkConvolutions found = convolutions_of(w, "tune");
  std::vector<TunedForm> forms;
  {
    constexpr std::int64_t parts = 1000;
    Progress progress(parts);
    forms = tune(found, w.images.dim(0), args.mode == "train", args.seconds, [&](double share) {
      progress.update(static_cast<std::int64_t>(share * parts), "tune", "");
    });
    progress.clear();
  }
  std::stable_sort(forms.begin(), forms.end(), [](const auto& a, const auto& b) {
    return a.step_ms(a.now()) > b.step_ms(b.now());
  });
  const Totals all = totals_of(forms);
  ops::KernelChoices changed;
  Totals after = all;
  for (const TunedForm& f : forms) {
    if (gain(f) < args.least) continue;
    changed[f.name()] = f.best().kernel;
    after.now -= f.step_ms(f.now()) - f.step_ms(f.best());
  }
  if (args.json) {
    train::Json rows = train::Json::array();
    for (const TunedForm& f : forms) rows.push_back(to_json(f));
    const train::Json json{{"model", w.model.name},
                           {"mode", args.mode},
                           {"batch", w.images.dim(0)},
                           {"dtype", name_of(w.precision.dtype)},
                           {"processor", ops::processor().name},
                           {"threads", num_threads()},
                           {"ms_now", all.now},
                           {"ms_best", all.best},
                           {"ms_with_file", after.now},
                           {"kernels", train::to_json(changed)},
                           {"forms", std::move(rows)}};
    std::cout << train::to_text(json) << std::endl;
  } else {
    std::printf("%s, %s, batch %lld, %s, %d threads, %s\n\n", w.model.name.c_str(),
                args.mode.c_str(), static_cast<long long>(w.images.dim(0)),
                std::string(name_of(w.precision.dtype)).c_str(), num_threads(),
                ops::processor().name.c_str());
    std::printf("%8s %6s %-20s %8s %-20s %6s  %s\n", "step ms", "share", "runs on", "best ms",
                "the best", "gain", "form");
    for (const TunedForm& f : forms) {
      const double ms = f.step_ms(f.now());
      const bool same = f.best().kernel == f.now().kernel;
      std::printf("%8.3f %5.1f%% %-20s %8.3f %-20s %5.0f%%  %s\n", ms, 100 * ms / all.now,
                  ops::name_of(f.now().kernel).c_str(), f.step_ms(f.best()),
                  same ? "" : ops::name_of(f.best().kernel).c_str(), gain(f), f.name().c_str());
    }
    std::printf(
        "\n%lld convolutions, %zu forms with their directions. They take %.2f ms as they run "
        "now and %.2f ms on the best kernel each: %.3f times as long.\n",
        static_cast<long long>(found.convolutions), forms.size(), all.now, all.best, all.ratio());
    if (changed.empty())
      std::printf("No form would gain %g %% or more: there is nothing to change.\n", args.least);
    else
      std::printf(
          "%zu forms would gain %g %% or more each on another kernel, %.2f ms a step together.\n",
          changed.size(), args.least, all.now - after.now);
  }
  if (!args.out.empty()) {
    write_file(args, w, forms, changed);
    if (!args.json)
      std::printf("Written to %s; it is used where it is asked for: --kernels %s\n",
                  args.out.c_str(), args.out.c_str());
  }
  return 0;
}

}  // namespace

void add_tune(Command& program) {
  auto args = std::make_shared<TuneArguments>();
  args->workload.dtype = "auto";
  Command& command = program.add_command(
      "tune", "Measures a network's convolutions on every kernel that can run them, here");
  add_workload_options(command, args->workload);
  command.add_option("--mode", args->mode, "a training step, or inference: train or infer")
      .check(one_of({"train", "infer"}))
      .show_default();
  command.add_option("--seconds", args->seconds, "how long it measures, about")
      .check(number_in(0.0, 86400.0))
      .show_default();
  command
      .add_option("--least", args->least,
                  "what another kernel must gain to be named, in percent of the time")
      .check(number_in(0.0, 1000.0))
      .show_default();
  command.add_option("--out", args->out, "file to write, for --kernels FILE of any command")
      .type_name("FILE");
  command.add_flag("--json", args->json, "print one JSON object");
  command.footer(
      "Measures on random images, so give it the batch that you train with, on a machine that has "
      "nothing else to do.\n"
      "Example:\n  exciton tune se_resnet20 --batch 128 --out kernels.json\n"
      "  exciton train recipes/cifar10_se_resnet20_fast.json --out runs/tuned --kernels "
      "kernels.json");
  command.action([args] { return run(*args); });
}

}  // namespace exciton::apps
