/// ShuffleNet 1x with 3 groups (Zhang et al. 2018, table 1), plain and with SE:
///   conv3x3 24 stride 2 - bn - relu - max pool 3x3 stride 2 - 3 stages of 4, 8, 4 units with 240,
///   480, 960 channels - mean - fc
/// A unit (their fig. 2) of `out` channels has out / 4 inside:
///   conv1x1 in groups - bn - relu - channel shuffle - depthwise conv3x3 - bn -
///   conv1x1 in groups - bn - [se] - + x - relu
/// The first of a stage has stride 2 and joins the 3x3 mean of x by channels instead of adding x;
/// its branch returns only the channels that are missing. The very first 1x1 is not grouped.
/// SE sits on the branch's last batch norm, as in a ResNet; so the network has 2,484,533
/// parameters, the paper's 2.4 M cut to one digit (as its 1.8 M is 1,865,728 cut).
/// Options: classes (1000), image_channels, se, dropout (0).
#include "exciton/nn/models/staged.hpp"
#include "exciton/ops/avg_pool.hpp"
#include "exciton/ops/channel_shuffle.hpp"
#include "exciton/ops/concat.hpp"

namespace exciton::nn::models {
namespace {

constexpr std::int64_t groups = 3;

struct UnitOptions {
  std::int64_t in = 0, out = 0, stride = 1, first_groups = groups;
  SESpec se{};
  std::int64_t inside() const { return out / 4; }
  std::int64_t branch() const { return stride > 1 ? out - in : out; }
};

class ShuffleUnit final : public Module {
 public:
  ShuffleUnit(const UnitOptions& o, Generator& init)
      : stride(o.stride),
        conv1(o.in, o.inside(), 1, {.groups = o.first_groups}, init),
        bn1(o.inside()),
        conv2(o.inside(), o.inside(), 3, {.stride = o.stride, .padding = 1, .groups = o.inside()},
              init),
        bn2(o.inside()),
        conv3(o.inside(), o.branch(), 1, {.groups = groups}, init),
        bn3(o.branch()),
        se(make_attention(o.branch(), o.se, init)) {}

  std::string_view kind() const override { return "ShuffleUnit"; }
  bool repeats() const override { return true; }
  void visit(Visitor& v) override {
    v("conv1", conv1);
    v("bn1", bn1);
    v("conv2", conv2);
    v("bn2", bn2);
    v("conv3", conv3);
    v("bn3", bn3);
    if (se) v("se", *se);
  }

 protected:
  Var forward(const Var& x) override {
    const Var h = ops::channel_shuffle(run_unit({conv1, bn1}, x), groups);
    const Unit branch[] = {{conv2, bn2, nullptr, false}, {conv3, bn3, se.get()}};
    if (stride == 1) return run_branch(branch, h, [&] { return x; });
    // x comes from a ReLU, so its mean needs none.
    const Var mean = ops::avg_pool(x, {.kernel = 3, .stride = 2, .padding = 1});
    return ops::concat({mean, run_branch(branch, h)});
  }

 private:
  std::int64_t stride;
  Conv2d conv1;
  BatchNorm bn1;
  Conv2d conv2;
  BatchNorm bn2;
  Conv2d conv3;
  BatchNorm bn3;
  std::unique_ptr<ChannelAttention> se;
};

std::unique_ptr<Module> make(const ModelOptions& o, Generator& init) {
  auto net = std::make_unique<Staged>(
      Layout{.kind = "ShuffleNet",
             .stem = {{24, 3, 2}},
             .max_pool = ops::PoolSpec{.kernel = 3, .stride = 2, .padding = 1},
             .features = 960},
      o, init);
  std::int64_t channels = net->stem_channels();
  for (std::size_t stage = 0; stage < 3; ++stage) {
    const std::int64_t out = 240 << stage;
    std::vector<ShuffleUnit> units;
    for (int i = 0; i < (stage == 1 ? 8 : 4); ++i) {
      units.emplace_back(UnitOptions{.in = channels,
                                     .out = out,
                                     .stride = i == 0 ? 2 : 1,
                                     .first_groups = stage == 0 && i == 0 ? 1 : groups,
                                     .se = o.se},
                         init);
      channels = out;
    }
    net->add(std::move(units), channels);
  }
  return net;
}

}  // namespace

void register_shufflenet(Registry& registry) {
  add_with_se(registry, imagenet("shufflenet", make));
}

}  // namespace exciton::nn::models
