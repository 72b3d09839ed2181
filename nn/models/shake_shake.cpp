/// Shake-Shake networks for CIFAR (Gastaldi 2017, arXiv 1705.07485), plain and with SE, the last
/// rows of the SENet paper's tables 4 and 5:
///   conv3x3 - bn - 3 stages - relu - mean - fc
/// A block adds to its input the random mix of two branches that both start from relu(input):
///   shake_shake26_2x96d     4 blocks per stage, branches conv3x3 - bn - relu - conv3x3 - bn of 96,
///                           192, 384 channels, 16 in the stem; coefficients drawn anew for every
///                           image in both passes ("S-S-I")
///   shake_even29_2x4x64d    3 blocks per stage, ResNeXt branches conv1x1 - bn - relu - conv3x3 in
///   4
///                           groups - bn - relu - conv1x1 - bn of 256, 512, 1024 channels, 64 in
///                           the stem; halves in the backward pass ("S-E-I")
/// Evaluation takes halves. Where channels change, the shortcut is that of the author's code: two
/// 1x1 convolutions with half of the channels each, one on every stride-th pixel of relu(input),
/// one on the same image shifted down and right by one pixel; side by side, and batch norm. The
/// second network was never published as code: stem and shortcut are those of the first and of
/// ResNeXt, and give the 34.4 million parameters the paper reports (with 10 outputs).
///
/// SE sees what the SENet paper calls the non-identity branch, which here is the mix: one unit a
/// block, behind the mix, before the sum ("standard"). Other places: "pre" before the first ReLU;
/// "post" after the sum; "identity" on the shortcut; "conv3x3" in each branch, behind the norm of
/// its first 3x3 convolution. stage1 to stage3 are 2 to 4 in se.stages.
/// Options: classes (10), image_channels, se, blocks, dropout (0).
#include "exciton/ops/shake_shake.hpp"
#include "exciton/core/tape_observer.hpp"
#include "exciton/nn/models/staged.hpp"
#include "exciton/nn/random_stream.hpp"
#include "exciton/ops/activations.hpp"
#include "exciton/ops/add.hpp"
#include "exciton/ops/concat.hpp"
#include "exciton/ops/shortcut_pad.hpp"

namespace exciton::nn::models {
namespace {

using Place = PlacedSE::Place;

struct Options {
  int blocks;                ///< a stage
  std::int64_t stem, width;  ///< channels of the stem and of stage1's branches
  std::int64_t groups;       ///< 0: two 3x3 convolutions; else a bottleneck with so many groups
  ops::ShakeKind backward;
};

/// The mix of two branches: random in training, halves in evaluation. Buffer "state": see
/// random_stream.hpp.
class Mix final : public Module {
 public:
  Mix(ops::ShakeKind backward, Generator& init) : state(new_stream(init)), backward_(backward) {}
  std::string_view kind() const override { return "Mix"; }
  void visit(Visitor& v) override { v("state", state); }
  Var operator()(const Var& a, const Var& b) {
    const TapeObserver::Scope scope(this);
    if (!training)
      return apply(ops::ShakeShake{ops::ShakeKind::even, ops::ShakeKind::even, {}}, a, b);
    return draw_from(state, [&](Generator& generator) {
      return ops::shake_shake(a, b, ops::ShakeKind::shake, backward_, generator);
    });
  }
  Tensor state;

 protected:
  Var forward(const Var&) override { fail("Mix: expected two branches"); }

 private:
  ops::ShakeKind backward_;
};

/// SE inside the branches or around them, where `spec` says.
SESpec only(SESpec spec, bool inside) {
  spec.enabled = spec.enabled && (spec.placement == "conv3x3") == inside;
  return spec;
}

class Branch final : public Module {
 public:
  Branch(std::int64_t in, std::int64_t width, std::int64_t stride, const Options& s,
         const SESpec& spec, Generator& init)
      : bottleneck_(s.groups > 0) {
    const auto add = [&](std::int64_t from, std::int64_t kernel, std::int64_t step,
                         std::int64_t groups) {
      layers_.push_back({Conv2d(from, width, kernel,
                                {.stride = step, .padding = kernel / 2, .groups = groups}, init),
                         BatchNorm(width)});
    };
    if (bottleneck_) {
      add(in, 1, 1, 1);
      add(width, 3, stride, s.groups);
      add(width, 1, 1, 1);
    } else {
      add(in, 3, stride, 1);
      add(width, 3, 1, 1);
    }
    se_ = std::make_unique<PlacedSE>(only(spec, true), PlacedSE::Channels{in, width, width}, init);
  }
  std::string_view kind() const override { return "Branch"; }
  void visit(Visitor& v) override {
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      v("conv" + std::to_string(i + 1), layers_[i].conv);
      v("bn" + std::to_string(i + 1), layers_[i].bn);
    }
    se_->visit(v);
  }

 protected:
  Var forward(const Var& x) override {
    const std::size_t behind = bottleneck_ ? 1 : 0;  // the first 3x3 convolution
    std::vector<Unit> units;
    for (std::size_t i = 0; i < layers_.size(); ++i)
      units.push_back({layers_[i].conv, layers_[i].bn,
                       i == behind ? se_->at(Place::conv3x3) : nullptr, i + 1 < layers_.size()});
    return run_branch(units, x);
  }

 private:
  struct Layer {
    Conv2d conv;
    BatchNorm bn;
  };
  bool bottleneck_;
  std::vector<Layer> layers_;
  std::unique_ptr<PlacedSE> se_;
};

class TwoPathShortcut final : public Module {
 public:
  TwoPathShortcut(std::int64_t in, std::int64_t out, std::int64_t stride, Generator& init)
      : conv1(in, out / 2, 1, {.stride = stride}, init),
        conv2(in, out / 2, 1, {}, init),
        bn(out),
        in_(in),
        stride_(stride) {}
  std::string_view kind() const override { return "TwoPathShortcut"; }
  void visit(Visitor& v) override {
    v("conv1", conv1);
    v("conv2", conv2);
    v("bn", bn);
  }
  Conv2d conv1, conv2;
  BatchNorm bn;

 protected:
  Var forward(const Var& x) override {
    const Var shifted = ops::shortcut_pad(x, in_, stride_, 1);
    return bn(ops::concat({conv1(x), conv2(shifted)}));
  }

 private:
  std::int64_t in_, stride_;
};

class ShakeBlock final : public Module {
 public:
  ShakeBlock(std::int64_t in, std::int64_t width, std::int64_t stride, const Options& s,
             const SESpec& spec, Generator& init)
      : branch1(in, width, stride, s, spec, init),
        branch2(in, width, stride, s, spec, init),
        mix(s.backward, init),
        se(only(spec, false), {in, width, width}, init) {
    if (in != width) shortcut = std::make_unique<TwoPathShortcut>(in, width, stride, init);
  }
  std::string_view kind() const override { return "ShakeBlock"; }
  bool repeats() const override { return true; }
  void visit(Visitor& v) override {
    v("branch1", branch1);
    v("branch2", branch2);
    v("mix", mix);
    se.visit(v);
    if (shortcut) v("shortcut", *shortcut);
  }
  Branch branch1, branch2;
  Mix mix;
  PlacedSE se;
  std::unique_ptr<TwoPathShortcut> shortcut;

 protected:
  Var forward(const Var& x) override {
    const Var h = ops::relu(se.through(Place::pre, x));
    const Var y = se.through(Place::standard, mix(branch1(h), branch2(h)));
    const Var s = se.through(Place::identity, shortcut ? (*shortcut)(h) : x);
    return se.through(Place::post, ops::add(y, s));
  }
};

std::unique_ptr<Module> make(const Options& s, const ModelOptions& o, Generator& init) {
  auto net = std::make_unique<Staged>(Layout{.kind = "ShakeNet",
                                             .stem = {{s.stem}},
                                             .stem_relu = false,
                                             .last_relu = true,
                                             .features = 4 * s.width},
                                      o, init);
  std::int64_t channels = s.stem;
  for (std::size_t stage = 0; stage < 3; ++stage) {
    const std::int64_t width = s.width << stage;
    std::vector<ShakeBlock> blocks;
    for (std::int64_t i = 0; i < blocks_of(o.blocks, stage, s.blocks); ++i) {
      blocks.emplace_back(channels, width, stage > 0 && i == 0 ? 2 : 1, s,
                          o.se.in_stage(static_cast<std::int64_t>(stage) + 2, 3), init);
      channels = width;
    }
    net->add(std::move(blocks), channels);
  }
  return net;
}

}  // namespace

void register_shake_shake(Registry& registry) {
  const std::pair<const char*, Options> networks[] = {
      {"shake_shake26_2x32d", {4, 16, 32, 0, ops::ShakeKind::shake}},
      {"shake_shake26_2x96d", {4, 16, 96, 0, ops::ShakeKind::shake}},
      {"shake_even29_2x4x64d", {3, 64, 256, 4, ops::ShakeKind::even}}};
  for (const auto& [name, options] : networks) {
    const auto make_this = [own = options](const ModelOptions& o, Generator& init) {
      return make(own, o, init);
    };
    add_with_se(registry, cifar(name, make_this, 3));
  }
}

}  // namespace exciton::nn::models
