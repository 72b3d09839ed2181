#include "exciton/nn/blocks.hpp"
#include "exciton/nn/attention.hpp"

#include "exciton/ops/add.hpp"
#include "exciton/ops/shortcut_pad.hpp"

namespace exciton::nn {
namespace {

using Place = PlacedSE::Place;

/// Option B of He et al.: a convolution and, mostly, batch norm.
class Projection final : public Module {
 public:
  Projection(const ShortcutSpec& s, Generator& init)
      : conv(s.in, s.out, s.kernel, {.stride = s.stride, .padding = s.kernel / 2}, init) {
    if (s.norm) bn = std::make_unique<BatchNorm>(s.out);
  }
  std::string_view kind() const override { return "Projection"; }
  void visit(Visitor& v) override {
    v("conv", conv);
    if (bn) v("bn", *bn);
  }
  Conv2d conv;
  std::unique_ptr<BatchNorm> bn;

 protected:
  Var forward(const Var& x) override {
    return bn ? run_unit({conv, *bn, nullptr, false}, x) : conv(x);
  }
};

/// Option A of He et al.: every stride-th pixel, and zeros for the new channels.
class ZeroPad final : public Module {
 public:
  explicit ZeroPad(const ShortcutSpec& s) : spec_(s) {}
  std::string_view kind() const override { return "ZeroPad"; }

 protected:
  Var forward(const Var& x) override { return ops::shortcut_pad(x, spec_.out, spec_.stride); }

 private:
  ShortcutSpec spec_;
};

Var shortcut_of(const std::unique_ptr<Module>& shortcut, const Var& x) {
  return shortcut ? (*shortcut)(x) : x;
}

/// The branch and the shortcut, with SE where it is around them.
Var run_residual(std::span<const Unit> branch, const PlacedSE& se,
                 const std::unique_ptr<Module>& shortcut, const Var& x) {
  const Var in = se.through(Place::pre, x);
  const auto around = [&] { return se.through(Place::identity, shortcut_of(shortcut, x)); };
  return se.through(Place::post, run_branch(branch, in, around));
}

/// The start of a pre-activation branch: relu(bn(in)) where it is kept, for the branch and for a
/// projection; else the convolution of it.
struct PreActStart {
  Var h, convolved;
};
PreActStart start_preactivation(BatchNorm& bn, Conv2d& conv, const Var& in, bool projects) {
  if (!projects && path_of(bn, conv) == Path::recomputed) return {{}, norm_relu_conv(bn, conv, in)};
  return {norm_relu(bn, in), {}};
}

std::int64_t channels_of(Place place, const PlacedSE::Channels& channels) {
  if (place == Place::pre) return channels.in;
  return place == Place::conv3x3 ? channels.inner : channels.out;
}

/// `spec` for the unit itself, which does not know where it is.
SESpec placed(SESpec spec) {
  spec.placement = SESpec{}.placement;
  return spec;
}

/// Of the first and of the second convolution of a bottleneck.
std::int64_t stride_of(const BlockOptions& o, const char* convolution) {
  check(o.stride_on == "1x1" || o.stride_on == "3x3", "Bottleneck: unknown stride_on \"",
        o.stride_on, "\"; known are 1x1 and 3x3");
  return o.stride_on == convolution ? o.stride : 1;
}

std::int64_t first_of(const BlockOptions& o) { return o.first > 0 ? o.first : o.width; }

template <class Block>
PlacedSE::Channels se_channels(const BlockOptions& o) {
  return {.in = o.in, .inner = o.width, .out = channels_out<Block>(o)};
}

template <class Block>
ShortcutSpec shortcut_spec(const BlockOptions& o, bool norm) {
  const bool strides = o.stride > 1;
  return {.in = o.in,
          .out = channels_out<Block>(o),
          .stride = o.stride,
          .kind = o.shortcut,
          .kernel = strides ? o.shortcut_kernel : 1,
          .norm = norm};
}

}  // namespace

std::unique_ptr<Module> make_shortcut(const ShortcutSpec& spec, Generator& init) {
  check(spec.kind == "projection" || spec.kind == "zero_pad", "shortcut: unknown kind \"",
        spec.kind, "\"; known are projection and zero_pad");
  if (spec.in == spec.out && spec.stride == 1) return nullptr;
  if (spec.kind == "projection") return std::make_unique<Projection>(spec, init);
  check(spec.in <= spec.out, "shortcut: zero_pad cannot go from ", spec.in, " channels down to ",
        spec.out, "; try projection");
  return std::make_unique<ZeroPad>(spec);
}

PlacedSE::PlacedSE(const SESpec& spec, const Channels& channels, Generator& init)
    : place_(placement_names.parse(spec.placement)),
      unit_(make_attention(channels_of(place_, channels), placed(spec), init)) {}

BasicBlock::BasicBlock(const BlockOptions& o, Generator& init)
    : conv1(o.in, o.width, 3, {.stride = o.stride, .padding = 1}, init),
      bn1(o.width),
      conv2(o.width, o.width, 3, {.padding = 1}, init),
      bn2(o.width),
      se(o.se, se_channels<BasicBlock>(o), init),
      shortcut(make_shortcut(shortcut_spec<BasicBlock>(o, true), init)) {}

void BasicBlock::visit(Visitor& v) {
  v("conv1", conv1);
  v("bn1", bn1);
  v("conv2", conv2);
  v("bn2", bn2);
  se.visit(v);
  if (shortcut) v("shortcut", *shortcut);
}

Var BasicBlock::forward(const Var& x) {
  const Unit branch[] = {{conv1, bn1, se.at(Place::conv3x3)}, {conv2, bn2, se.at(Place::standard)}};
  return run_residual(branch, se, shortcut, x);
}

Bottleneck::Bottleneck(const BlockOptions& o, Generator& init)
    : conv1(o.in, first_of(o), 1, {.stride = stride_of(o, "1x1")}, init),
      bn1(first_of(o)),
      conv2(first_of(o), o.width, 3,
            {.stride = stride_of(o, "3x3"), .padding = 1, .groups = o.groups}, init),
      bn2(o.width),
      conv3(o.width, channels_out<Bottleneck>(o), 1, {}, init),
      bn3(channels_out<Bottleneck>(o)),
      se(o.se, se_channels<Bottleneck>(o), init),
      shortcut(make_shortcut(shortcut_spec<Bottleneck>(o, true), init)) {}

void Bottleneck::visit(Visitor& v) {
  v("conv1", conv1);
  v("bn1", bn1);
  v("conv2", conv2);
  v("bn2", bn2);
  v("conv3", conv3);
  v("bn3", bn3);
  se.visit(v);
  if (shortcut) v("shortcut", *shortcut);
}

Var Bottleneck::forward(const Var& x) {
  const Unit branch[] = {
      {conv1, bn1}, {conv2, bn2, se.at(Place::conv3x3)}, {conv3, bn3, se.at(Place::standard)}};
  return run_residual(branch, se, shortcut, x);
}

PreActBasicBlock::PreActBasicBlock(const BlockOptions& o, Generator& init)
    : bn1(o.in),
      conv1(o.in, o.width, 3, {.stride = o.stride, .padding = 1}, init),
      bn2(o.width),
      conv2(o.width, o.width, 3, {.padding = 1}, init),
      se(o.se, se_channels<PreActBasicBlock>(o), init),
      shortcut(make_shortcut(shortcut_spec<PreActBasicBlock>(o, false), init)) {}

void PreActBasicBlock::visit(Visitor& v) {
  v("bn1", bn1);
  v("conv1", conv1);
  v("bn2", bn2);
  v("conv2", conv2);
  se.visit(v);
  if (shortcut) v("shortcut", *shortcut);
}

Var PreActBasicBlock::forward(const Var& x) {
  const auto [h, convolved] =
      start_preactivation(bn1, conv1, se.through(Place::pre, x), shortcut != nullptr);
  const Var inner = se.through(Place::conv3x3, h.empty() ? convolved : conv1(h));
  const Var y = se.through(Place::standard, norm_relu_conv(bn2, conv2, inner));
  const Var s = se.through(Place::identity, shortcut ? (*shortcut)(h) : x);
  return se.through(Place::post, ops::add(y, s));
}

PreActBottleneck::PreActBottleneck(const BlockOptions& o, Generator& init)
    : bn1(o.in),
      conv1(o.in, first_of(o), 1, {.stride = stride_of(o, "1x1")}, init),
      bn2(first_of(o)),
      conv2(first_of(o), o.width, 3,
            {.stride = stride_of(o, "3x3"), .padding = 1, .groups = o.groups}, init),
      bn3(o.width),
      conv3(o.width, channels_out<PreActBottleneck>(o), 1, {}, init),
      se(o.se, se_channels<PreActBottleneck>(o), init),
      shortcut(make_shortcut(shortcut_spec<PreActBottleneck>(o, false), init)) {}

void PreActBottleneck::visit(Visitor& v) {
  v("bn1", bn1);
  v("conv1", conv1);
  v("bn2", bn2);
  v("conv2", conv2);
  v("bn3", bn3);
  v("conv3", conv3);
  se.visit(v);
  if (shortcut) v("shortcut", *shortcut);
}

Var PreActBottleneck::forward(const Var& x) {
  const auto [h, convolved] =
      start_preactivation(bn1, conv1, se.through(Place::pre, x), shortcut != nullptr);
  const Var middle =
      h.empty() ? norm_relu_conv(bn2, conv2, convolved) : run_unit({conv1, bn2}, h, conv2);
  const Var inner = se.through(Place::conv3x3, middle);
  const Var y = se.through(Place::standard, norm_relu_conv(bn3, conv3, inner));
  const Var s = se.through(Place::identity, shortcut ? (*shortcut)(h) : x);
  return se.through(Place::post, ops::add(y, s));
}

}  // namespace exciton::nn
