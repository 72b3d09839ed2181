/// The Squeeze-and-Excitation block (paper section 3), a module of its own.
#pragma once
#include <string_view>

#include "nn/layers.hpp"
#include "nn/se_spec.hpp"
#include "ops/se/excite.hpp"
#include "ops/se/squeeze.hpp"

namespace exciton::nn {

/// x [N, H, W, C] -> x scaled by its gates:
///   z = squeeze(x),  s = gate(expand relu(reduce z)),  y = x s
/// reduce.weight [R, C] and expand.weight [C, R] are the paper's W1 and W2, R = spec.hidden(C).
/// Weights and biases start as torch.nn.Linear's, uniform in +-1/sqrt(inputs): the authors'
/// training files are not public, and this is what the PyTorch numbers on SE nets were trained
/// from. Gates of a fresh sigmoid block are about 1/2. Errors: reduction or min_width below 1,
/// unknown squeeze, gate or placement.
class SqueezeExcite final : public Module {
 public:
  SqueezeExcite(std::int64_t channels, const SESpec& spec, Generator& init);
  std::string_view kind() const override { return "SqueezeExcite"; }
  void visit(Visitor& v) override;
  /// The gates s [N, C] of x.
  Var gates(const Var& x);

  Parameter reduce_weight, reduce_bias, expand_weight, expand_bias;  ///< biases may be empty
  ops::SqueezeKind squeeze = ops::SqueezeKind::avg;
  ops::GateKind gate = ops::GateKind::sigmoid;

 protected:
  Var forward(const Var& x) override;
};

}  // namespace exciton::nn
