/// exciton doctor
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>
#include <optional>

#include "apps/commands/commands.hpp"
#include "apps/terminal/command_line.hpp"
#include "apps/terminal/format.hpp"
#include "apps/terminal/hints.hpp"
#include "apps/terminal/progress.hpp"
#include "exciton/core/limits.hpp"
#include "exciton/core/random.hpp"
#include "exciton/core/threads.hpp"
#include "exciton/data/dataset.hpp"
#include "exciton/ops/convolution/conv2d.hpp"
#include "exciton/ops/convolution/onednn/convolution.hpp"
#include "exciton/ops/processor.hpp"
#include "exciton/parallel/launch.hpp"
#include "exciton/train/json.hpp"

namespace exciton::apps {
namespace fs = std::filesystem;
namespace {

struct DoctorArguments {
  std::vector<std::string> data;
  bool json = false;
};

/// What was looked at, and what to do about it.
struct Finding {
  enum class State { good, note, bad };
  std::string what, value;
  State state = State::good;
  std::string advice = "";
};
using State = Finding::State;

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

Finding processor() {
  const ops::Processor& p = ops::processor();
  std::string sets;
  for (const auto& [has, name] :
       {std::pair{p.avx2, "AVX2"}, {p.avx512, "AVX-512"}, {p.bf16, "AVX512_BF16"}, {p.amx, "AMX"}})
    if (has) sets += (sets.empty() ? "" : ", ") + std::string(name);
  Finding out{"processor", p.name + ": " + (sets.empty() ? "no AVX2" : sets)};
  if (!p.avx2) {
    out.state = State::note;
    out.advice = "kernels for plain x86-64 run, which take several times as long";
  } else if (p.bf16) {
    out.advice = "dtype \"bf16\" or \"auto\" is the fastest here";
  }
  return out;
}

std::optional<Finding> settings() {
  std::string found;
  for (const char* name : {"EXCITON_ISA", "EXCITON_CONV", "EXCITON_LINK", "DNNL_MAX_CPU_ISA",
                           "OMP_NUM_THREADS", "OMP_THREAD_LIMIT"})
    if (const std::string value = environment(name); !value.empty())
      found += (found.empty() ? "" : ", ") + std::string(name) + '=' + value;
  if (found.empty()) return std::nullopt;
  return Finding{"environment", found, State::note,
                 "unset what you did not mean: these choose kernels, threads and, under mpirun, "
                 "how slow messages are"};
}

Finding threads(const Limits& limits) {
  Finding out{"threads", std::to_string(num_threads()) + " (" + limits.text() + ')'};
  std::ifstream load("/proc/loadavg");
  double busy = 0;
  if (load >> busy && busy > 0.5 * limits.processors) {
    out.state = State::note;
    out.advice =
        format("other processes keep %.1f of %d processors busy; training is slower beside them",
               busy, limits.processors);
  }
  return out;
}

Finding memory(const Limits& limits) {
  const auto text = [](std::uint64_t bytes) { return format_bytes(static_cast<double>(bytes)); };
  Finding out{"memory", text(limits.memory)};
  if (limits.memory_limit)
    out.value = text(*limits.memory_limit) + " (" + limits.memory_limited_by + " of " +
                text(limits.memory) + ')';
  std::uint64_t available = limits.usable_memory();
  std::ifstream info("/proc/meminfo");
  for (std::string key, unit; info >> key;) {
    std::uint64_t kib = 0;
    info >> kib;
    std::getline(info, unit);
    if (key == "MemAvailable:") available = std::min(available, kib << 10);
  }
  out.value += ", " + text(available) + " free";
  if (available < (std::uint64_t{1} << 30)) {
    out.state = State::bad;
    out.advice =
        "close other programs or raise the limit; SE-ResNet-20 at batch 128 takes 0.2 GB; "
        "exciton summary MODEL --train --batch N says what others do";
  }
  return out;
}

/// A few layers by the fast kernels and by the formula.
Finding self_test() {
  Generator rng(1);
  double worst = 0;
  for (const auto& [c, o, window, stride] :
       {std::array<std::int64_t, 4>{16, 16, 3, 1}, {3, 24, 3, 1}, {64, 32, 1, 1}, {24, 48, 3, 2}}) {
    const Tensor x = Tensor::randn({4, 14, 14, c}, rng),
                 w = Tensor::randn({o, c, window, window}, rng);
    const ops::ConvSpec spec{.stride = stride, .padding = window / 2};
    ops::Conv2d::Saved a, b;
    const Tensor fast = ops::Conv2d{.spec = spec}.forward(a, x, w, {});
    const Tensor exact =
        ops::Conv2d{.spec = spec}.forward(b, x.to(DType::f64), w.to(DType::f64), {});
    double largest = 0, off = 0;
    for (std::int64_t i = 0; i < exact.numel(); ++i) {
      largest = std::max(largest, std::abs(exact.at(i)));
      const double d = std::abs(exact.at(i) - fast.at(i));
      off = d <= off ? off : d;  // NaN stays
    }
    worst = std::max(worst, off / largest);
  }
  Finding out{"convolution", format("off by %.1e of the largest value", worst)};
  if (!(worst < 1e-5)) {
    out.state = State::bad;
    out.advice = "results would be wrong: run with EXCITON_CONV=own, and report this line";
  }
  if (const std::string doubts = ops::onednn::doubts(); !doubts.empty()) {
    out.value += "; " + doubts;
    out.state = std::max(out.state, State::note);
    if (out.advice.empty()) out.advice = "nothing: slower kernels run in its place";
  }
  return out;
}

Finding disk() {
  std::error_code failed;
  const fs::space_info space = fs::space(".", failed);
  Finding out{"disk", failed ? failed.message()
                             : format_bytes(static_cast<double>(space.available)) + " free in " +
                                   fs::current_path(failed).string()};
  if (failed || ::access(".", W_OK) != 0) {
    out.state = State::bad;
    out.value += ", not writable";
    out.advice = "work in a folder that you may write to, or give --out";
  } else if (space.available < (std::uintmax_t{1} << 30)) {
    out.state = State::bad;
    out.advice = "make room: a run keeps a few checkpoints of three times the weights";
  }
  return out;
}

/// Of the folders that were asked for, or of the usual places.
std::vector<Finding> data_sets(const std::vector<std::string>& asked) {
  std::vector<std::string> places = asked;
  if (asked.empty()) {
    std::error_code none;
    for (const auto& entry : fs::directory_iterator("data-cache", none))
      if (entry.is_directory(none)) places.push_back(entry.path().string());
    std::ranges::sort(places);
    places.insert(places.begin(), "/usr/share/datasets/fashion-mnist");
  }
  std::vector<Finding> out;
  for (const std::string& place : places) {
    if (asked.empty() && !fs::exists(place)) continue;
    try {
      const data::DataLayout layout = data::find_layout("auto", place);
      std::string splits;
      for (const data::FoundSplit& split : layout.splits)
        splits += (splits.empty() ? "" : ", ") + split.name;
      out.push_back({"data", layout.kind + " in " + place + ": " + splits});
    } catch (const Error& error) {
      out.push_back({"data", place + " is no data set", asked.empty() ? State::note : State::bad,
                     explained(error)});
    }
  }
  if (out.empty())
    out.push_back(
        {"data", "no data set found", State::note,
         "fetch one: " + command_line({"data", "fetch", "cifar10", "--dir", "data-cache/cifar10"}) +
             "; or a folder of your own with a folder for each class"});
  return out;
}

int run(const DoctorArguments& args) {
  const Limits limits = read_limits();
  std::vector<Finding> found{{"exciton", std::string(EXCITON_VERSION) + ", " + EXCITON_COMPILER}};
  found.push_back(processor());
  if (auto set = settings()) found.push_back(std::move(*set));
  found.push_back(threads(limits));
  found.push_back(memory(limits));
  found.push_back({"oneDNN", ops::onednn::version_text().empty() ? "not in this build"
                                                                 : ops::onednn::version_text()});
  found.push_back(self_test());
  found.push_back({"several processes", ranks::library().empty()
                                            ? "not in this build (libopenmpi-dev or libmpich-dev)"
                                            : "by " + ranks::library()});
  for (Finding& one : data_sets(args.data)) found.push_back(std::move(one));
  found.push_back(disk());
  const bool bad =
      std::ranges::any_of(found, [](const Finding& f) { return f.state == State::bad; });
  if (args.json) {
    train::Json all = train::Json::array();
    for (const Finding& f : found)
      all.push_back({{"what", f.what},
                     {"value", f.value},
                     {"state", f.state == State::good   ? "good"
                               : f.state == State::note ? "note"
                                                        : "bad"},
                     {"advice", f.advice}});
    std::cout << train::to_text({{"findings", all}, {"good", !bad}}) << std::endl;
    return bad ? exit_error : 0;
  }
  for (const Finding& f : found) {
    std::printf("%s %-12s %s\n",
                f.state == State::good   ? "  ok"
                : f.state == State::note ? "note"
                                         : " BAD",
                f.what.c_str(), f.value.c_str());
    if (!f.advice.empty()) std::printf("     %-12s -> %s\n", "", f.advice.c_str());
  }
  return bad ? exit_error : 0;
}

}  // namespace

void add_doctor(Command& program) {
  auto args = std::make_shared<DoctorArguments>();
  Command& command = program.add_command(
      "doctor", "What this machine has, and what to do where something is wrong");
  command.add_option("DIR", args->data, "data folders to look into (default: the usual places)");
  command.add_flag("--json", args->json, "print one JSON object");
  command.footer("Example:\n  exciton doctor\n  exciton doctor photos/ --json");
  command.action([args] { return run(*args); });
}

}  // namespace exciton::apps
