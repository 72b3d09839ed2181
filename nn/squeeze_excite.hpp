/// The Squeeze-and-Excitation block (paper section 3), a module of its own.
#pragma once
#include <string_view>

#include "exciton/nn/hook.hpp"
#include "exciton/nn/layers.hpp"
#include "exciton/nn/se_spec.hpp"
#include "exciton/ops/se/excite.hpp"
#include "exciton/ops/se/squeeze.hpp"

namespace exciton::nn {

/// A unit that looks at the whole map x [N, H, W, C] and returns it reweighted, in its shape: SE
/// and its variants. y[n,h,w,c] = x[n,h,w,c] s[n,c] with the gates s = hook(gates(x)).
class ChannelAttention : public Module {
 public:
  /// The gates of x: s [N, C], or a map like x where nothing is squeezed.
  virtual Var gates(const Var& x) = 0;
  /// May put other gates in their place (nn/gates.hpp has the usual ones). A unit with a hook runs
  /// by the single operators; fused and composed give the same gates up to rounding.
  ForwardHook hook;
  /// Sees the gates that go on, whichever path they run by.
  Watch watch;
  /// x is relu of what comes; such a unit runs by the single operators. See SESpec::input_relu.
  bool input_relu = false;

 protected:
  Var forward(const Var& x) final;
};

/// x [N, H, W, C] -> x scaled by its gates:
///   z = squeeze(x),  s = gate(expand relu(reduce z)),  y = x s
/// reduce.weight [R, C] and expand.weight [C, R] are the paper's W1 and W2, R = spec.hidden(C).
/// Without a squeeze (NoSqueeze, table 16) z is x itself, both layers are 1x1 convolutions with the
/// same weights, and s is a map of its own.
/// Weights and biases start as torch.nn.Linear's, uniform in +-1/sqrt(inputs): the authors'
/// training files are not public, and this is what the PyTorch numbers on SE nets were trained
/// from. Gates of a fresh sigmoid block are about 1/2. Errors: an unknown squeeze or gate; as
/// SESpec::hidden. Models make units by make_attention(), which looks at the rest of the spec.
class SqueezeExcite final : public ChannelAttention {
 public:
  SqueezeExcite(std::int64_t channels, const SESpec& spec, Generator& init);
  std::string_view kind() const override { return "SqueezeExcite"; }
  void visit(Visitor& v) override;
  Var gates(const Var& x) override;
  /// The gates of a squeezed map z [N, C].
  Var excite(const Var& z);

  Parameter reduce_weight, reduce_bias, expand_weight, expand_bias;  ///< biases may be empty
  bool squeezes = true;                                              ///< false: NoSqueeze
  ops::SqueezeKind squeeze = ops::SqueezeKind::avg;
  ops::GateKind gate = ops::GateKind::sigmoid;
};

}  // namespace exciton::nn
