#include "exciton/nn/gates.hpp"

#include <utility>

#include "exciton/ops/global_avg_pool.hpp"

namespace exciton::nn {
namespace {

struct AttentionVisitor final : Visitor {
  std::vector<NamedAttention> found;
  void enter(const std::string& name, Module& m) override {
    if (auto* unit = dynamic_cast<ChannelAttention*>(&m)) found.push_back({name, unit});
  }
};

/// f(s, row) at every element of a copy of `gates` [..., C] with row [C] beside it.
template <class F>
Var each_channel(const Var& gates, const Tensor& row, F&& f) {
  const std::int64_t c = gates.dim(gates.shape().rank() - 1);
  check(row.shape() == Shape{c}, "gates: the unit has ", c, " channels, got values for ",
        row.shape());
  Tensor out = gates.value().clone();
  dispatch_float(out.dtype(), "gates", [&](auto tag) {
    using T = decltype(tag);
    using A = Acc<T>;
    const Tensor values = row.to(dtype_of<A>);
    const A* r = values.data<A>();
    T* s = out.data<T>();
    for (std::int64_t i = 0; i < out.numel(); ++i) s[i] = T(f(A(s[i]), r[i % c]));
  });
  return out;
}

}  // namespace

std::vector<NamedAttention> attention_units(Module& net) {
  AttentionVisitor v;
  v.walk(net);
  return std::move(v.found);
}

GateRecorder::GateRecorder(Module& net) : units_(attention_units(net)), seen_(units_.size()) {
  for (std::size_t i = 0; i < units_.size(); ++i)
    watches_.push_back(std::make_unique<WatchScope>(units_[i].unit->watch,
                                                    [this, i](const Tensor& s) { seen_[i] = s; }));
}

Tensor GateRecorder::gates(std::size_t i) const {
  check(i < seen_.size(), "gates: the network has ", seen_.size(), " units, asked for ", i);
  check(!seen_[i].empty(), "gates: ", units_[i].name, " has not run yet");
  if (seen_[i].rank() == 2) return seen_[i].to(DType::f32);
  return ops::global_avg_pool(seen_[i]).value().to(DType::f32);
}

ForwardHook constant_gates(const Tensor& values) {
  return [values](const Var& s) {
    return each_channel(s, values, [](auto, auto value) { return value; });
  };
}

ForwardHook masked_gates(const Tensor& mask) {
  return [mask](const Var& s) {
    return each_channel(s, mask, [](auto gate, auto keep) { return gate * keep; });
  };
}

}  // namespace exciton::nn
