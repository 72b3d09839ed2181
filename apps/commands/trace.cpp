/// exciton trace
#include <cstdio>
#include <iostream>
#include <map>
#include <memory>

#include "apps/commands/commands.hpp"
#include "apps/measure/workload.hpp"
#include "exciton/core/description.hpp"
#include "exciton/nn/names.hpp"
#include "exciton/ops/cross_entropy.hpp"
#include "exciton/train/json.hpp"

namespace exciton::apps {
namespace {

struct TraceArguments {
  WorkloadOptions workload;
  bool plain = false, json = false;
};

/// Both directions of an operator in a line; the header of each has it in full.
struct Lesson {
  const char *forward, *backward, *file;
};

const std::map<std::string_view, Lesson>& lessons() {
  static const std::map<std::string_view, Lesson> all{
      {"conv2d", {"y = w * x", "dx = w' * dy, dw = x * dy", "ops/convolution/conv2d.hpp"}},
      {"linear", {"y = x w' + b", "dx = dy w, dw = dy' x, db = sum dy", "ops/linear.hpp"}},
      {"batch_norm",
       {"y = gamma (x - mu) / sigma + beta",
        "dx = gamma / sigma (dy - mean(dy) - xn mean(dy xn)), dgamma = sum dy xn, dbeta = sum dy",
        "ops/batch_norm.hpp"}},
      {"relu", {"y = max(0, x)", "dx = dy where y > 0, else 0", "ops/activations.hpp"}},
      {"sigmoid", {"y = 1 / (1 + exp(-x))", "dx = dy y (1 - y)", "ops/activations.hpp"}},
      {"add", {"y = a + b", "da = dy, db = dy", "ops/add.hpp"}},
      {"squeeze", {"z = mean of x over the pixels", "dx = dz / (H W)", "ops/se/squeeze.hpp"}},
      {"excite",
       {"s = gate(relu(z w1' + b1) w2' + b2)",
        "du = ds gate'(u), dh = (du w2) [h > 0], dz = dh w1, and the weights'",
        "ops/se/excite.hpp"}},
      {"scale", {"y = x s", "dx = dy s, ds = sum over pixels of dy x", "ops/se/scale.hpp"}},
      {"residual_tail",
       {"y = relu(s bn(x) + shortcut), s = excite(squeeze(bn(x)))",
        "all of batch norm, SE, sum and ReLU in two passes", "ops/se/residual_tail.hpp"}},
      {"norm_relu_conv",
       {"y = w * relu(s bn(x))",
        "relu(s bn(x)) once more from x, then conv2d's and residual_tail's",
        "ops/convolution/norm_relu_conv.hpp"}},
      {"global_avg_pool",
       {"y = mean of x over the pixels", "dx = dy / (H W)", "ops/global_avg_pool.hpp"}},
      {"max_pool", {"y = largest of a window", "dx = dy at the largest", "ops/max_pool.hpp"}},
      {"avg_pool", {"y = mean of a window", "dx = dy / size of the window", "ops/avg_pool.hpp"}},
      {"concat", {"y = [a, b]", "da, db = the parts of dy", "ops/concat.hpp"}},
      {"cross_entropy",
       {"loss = mean of log(sum exp(z)) - z[label]", "dz = (softmax(z) - onehot) / N",
        "ops/cross_entropy.hpp"}},
  };
  return all;
}

struct Traced {
  std::vector<EntryInfo> entries;
  double loss = 0;
  std::size_t recorded = 0;  ///< entries on the tape before backward, leaves among them
};

Traced step(nn::Module& net, const Workload& w) {
  Traced out;
  Description description;
  Tape tape(&description);
  const Var loss = ops::cross_entropy(net(w.images), w.labels);
  out.loss = loss.value().item();
  out.recorded = tape.size();
  tape.backward(loss);
  out.entries = description.entries();
  return out;
}

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : ", ") + word;
  return out;
}

std::vector<std::string> shapes(const EntryInfo& e) {
  std::vector<std::string> out;
  for (const Shape& s : e.inputs) out.push_back(s.str());
  return out;
}

std::vector<std::string> parameters(const EntryInfo& e, const nn::Names& names) {
  std::vector<std::string> out;
  for (const Parameter* p : e.parameters) out.push_back(names.parameter(p));
  return out;
}

std::string module_of(const EntryInfo& e, const nn::Names& names) {
  const std::string name = names.module(e.scope);
  return name.empty() && e.scope != nullptr ? "(network)" : name;
}

/// With the kernel that ran it, where there are several.
std::string op_of(const EntryInfo& e) {
  return e.kernel.empty() ? std::string(e.op) : std::string(e.op) + ' ' + std::string(e.kernel);
}

void print(const Traced& traced, const nn::Names& names, const Workload& w) {
  std::printf(
      "One training step of %s: %lld images of %lld x %lld, loss %.4f.\n"
      "Forward writes the tape from top to bottom, an entry an operation.\n\n",
      w.model.name.c_str(), static_cast<long long>(w.images.dim(0)), static_cast<long long>(w.side),
      static_cast<long long>(w.side), traced.loss);
  std::size_t wide = 6, op_wide = 9;
  for (const EntryInfo& e : traced.entries) {
    wide = std::max(wide, module_of(e, names).size());
    op_wide = std::max(op_wide, op_of(e).size());
  }
  const auto head = [&](std::size_t i) {
    const EntryInfo& e = traced.entries[i];
    std::printf("%4zu  %-*s  %-*s  ", i, static_cast<int>(wide), module_of(e, names).c_str(),
                static_cast<int>(op_wide), op_of(e).c_str());
  };
  for (std::size_t i = 0; i < traced.entries.size(); ++i) {
    const EntryInfo& e = traced.entries[i];
    head(i);
    std::printf("%s -> %s\n", joined(shapes(e)).c_str(), e.output.str().c_str());
  }
  std::printf(
      "\nBackward reads it from bottom to top. An entry gets the gradient of its output, "
      "returns those of its inputs, and dies.\n\n");
  for (std::size_t i = traced.entries.size(); i-- > 0;) {
    const EntryInfo& e = traced.entries[i];
    if (e.backward_seconds == 0) continue;
    head(i);
    const auto own = parameters(e, names);
    std::printf("dy %s%s%s\n", e.output.str().c_str(), own.empty() ? "" : ", adds to grad of ",
                joined(own).c_str());
  }
  std::printf("\nThe operations of this tape:\n");
  std::map<std::string_view, int> counts;
  for (const EntryInfo& e : traced.entries) ++counts[e.op];
  for (const auto& [op, count] : counts) {
    const auto lesson = lessons().find(op);
    if (lesson == lessons().end()) {
      std::printf("  %-16s %3d times\n", std::string(op).c_str(), count);
      continue;
    }
    std::printf("  %-16s %3d times  %s\n%27s forward   %s\n%27s backward  %s\n",
                std::string(op).c_str(), count, lesson->second.file, "", lesson->second.forward, "",
                lesson->second.backward);
  }
}

train::Json to_json(const Traced& traced, const nn::Names& names, const Workload& w) {
  train::Json entries = train::Json::array();
  for (const EntryInfo& e : traced.entries) {
    entries.push_back({{"module", module_of(e, names)},
                       {"operation", e.op},
                       {"kernel", e.kernel},
                       {"backward_kernel", e.backward_kernel},
                       {"inputs", shapes(e)},
                       {"parameters", parameters(e, names)},
                       {"output", e.output.str()},
                       {"multiply_adds", e.multiply_adds},
                       {"backward", e.backward_seconds > 0}});
  }
  return {{"model", w.model.name}, {"loss", traced.loss}, {"entries", entries}};
}

int run(const TraceArguments& args) {
  Workload w = make_workload(args.workload);
  nn::Module& net = *w.model.net;
  nn::set_training(net, true);
  nn::set_fused(net, !args.plain);
  const nn::Names names(net);
  const Traced traced = step(net, w);
  if (args.json)
    std::cout << train::to_text(to_json(traced, names, w)) << std::endl;
  else
    print(traced, names, w);
  return 0;
}

}  // namespace

void add_trace(Command& program) {
  auto args = std::make_shared<TraceArguments>();
  Command& command =
      program.add_command("trace", "The tape of one small step, forward and backward");
  args->workload.model = "se_resnet20";
  args->workload.batch = 2;
  add_workload_options(command, args->workload, /*model_required=*/false);
  command.add_flag("--plain", args->plain, "single operators in place of the fused ones");
  command.add_flag("--json", args->json, "print one JSON object");
  command.footer(
      "Example:\n  exciton trace --plain --set blocks=[1,1,1]\n  exciton trace vgg16_bn --image "
      "32");
  command.action([args] { return run(*args); });
}

}  // namespace exciton::apps
