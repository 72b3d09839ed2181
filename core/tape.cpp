#include "exciton/core/tape.hpp"

#include <atomic>

#include "exciton/core/tape_observer.hpp"

namespace exciton {
namespace {
// The global state a tape needs: what records on this thread, and who keeps it from recording.
thread_local Tape* active_tape = nullptr;
thread_local Tape::Pause* newest_pause = nullptr;
std::atomic<std::uint64_t> recordings{0};
}  // namespace

Tape::Tape(TapeObserver* observer) : observer_(observer), recording_(++recordings) {
  check(active_tape == nullptr, "tape: another tape is already recording on this thread");
  active_tape = this;
}
Tape::~Tape() {
  if (active_tape == this) active_tape = nullptr;
  for (Pause* p = newest_pause; p != nullptr; p = p->below_)
    if (p->outer_ == this) p->outer_ = nullptr;
}
Tape* Tape::active() { return active_tape; }

Tape::Pause::Pause() : outer_(std::exchange(active_tape, nullptr)), below_(newest_pause) {
  newest_pause = this;
}
Tape::Pause::~Pause() {
  if (newest_pause == this) {
    newest_pause = below_;
    active_tape = outer_;
    return;
  }
  Pause* above = newest_pause;
  while (above != nullptr && above->below_ != this) above = above->below_;
  if (above == nullptr) return;  // it began on another thread
  above->below_ = below_;
  above->outer_ = outer_;
}

Var::Var(Parameter& parameter) : value_(parameter.value()) {
  if (active_tape && parameter.trainable && !parameter.empty())
    *this = active_tape->leaf(parameter);
}

bool Tape::holds(std::uint64_t recording, int id) const {
  return recording == recording_ && id >= 0 && id < static_cast<int>(entries_.size());
}

const Parameter* Tape::parameter_at(int id) const {
  return id < 0 ? nullptr : entries_[static_cast<std::size_t>(id)].parameter.get();
}

Var Tape::push(Entry entry, Tensor value) {
  entry.shape = value.shape();
  entry.dtype = value.dtype();
  entries_.push_back(std::move(entry));
  return {std::move(value), static_cast<int>(entries_.size()) - 1, recording_};
}

Var Tape::leaf(Parameter& p) {
  Parameter::Hold hold(p);
  // Where one parameter was, another may be by now.
  if (holds(p.recording_, p.leaf_) && parameter_at(p.leaf_) == &p)
    return {p.value(), p.leaf_, recording_};
  p.recording_ = recording_;
  p.leaf_ = static_cast<int>(entries_.size());
  return push({.parameter = std::move(hold)}, p.value());
}

Var Tape::record(std::unique_ptr<OperatorNode> node, std::span<const Var> inputs) {
  std::vector<Tensor> x;
  std::vector<int> ids;
  bool wanted = false;
  for (const Var& v : inputs) {
    check(v.id_ < 0 || holds(v.recording_, v.id_), node->name(),
          ": an input was recorded on another tape, or before a backward() of this one; compute it "
          "again, or take its value() as a constant");
    x.push_back(v.value_);
    ids.push_back(v.id_);
    wanted = wanted || v.id_ >= 0;
  }
  OperatorNode& op = *node;
  if (observer_) observer_->began(op);
  Var y([&] {
    const Pause pause;
    return op.forward(x);
  }());
  if (wanted) y = push({.node = std::move(node), .inputs = std::move(ids)}, y.value_);
  if (observer_) observer_->recorded(op, inputs, y);
  return y;
}

void Tape::add_gradient(int id, Tensor g, std::string_view from) {
  Entry& e = entries_[static_cast<std::size_t>(id)];
  check(g.shape() == e.shape && g.dtype() == e.dtype, from, ": gradient of its input (",
        e.node        ? e.node->name()
        : e.parameter ? "parameter"
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

void Tape::run_back(Entry entry, int id) {
  OperatorNode& op = *entry.node;
  if (observer_) observer_->began(op);
  const std::size_t inputs = entry.inputs.size();
  const auto needs = std::make_unique<bool[]>(inputs);
  for (std::size_t i = 0; i < inputs; ++i) needs[i] = entry.inputs[i] >= 0;
  std::vector<Tensor> grads =
      op.backward(std::move(entry.grad), std::move(entry.pending), {needs.get(), inputs});
  check(grads.size() == inputs, op.name(), ": backward gave ", grads.size(), " gradients for ",
        inputs, " inputs");
  for (std::size_t i = 0; i < inputs; ++i)
    if (needs[i] && !grads[i].empty())
      add_gradient(entry.inputs[i], std::move(grads[i]), op.name());
  if (observer_) observer_->ended(op, id);
}

void Tape::backward(const Var& loss) {
  check(loss.value().numel() == 1, "backward: the loss must be one number, got ", loss.shape());
  backward(loss, Tensor::full(loss.shape(), 1, loss.value().dtype()));
}

void Tape::backward(const Var& output, Tensor gradient) {
  check(!gradient.empty(), "backward: expected a gradient ", output.shape(),
        ", got an empty tensor");
  check(holds(output.recording_, output.id_),
        "backward: the value was not recorded on this tape (was there a tape in scope, and a "
        "parameter or a watched input before it?)");
  const Pause pause;
  add_gradient(output.id_, std::move(gradient), "backward");
  while (!entries_.empty()) {
    Entry entry = std::move(entries_.back());  // what it saved dies here
    entries_.pop_back();
    const int id = static_cast<int>(entries_.size());
    if (entry.parameter) {
      Parameter* const parameter = entry.parameter.get();
      check(parameter != nullptr || entry.grad.empty(), "backward: a parameter ", entry.shape,
            " on the tape was destroyed or replaced before its gradient came; it must outlive "
            "backward()");
      if (parameter) parameter->add_gradient(std::move(entry.grad));
      if (parameter && observer_) observer_->leaf_finished(*parameter);
    } else if (!entry.grad.empty() && entry.node) {
      run_back(std::move(entry), id);
    } else if (!entry.grad.empty()) {
      watched_[{recording_, id}] = std::move(entry.grad);
    }
  }
  recording_ = ++recordings;
}

Tensor Tape::gradient(const Var& watched) const {
  const auto found = watched_.find({watched.recording_, watched.id_});
  return found == watched_.end() ? Tensor() : found->second;
}

}  // namespace exciton
