/// MobileNet 1.0 (Howard et al. 2017, table 1), plain and with SE:
///   conv3x3 32 stride 2 - bn - relu - 13 depthwise separable units - mean - fc
/// A unit is conv3x3 of every channel by itself - bn - relu - conv1x1 - bn - relu - [se].
/// The SENet paper does not say where SE sits. Its rule for VGG (section 3.3: after the non-
/// linearity following a convolution), applied to the whole unit, gives the 4.7 M parameters of its
/// table 3; SE behind the depthwise convolutions would give 4.6 M, behind both 5.1 M.
/// Options: classes (1000), image_channels, se, dropout (0).
#include "exciton/nn/models/families.hpp"
#include "exciton/nn/units.hpp"

namespace exciton::nn::models {
namespace {

class MobileNet final : public Module {
 public:
  MobileNet(const ModelOptions& o, Generator& init) : head(1024, 0, o, init) {
    struct Unit {
      std::int64_t out, stride;
    };
    const Unit units[] = {{64, 1},  {128, 2}, {128, 1}, {256, 2}, {256, 1},  {512, 2}, {512, 1},
                          {512, 1}, {512, 1}, {512, 1}, {512, 1}, {1024, 2}, {1024, 1}};
    std::int64_t channels = 32;
    features.add<ConvNorm>(ConvNormOptions{.in = o.image_channels,
                                           .out = channels,
                                           .kernel = 3,
                                           .spec = {.stride = 2, .padding = 1}},
                           init);
    for (const Unit& unit : units) {
      features.add<ConvNorm>(
          ConvNormOptions{.in = channels,
                          .out = channels,
                          .kernel = 3,
                          .spec = {.stride = unit.stride, .padding = 1, .groups = channels}},
          init);
      features.add<ConvNorm>(ConvNormOptions{.in = channels, .out = unit.out, .se = o.se}, init);
      channels = unit.out;
    }
  }

  std::string_view kind() const override { return "MobileNet"; }
  void visit(Visitor& v) override {
    v("features", features);
    head.visit(v);
  }

 protected:
  Var forward(const Var& x) override { return head(features(x)); }

 private:
  Sequential features;
  Head head;
};

}  // namespace

void register_mobilenet(Registry& registry) {
  add_with_se(registry, imagenet("mobilenet", [](const ModelOptions& o, Generator& init) {
                return std::make_unique<MobileNet>(o, init);
              }));
}

}  // namespace exciton::nn::models
