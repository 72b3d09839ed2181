/// Feature pyramid network (Lin et al. 2017).
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "exciton/nn/layers.hpp"

namespace exciton::nn::detection {

/// Of maps C_1, C_2, ..., each about half as large as the one before, makes maps of equally many
/// channels:
///   M_l = inner_l(C_l) + upsample(M_{l+1}),   P_l = layer_l(M_l),   P_{last + 1} = every other
///   pixel
/// of P_last (a max pool of kernel 1 and stride 2). inner are 1x1 and layer 3x3 convolutions with
/// bias, no norm and no ReLU. Weights start uniform in +-sqrt(3 / fan_in), biases at 0
/// (torchvision).
class Fpn {
 public:
  Fpn(const std::vector<std::int64_t>& channels_in, std::int64_t channels_out, Generator& init);
  void visit(Visitor& v, const std::string& name);
  /// One more map than came. Errors: another number of maps than the pyramid was made for.
  std::vector<Var> operator()(const std::vector<Var>& maps);

 private:
  std::vector<Conv2d> inner_, layers_;
};

}  // namespace exciton::nn::detection
