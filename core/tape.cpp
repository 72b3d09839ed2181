#include "exciton/core/tape.hpp"

#include <atomic>

#include "exciton/core/tape_observer.hpp"

namespace exciton {
namespace {
thread_local Tape* active_tape = nullptr;  // the one piece of global state a tape needs

std::uint64_t next_recording() {
  static std::atomic<std::uint64_t> last{0};
  return ++last;
}
}  // namespace

Tape::Tape(TapeObserver* observer) : observer_(observer), recording_(next_recording()) {
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

Tape::Scope::Scope(const void* module) : observer_(active_tape ? active_tape->observer_ : nullptr) {
  if (observer_) observer_->entered(module);
}
Tape::Scope::~Scope() {
  if (observer_) observer_->left();
}

Var::Var(Parameter& parameter) : value_(parameter.value()) {
  if (active_tape && parameter.trainable && !parameter.empty()) {
    id_ = active_tape->leaf_of(parameter);
    recording_ = active_tape->recording_;
  }
}

const Parameter* Tape::parameter_at(int id) const {
  return id < 0 ? nullptr : entries_[static_cast<std::size_t>(id)].parameter.get();
}

Var Tape::push(Entry entry, Tensor value) {
  entry.shape = value.shape();
  entry.dtype = value.dtype();
  Var out(std::move(value));
  out.id_ = static_cast<int>(entries_.size());
  out.recording_ = recording_;
  entries_.push_back(std::move(entry));
  return out;
}

int Tape::leaf_of(Parameter& parameter) {
  // Where one parameter was, another may be by now.
  const auto found = leaves_.find(&parameter);
  if (found != leaves_.end() && found->second.second.get() == &parameter)
    return found->second.first;
  check(parameter.recording_.take(), "tape", ThreadClaim::in_use);
  claimed_.push_back(parameter.ref());
  const int id = push({.parameter = claimed_.back(), .leaf = true, .first_input = inputs_.size()},
                      parameter.value())
                     .id();
  leaves_.insert_or_assign(&parameter, std::pair(id, claimed_.back()));
  return id;
}

Var Tape::watch(const Tensor& value) { return push({.first_input = inputs_.size()}, value); }

const Tensor& Tape::gradient(const Var& watched) const {
  static const Tensor none;
  const auto found = watched_.find({watched.recording_, watched.id_});
  return found == watched_.end() ? none : found->second;
}

Var Tape::record(std::unique_ptr<OperatorNode> node, std::span<const Var* const> inputs) {
  bool wanted = false;
  for (const Var* x : inputs) {
    check(x->id_ < 0 || (x->recording_ == recording_ && x->id_ < static_cast<int>(entries_.size())),
          node->name(),
          ": an input was recorded on another tape, or before a backward() of this one; compute it "
          "again, or take its value() as a constant");
    wanted = wanted || x->id_ >= 0;
  }
  if (observer_) observer_->began(*node);
  Var y([&] {
    const Pause pause;
    return node->forward(inputs);
  }());
  OperatorNode& op = *node;
  if (wanted) {
    const std::size_t first = inputs_.size();
    for (const Var* x : inputs) inputs_.push_back(x->id_);
    y = push({.node = std::move(node), .first_input = first}, y.value_);
  }
  if (observer_) observer_->recorded(op, inputs, y);
  return y;
}

void Tape::add_gradient(int id, Tensor g, std::string_view from) {
  Entry& e = entries_[static_cast<std::size_t>(id)];
  check(g.shape() == e.shape && g.dtype() == e.dtype, from, ": gradient of its input (",
        e.node   ? e.node->name()
        : e.leaf ? "parameter"
                 : "input",
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

void Tape::finish_leaf(Entry leaf) {
  Parameter* const parameter = leaf.parameter.get();
  check(parameter != nullptr || leaf.grad.empty(), "backward: a parameter ", leaf.shape,
        " on the tape was destroyed or replaced before its gradient came; it must outlive "
        "backward()");
  if (!parameter) return;
  if (!leaf.grad.empty() && parameter->grad.empty())
    parameter->grad = leaf.grad.shared() ? leaf.grad.clone() : std::move(leaf.grad);
  else if (!leaf.grad.empty())
    parameter->grad += leaf.grad;
  if (observer_) observer_->leaf_finished(*parameter);
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
  const auto needs = std::make_unique<bool[]>(inputs_.size());
  std::vector<Tensor> grads;
  std::size_t end = inputs_.size();
  for (int id = static_cast<int>(entries_.size()) - 1; id >= 0; --id) {
    Entry entry = std::move(entries_[static_cast<std::size_t>(id)]);  // saved tensors die here
    entries_.pop_back();
    const std::span<const int> inputs(inputs_.data() + entry.first_input, end - entry.first_input);
    end = entry.first_input;
    if (entry.leaf) {
      finish_leaf(std::move(entry));
    } else if (!entry.grad.empty() && !entry.node) {
      watched_[{recording_, id}] = std::move(entry.grad);
    } else if (!entry.grad.empty()) {
      if (observer_) observer_->began(*entry.node);
      grads.assign(inputs.size(), Tensor());
      for (std::size_t i = 0; i < inputs.size(); ++i) needs[i] = inputs[i] >= 0;
      entry.node->backward(std::move(entry.grad), std::move(entry.pending),
                           {needs.get(), inputs.size()}, grads);
      for (std::size_t i = 0; i < inputs.size(); ++i)
        if (needs[i] && !grads[i].empty())
          add_gradient(inputs[i], std::move(grads[i]), entry.node->name());
      if (observer_) observer_->ended(*entry.node, id);
    }
  }
  inputs_.clear();
  give_back_leaves();
  recording_ = next_recording();
}

}  // namespace exciton
