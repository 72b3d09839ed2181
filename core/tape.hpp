/// The tape: a vector of entries in recording order. Backward is the reverse loop.
///
///   Tape tape;                                        // records while it is in scope
///   Var loss = cross_entropy(model(images), labels);  // every apply() adds an entry
///   tape.backward(loss);                              // adds into Parameter::grad
///
/// Without a tape the same calls only compute.
#pragma once
#include <algorithm>
#include <concepts>
#include <map>
#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

#include "exciton/core/operator.hpp"
#include "exciton/core/parameter.hpp"

namespace exciton {

struct TapeObserver;  // core/tape_observer.hpp

/// A value on the way through the network: a tensor, and where the active tape recorded it.
class Var {
 public:
  Var() = default;
  Var(Tensor value) : value_(std::move(value)) {}  // NOLINT: a constant, no gradient wanted
  /// The parameter as a leaf of the active tape.
  Var(Parameter& parameter);  // NOLINT: parameters are operands like any other

  const Tensor& value() const { return value_; }
  const Shape& shape() const { return value_.shape(); }
  std::int64_t dim(int axis) const { return value_.dim(axis); }
  bool empty() const { return value_.empty(); }
  /// Position on the tape; -1 for constants and without a tape.
  int id() const { return id_; }

 private:
  friend class Tape;
  Tensor value_;
  int id_ = -1;
  std::uint64_t recording_ = 0;  // which one the id belongs to
};

/// An operator with what it saved, as the tape keeps it; inputs come in any number.
struct OperatorNode {
  virtual ~OperatorNode() = default;
  virtual std::string_view name() const = 0;
  virtual Tensor forward(std::span<const Var* const> x) = 0;
  virtual bool reads_pending_sum() const = 0;
  /// Gradients of all inputs, given dy (+ dy2 when not empty).
  virtual void backward(Tensor dy, Tensor dy2, std::span<const bool> needs,
                        std::span<Tensor> grads) = 0;
  /// Of forward; 0 where the operator does not say.
  virtual std::int64_t multiply_adds(const Tensor& y, std::span<const Var* const> x) const = 0;
};

/// Its typed face: observers that know Op find it, with its attributes, by a dynamic_cast.
template <Operator Op>
struct NodeOf final : OperatorNode {
  Op op;
  typename Op::Saved saved{};
  explicit NodeOf(Op o) : op(std::move(o)) {}
  std::string_view name() const override { return Op::name; }
  bool reads_pending_sum() const override { return ReadsPendingSum<Op>; }

  Tensor forward(std::span<const Var* const> x) override {
    if constexpr (arity_of<Op> == any_number) {
      std::vector<Tensor> values;
      for (const Var* v : x) values.push_back(v->value());
      return op.forward(saved, std::span<const Tensor>(values));
    } else {
      return with_each([&](auto... i) { return op.forward(saved, x[i]->value()...); });
    }
  }
  void backward(Tensor dy, Tensor dy2, std::span<const bool> needs,
                std::span<Tensor> grads) override {
    if constexpr (arity_of<Op> == any_number) {
      auto g = op.backward(saved, std::move(dy), needs);
      check(g.size() == grads.size(), Op::name, ": backward gave ", g.size(), " gradients for ",
            grads.size(), " inputs");
      std::ranges::move(g, grads.begin());
    } else {
      Needs<arity_of<Op>> wanted{};
      std::ranges::copy(needs, wanted.begin());
      Grads<arity_of<Op>> g;
      if constexpr (ReadsPendingSum<Op>)
        g = dy2.empty() ? op.backward(saved, std::move(dy), wanted)
                        : op.backward_sum(saved, std::move(dy), std::move(dy2), wanted);
      else
        g = op.backward(saved, std::move(dy), wanted);
      std::ranges::move(g, grads.begin());
    }
  }
  std::int64_t multiply_adds(const Tensor& y, std::span<const Var* const> x) const override {
    return with_each([&](auto... i) -> std::int64_t {
      if constexpr (requires { op.multiply_adds(y, x[i]->value()...); })
        return op.multiply_adds(y, x[i]->value()...);
      else
        return 0;
    });
  }

 private:
  template <class F>
  static auto with_each(F&& f) {
    return [&]<std::size_t... I>(std::index_sequence<I...>) { return f(I...); }
    (std::make_index_sequence<static_cast<std::size_t>(arity_of<Op>)>{});
  }
};

/// A recording belongs to the thread that made the tape: it alone may use the tape, and the
/// parameters recorded on it are claimed for that thread until backward() is done or the tape ends.
/// Another thread that records them gets an Error. Parameters must be there still when backward()
/// arrives at them; they may have been moved.
class Tape {
 public:
  /// Becomes the active tape of this thread. Errors: another one is active.
  explicit Tape(TapeObserver* observer = nullptr);
  ~Tape();
  Tape(const Tape&) = delete;
  Tape& operator=(const Tape&) = delete;

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
  Var watch(const Tensor& value);
  const Tensor& gradient(const Var& watched) const;

  std::size_t size() const { return entries_.size(); }
  /// The parameter whose leaf is at `id`, or nullptr.
  const Parameter* parameter_at(int id) const;

  /// Tells the observer which module runs, while in scope.
  class Scope {
   public:
    explicit Scope(const void* module);
    ~Scope();
    Scope(const Scope&) = delete;

   private:
    TapeObserver* observer_;
  };
  /// Suspends recording on this thread, while in scope.
  class Pause {
   public:
    Pause();
    ~Pause();
    Pause(const Pause&) = delete;

   private:
    Tape* outer_;
  };

  /// For apply(): computes and, when an input leads to a leaf, records. Errors: those of forward;
  /// an input was recorded on another tape, or before a backward() of this one.
  Var record(std::unique_ptr<OperatorNode> node, std::span<const Var* const> inputs);

 private:
  friend class Var;
  struct Entry {
    std::unique_ptr<OperatorNode> node;  // none for leaves and watched inputs
    Parameter::Ref parameter;
    bool leaf = false;
    std::size_t first_input = 0;  // in inputs_, where the next entry's begin behind them
    Shape shape;
    DType dtype = DType::f32;
    Tensor grad, pending;  // the gradient is grad + pending
  };
  Var push(Entry entry, Tensor value);
  int leaf_of(Parameter& parameter);
  void finish_leaf(Entry leaf);
  void add_gradient(int id, Tensor g, std::string_view from);
  void give_back_leaves();

  TapeObserver* observer_;
  std::uint64_t recording_;  // of what is on the tape now; never the same twice
  std::vector<Entry> entries_;
  std::vector<int> inputs_;  // ids, entry by entry
  std::unordered_map<const Parameter*, std::pair<int, Parameter::Ref>> leaves_;
  std::vector<Parameter::Ref> claimed_;
  std::map<std::pair<std::uint64_t, int>, Tensor> watched_;  // by recording and id
};

/// Computes op.forward on the inputs and, when a tape is active and an input leads to a leaf,
/// records the operation. The one way by which anything gets onto a tape.
template <Operator Op>
Var apply(Op op, std::span<const Var* const> inputs) {
  if (Tape* tape = Tape::active())
    return tape->record(std::make_unique<NodeOf<Op>>(std::move(op)), inputs);
  return Var(NodeOf<Op>(std::move(op)).forward(inputs));
}
template <Operator Op, std::same_as<Var>... V>
Var apply(Op op, const V&... x) {
  static_assert(arity_of<Op> == static_cast<int>(sizeof...(V)),
                "apply: number of inputs differs from the operator's backward");
  const std::array<const Var*, sizeof...(V)> inputs{&x...};
  return apply(std::move(op), std::span<const Var* const>(inputs));
}
/// For operators with any number of inputs.
template <Operator Op>
Var apply(Op op, const std::vector<Var>& x) {
  std::vector<const Var*> inputs;
  for (const Var& v : x) inputs.push_back(&v);
  return apply(std::move(op), std::span<const Var* const>(inputs));
}

}  // namespace exciton
