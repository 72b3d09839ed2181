#include "exciton/nn/branch.hpp"

#include <algorithm>

#include "exciton/core/tape_observer.hpp"
#include "exciton/ops/activations.hpp"
#include "exciton/ops/add.hpp"
#include "exciton/ops/convolution/norm_relu_conv.hpp"
#include "exciton/ops/se/residual_tail.hpp"

namespace exciton::nn {
namespace {

constexpr PathRow rows[] = {
    {Path::folded, "folded", "evaluation or a frozen part, nothing recorded, not f64",
     "folded_conv2d: the norm in the weights; gates, sum and ReLU as the result is written, or in "
     "one pass over it; units of other kinds behind it",
     "nothing", "conv2d, batch_norm, the unit, add, relu",
     "inference 1.01 to 1.16 times as fast as fused"},
    {Path::composed, "composed",
     "set_fused(false); NoSqueeze, units other than SE, a ReLU before it, a hook on the gates, the "
     "unit or the norm",
     "conv2d, batch_norm (residual_tail where a norm has no unit), the unit, add, relu",
     "the input of each", "itself", "1"},
    {Path::recomputed, "recomputed", "in training, on a tape, before a convolution without bias",
     "norm_relu_conv in place of residual_tail and conv2d", "the convolution's result",
     "conv2d behind residual_tail",
     "0.99 to 1.01 of the time of a fused step, 0.8 (SE-ResNet-20) to 0.9 (SE-ResNet-50) of its "
     "memory"},
    {Path::fused, "fused", "all else", "conv2d, residual_tail",
     "the convolution's result; the output where its ReLU cannot be told from that",
     "conv2d, batch_norm, squeeze, excite, scale, add, relu",
     "step 1.1 (f32) to 3.3 (bf16) times as fast as composed"},
};

/// The unit if its gates are a function of a mean or maximum over the map, and nobody replaces
/// them.
SqueezeExcite* squeezing(ChannelAttention* attention) {
  auto* const se = dynamic_cast<SqueezeExcite*>(attention);
  const bool plain = se && se->squeezes && !se->input_relu;
  return plain && !se->hook && !se->forward_hook ? se : nullptr;
}

/// Somebody looks at, or replaces, what the folded convolution does not have.
bool watched_within(const Unit& u) {
  return u.conv.forward_hook || u.bn.forward_hook || (u.attention && u.attention->forward_hook);
}

bool trains(ChannelAttention* attention) {
  return attention && std::ranges::any_of(parameters(*attention), [](const NamedParameter& p) {
           return p.parameter->trainable;
         });
}

/// Somebody will ask for a gradient, or for what lies between convolution and norm.
bool recorded(const Unit& u, const Var& x, const Var& shortcut) {
  return Tape::active() && (x.id() >= 0 || shortcut.id() >= 0 || u.conv.weight.trainable ||
                            (u.conv.bias.trainable && !u.conv.bias.empty()) ||
                            u.bn.weight.trainable || u.bn.bias.trainable || trains(u.attention));
}

/// Of a norm and what follows, up to the next convolution; behind another one, or first in a
/// pre-activation branch.
Path behind(const BatchNorm& bn, ChannelAttention* attention, const Conv2d* next) {
  if (!bn.fused || bn.forward_hook || (attention && !squeezing(attention))) return Path::composed;
  const bool between =
      next && next->bias.empty() && !next->forward_hook && bn.training && Tape::active();
  return between ? Path::recomputed : Path::fused;
}

Var composed(ChannelAttention* attention, Var y, const Var& shortcut, bool relu) {
  if (attention) y = (*attention)(y);
  if (!shortcut.empty()) y = ops::add(y, shortcut);
  return relu ? ops::relu(y) : y;
}

/// What the fused operators are given of SE.
struct Excitation {
  ops::ResidualTail op;
  Var w1, b1, w2, b2;

  Excitation(BatchNorm& bn, SqueezeExcite* se, bool relu) : op{.norm = bn.spec(), .relu = relu} {
    if (!se) return;
    op.squeeze = se->squeeze;
    op.gate = se->gate;
    op.watch = se->watch ? &se->watch : nullptr;
    w1 = Var(se->reduce_weight);
    b1 = Var(se->reduce_bias);
    w2 = Var(se->expand_weight);
    b2 = Var(se->expand_bias);
  }
};

/// relu(attention(bn(y)) + shortcut), y the convolution's result.
Var tail(const Unit& u, const Var& y, const Var& shortcut) {
  if (!u.relu && !u.attention && shortcut.empty()) return u.bn(y);
  if (behind(u.bn, u.attention, nullptr) == Path::composed)
    return composed(u.attention, u.bn(y), shortcut, u.relu);
  SqueezeExcite* const se = squeezing(u.attention);
  const TapeObserver::Scope scope(se ? static_cast<const Module*>(se) : &u.bn);
  const Excitation e(u.bn, se, u.relu);
  return apply(e.op, y, Var(u.bn.weight), Var(u.bn.bias), shortcut, e.w1, e.b1, e.w2, e.b2);
}

/// next(relu(attention(bn(y)))) as one operator that does not keep what is between.
Var recomputed(BatchNorm& bn, ChannelAttention* attention, bool relu, const Var& y, Conv2d& next) {
  const TapeObserver::Scope scope(&next);
  const Excitation e(bn, squeezing(attention), relu);
  const ops::NormReluConv op{.tail = e.op,
                             .conv = {.spec = next.spec,
                                      .packed = next.packed.state(),
                                      .version = next.weight.version(),
                                      .keep_packed = next.keep_packed && !next.training}};
  return apply(op, y, Var(bn.weight), Var(bn.bias), e.w1, e.b1, e.w2, e.b2, Var(next.weight));
}

/// The folded convolution as an operator, so that a tape which only describes sees it.
struct FoldedConv2d {
  static constexpr std::string_view name = "folded_conv2d";
  Conv2d* conv;
  ops::FoldedConv::Gate gate;
  bool relu;
  struct Saved {
    std::string kernel;
  };
  Tensor forward(Saved& saved, const Tensor& x, const Tensor& shortcut) const {
    const Tensor y = conv->folded(x, gate, shortcut, relu);
    saved.kernel = conv->folded.kernel();
    return y;
  }
  Grads<2> backward(Saved&, Tensor, Needs<2>) const {
    fail(name, ": is for evaluation, and has no gradient");
  }
  std::int64_t multiply_adds(const Tensor& y, const Tensor&, const Tensor&) const {
    return y.numel() * conv->weight.numel() / conv->weight.shape()[0];
  }
  static std::string kernel(const Saved& saved) { return saved.kernel; }
};

Var folded(const Unit& u, const Var& x, const Var& shortcut) {
  Conv2d& conv = u.conv;
  auto* const se = squeezing(u.attention);
  const bool averages = se && se->squeeze == ops::SqueezeKind::avg;
  const Tensor none;
  conv.folded.fold({.weight = conv.weight.value(),
                    .version = conv.weight.version(),
                    .bias = conv.bias.value(),
                    .spec = conv.spec,
                    .gamma = u.bn.weight.value(),
                    .beta = u.bn.bias.value(),
                    .running = u.bn.running,
                    .eps = u.bn.options.eps,
                    .reduce = averages ? se->reduce_weight.value() : none,
                    .reduce_version = averages ? se->reduce_weight.version() : 0,
                    .reduce_bias = averages ? se->reduce_bias.value() : none});
  const TapeObserver::Scope scope(&conv);
  if (!u.attention) return apply(FoldedConv2d{&conv, nullptr, u.relu}, x, shortcut);
  if (!averages)
    return composed(u.attention, apply(FoldedConv2d{&conv, nullptr, false}, x, Var()), shortcut,
                    u.relu);
  const auto gate = [se](const Tensor& z, const Tensor& w1, const Tensor& b1) {
    const Tensor s = ops::excite(z, w1, b1, se->expand_weight, se->expand_bias, se->gate).value();
    if (se->watch) se->watch(s);
    return s;
  };
  return apply(FoldedConv2d{&conv, gate, u.relu}, x, shortcut);
}

}  // namespace

std::span<const PathRow> path_table() { return rows; }

std::string_view name_of(Path path) {
  for (const PathRow& row : rows)
    if (row.path == path) return row.name;
  return "";
}

Path path_of(const Unit& u, const Conv2d* next, const Var& x, const Var& shortcut) {
  const bool f64 = x.value().dtype() == DType::f64;
  const bool learns = u.bn.training && !u.bn.frozen;
  if (u.bn.fused && !learns && !f64 && !watched_within(u) && !recorded(u, x, shortcut))
    return Path::folded;
  return behind(u.bn, u.attention, next);
}

Var run_unit(const Unit& u, const Var& x, const Var& shortcut) {
  if (path_of(u, nullptr, x, shortcut) == Path::folded) return folded(u, x, shortcut);
  return tail(u, u.conv(x), shortcut);
}

Var run_unit(const Unit& u, const Var& x, Conv2d& next) {
  if (path_of(u, &next, x, {}) != Path::recomputed) return next(run_unit(u, x));
  return recomputed(u.bn, u.attention, u.relu, u.conv(x), next);
}

Var run_branch(std::span<const Unit> units, const Var& x, const std::function<Var()>& shortcut) {
  const Unit& last = units.back();
  Var y = x;
  bool convolved = false;  // the convolution of this unit has run, with the unit before
  for (std::size_t i = 0; i + 1 < units.size(); ++i) {
    const Unit& u = units[i];
    Conv2d& next = units[i + 1].conv;
    const Path path = path_of(u, &next, y, {});
    if (path == Path::recomputed)
      y = recomputed(u.bn, u.attention, u.relu, convolved ? y : u.conv(y), next);
    else
      y = convolved ? tail(u, y, {}) : run_unit(u, y);
    convolved = path == Path::recomputed;
  }
  const Var other = shortcut ? shortcut() : Var();
  return convolved ? tail(last, y, other) : run_unit(last, y, other);
}

Path path_of(const BatchNorm& bn, const Conv2d& conv) { return behind(bn, nullptr, &conv); }

Var norm_relu_conv(BatchNorm& bn, Conv2d& conv, const Var& x) {
  if (path_of(bn, conv) == Path::recomputed) return recomputed(bn, nullptr, true, x, conv);
  return conv(norm_relu(bn, x));
}

Var norm_relu(BatchNorm& bn, const Var& x) {
  if (behind(bn, nullptr, nullptr) == Path::composed) return ops::relu(bn(x));
  const TapeObserver::Scope scope(&bn);
  const Excitation e(bn, nullptr, true);
  return apply(e.op, x, Var(bn.weight), Var(bn.bias), Var(), e.w1, e.b1, e.w2, e.b2);
}

}  // namespace exciton::nn
