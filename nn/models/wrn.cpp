/// Wide residual networks for CIFAR (Zagoruyko and Komodakis 2016, table 1), plain and with SE:
///   conv3x3 16 - 3 stages of n pre-activation basic blocks with 16 k, 32 k, 64 k channels -
///   bn - relu - mean - fc
/// wrn{d}_{k} has depth d = 6 n + 4 and width k: wrn16_8 is the SENet paper's (tables 4 and 5), and
/// any other name of the form is made on demand, such as se_wrn40_4. Stages 2 and 3 start with
/// stride 2; they are 3 and 4 in se.stages (the paper's conv3 and conv4). No dropout in the blocks.
/// Options: classes (10), image_channels, se, shortcut, blocks, dropout (0).
#include <charconv>
#include <optional>

#include "exciton/nn/blocks.hpp"
#include "exciton/nn/registry.hpp"

namespace exciton::nn::models {
namespace {

class WideResNet final : public Module {
 public:
  WideResNet(std::int64_t blocks, std::int64_t k, const ModelOptions& o, Generator& init)
      : conv1(o.image_channels, 16, 3, {.padding = 1}, init),
        bn(64 * k),
        dropout(o.dropout < 0 ? 0 : o.dropout, init),
        fc(64 * k, o.classes, init) {
    std::int64_t channels = 16;
    for (std::size_t stage = 0; stage < 3; ++stage) {
      const std::int64_t width = 16 * k << stage;
      stages[stage] = make_stage<PreActBasicBlock>(
          blocks_of(o.blocks, stage, blocks),
          {.in = channels,
           .width = width,
           .stride = stage > 0 ? 2 : 1,
           .se = o.se.in_stage(static_cast<std::int64_t>(stage) + 2, 3),
           .shortcut = o.shortcut},
          init);
      channels = width;
    }
  }

  std::string_view kind() const override { return "WideResNet"; }
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
  std::vector<PreActBasicBlock> stages[3];
  BatchNorm bn;
  GlobalAvgPool pool;
  Dropout dropout;
  Linear fc;
};

/// "wrn28_10" or "se_wrn28_10"; nothing for names of another form. Errors: a depth that is not
/// 6 n + 4.
std::optional<Registry::Entry> entry_of(const std::string& name) {
  const bool se = name.starts_with("se_");
  const std::size_t prefix = se ? 6 : 3;
  if (name.substr(0, prefix) != (se ? "se_wrn" : "wrn")) return {};
  std::int64_t depth = 0, width = 0;
  const char* const end = name.data() + name.size();
  const auto first = std::from_chars(name.data() + prefix, end, depth);
  if (first.ec != std::errc{} || first.ptr == end || *first.ptr != '_') return {};
  const auto second = std::from_chars(first.ptr + 1, end, width);
  if (second.ec != std::errc{} || second.ptr != end) return {};
  check(depth >= 10 && depth < 10'000 && depth % 6 == 4 && width >= 1 && width <= 1024, name,
        ": expected a depth of 6 n + 4 (10, 16, 22, 28, 34, 40, ...) and a width of 1 to 1024");
  return Registry::Entry{
      .name = name,
      .image_size = 32,
      .classes = 10,
      .se = se,
      .make =
          [name, depth, width](const ModelOptions& o, Generator& init) {
            check(o.stem.empty(), name, ": has one stem, got stem \"", o.stem, "\"; leave it out");
            check(o.stride_on == ModelOptions{}.stride_on, name,
                  ": stride_on is for bottlenecks, basic blocks have none; leave it out");
            return std::make_unique<WideResNet>((depth - 4) / 6, width, o, init);
          },
      .stages = 3};
}

}  // namespace

void register_wrn(Registry& registry) {
  for (const char* name : {"wrn16_8", "se_wrn16_8", "wrn28_10", "se_wrn28_10"})
    registry.add(*entry_of(name));
  registry.add_pattern(entry_of);
}

}  // namespace exciton::nn::models
