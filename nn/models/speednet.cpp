/// Networks for training CIFAR-10 to a given accuracy in the least time, plain and with SE (Jordan
/// 2024, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU", arXiv 2404.00498, and his airbench):
///   conv2x2 24, frozen, with a trained bias - gelu - 3 groups - max over the map - fc / 9
/// The filters of the first convolution whiten patches of 2x2 pixels (nn/whitening.hpp): 2 * 4 *
/// image_channels of them, computed from training images by initialize(); until then they are
/// random. A group of c channels is
///   conv3x3 c - max pool 2x2 - bn - gelu                                         blocks = 1
///   conv3x3 c - max pool 2x2 - bn - gelu - conv3x3 c - bn - gelu                  blocks = 2
///   conv3x3 c - max pool 2x2 - bn - gelu = h,
///             conv3x3 c - bn - gelu - conv3x3 c - bn - + h - gelu                 blocks = 3
/// without biases but those of the norms, whose scales stay 1; momentum of their statistics 0.4,
/// eps 1e-12. The first filters of each 3x3 convolution are the identity (set_dirac), the others
/// uniform in +-1/sqrt(9 c_in); fc has no bias.
///   speednet93  64, 128, 128 channels    speednet94   64, 256, 256
///   speednet95 128, 384, 384             speednet96  128, 512, 512, and 3 convolutions a group
/// The published networks are not named so; their figures are of the original images.
/// SE (groups are stages 2, 3 and 4 of se.stages):
///   "standard"  behind the last norm of a group, before the sum, where there is one, and its GELU
///   "conv3x3"   behind the pooled convolution's norm, before its GELU
///   "post"      on the group's result       "pre"  on what enters the group
///   "identity"  on h, where there are 3 convolutions
/// Options: classes (10), image_channels, se, widths, blocks (1 to 3 convolutions of each group),
///   activation (gelu), norm. Images of 16 pixels or more.
#include "exciton/nn/blocks.hpp"
#include "exciton/nn/models/families.hpp"
#include "exciton/nn/whitening.hpp"
#include "exciton/ops/activations.hpp"
#include "exciton/ops/se/squeeze.hpp"
#include "exciton/ops/smooth_activations.hpp"
#include "exciton/ops/times.hpp"

namespace exciton::nn::models {
namespace {

enum class Activation { gelu, silu, relu };
constexpr NameTable<Activation, 3> activation_names{
    "activation",
    {{{Activation::gelu, "gelu"}, {Activation::silu, "silu"}, {Activation::relu, "relu"}}}};

Var activated(Activation kind, const Var& x) {
  switch (kind) {
    case Activation::gelu:
      return ops::gelu(x);
    case Activation::silu:
      return ops::silu(x);
    case Activation::relu:
      return ops::relu(x);
  }
  return x;
}

constexpr BatchNormOptions norm_options{.eps = 1e-12, .momentum = 0.4, .scale = false};

struct GroupOptions {
  std::int64_t in = 0, out = 0;
  std::int64_t convolutions = 2;
  Activation activation = Activation::gelu;
  SESpec se{};
};

Conv2d dirac_conv(std::int64_t in, std::int64_t out, Generator& init) {
  Conv2d conv(in, out, 3, {.padding = 1}, init);
  conv.weight = uniform(conv.weight.shape(), 1 / std::sqrt(static_cast<double>(9 * in)), init);
  set_dirac(conv.weight);
  return conv;
}

class ConvGroup final : public Module {
 public:
  ConvGroup(const GroupOptions& o, Generator& init)
      : activation_(o.activation),
        residual_(o.convolutions == 3),
        se_(o.se, {.in = o.in, .inner = o.out, .out = o.out}, init) {
    check(o.convolutions >= 1 && o.convolutions <= 3,
          "speednet: blocks: a group has 1 or 2 convolutions, or 3 with a shortcut, got ",
          o.convolutions);
    check(residual_ || !se_.at(Placement::identity),
          "speednet: se.placement \"identity\" needs the shortcut of groups of 3 convolutions; set "
          "blocks to [3, 3, 3], or try \"post\"");
    for (std::int64_t i = 0; i < o.convolutions; ++i) {
      convs_.push_back(dirac_conv(i == 0 ? o.in : o.out, o.out, init));
      norms_.emplace_back(o.out, norm_options);
    }
  }
  std::string_view kind() const override { return "ConvGroup"; }
  bool repeats() const override { return true; }
  void visit(Visitor& v) override {
    for (std::size_t i = 0; i < convs_.size(); ++i) {
      v("conv" + std::to_string(i + 1), convs_[i]);
      v("bn" + std::to_string(i + 1), norms_[i]);
    }
    se_.visit(v);
  }

 protected:
  Var forward(const Var& x) override {
    Var first = se_.through(Placement::conv3x3, pooled(se_.through(Placement::pre, x)));
    if (convs_.size() == 1) first = se_.through(Placement::standard, first);
    const Var h = activated(activation_, first);
    if (convs_.size() == 1) return se_.through(Placement::post, h);
    ChannelAttention* const se = se_.at(Placement::standard);
    if (!residual_) {
      const Var y = run_unit({convs_[1], norms_[1], se, false}, h);
      return se_.through(Placement::post, activated(activation_, y));
    }
    const Var inner = activated(activation_, run_unit({convs_[1], norms_[1], nullptr, false}, h));
    const Var y =
        run_unit({convs_[2], norms_[2], se, false}, inner, se_.through(Placement::identity, h));
    return se_.through(Placement::post, activated(activation_, y));
  }

 private:
  /// The norm's scale is 1, so it and the maximum may change places, and where the norm goes into
  /// the convolution they do.
  Var pooled(const Var& x) {
    const Unit unit{convs_[0], norms_[0], nullptr, false};
    const ops::PoolSpec two{.kernel = 2, .stride = 2};
    if (path_of(unit, nullptr, x, {}) == Path::folded) return ops::max_pool(run_unit(unit, x), two);
    return norms_[0](ops::max_pool(convs_[0](x), two));
  }

  Activation activation_;
  bool residual_;
  std::vector<Conv2d> convs_;
  std::vector<BatchNorm> norms_;
  PlacedSE se_;
};

struct Size {
  std::vector<std::int64_t> widths;
  std::int64_t convolutions = 2;
};

class SpeedNet final : public Module {
 public:
  SpeedNet(const Size& own, const ModelOptions& o, Generator& init)
      : activation_(o.activation.empty() ? Activation::gelu : activation_names.parse(o.activation)),
        whiten_(o.image_channels, 2 * patch * patch * o.image_channels, patch, {}, init, true),
        fc_((o.widths.empty() ? own.widths : o.widths).back(), o.classes, init, false) {
    whiten_.weight.trainable = false;
    const std::vector<std::int64_t>& widths = o.widths.empty() ? own.widths : o.widths;
    std::int64_t channels = whiten_.weight.shape()[0];
    for (std::size_t i = 0; i < widths.size(); ++i) {
      groups_.emplace_back(
          GroupOptions{.in = channels,
                       .out = widths[i],
                       .convolutions = blocks_of(o.blocks, i, own.convolutions),
                       .activation = activation_,
                       .se = o.se.in_stage(static_cast<std::int64_t>(i) + 2, std::ssize(widths))},
          init);
      channels = widths[i];
    }
  }
  std::string_view kind() const override { return "SpeedNet"; }
  void visit(Visitor& v) override {
    v("whiten", whiten_);
    for (std::size_t i = 0; i < groups_.size(); ++i) v("stage" + std::to_string(i + 1), groups_[i]);
    v("fc", fc_);
  }
  std::int64_t initial_pixels() const override { return 5000 * 32 * 32; }
  void initialize(const Tensor& images) override {
    whiten_.weight.mutable_value().copy_from(whitening_filters(images, patch));
  }

 protected:
  Var forward(const Var& x) override {
    Var y = activated(activation_, whiten_(x));
    for (ConvGroup& group : groups_) y = group(y);
    return ops::times(fc_(ops::squeeze(y, ops::SqueezeKind::max)), 1.0 / 9);
  }

 private:
  static constexpr std::int64_t patch = 2;
  Activation activation_;
  Conv2d whiten_;
  std::vector<ConvGroup> groups_;
  Linear fc_;
};

}  // namespace

void register_speednet(Registry& registry) {
  const std::pair<const char*, Size> sizes[] = {{"speednet93", {{64, 128, 128}}},
                                                {"speednet94", {{64, 256, 256}}},
                                                {"speednet95", {{128, 384, 384}}},
                                                {"speednet96", {{128, 512, 512}, 3}}};
  for (const auto& [name, size] : sizes) {
    Registry::Entry entry = cifar(
        name,
        [own = size](const ModelOptions& o, Generator& init) {
          return std::make_unique<SpeedNet>(own, o, init);
        },
        3);
    entry.widths = true;
    add_with_se(registry, entry, {.activation = true});
  }
}

}  // namespace exciton::nn::models
