/// BN-Inception (Ioffe and Szegedy 2015, fig. 5), plain and with SE, as in the authors'
/// SE-BN-Inception.prototxt:
///   conv7x7 64 stride 2 - max pool - conv1x1 64 - conv3x3 192 - max pool - inception 3a to 5b -
///   mean - fc, every convolution followed by bn - relu
/// An inception module joins up to four branches by channels: 1x1; 1x1 - 3x3; 1x1 - 3x3 - 3x3;
/// pool - 1x1. 3c and 4e have stride 2, no 1x1 and no projection behind their pool. SE sits on the
/// joined result of every module, those two included.
/// Pools without padding round their size up (Caffe); images should be a multiple of 32 pixels, or
/// the branches of 3c and 4e return different sizes.
/// Options: classes (1000), image_channels, se, dropout (0).
/// The convolutions have no biases, as in the prototxt; the 11,295,240 parameters published for
/// PyTorch copies keep 10,016 of them.
#include "exciton/nn/attention.hpp"
#include "exciton/nn/models/families.hpp"
#include "exciton/nn/units.hpp"

namespace exciton::nn::models {
namespace {

enum class Pool { average, maximum, strided };

struct InceptionOptions {
  std::int64_t in;
  std::int64_t conv1x1;                     ///< 0: none
  std::int64_t reduce3x3, conv3x3;          ///< second branch
  std::int64_t reduce_double, conv_double;  ///< third branch
  Pool pool;
  std::int64_t project;  ///< 1x1 behind the pool, 0: none
  /// Channels of the joined result.
  std::int64_t out() const {
    return conv1x1 + conv3x3 + conv_double + (project > 0 ? project : in);
  }
};

class Inception final : public Module {
 public:
  Inception(const InceptionOptions& o, const SESpec& se_spec, Generator& init)
      : se(make_attention(o.out(), se_spec, init)) {
    const std::int64_t stride = o.pool == Pool::strided ? 2 : 1;
    const auto conv1x1 = [&](Sequential& branch, std::int64_t in, std::int64_t out) {
      branch.add<ConvNorm>(ConvNormOptions{.in = in, .out = out}, init);
    };
    const auto conv3x3 = [&](Sequential& branch, std::int64_t in, std::int64_t out,
                             std::int64_t s) {
      branch.add<ConvNorm>(
          ConvNormOptions{.in = in, .out = out, .kernel = 3, .spec = {.stride = s, .padding = 1}},
          init);
    };
    if (o.conv1x1 > 0) conv1x1(branches.branch(), o.in, o.conv1x1);

    Sequential& single = branches.branch();
    conv1x1(single, o.in, o.reduce3x3);
    conv3x3(single, o.reduce3x3, o.conv3x3, stride);

    Sequential& twice = branches.branch();
    conv1x1(twice, o.in, o.reduce_double);
    conv3x3(twice, o.reduce_double, o.conv_double, 1);
    conv3x3(twice, o.conv_double, o.conv_double, stride);

    Sequential& pooled = branches.branch();
    if (o.pool == Pool::average)
      pooled.add<AvgPool>(ops::PoolSpec{.kernel = 3, .stride = 1, .padding = 1});
    else if (o.pool == Pool::maximum)
      pooled.add<MaxPool>(ops::PoolSpec{.kernel = 3, .stride = 1, .padding = 1});
    else
      pooled.add<MaxPool>(ops::PoolSpec{.kernel = 3, .stride = 2, .ceil_mode = true});
    if (o.project > 0) conv1x1(pooled, o.in, o.project);
  }

  std::string_view kind() const override { return "Inception"; }
  bool repeats() const override { return true; }
  void visit(Visitor& v) override {
    v("branches", branches);
    if (se) v("se", *se);
  }

 protected:
  Var forward(const Var& x) override {
    const Var y = branches(x);
    return se ? (*se)(y) : y;
  }

 private:
  Concat branches;
  std::unique_ptr<ChannelAttention> se;
};

class BnInception final : public Module {
 public:
  BnInception(const ModelOptions& o, Generator& init)
      : conv1({.in = o.image_channels, .out = 64, .kernel = 7, .spec = {.stride = 2, .padding = 3}},
              init),
        reduce2({.in = 64, .out = 64}, init),
        conv2({.in = 64, .out = 192, .kernel = 3, .spec = {.padding = 1}}, init),
        max_pool({.kernel = 3, .stride = 2, .ceil_mode = true}),
        head(1024, 0, o, init) {
    using enum Pool;
    const InceptionOptions table[] = {
        {192, 64, 64, 64, 64, 96, average, 32},         // 3a
        {256, 64, 64, 96, 64, 96, average, 64},         // 3b
        {320, 0, 128, 160, 64, 96, strided, 0},         // 3c
        {576, 224, 64, 96, 96, 128, average, 128},      // 4a
        {576, 192, 96, 128, 96, 128, average, 128},     // 4b
        {576, 160, 128, 160, 128, 160, average, 128},   // 4c
        {608, 96, 128, 192, 160, 192, average, 128},    // 4d
        {608, 0, 128, 192, 192, 256, strided, 0},       // 4e
        {1056, 352, 192, 320, 160, 224, average, 128},  // 5a
        {1024, 352, 192, 320, 192, 224, maximum, 128},  // 5b
    };
    for (const InceptionOptions& module : table) inception.emplace_back(module, o.se, init);
  }

  std::string_view kind() const override { return "BnInception"; }
  void visit(Visitor& v) override {
    static constexpr std::string_view names[] = {
        "inception3a", "inception3b", "inception3c", "inception4a", "inception4b",
        "inception4c", "inception4d", "inception4e", "inception5a", "inception5b"};
    v("conv1", conv1);
    v("max_pool", max_pool);
    v("reduce2", reduce2);
    v("conv2", conv2);
    for (std::size_t i = 0; i < inception.size(); ++i) v(names[i], inception[i]);
    head.visit(v);
  }

 protected:
  Var forward(const Var& x) override {
    Var y = max_pool(conv2(reduce2(max_pool(conv1(x)))));
    for (Inception& module : inception) y = module(y);
    return head(y);
  }

 private:
  ConvNorm conv1, reduce2, conv2;
  MaxPool max_pool;
  std::vector<Inception> inception;
  Head head;
};

}  // namespace

void register_bn_inception(Registry& registry) {
  add_with_se(registry, imagenet("bn_inception", [](const ModelOptions& o, Generator& init) {
                return std::make_unique<BnInception>(o, init);
              }));
}

}  // namespace exciton::nn::models
