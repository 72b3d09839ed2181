/// Pre-activation ResNets for CIFAR (He et al. 2016b, "Identity Mappings in Deep Residual
/// Networks"), the ResNet-110 and -164 of the SENet paper's tables 4 and 5, plain and with SE:
///   conv3x3 16 - 3 stages - bn - relu - mean - fc
/// preresnet110: 18 basic blocks a stage (depth = 6 n + 2; also 20 and 56); preresnet164: 18
/// bottlenecks (depth = 9 n + 2). Widths 16, 32, 64, stages 2 and 3 start with stride 2; they are 3
/// and 4 in se.stages. Where SE sits is in nn/blocks.hpp.
/// Options: classes (10), image_channels, se, shortcut, blocks, dropout (0), stride_on
/// (preresnet164).
#include "exciton/nn/blocks.hpp"
#include "exciton/nn/registry.hpp"

namespace exciton::nn::models {
namespace {

template <class Block>
class PreResNet final : public Module {
 public:
  PreResNet(int blocks, const ModelOptions& o, Generator& init)
      : conv1(o.image_channels, 16, 3, {.padding = 1}, init),
        bn(64 * Block::expansion),
        dropout(o.dropout < 0 ? 0 : o.dropout, init),
        fc(64 * Block::expansion, o.classes, init) {
    std::int64_t channels = 16;
    for (std::size_t stage = 0; stage < 3; ++stage) {
      const BlockOptions first{.in = channels,
                               .width = 16 << stage,
                               .stride = stage > 0 ? 2 : 1,
                               .se = o.se.in_stage(static_cast<std::int64_t>(stage) + 2, 3),
                               .shortcut = o.shortcut,
                               .stride_on = o.stride_on};
      stages[stage] = make_stage<Block>(blocks_of(o.blocks, stage, blocks), first, init);
      channels = channels_out<Block>(first);
    }
  }

  std::string_view kind() const override { return "PreResNet"; }
  void visit(Visitor& v) override {
    v("conv1", conv1);
    v("stage1", stages[0]);
    v("stage2", stages[1]);
    v("stage3", stages[2]);
    v("bn", bn);
    v("pool", pool);
    v("dropout", dropout);
    v("fc", fc);
  }

 protected:
  Var forward(const Var& x) override {
    Var y = conv1(x);
    for (auto& stage : stages) y = through(stage, y);
    return fc(dropout(pool(norm_relu(bn, y))));
  }

 private:
  Conv2d conv1;
  std::vector<Block> stages[3];
  BatchNorm bn;
  GlobalAvgPool pool;
  Dropout dropout;
  Linear fc;
};

}  // namespace

void register_preresnet(Registry& registry) {
  for (const int depth : {20, 56, 110, 164})
    for (const bool se : {false, true}) {
      const std::string name = (se ? "se_preresnet" : "preresnet") + std::to_string(depth);
      registry.add(
          {.name = name,
           .image_size = 32,
           .classes = 10,
           .se = se,
           .make = [name, depth](const ModelOptions& o,
                                 Generator& init) -> std::unique_ptr<Module> {
             check(o.stem.empty(), name, ": has one stem, got stem \"", o.stem, "\"; leave it out");
             if (depth == 164) return std::make_unique<PreResNet<PreActBottleneck>>(18, o, init);
             check(o.stride_on == ModelOptions{}.stride_on, name,
                   ": stride_on is for bottlenecks, basic blocks have none; leave it out");
             return std::make_unique<PreResNet<PreActBasicBlock>>((depth - 2) / 6, o, init);
           },
           .stages = 3});
    }
}

}  // namespace exciton::nn::models
