/// exciton profile
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <utility>

#include "apps/commands/commands.hpp"
#include "apps/measure/peaks.hpp"
#include "apps/measure/workload.hpp"
#include "exciton/core/description.hpp"
#include "exciton/core/memory.hpp"
#include "exciton/core/threads.hpp"
#include "exciton/nn/names.hpp"
#include "exciton/ops/cross_entropy.hpp"
#include "exciton/train/json.hpp"

namespace exciton::apps {
namespace {

struct ProfileArguments {
  WorkloadOptions workload;
  std::string mode = "train", by = "op", trace;
  int steps = 10, warmup = 3;
  bool json = false;
};

/// One step as the tape saw it.
struct Step {
  std::vector<EntryInfo> entries;
  double optimizer_start = 0, optimizer_seconds = 0;  ///< since the tape began, as the entries
  double seconds = 0;
};

Step run_step(nn::Module& net, const Workload& w, optim::Sgd* sgd) {
  Step step;
  Description description;
  Tape tape(&description);
  if (!sgd && w.detect) w.detect();
  const Var out = w.loss ? Var() : net(w.images);
  if (sgd) {
    tape.backward(w.loss ? w.loss() : ops::cross_entropy(out, w.labels));
    step.optimizer_start = description.seconds();
    sgd->step(1e-3);
    step.optimizer_seconds = description.seconds() - step.optimizer_start;
  }
  step.seconds = description.seconds();
  step.entries = description.entries();
  return step;
}

/// A line of the table: one entry of the tape, or all entries of one operator.
struct Row {
  std::string layer, op;
  std::string kernel;  ///< how it ran, where there are several ways: "winograd-f4x3"; backward
                       ///< behind a slash where it ran otherwise
  std::vector<Shape> inputs;
  Shape output;
  std::int64_t calls = 1;
  double forward_ms = 0, backward_ms = 0;
  double flops = 0, bytes = 0;

  std::string op_and_kernel() const { return kernel.empty() ? op : op + ' ' + kernel; }
  double ms() const { return forward_ms + backward_ms; }
  double gflops() const { return ms() > 0 ? flops / ms() / 1e6 : 0; }
  double gb_per_second() const { return ms() > 0 ? bytes / ms() / 1e6 : 0; }
};

constexpr const char* bytes_are =
    "GB/s counts every tensor once: forward its inputs and output, backward its inputs, their "
    "gradients and the output's";
constexpr const char* flops_are =
    "GFLOP/s counts 2 a multiply-add, forward once and backward twice (once where the images come "
    "in, which need no gradient)";

/// Medians over steps, in the order of the tape.
std::vector<Row> rows_of(const std::vector<Step>& steps, const nn::Names& names, bool training) {
  std::vector<Row> rows;
  bool first_product = true;
  for (std::size_t i = 0; i < steps.front().entries.size(); ++i) {
    const EntryInfo& e = steps.front().entries[i];
    std::vector<double> forward, backward;
    for (const Step& s : steps) {
      check(s.entries.size() == steps.front().entries.size() && s.entries[i].op == e.op,
            "profile: steps differ, entry ", i, " is ", e.op, " in the first only");
      forward.push_back(s.entries[i].forward_seconds * 1e3);
      backward.push_back(s.entries[i].backward_seconds * 1e3);
    }
    Row row;
    row.layer = names.layer(e.scope, e.parameters);
    row.op = e.op;
    row.kernel = e.kernel;
    if (!e.backward_kernel.empty() && e.backward_kernel != e.kernel)
      row.kernel += " / " + e.backward_kernel;
    row.inputs = e.inputs;
    row.output = e.output;
    row.forward_ms = median(std::move(forward));
    row.backward_ms = median(std::move(backward));
    const auto in = static_cast<double>(e.input_bytes), out = static_cast<double>(e.output_bytes);
    const auto products = static_cast<double>(e.multiply_adds);
    const bool of_images = products > 0 && std::exchange(first_product, products == 0);
    row.flops = 2 * products;
    row.bytes = in + out;
    if (training) {
      row.flops += (of_images ? 2 : 4) * products;
      row.bytes += (of_images ? in : 2 * in) + out;
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

/// One row per operator and kernel, the most expensive first.
std::vector<Row> grouped(const std::vector<Row>& entries) {
  std::map<std::string, Row> groups;
  for (const Row& e : entries) {
    Row& g = groups.try_emplace(e.op_and_kernel(), Row{.op = e.op, .kernel = e.kernel, .calls = 0})
                 .first->second;
    ++g.calls;
    g.forward_ms += e.forward_ms;
    g.backward_ms += e.backward_ms;
    g.flops += e.flops;
    g.bytes += e.bytes;
  }
  std::vector<Row> rows;
  for (auto& [op, row] : groups) rows.push_back(std::move(row));
  std::stable_sort(rows.begin(), rows.end(),
                   [](const Row& a, const Row& b) { return a.ms() > b.ms(); });
  return rows;
}

/// Everything that is printed.
struct Profile {
  std::vector<Row> rows;
  double step_ms = 0, operators_ms = 0, optimizer_ms = 0;
  double peak_mib = 0;
  Peaks peaks;
  double peak_gflops = 0;  ///< in the type of the activations

  /// What is left of the step: the tape, modules, gradient sums at parameters, releasing tensors.
  double rest_ms() const { return step_ms - operators_ms - optimizer_ms; }
  double share(double ms) const { return ms / step_ms; }
  /// The time the measured peaks allow (every tensor from memory) over the time taken.
  double of_roof(const Row& r) const {
    const double least = std::max(r.flops / peak_gflops, r.bytes / peaks.memory_gb_per_second());
    return r.ms() > 0 ? least / r.ms() / 1e6 : 0;
  }
};

train::Json to_json(const Shape& shape) {
  train::Json out = train::Json::array();
  for (const std::int64_t d : shape) out.push_back(d);
  return out;
}

train::Json to_json(const Profile& p, const Row& r, bool by_layer) {
  train::Json out = train::Json::object();
  if (by_layer) {
    out["layer"] = r.layer;
    out["op"] = r.op;
    out["kernel"] = r.kernel;
    train::Json inputs = train::Json::array();
    for (const Shape& s : r.inputs) inputs.push_back(to_json(s));
    out["inputs"] = inputs;
    out["output"] = to_json(r.output);
  } else {
    out["op"] = r.op;
    out["kernel"] = r.kernel;
    out["calls"] = r.calls;
  }
  out["ms_forward"] = r.forward_ms;
  out["ms_backward"] = r.backward_ms;
  out["gflops"] = r.gflops();
  out["gb_per_second"] = r.gb_per_second();
  out["of_roof"] = p.of_roof(r);
  out["share"] = p.share(r.ms());
  return out;
}

train::Json to_json(const ProfileArguments& args, const Workload& w, const Profile& p) {
  train::Json rows = train::Json::array(), copies = train::Json::array();
  for (const Row& r : p.rows) rows.push_back(to_json(p, r, args.by == "layer"));
  for (const CopyRate& c : p.peaks.copies)
    copies.push_back({{"where", c.where}, {"bytes", c.bytes}, {"gb_per_second", c.gb_per_second}});
  const auto part = [&](double ms) { return train::Json{{"ms", ms}, {"share", p.share(ms)}}; };
  return {{"model", w.model.name},
          {"mode", args.mode},
          {"batch", w.images.dim(0)},
          {"image_size", w.side},
          {"dtype", name_of(w.precision.dtype)},
          {"precision", w.precision.reason},
          {"threads", num_threads()},
          {"steps", args.steps},
          {"ms_per_step", p.step_ms},
          {"images_per_second", static_cast<double>(w.images.dim(0)) / p.step_ms * 1e3},
          {"peak_rss_mib", p.peak_mib},
          {"machine",
           {{"processor", ops::processor().name},
            {"gflops_f32", p.peaks.f32_gflops},
            {"gflops_bf16", p.peaks.bf16_gflops},
            {"copies", copies}}},
          {"by", args.by},
          {"rows", rows},
          {"operators", part(p.operators_ms)},
          {"optimizer", part(p.optimizer_ms)},
          {"rest", part(p.rest_ms())}};
}

std::string shapes_of(const Row& r) {
  // The first input tells the map; the others are weights, or like it.
  std::string text = r.inputs.empty() ? "" : r.inputs.front().str();
  if (r.inputs.size() > 1 && r.inputs[1].rank() == 4 && !(r.inputs[1] == r.inputs[0]))
    text += " * " + r.inputs[1].str();
  return text + " -> " + r.output.str();
}

void print_table(const ProfileArguments& args, const Workload& w, const Profile& p) {
  const Peaks& peaks = p.peaks;
  std::printf("%s, %s, batch %lld, %lld x %lld, %s, %d threads, medians of %d steps\n",
              w.model.name.c_str(), args.mode.c_str(), static_cast<long long>(w.images.dim(0)),
              static_cast<long long>(w.images.dim(1)), static_cast<long long>(w.images.dim(2)),
              std::string(name_of(w.precision.dtype)).c_str(), num_threads(), args.steps);
  std::printf("%s: %.0f GFLOP/s f32", ops::processor().name.c_str(), peaks.f32_gflops);
  if (peaks.bf16_gflops > 0) std::printf(", %.0f bf16", peaks.bf16_gflops);
  std::printf("; copy");
  for (const CopyRate& c : peaks.copies)
    std::printf(" %.0f GB/s in %s (%.1f MiB)%s", c.gb_per_second, c.where,
                static_cast<double>(c.bytes) / (1 << 20), &c == &peaks.copies.back() ? "\n" : ",");
  std::printf(
      "%s.\n%s.\nroof: the time that the peak in %s and the memory rate allow, over the "
      "time taken; above 100 %% the maps came from cache,\n"
      "or a 3x3 convolution took Winograd's fewer products.\n\n",
      flops_are, bytes_are, std::string(name_of(w.precision.dtype)).c_str());

  const bool by_layer = args.by == "layer";
  std::size_t layer_width = 5, op_width = 8, shape_width = 6;
  for (const Row& r : p.rows) {
    layer_width = std::max(layer_width, r.layer.size());
    op_width = std::max(op_width, r.op_and_kernel().size());
    shape_width = std::max(shape_width, shapes_of(r).size());
  }
  const int l = static_cast<int>(layer_width), o = static_cast<int>(op_width),
            s = static_cast<int>(shape_width);
  if (by_layer)
    std::printf("%-*s  %-*s  %-*s", l, "layer", o, "operator", s, "shapes");
  else
    std::printf("%-*s %6s", o, "operator", "calls");
  std::printf(" %10s %10s %9s %7s %6s %7s\n", "forward ms", "back ms", "GFLOP/s", "GB/s", "roof",
              "share");
  for (const Row& r : p.rows) {
    if (by_layer)
      std::printf("%-*s  %-*s  %-*s", l, r.layer.c_str(), o, r.op_and_kernel().c_str(), s,
                  shapes_of(r).c_str());
    else
      std::printf("%-*s %6lld", o, r.op_and_kernel().c_str(), static_cast<long long>(r.calls));
    std::printf(" %10.3f %10.3f %9.1f %7.1f %4.0f %% %5.1f %%\n", r.forward_ms, r.backward_ms,
                r.gflops(), r.gb_per_second(), 100 * p.of_roof(r), 100 * p.share(r.ms()));
  }
  const auto part = [&](const char* name, double ms) {
    std::printf("%-38s %10.3f ms %5.1f %%\n", name, ms, 100 * p.share(ms));
  };
  std::printf("\n");
  part("operators, loss included", p.operators_ms);
  if (args.mode == "train") part("optimiser", p.optimizer_ms);
  part("rest: tape, modules, freed tensors", p.rest_ms());
  part("step", p.step_ms);
  std::printf("%.1f images/s, peak memory %.0f MiB\n",
              static_cast<double>(w.images.dim(0)) / p.step_ms * 1e3, p.peak_mib);
}

/// Chrome's trace event format, for chrome://tracing and Perfetto: complete events ("X") with
/// microseconds, forward, backward and the optimiser in rows of their own.
void write_trace(const std::string& path, const Step& step, const nn::Names& names,
                 const std::string& title) {
  train::Json events = train::Json::array();
  const auto named = [&](const char* what, int row, const std::string& name) {
    events.push_back(
        {{"name", what}, {"ph", "M"}, {"pid", 1}, {"tid", row}, {"args", {{"name", name}}}});
  };
  named("process_name", 1, title);
  const char* rows[] = {"forward", "backward", "optimiser"};
  for (int i = 0; i < 3; ++i) named("thread_name", i + 1, rows[i]);
  const auto event = [&](int row, const std::string& name, double start, double seconds,
                         train::Json args) {
    events.push_back({{"name", name},
                      {"cat", rows[row]},
                      {"ph", "X"},
                      {"ts", start * 1e6},
                      {"dur", seconds * 1e6},
                      {"pid", 1},
                      {"tid", row + 1},
                      {"args", std::move(args)}});
  };
  for (const EntryInfo& e : step.entries) {
    const std::string layer = names.layer(e.scope, e.parameters), op(e.op);
    train::Json inputs = train::Json::array();
    for (const Shape& s : e.inputs) inputs.push_back(s.str());
    train::Json args = {{"layer", layer},
                        {"inputs", inputs},
                        {"output", e.output.str()},
                        {"multiply_adds", e.multiply_adds}};
    const std::string name = layer.empty() ? op : layer + ' ' + op;
    args["kernel"] = e.kernel;
    event(0, name, e.forward_start, e.forward_seconds, args);
    args["kernel"] = e.backward_kernel;
    if (e.backward_seconds > 0) event(1, name, e.backward_start, e.backward_seconds, args);
  }
  if (step.optimizer_seconds > 0)
    event(2, "sgd", step.optimizer_start, step.optimizer_seconds, train::Json::object());
  std::ofstream out(path);
  out << train::Json{{"displayTimeUnit", "ms"}, {"traceEvents", events}}.dump(1) << '\n';
  check(out.flush().good(), "profile: cannot write ", path, "; is the folder there and writable?");
}

int run(const ProfileArguments& args) {
  Workload w = args.workload.model.ends_with(".json") ? make_detector_workload(args.workload)
                                                      : make_workload(args.workload);
  print_precision(w.precision, args.json);
  nn::Module& net = *w.model.net;
  const bool training = args.mode == "train";
  nn::set_training(net, training);
  // Without a leaf nothing is kept for backward, as in inference without a tape.
  if (!training)
    for (const auto& p : nn::parameters(net)) p.parameter->trainable = false;

  optim::Sgd sgd = make_optimizer(net);
  std::vector<Step> steps;
  for (int i = 0; i < args.warmup + args.steps; ++i) {
    Step step = run_step(net, w, training ? &sgd : nullptr);
    if (i >= args.warmup) steps.push_back(std::move(step));
  }
  const nn::Names names(net);

  Profile p;
  std::vector<double> total, optimizer;
  for (const Step& s : steps) {
    total.push_back(s.seconds * 1e3);
    optimizer.push_back(s.optimizer_seconds * 1e3);
  }
  p.step_ms = median(std::move(total));
  p.optimizer_ms = median(std::move(optimizer));
  p.rows = rows_of(steps, names, training);
  for (const Row& r : p.rows) p.operators_ms += r.ms();
  if (args.by == "op") p.rows = grouped(p.rows);
  p.peak_mib = static_cast<double>(peak_resident_bytes()) / (1 << 20);
  if (!args.trace.empty()) {
    const auto typical = std::min_element(steps.begin(), steps.end(), [&](auto& a, auto& b) {
      return std::abs(a.seconds * 1e3 - p.step_ms) < std::abs(b.seconds * 1e3 - p.step_ms);
    });
    write_trace(args.trace, *typical, names, w.model.name + ", " + args.mode);
  }
  p.peaks = measure_peaks();
  p.peak_gflops = w.precision.dtype == DType::bf16 ? p.peaks.bf16_gflops : p.peaks.f32_gflops;

  if (args.json)
    std::cout << train::to_text(to_json(args, w, p)) << std::endl;
  else
    print_table(args, w, p);
  return 0;
}

}  // namespace

void add_profile(Command& program) {
  auto args = std::make_shared<ProfileArguments>();
  Command& command = program.add_command(
      "profile", "Where the time of a step goes, operator by operator, beside the machine's peaks");
  add_workload_options(command, args->workload);
  command.add_option("--mode", args->mode, "train (a whole step) or infer (forward)")
      .check(one_of({"train", "infer"}))
      .show_default();
  command.add_option("--by", args->by, "one row per operator (op) or an entry of the tape (layer)")
      .check(one_of({"op", "layer"}))
      .show_default();
  command.add_option("--steps", args->steps, "measured steps, after the warm-up")
      .check(number_in(1, 100'000))
      .show_default();
  command.add_option("--warmup", args->warmup, "steps that are not measured")
      .check(number_in(0, 100'000))
      .show_default();
  command
      .add_option("--trace", args->trace,
                  "write one step as Chrome trace JSON, for chrome://tracing or ui.perfetto.dev")
      .type_name("FILE");
  command.add_flag("--json", args->json, "print one JSON object");
  command.footer(
      "Example:\n  exciton profile se_resnet20 --batch 128 --dtype bf16 --threads 2\n"
      "  exciton profile se_resnet50 --batch 16 --by layer --trace step.json\n"
      "  exciton profile recipes/coco_se_resnet50_fpn.json --steps 1 --warmup 1");
  command.action([args] { return run(*args); });
}

}  // namespace exciton::apps
