/// The CIFAR ResNets of He et al. 2016, section 4.2, plain and with SE on every block:
///   conv3x3 16 - bn - relu - 3 stages of n basic blocks with 16, 32, 64 channels - mean - fc
/// depth = 6 n + 2: resnet20, 32, 44, 56, 110. Stages 2 and 3 start with stride 2.
/// Options: classes (10), image_channels, se, shortcut, dropout (0).
///   shortcut: "projection" (1x1 convolution, the default: the published SE counts have it), or
///   "zero_pad", the parameter-free one of He et al.
#include "nn/blocks.hpp"
#include "nn/registry.hpp"

namespace exciton::nn::models {
namespace {

class CifarResNet final : public Module {
 public:
  CifarResNet(int blocks, const ModelOptions& o, Generator& init)
      : conv1(o.image_channels, 16, 3, {.padding = 1}, init),
        bn1(16),
        dropout(o.dropout < 0 ? 0 : o.dropout, init),
        fc(64, o.classes, init) {
    std::int64_t channels = 16;
    for (int stage = 0; stage < 3; ++stage) {
      const std::int64_t width = 16 << stage;
      for (int i = 0; i < blocks; ++i) {
        stages[stage].emplace_back(BlockOptions{.in = channels,
                                                .width = width,
                                                .stride = stage > 0 && i == 0 ? 2 : 1,
                                                .se = o.se,
                                                .shortcut = o.shortcut},
                                   init);
        channels = width;
      }
    }
  }

  std::string_view kind() const override { return "CifarResNet"; }
  void visit(Visitor& v) override {
    v("conv1", conv1);
    v("bn1", bn1);
    v("stage1", stages[0]);
    v("stage2", stages[1]);
    v("stage3", stages[2]);
    v("pool", pool);
    v("dropout", dropout);
    v("fc", fc);
  }

 protected:
  Var forward(const Var& x) override {
    Var y = conv_norm(conv1, bn1, x, true);
    for (auto& stage : stages)
      for (BasicBlock& block : stage) y = block(y);
    return fc(dropout(pool(y)));
  }

 private:
  Conv2d conv1;
  BatchNorm bn1;
  std::vector<BasicBlock> stages[3];
  GlobalAvgPool pool;
  Dropout dropout;
  Linear fc;
};

}  // namespace

void register_cifar_resnet(Registry& registry) {
  for (const int depth : {20, 32, 44, 56, 110})
    for (const bool se : {false, true}) {
      const std::string name = (se ? "se_resnet" : "resnet") + std::to_string(depth);
      registry.add({.name = name,
                    .image_size = 32,
                    .classes = 10,
                    .se = se,
                    .make = [name, depth](const ModelOptions& o, Generator& init) {
                      check(o.stem.empty(), name, ": CIFAR ResNets have one stem, got stem \"",
                            o.stem, "\"; leave it out");
                      check(o.stride_on == ModelOptions{}.stride_on, name,
                            ": stride_on is for bottlenecks, basic blocks have none; leave it out");
                      return std::make_unique<CifarResNet>((depth - 2) / 6, o, init);
                    }});
    }
}

}  // namespace exciton::nn::models
