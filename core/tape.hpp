/// The tape: a vector of entries in recording order. Backward is the reverse loop.
///
///   Tape tape;                                        // records while it is in scope
///   Var loss = cross_entropy(model(images), labels);  // every apply() adds an entry
///   tape.backward(loss);                              // adds into Parameter::grad
///
/// Without a tape the same calls only compute.
#pragma once
#include <array>
#include <chrono>
#include <map>
#include <memory>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "exciton/core/operator.hpp"
#include "exciton/core/parameter.hpp"
#include "exciton/core/tensor.hpp"

namespace exciton {

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
  Var(Tensor value, int id, std::uint64_t recording)
      : value_(std::move(value)), id_(id), recording_(recording) {}
  Tensor value_;
  int id_ = -1;
  std::uint64_t recording_ = 0;  // which one the id belongs to
};

/// What the tape keeps of one operation, for people: printing, counting and profiling.
struct EntryInfo {
  std::string_view op;
  const void* scope = nullptr;  ///< the module that was running (see Tape::Scope)
  std::vector<Shape> inputs;
  std::vector<const Parameter*> parameters;  ///< those among the inputs, where they were then
  Shape output;
  DType dtype = DType::f32;
  std::int64_t multiply_adds = 0;
  std::int64_t input_bytes = 0, output_bytes = 0;
  double forward_start = 0, backward_start = 0;  ///< seconds since the tape began
  double forward_seconds = 0, backward_seconds = 0;
};

/// A recording belongs to the thread that made the tape: it alone may use the tape, and the
/// parameters recorded on it are claimed for that thread until backward() is done or the tape ends.
/// Another thread that records them gets an Error. Parameters must be there still when backward()
/// arrives at them; they may have been moved.
class Tape {
 public:
  struct Options {
    bool describe = false;  ///< keep an EntryInfo an entry, with times
  };

  /// Becomes the active tape of this thread. Errors: another one is active.
  Tape();
  explicit Tape(Options options);
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

  /// Gradient of a watched input after backward; empty if none arrived.
  Var watch(const Tensor& value);
  const Tensor& gradient(const Var& watched) const;

  std::size_t size() const { return entries_.size(); }
  const std::vector<EntryInfo>& description() const { return description_; }
  /// When the tape began: the zero of EntryInfo's start times.
  std::chrono::steady_clock::time_point began() const { return began_; }

  /// Names the running module in the description, while in scope.
  class Scope {
   public:
    explicit Scope(const void* module);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    const void* outer_ = nullptr;
  };

  /// Suspends recording on this thread, while in scope.
  class Pause {
   public:
    Pause();
    ~Pause();
    Pause(const Pause&) = delete;
    Pause& operator=(const Pause&) = delete;

   private:
    Tape* outer_;
  };

  // --- for apply() -----------------------------------------------------------------------------

  /// An operation waiting for its gradient.
  struct Node {
    virtual ~Node() = default;
    virtual bool reads_pending_sum() const = 0;
    /// Gradients of all inputs, given dy (+ dy2 when not empty).
    virtual void backward(Tensor dy, Tensor dy2, std::span<const bool> needs,
                          std::span<Tensor> grads) = 0;
  };
  Var record(std::string_view op, std::unique_ptr<Node> node, std::span<const int> inputs,
             Tensor output);
  bool describing() const { return options_.describe; }
  void describe(EntryInfo info);
  int leaf_of(Parameter& parameter);
  /// The parameter whose leaf is at `id`, or nullptr.
  const Parameter* parameter_at(int id) const {
    return id < 0 ? nullptr : entries_[static_cast<std::size_t>(id)].parameter.get();
  }
  /// The place of an input of `op` in this recording, -1 for constants. Errors: it was recorded on
  /// another tape, or before a backward() of this one.
  int place_of(const Var& input, std::string_view op) const;

 private:
  friend class Var;
  struct Entry {
    std::string_view op;
    Shape shape;
    DType dtype = DType::f32;
    std::unique_ptr<Node> node;  // none for leaves
    Parameter::Ref parameter;
    bool leaf = false, watched = false;
    std::vector<int> inputs;
    int info = -1;
    Tensor grad, pending;  // the gradient is grad + pending
  };
  void add_gradient(int id, Tensor g, std::string_view from);
  void give_back_leaves();

  struct Leaf {
    int id;
    Parameter::Ref parameter;
  };

  Options options_;
  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
  std::vector<Entry> entries_;
  std::vector<EntryInfo> description_;
  std::uint64_t recording_;  // of what is on the tape now; never the same twice
  std::unordered_map<const Parameter*, Leaf> leaves_;
  std::vector<Parameter::Ref> claimed_;
  std::map<std::pair<std::uint64_t, int>, Tensor> watched_;  // by recording and id
  const void* scope_ = nullptr;
  int last_info_ = -1;
};

namespace detail {

template <class Op>
struct OpNode final : Tape::Node {
  static constexpr int n = arity_of<Op>;
  Op op;
  typename Op::Saved saved{};
  explicit OpNode(Op o) : op(std::move(o)) {}
  bool reads_pending_sum() const override { return ReadsPendingSum<Op>; }
  void backward(Tensor dy, Tensor dy2, std::span<const bool> needs,
                std::span<Tensor> grads) override {
    if constexpr (n == any_number) {
      auto g = op.backward(saved, std::move(dy), needs);
      check(g.size() == grads.size(), Op::name, ": backward gave ", g.size(), " gradients for ",
            grads.size(), " inputs");
      for (std::size_t i = 0; i < grads.size(); ++i) grads[i] = std::move(g[i]);
    } else {
      Needs<n> wanted{};
      for (std::size_t i = 0; i < wanted.size(); ++i) wanted[i] = needs[i];
      Grads<n> g;
      if constexpr (ReadsPendingSum<Op>) {
        g = dy2.empty() ? op.backward(saved, std::move(dy), wanted)
                        : op.backward_sum(saved, std::move(dy), std::move(dy2), wanted);
      } else {
        g = op.backward(saved, std::move(dy), wanted);
      }
      for (std::size_t i = 0; i < wanted.size(); ++i) grads[i] = std::move(g[i]);
    }
  }
};

template <class Op, class... T>
std::int64_t multiply_adds_of(const Op& op, const Tensor& y, const T&... x) {
  if constexpr (requires { op.multiply_adds(y, x...); })
    return op.multiply_adds(y, x...);
  else
    return 0;
}

template <class Op, class Forward>
Var apply_on(Op op, std::span<const Var* const> inputs, Forward&& forward) {
  Tape* tape = Tape::active();
  auto node = std::make_unique<OpNode<Op>>(std::move(op));
  const auto start = std::chrono::steady_clock::now();
  Tensor y;
  {
    Tape::Pause pause;
    y = forward(*node);
  }
  if (!tape) return Var(std::move(y));
  if (tape->describing()) {
    EntryInfo info;
    info.op = Op::name;
    for (const Var* v : inputs) {
      tape->place_of(*v, Op::name);
      if (!v->empty()) info.inputs.push_back(v->shape());
      info.input_bytes += static_cast<std::int64_t>(v->value().bytes());
      if (const Parameter* p = tape->parameter_at(v->id())) info.parameters.push_back(p);
    }
    info.output = y.shape();
    info.dtype = y.dtype();
    info.output_bytes = static_cast<std::int64_t>(y.bytes());
    info.forward_start = std::chrono::duration<double>(start - tape->began()).count();
    info.forward_seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if constexpr (arity_of<Op> != any_number) {
      const auto count = [&]<std::size_t... I>(std::index_sequence<I...>) {
        return multiply_adds_of(node->op, y, inputs[I]->value()...);
      };
      info.multiply_adds =
          count(std::make_index_sequence<static_cast<std::size_t>(arity_of<Op>)>{});
    }
    tape->describe(std::move(info));
  }
  bool wanted = false;
  std::vector<int> ids;
  ids.reserve(inputs.size());
  for (const Var* v : inputs) {
    ids.push_back(tape->place_of(*v, Op::name));
    wanted = wanted || v->id() >= 0;
  }
  if (!wanted) return Var(std::move(y));
  return tape->record(Op::name, std::move(node), ids, std::move(y));
}

}  // namespace detail

template <class V>
concept ToVar = std::convertible_to<V&&, Var>;
template <class Op>
concept OperatorOfAny = Operator<Op> &&(arity_of<Op> == any_number);

/// Computes op.forward on the inputs and, when a tape is active and an input leads to a leaf,
/// records the operation. The one way by which anything gets onto a tape.
template <Operator Op, ToVar... V>
Var apply(Op op, V&&... x) {
  static_assert(arity_of<Op> == static_cast<int>(sizeof...(V)),
                "apply: number of inputs differs from the operator's backward");
  // Tensors and parameters become Vars here, and live as long as their addresses are used.
  const std::array<Var, sizeof...(V)> vars{Var(std::forward<V>(x))...};
  const auto run = [&]<std::size_t... I>(std::index_sequence<I...>) {
    const std::array<const Var*, sizeof...(V)> inputs{&vars[I]...};
    return detail::apply_on(std::move(op), inputs, [&](auto& node) {
      return node.op.forward(node.saved, vars[I].value()...);
    });
  };
  return run(std::make_index_sequence<sizeof...(V)>{});
}

/// apply for operators with any number of inputs.
template <OperatorOfAny Op>
Var apply(Op op, const std::vector<Var>& x) {
  std::vector<const Var*> inputs;
  std::vector<Tensor> values;
  for (const Var& v : x) {
    inputs.push_back(&v);
    values.push_back(v.value());
  }
  return detail::apply_on(std::move(op), inputs, [&](auto& node) {
    return node.op.forward(node.saved, std::span<const Tensor>(values));
  });
}

}  // namespace exciton
