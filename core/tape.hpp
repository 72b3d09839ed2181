/// The tape: a vector of entries in recording order. Backward is the reverse loop.
///
///   Tape tape;                                        // records while it is in scope
///   Var loss = cross_entropy(model(images), labels);  // every apply() adds an entry
///   tape.backward(loss);                              // adds into Parameter::grad
///
/// Without a tape the same calls only compute.
#pragma once
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "exciton/core/operator_node.hpp"
#include "exciton/core/var.hpp"

namespace exciton {

struct TapeObserver;  // core/tape_observer.hpp

/// A recording belongs to the thread that made the tape: it alone may use the tape, and until
/// backward() has passed them or the tape ends no other thread's may record the same parameters.
/// They must be there still when backward() arrives at them, but may have been moved.
class Tape {
 public:
  explicit Tape(TapeObserver* observer = nullptr);  ///< Errors: another is active on this thread
  ~Tape();
  Tape(Tape&&) = delete;
  /// The tape recording on this thread, or nullptr.
  static Tape* active();

  /// Runs the chain rule from `loss` back to the leaves, adding into Parameter::grad. Entries and
  /// their saved tensors are released as they are passed; the tape is empty afterwards.
  /// Errors: loss is not one element, or was not recorded on this tape; a parameter on the way was
  /// destroyed or replaced meanwhile.
  void backward(const Var& loss);
  /// The same from any output with its gradient given (same shape).
  void backward(const Var& output, Tensor gradient);
  /// A constant whose gradient is wanted: empty after backward if none arrived.
  Var watch(const Tensor& value) { return push({}, value); }
  Tensor gradient(const Var& watched) const;

  /// Suspends recording on this thread, while in scope. Scopes may end in any order, and after the
  /// tape: the last of them to end lets it record again, if it is there.
  class Pause {
   public:
    Pause();
    ~Pause();
    Pause(const Pause&) = delete;
    Pause& operator=(const Pause&) = delete;

   private:
    friend class Tape;
    Tape* outer_;
    Pause* below_;  // the one that began before, on this thread
  };

  std::size_t size() const { return entries_.size(); }
  TapeObserver* observer() const { return observer_; }
  /// The parameter whose leaf is at `id`, or nullptr.
  const Parameter* parameter_at(int id) const;
  /// The parameter on this tape. Errors: another thread's has it.
  Var leaf(Parameter& parameter);
  /// For apply(): computes and, when an input leads to a leaf, records. Errors: those of forward;
  /// an input was recorded on another tape, or before a backward() of this one.
  Var record(std::unique_ptr<OperatorNode> node, std::span<const Var> inputs);

 private:
  struct Entry {
    std::unique_ptr<OperatorNode> node;  // of a result; neither this nor a parameter: watched
    Parameter::Hold parameter;           // of a leaf
    std::vector<int> inputs;
    Shape shape;
    DType dtype = DType::f32;
    Tensor grad, pending;  // the gradient is grad + pending
  };
  Var push(Entry entry, Tensor value);
  bool holds(std::uint64_t recording, int id) const;
  void add_gradient(int id, Tensor g, std::string_view from);
  void run_back(Entry entry, int id);

  TapeObserver* observer_;
  std::uint64_t recording_;  // of what is on the tape now; never the same twice
  std::vector<Entry> entries_;
  std::map<std::pair<std::uint64_t, int>, Tensor> watched_;  // gradients, by recording and id
};

/// Computes op.forward on the inputs and, when a tape is active and an input leads to a leaf,
/// records the operation. The one way by which anything gets onto a tape.
template <Operator Op>
Var apply(Op op, std::span<const Var> inputs) {
  if (Tape* tape = Tape::active())
    return tape->record(std::make_unique<NodeOf<Op>>(std::move(op)), inputs);
  std::vector<Tensor> x;
  for (const Var& v : inputs) x.push_back(v.value());
  return NodeOf<Op>(std::move(op)).forward(x);
}
template <Operator Op, std::same_as<Var>... V>
Var apply(Op op, const V&... x) {
  static_assert(arity_of<Op> == static_cast<int>(sizeof...(V)),
                "apply: number of inputs differs from the operator's backward");
  return exciton::apply(std::move(op), std::span<const Var>(std::array<Var, sizeof...(V)>{x...}));
}

}  // namespace exciton
