/// Inception-ResNet-v2 (Szegedy et al. 2017), plain and with SE, in the form that all published
/// weights have (TF-slim, timm, pretrained-models.pytorch):
///   stem of five convolutions and two max pools - mixed 5b - 10 blocks A - reduction A - 20 blocks
///   B - reduction B - 10 blocks C - conv1x1 1536 - mean - dropout - fc, every convolution but the
///   last of a block followed by bn (eps 0.001) - relu
/// A block is relu(x + [se](scale (conv1x1(branches(x)) + bias))) with scale 0.17 in A, 0.1 in B,
/// 0.2 in C; the last C has scale 1 and no ReLU. SE sits on the branch before the sum, as in a
/// ResNet.
/// Options: classes (1000), image_channels, se, dropout (0.2).
/// 55,843,464 parameters and 13.16 G multiply-adds at the native 299 pixels. The SENet paper prints
/// 11.75 G for the network it trained and does not define it; 5, 20 and 5 blocks would have 11.756.
#include "exciton/nn/attention.hpp"
#include "exciton/nn/models/families.hpp"
#include "exciton/nn/units.hpp"

namespace exciton::nn::models {
namespace {

constexpr double eps = 1e-3;

ConvNormOptions unit(std::int64_t in, std::int64_t out, KernelSize kernel,
                     const ops::ConvSpec& spec = {}) {
  return {.in = in, .out = out, .kernel = kernel, .spec = spec, .eps = eps};
}

/// A window that keeps the size of the map.
ConvNormOptions same(std::int64_t in, std::int64_t out, KernelSize kernel) {
  return unit(in, out, kernel, {.padding = kernel.h / 2, .padding_w = kernel.w / 2});
}

ConvNormOptions strided(std::int64_t in, std::int64_t out) {
  return unit(in, out, 3, {.stride = 2});
}

void append(Sequential& branch, std::initializer_list<ConvNormOptions> units, Generator& init) {
  for (const ConvNormOptions& u : units) branch.add<ConvNorm>(u, init);
}

struct BlockSpec {
  std::int64_t channels;  ///< that come and go
  std::int64_t joined;    ///< that the branches return together
  double scale;
  bool relu = true;
};

class ResidualInception final : public Module {
 public:
  ResidualInception(Concat branches_, const BlockSpec& s, const SESpec& se_spec, Generator& init)
      : branches(std::move(branches_)),
        conv(s.joined, s.channels, 1, {}, init, true),
        se(make_attention(s.channels, se_spec, init)),
        factor(s.channels, {.eps = 0}),
        spec(s) {
    factor.training = false;
    factor.weight.trainable = factor.bias.trainable = false;
  }

  std::string_view kind() const override { return "ResidualInception"; }
  bool repeats() const override { return true; }
  void visit(Visitor& v) override {
    v("branches", branches);
    v("conv", conv);
    if (se) v("se", *se);
  }

 protected:
  Var forward(const Var& x) override {
    const Var h = branches(x);
    // Multiplying by scale is a batch norm with mean 0, variance 1 and gamma = scale, and as such
    // part of the fused tail.
    const DType type = acc_type(h.value().dtype());
    factor.weight = Parameter(Tensor::full({spec.channels}, spec.scale, type));
    factor.bias = Parameter(Tensor::full({spec.channels}, 0, type));
    factor.weight.trainable = factor.bias.trainable = false;
    factor.fused = fused;
    return run_unit({conv, factor, se.get(), spec.relu}, h, x);
  }

 private:
  Concat branches;
  Conv2d conv;
  std::unique_ptr<ChannelAttention> se;
  BatchNorm factor;  ///< not visited: nothing in it is learnt
  BlockSpec spec;
};

ResidualInception block_a(const SESpec& se, Generator& init) {
  Concat b;
  append(b.branch(), {unit(320, 32, 1)}, init);
  append(b.branch(), {unit(320, 32, 1), same(32, 32, 3)}, init);
  append(b.branch(), {unit(320, 32, 1), same(32, 48, 3), same(48, 64, 3)}, init);
  return {std::move(b), {.channels = 320, .joined = 128, .scale = 0.17}, se, init};
}

ResidualInception block_b(const SESpec& se, Generator& init) {
  Concat b;
  append(b.branch(), {unit(1088, 192, 1)}, init);
  append(b.branch(), {unit(1088, 128, 1), same(128, 160, {1, 7}), same(160, 192, {7, 1})}, init);
  return {std::move(b), {.channels = 1088, .joined = 384, .scale = 0.1}, se, init};
}

ResidualInception block_c(bool last, const SESpec& se, Generator& init) {
  Concat b;
  append(b.branch(), {unit(2080, 192, 1)}, init);
  append(b.branch(), {unit(2080, 192, 1), same(192, 224, {1, 3}), same(224, 256, {3, 1})}, init);
  return {std::move(b),
          {.channels = 2080, .joined = 448, .scale = last ? 1 : 0.2, .relu = !last},
          se,
          init};
}

void strided_pool(Concat& branches) {
  branches.branch().add<MaxPool>(ops::PoolSpec{.kernel = 3, .stride = 2});
}

class InceptionResNetV2 final : public Module {
 public:
  InceptionResNetV2(const ModelOptions& o, Generator& init)
      : final_conv(unit(2080, 1536, 1), init), head(1536, 0.2, o, init) {
    append(stem, {strided(o.image_channels, 32), unit(32, 32, 3), same(32, 64, 3)}, init);
    stem.add<MaxPool>(ops::PoolSpec{.kernel = 3, .stride = 2});
    append(stem, {unit(64, 80, 1), unit(80, 192, 3)}, init);
    stem.add<MaxPool>(ops::PoolSpec{.kernel = 3, .stride = 2});

    append(mixed.branch(), {unit(192, 96, 1)}, init);
    append(mixed.branch(), {unit(192, 48, 1), same(48, 64, 5)}, init);
    append(mixed.branch(), {unit(192, 64, 1), same(64, 96, 3), same(96, 96, 3)}, init);
    Sequential& pooled = mixed.branch();
    pooled.add<AvgPool>(
        ops::PoolSpec{.kernel = 3, .stride = 1, .padding = 1, .count_include_pad = false});
    append(pooled, {unit(192, 64, 1)}, init);

    append(reduction_a.branch(), {strided(320, 384)}, init);
    append(reduction_a.branch(), {unit(320, 256, 1), same(256, 256, 3), strided(256, 384)}, init);
    strided_pool(reduction_a);

    append(reduction_b.branch(), {unit(1088, 256, 1), strided(256, 384)}, init);
    append(reduction_b.branch(), {unit(1088, 256, 1), strided(256, 288)}, init);
    append(reduction_b.branch(), {unit(1088, 256, 1), same(256, 288, 3), strided(288, 320)}, init);
    strided_pool(reduction_b);

    for (int i = 0; i < 10; ++i) a.push_back(block_a(o.se, init));
    for (int i = 0; i < 20; ++i) b.push_back(block_b(o.se, init));
    for (int i = 0; i < 10; ++i) c.push_back(block_c(i == 9, o.se, init));
  }

  std::string_view kind() const override { return "InceptionResNetV2"; }
  void visit(Visitor& v) override {
    v("stem", stem);
    v("mixed", mixed);
    v("a", a);
    v("reduction_a", reduction_a);
    v("b", b);
    v("reduction_b", reduction_b);
    v("c", c);
    v("final_conv", final_conv);
    head.visit(v);
  }

 protected:
  Var forward(const Var& x) override {
    Var y = mixed(stem(x));
    for (ResidualInception& block : a) y = block(y);
    y = reduction_a(y);
    for (ResidualInception& block : b) y = block(y);
    y = reduction_b(y);
    for (ResidualInception& block : c) y = block(y);
    return head(final_conv(y));
  }

 private:
  Sequential stem;
  Concat mixed, reduction_a, reduction_b;
  std::vector<ResidualInception> a, b, c;
  ConvNorm final_conv;
  Head head;
};

}  // namespace

void register_inception_resnet_v2(Registry& registry) {
  Registry::Entry entry =
      imagenet("inception_resnet_v2", [](const ModelOptions& o, Generator& init) {
        return std::make_unique<InceptionResNetV2>(o, init);
      });
  entry.image_size = 299;
  add_with_se(registry, entry);
}

}  // namespace exciton::nn::models
