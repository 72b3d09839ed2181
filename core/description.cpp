#include "exciton/core/description.hpp"

namespace exciton {

double Description::seconds() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - made_).count();
}

void Description::recorded(const OperatorNode& node, std::span<const Var> inputs,
                           const Var& output) {
  EntryInfo info;
  info.forward_start = start_;
  info.forward_seconds = seconds() - start_;
  info.op = node.name();
  info.kernel = node.kernel();
  info.scope = running_.empty() ? nullptr : running_.back();
  std::vector<Tensor> values;
  for (const Var& x : inputs) {
    if (!x.empty()) info.inputs.push_back(x.shape());
    info.input_bytes += static_cast<std::int64_t>(x.value().bytes());
    if (const Parameter* p = Tape::active()->parameter_at(x.id())) info.parameters.push_back(p);
    values.push_back(x.value());
  }
  info.output = output.shape();
  info.dtype = output.value().dtype();
  info.output_bytes = static_cast<std::int64_t>(output.value().bytes());
  info.multiply_adds = node.multiply_adds(output.value(), values);
  if (output.id() >= 0) entry_of_[output.id()] = entries_.size();
  entries_.push_back(std::move(info));
}

void Description::ended(const OperatorNode& node, int id) {
  EntryInfo& info = entries_[entry_of_.at(id)];
  info.backward_kernel = node.kernel();
  info.backward_start = start_;
  info.backward_seconds = seconds() - start_;
}

}  // namespace exciton
