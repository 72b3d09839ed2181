#include "exciton/nn/summary.hpp"
#include "exciton/core/description.hpp"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "exciton/nn/squeeze_excite.hpp"

namespace exciton::nn {
namespace {

/// Who owns what: names of modules by address, parameters by address.
struct Owners final : Visitor {
  std::unordered_map<const void*, std::string> modules;  // every module
  std::unordered_set<const void*> se_modules;
  std::unordered_map<const Parameter*, std::string> parameters;  // the module of each
  std::unordered_set<const Parameter*> se_parameters;
  std::vector<Parameter*> frozen;

  void enter(const std::string& name, Module& m) override {
    modules[&m] = name;
    if (dynamic_cast<ChannelAttention*>(&m)) se_modules.insert(&m);
    running_.push_back(&m);
  }
  void leave(const std::string&, Module&) override { running_.pop_back(); }
  void parameter(const std::string&, Parameter& p) override {
    parameters[&p] = modules[running_.back()];
    if (se_modules.contains(running_.back())) se_parameters.insert(&p);
    if (!p.trainable) frozen.push_back(&p);
  }

 private:
  std::vector<const Module*> running_;
};

/// Evaluation by plain operators with every parameter on the tape, while in scope.
class Inspection {
 public:
  Inspection(Module& net, std::vector<Parameter*> frozen)
      : net_(net), training_(net.training), fused_(net.fused), frozen_(std::move(frozen)) {
    set_training(net_, false);
    set_fused(net_, false);
    for (Parameter* p : frozen_) p->trainable = true;
  }
  ~Inspection() {
    for (Parameter* p : frozen_) p->trainable = false;
    set_training(net_, training_);
    set_fused(net_, fused_);
  }
  Inspection(const Inspection&) = delete;
  Inspection& operator=(const Inspection&) = delete;

 private:
  Module& net_;
  bool training_, fused_;
  std::vector<Parameter*> frozen_;
};

}  // namespace

Summary summarize(Model& model, std::int64_t image_size, std::int64_t batch) {
  check(batch >= 1 && image_size >= 0, "summary: image_size and batch must be positive, got ",
        image_size, " and ", batch);
  Summary summary;
  summary.model = model.name;
  summary.image_size = image_size > 0 ? image_size : model.image_size;
  summary.batch = batch;
  summary.classes = model.options.classes;

  Owners owners;
  owners.walk(*model.net);
  std::vector<EntryInfo> entries;
  {
    const Inspection inspection(*model.net, owners.frozen);
    Description description;
    const Tape tape(&description);
    const std::int64_t size = summary.image_size;
    (*model.net)(Tensor::zeros({batch, size, size, model.options.image_channels}));
    entries = description.entries();
  }

  std::unordered_set<const Parameter*> counted;
  for (const EntryInfo& e : entries) {
    SummaryRow row;
    // An operator called by a block belongs to the layer whose weights it uses.
    row.name =
        e.parameters.empty() ? owners.modules[e.scope] : owners.parameters[e.parameters.front()];
    row.kind = e.op;
    row.output = e.output;
    row.multiply_adds = e.multiply_adds;
    row.activation_bytes = e.output_bytes;
    row.is_se = owners.se_modules.contains(e.scope);
    for (const Parameter* p : e.parameters) {
      row.is_se = row.is_se || owners.se_parameters.contains(p);
      if (counted.insert(p).second) row.parameters += p->numel();
    }
    summary.multiply_adds += row.multiply_adds;
    if (row.is_se) summary.se_multiply_adds += row.multiply_adds;
    summary.activation_bytes += row.activation_bytes;
    summary.rows.push_back(std::move(row));
  }
  for (const auto& [p, name] : owners.parameters) summary.parameters += p->numel();
  for (const Parameter* p : owners.se_parameters) summary.se_parameters += p->numel();
  return summary;
}

}  // namespace exciton::nn
