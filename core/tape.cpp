#include "exciton/core/tape.hpp"

#include <algorithm>
#include <atomic>

namespace exciton {
namespace {
thread_local Tape* active_tape = nullptr;  // the one piece of global state a tape needs

std::uint64_t next_recording() {
  static std::atomic<std::uint64_t> last{0};
  return ++last;
}
}  // namespace

Tape::Tape() : Tape(Options{}) {}

Tape::Tape(Options options) : options_(options), recording_(next_recording()) {
  check(active_tape == nullptr, "tape: another tape is already recording on this thread");
  active_tape = this;
}

Tape::~Tape() {
  if (active_tape == this) active_tape = nullptr;
  give_back_leaves();
}

void Tape::give_back_leaves() {
  for (const Parameter::Ref& leaf : claimed_)
    if (Parameter* const parameter = leaf.get()) parameter->recording_.give_back();
  claimed_.clear();
  leaves_.clear();
}

Tape* Tape::active() { return active_tape; }

Tape::Pause::Pause() : outer_(std::exchange(active_tape, nullptr)) {}
Tape::Pause::~Pause() { active_tape = outer_; }

Tape::Scope::Scope(const void* module) {
  if (active_tape) outer_ = std::exchange(active_tape->scope_, module);
}
Tape::Scope::~Scope() {
  if (active_tape) active_tape->scope_ = outer_;
}

Var::Var(Parameter& parameter) : value_(parameter.value()) {
  if (active_tape && parameter.trainable && !parameter.empty()) {
    id_ = active_tape->leaf_of(parameter);
    recording_ = active_tape->recording_;
  }
}

int Tape::leaf_of(Parameter& parameter) {
  // Where one parameter was, another may be by now.
  const auto found = leaves_.find(&parameter);
  if (found != leaves_.end() && found->second.parameter.get() == &parameter)
    return found->second.id;
  Entry e;
  e.op = "parameter";
  e.shape = parameter.shape();
  e.dtype = parameter.value().dtype();
  e.leaf = true;
  check(parameter.recording_.take(), "tape", ThreadClaim::in_use);
  e.parameter = parameter.ref();
  claimed_.push_back(e.parameter);
  const int id = static_cast<int>(entries_.size());
  leaves_.insert_or_assign(&parameter, Leaf{id, e.parameter});
  entries_.push_back(std::move(e));
  return id;
}

int Tape::place_of(const Var& input, std::string_view op) const {
  check(input.id_ < 0 ||
            (input.recording_ == recording_ && input.id_ < static_cast<int>(entries_.size())),
        op,
        ": an input was recorded on another tape, or before a backward() of this one; compute it "
        "again, or take its value() as a constant");
  return input.id_;
}

Var Tape::watch(const Tensor& value) {
  Entry e;
  e.op = "input";
  e.shape = value.shape();
  e.dtype = value.dtype();
  e.watched = true;
  entries_.push_back(std::move(e));
  return Var(value, static_cast<int>(entries_.size()) - 1, recording_);
}

const Tensor& Tape::gradient(const Var& watched) const {
  static const Tensor none;
  const auto found = watched_.find({watched.recording_, watched.id_});
  return found == watched_.end() ? none : found->second;
}

void Tape::describe(EntryInfo info) {
  info.scope = scope_;
  description_.push_back(std::move(info));
  last_info_ = static_cast<int>(description_.size()) - 1;
}

Var Tape::record(std::string_view op, std::unique_ptr<Node> node, std::span<const int> inputs,
                 Tensor output) {
  Entry e;
  e.op = op;
  e.shape = output.shape();
  e.dtype = output.dtype();
  e.node = std::move(node);
  e.inputs.assign(inputs.begin(), inputs.end());
  if (options_.describe) e.info = last_info_;
  entries_.push_back(std::move(e));
  return Var(std::move(output), static_cast<int>(entries_.size()) - 1, recording_);
}

void Tape::add_gradient(int id, Tensor g, std::string_view from) {
  Entry& e = entries_[static_cast<std::size_t>(id)];
  check(g.shape() == e.shape && g.dtype() == e.dtype, from, ": gradient of its input (", e.op,
        ") is ", g.shape(), " ", g.dtype(), ", the value is ", e.shape, " ", e.dtype);
  if (e.grad.empty()) {
    e.grad = std::move(g);
  } else if (e.pending.empty() && e.node && e.node->reads_pending_sum()) {
    e.pending = std::move(g);  // the consumer adds while it reads
  } else {
    if (e.grad.shared()) e.grad = e.grad.clone();  // two branches may have returned one tensor
    e.grad += g;
  }
}

void Tape::backward(const Var& loss) {
  check(loss.value().numel() == 1, "backward: the loss must be one number, got ", loss.shape());
  backward(loss, Tensor::full(loss.shape(), 1, loss.value().dtype()));
}

void Tape::backward(const Var& output, Tensor gradient) {
  check(!gradient.empty(), "backward: expected a gradient ", output.shape(),
        ", got an empty tensor");
  check(output.id() >= 0 && output.recording_ == recording_ &&
            output.id() < static_cast<int>(entries_.size()),
        "backward: the value was not recorded on this tape (was there a tape in scope, and a "
        "parameter or a watched input before it?)");
  const Pause pause;
  add_gradient(output.id(), std::move(gradient), "backward");
  for (int id = static_cast<int>(entries_.size()) - 1; id >= 0; --id) {
    Entry entry = std::move(entries_[static_cast<std::size_t>(id)]);  // saved tensors die here
    entries_.pop_back();
    if (entry.grad.empty()) continue;
    if (entry.leaf) {
      Parameter* const parameter = entry.parameter.get();
      check(parameter != nullptr, "backward: a parameter ", entry.shape,
            " on the tape was destroyed or replaced before its gradient came; it must outlive "
            "backward()");
      Tensor& sum = parameter->grad;
      if (sum.empty())
        sum = entry.grad.shared() ? entry.grad.clone() : std::move(entry.grad);
      else
        sum += entry.grad;
      continue;
    }
    if (entry.watched) {
      watched_[{recording_, id}] = std::move(entry.grad);
      continue;
    }
    const auto start = std::chrono::steady_clock::now();
    const std::size_t n = entry.inputs.size();
    std::vector<Tensor> grads(n);
    const auto needs = std::make_unique<bool[]>(n);
    for (std::size_t i = 0; i < n; ++i) needs[i] = entry.inputs[i] >= 0;
    entry.node->backward(std::move(entry.grad), std::move(entry.pending), {needs.get(), n}, grads);
    entry.node.reset();
    for (std::size_t i = 0; i < n; ++i)
      if (needs[i] && !grads[i].empty())
        add_gradient(entry.inputs[i], std::move(grads[i]), entry.op);
    if (entry.info >= 0) {
      EntryInfo& info = description_[static_cast<std::size_t>(entry.info)];
      info.backward_start = std::chrono::duration<double>(start - began_).count();
      info.backward_seconds =
          std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    }
  }
  give_back_leaves();
  recording_ = next_recording();
}

}  // namespace exciton
