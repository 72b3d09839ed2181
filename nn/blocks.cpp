#include "nn/blocks.hpp"

#include "ops/shortcut_pad.hpp"

namespace exciton::nn {
namespace {

/// Option B of He et al.: a 1x1 convolution and batch norm.
class Projection final : public Module {
 public:
  Projection(const ShortcutSpec& s, Generator& init)
      : conv(s.in, s.out, 1, {.stride = s.stride}, init), bn(s.out) {}
  std::string_view kind() const override { return "Projection"; }
  void visit(Visitor& v) override {
    v("conv", conv);
    v("bn", bn);
  }
  Conv2d conv;
  BatchNorm bn;

 protected:
  Var forward(const Var& x) override { return conv_norm(conv, bn, x, false); }
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

std::unique_ptr<SqueezeExcite> make_se(std::int64_t channels, const SESpec& spec, Generator& init) {
  return spec.enabled ? std::make_unique<SqueezeExcite>(channels, spec, init) : nullptr;
}

Var shortcut_of(const std::unique_ptr<Module>& shortcut, const Var& x) {
  return shortcut ? (*shortcut)(x) : x;
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

BasicBlock::BasicBlock(const BlockOptions& o, Generator& init)
    : conv1(o.in, o.width, 3, {.stride = o.stride, .padding = 1}, init),
      bn1(o.width),
      conv2(o.width, o.width, 3, {.padding = 1}, init),
      bn2(o.width),
      se(make_se(o.width, o.se, init)),
      shortcut(make_shortcut({.in = o.in, .out = o.width, .stride = o.stride, .kind = o.shortcut},
                             init)) {}

void BasicBlock::visit(Visitor& v) {
  v("conv1", conv1);
  v("bn1", bn1);
  v("conv2", conv2);
  v("bn2", bn2);
  if (se) v("se", *se);
  if (shortcut) v("shortcut", *shortcut);
}

Var BasicBlock::forward(const Var& x) {
  const Var y = conv2(conv_norm(conv1, bn1, x, true));
  return residual_tail(bn2, se.get(), y, shortcut_of(shortcut, x), true);
}

Bottleneck::Bottleneck(const BlockOptions& o, Generator& init)
    : conv1(o.in, o.width, 1, {.stride = o.stride_on == "1x1" ? o.stride : 1}, init),
      bn1(o.width),
      conv2(o.width, o.width, 3, {.stride = o.stride_on == "3x3" ? o.stride : 1, .padding = 1},
            init),
      bn2(o.width),
      conv3(o.width, expansion * o.width, 1, {}, init),
      bn3(expansion * o.width),
      se(make_se(expansion * o.width, o.se, init)),
      shortcut(make_shortcut(
          {.in = o.in, .out = expansion * o.width, .stride = o.stride, .kind = o.shortcut}, init)) {
  check(o.stride_on == "1x1" || o.stride_on == "3x3", "Bottleneck: unknown stride_on \"",
        o.stride_on, "\"; known are 1x1 and 3x3");
}

void Bottleneck::visit(Visitor& v) {
  v("conv1", conv1);
  v("bn1", bn1);
  v("conv2", conv2);
  v("bn2", bn2);
  v("conv3", conv3);
  v("bn3", bn3);
  if (se) v("se", *se);
  if (shortcut) v("shortcut", *shortcut);
}

Var Bottleneck::forward(const Var& x) {
  const Var h = conv_norm(conv1, bn1, x, true);
  const Var y = conv3(conv_norm(conv2, bn2, h, true));
  return residual_tail(bn3, se.get(), y, shortcut_of(shortcut, x), true);
}

}  // namespace exciton::nn
