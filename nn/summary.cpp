#include "exciton/nn/summary.hpp"
#include "exciton/core/description.hpp"

#include <algorithm>
#include <unordered_set>

#include "exciton/nn/names.hpp"
#include "exciton/nn/squeeze_excite.hpp"

namespace exciton::nn {
namespace {

bool is_attention(const Module& m) { return dynamic_cast<const ChannelAttention*>(&m) != nullptr; }

/// Part of an attention unit: runs inside one, or uses its weights.
bool is_attention(const EntryInfo& e, const Names& names) {
  const Module* const running = names.at(e.scope);
  return (running && is_attention(*running)) ||
         std::ranges::any_of(e.parameters,
                             [&](const Parameter* p) { return is_attention(names.owner(p)); });
}

/// Evaluation by plain operators with every parameter on the tape, while in scope.
class Inspection {
 public:
  explicit Inspection(Module& net) : net_(net), training_(net.training), fused_(net.fused) {
    set_training(net_, false);
    set_fused(net_, false);
    for (const NamedParameter& p : parameters(net_))
      if (!p.parameter->trainable) frozen_.push_back(p.parameter);
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

  const Names names(*model.net);
  std::vector<EntryInfo> entries;
  {
    const Inspection inspection(*model.net);
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
    row.name = e.parameters.empty() ? names.module(e.scope)
                                    : names.module(&names.owner(e.parameters.front()));
    row.kind = e.op;
    row.output = e.output;
    row.multiply_adds = e.multiply_adds;
    row.activation_bytes = e.output_bytes;
    row.is_se = is_attention(e, names);
    for (const Parameter* p : e.parameters)
      if (counted.insert(p).second) row.parameters += p->numel();
    summary.multiply_adds += row.multiply_adds;
    if (row.is_se) summary.se_multiply_adds += row.multiply_adds;
    summary.activation_bytes += row.activation_bytes;
    summary.rows.push_back(std::move(row));
  }
  for (const NamedParameter& p : parameters(*model.net)) {
    summary.parameters += p.parameter->numel();
    if (is_attention(names.owner(p.parameter))) summary.se_parameters += p.parameter->numel();
  }
  return summary;
}

}  // namespace exciton::nn
