/// An attention unit of one's own, for every network that has SE: gates from the average and the
/// maximum of each channel,
///   s = sigmoid(A mean(x) + M max(x) + b),   x [N, H, W, C] -> s [N, C],  A and M [C, C].
/// Loaded by `exciton --plugin`, or compiled into a program (main.cpp), a recipe names it:
///   "model": {"name": "se_resnet20", "se": {"kind": "avg_max"}}
#include <exciton/exciton.hpp>

using namespace exciton;

namespace {

class AvgMax final : public nn::ChannelAttention {
 public:
  AvgMax(std::int64_t channels, Generator& init) {
    const double bound = 1 / std::sqrt(static_cast<double>(channels));
    average = nn::uniform({channels, channels}, bound, init);
    maximum = nn::uniform({channels, channels}, bound, init);
    bias = nn::uniform({channels}, bound, init);
  }
  std::string_view kind() const override { return "AvgMax"; }
  /// Names what is trained and saved.
  void visit(nn::Visitor& v) override {
    v("average", average);
    v("maximum", maximum);
    v("bias", bias, Role::bias);
  }
  Var gates(const Var& x) override {
    return ops::sigmoid(ops::linear(ops::squeeze(x, ops::SqueezeKind::avg), average, bias) +
                        ops::linear(ops::squeeze(x, ops::SqueezeKind::max), maximum, Var()));
  }

  Parameter average, maximum, bias;
};

}  // namespace

EXCITON_PLUGIN(registries) {
  registries.attention.add("avg_max",
                           [](std::int64_t channels, const nn::SESpec&, Generator& init) {
                             return std::make_unique<AvgMax>(channels, init);
                           });
}
