/// Exercise 8, solved.
#pragma once
#include <vector>

#include "exciton/nn/branch.hpp"

namespace course {

using exciton::Generator, exciton::Var;
namespace nn = exciton::nn;

/// relu(se(bn(conv3x3(x))) + x) on maps of `channels` channels.
class SmallBlock final : public nn::Module {
 public:
  SmallBlock(std::int64_t channels, const nn::SESpec& spec, Generator& init)
      : conv(channels, channels, 3, {.padding = 1}, init), bn(channels), se(channels, spec, init) {}
  std::string_view kind() const override { return "SmallBlock"; }
  /// Names the three children "conv", "bn" and "se".
  void visit(nn::Visitor& v) override {
    v("conv", conv);
    v("bn", bn);
    v("se", se);
  }

  nn::Conv2d conv;
  nn::BatchNorm bn;
  nn::SqueezeExcite se;

 protected:
  Var forward(const Var& x) override { return nn::run_unit({conv, bn, &se}, x, x); }
};

/// One stage of a network: N_s blocks that end in C_s channels.
struct Stage {
  std::int64_t blocks, channels;
};

/// The paper's eq. 5: weights (no biases) that SE adds to a network with these stages.
inline std::int64_t extra_weights(const std::vector<Stage>& stages, std::int64_t reduction) {
  std::int64_t sum = 0;
  for (const Stage& stage : stages) sum += stage.blocks * stage.channels * stage.channels;
  return 2 * sum / reduction;
}

}  // namespace course
