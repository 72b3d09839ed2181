/// Excitation: adaptive recalibration (paper section 3.2, eq. 3).
#pragma once
#include <string_view>
#include <vector>

#include "exciton/core/named_registry.hpp"
#include "exciton/core/operator.hpp"
#include "exciton/core/tape.hpp"

namespace exciton::ops {

enum class GateKind { sigmoid, tanh, relu, hard_sigmoid };

inline constexpr NameTable<GateKind, 4> gate_names{"excite: gate",
                                                   {{{GateKind::sigmoid, "sigmoid"},
                                                     {GateKind::tanh, "tanh"},
                                                     {GateKind::relu, "relu"},
                                                     {GateKind::hard_sigmoid, "hard_sigmoid"}}}};

/// z [N, K], w1 [R, K], b1 [R] or absent, w2 [C, R], b2 [C] or absent -> s [N, C]
///   h = relu(z w1' + b1),  s = gate(h w2' + b2)
/// In the SE block K is C. (Where another layer went into w1 it is not:
/// ops/convolution/folded_conv.hpp.) Backward, with u the gate's argument:
///   du = ds gate'(u),  dw2 = du' h,  db2 = sum du,  dh = (du w2) [h > 0],
///   dw1 = dh' z,  db1 = sum dh,  dz = dh w1
struct Excite {
  static constexpr std::string_view name = "excite";
  GateKind gate = GateKind::sigmoid;
  struct Saved {
    Tensor z, w1, w2, h, s;
  };
  Tensor forward(Saved& saved, const Tensor& z, const Tensor& w1, const Tensor& b1,
                 const Tensor& w2, const Tensor& b2) const;
  Grads<5> backward(Saved& saved, Tensor ds, Needs<5> needs) const;
  std::int64_t multiply_adds(const Tensor& s, const Tensor& z, const Tensor& w1, const Tensor& b1,
                             const Tensor& w2, const Tensor& b2) const;
  static std::vector<Example<Excite>> examples();
};

inline Var excite(const Var& z, const Var& w1, const Var& b1, const Var& w2, const Var& b2,
                  GateKind gate = GateKind::sigmoid) {
  return apply(Excite{gate}, z, w1, b1, w2, b2);
}

}  // namespace exciton::ops
