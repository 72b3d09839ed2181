/// VGG-16 with batch norm (Simonyan and Zisserman 2015, table 1, column D), plain and with SE:
///   5 stages of 3x3 convolutions (2x64, 2x128, 3x256, 3x512, 3x512), each - bn - relu - [se], and
///   a max pool 2x2 behind every stage - fc 4096 - relu - dropout - fc 4096 - relu - dropout - fc
/// SE follows the non-linearity of every convolution, as section 3.3 of the SENet paper says.
/// Options: classes (1000), image_channels, se, dropout (0.5, behind both hidden layers), and
///   image_size  (224) a multiple of 32; the first fully connected layer sees (image_size / 32)^2
///               pixels, in memory order [H, W, C].
/// The convolutions have no biases, which batch norm would take away again (torchvision's vgg16_bn
/// and the published 138,365,992 parameters keep those 4,224).
#include "exciton/nn/models/families.hpp"
#include "exciton/nn/units.hpp"
#include "exciton/ops/activations.hpp"
#include "exciton/ops/reshape.hpp"

namespace exciton::nn::models {
namespace {

class Vgg16 final : public Module {
 public:
  Vgg16(const ModelOptions& o, Generator& init) : image_size(o.image_size) {
    std::int64_t channels = o.image_channels;
    for (const auto& [convolutions, width] :
         {std::pair{2, 64}, {2, 128}, {3, 256}, {3, 512}, {3, 512}}) {
      for (int i = 0; i < convolutions; ++i) {
        features.add<ConvNorm>(
            ConvNormOptions{
                .in = channels, .out = width, .kernel = 3, .spec = {.padding = 1}, .se = o.se},
            init);
        channels = width;
      }
      features.add<MaxPool>(ops::PoolSpec{.kernel = 2, .stride = 2});
    }
    const double dropout = o.dropout < 0 ? 0.5 : o.dropout;
    const std::int64_t side = image_size / 32;
    classifier.add<Linear>(side * side * channels, 4096, init);
    classifier.add<Relu>();
    classifier.add<Dropout>(dropout, init);
    classifier.add<Linear>(4096, 4096, init);
    classifier.add<Relu>();
    classifier.add<Dropout>(dropout, init);
    classifier.add<Linear>(4096, o.classes, init);
  }

  std::string_view kind() const override { return "Vgg16"; }
  void visit(Visitor& v) override {
    v("features", features);
    v("classifier", classifier);
  }

 protected:
  Var forward(const Var& x) override {
    check(x.dim(1) / 32 == image_size / 32 && x.dim(2) / 32 == image_size / 32,
          "vgg16_bn: made for images of ", image_size, " pixels, got ", x.shape(),
          "; set the option image_size");
    return classifier(ops::flatten(features(x)));
  }

 private:
  std::int64_t image_size;
  Sequential features, classifier;
};

}  // namespace

void register_vgg(Registry& registry) {
  add_with_se(registry, imagenet("vgg16_bn", [](const ModelOptions& o, Generator& init) {
                check(o.image_size % 32 == 0, "vgg16_bn: image_size must be a multiple of 32, got ",
                      o.image_size);
                return std::make_unique<Vgg16>(o, init);
              }));
}

}  // namespace exciton::nn::models
