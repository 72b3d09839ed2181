/// Muon: momentum whose every step is made orthogonal.
#pragma once
#include <cstdint>
#include <vector>

#include "exciton/optim/optimizer.hpp"

namespace exciton::optim {

struct MuonOptions {
  double lr = 0.02;  ///< of step() without a schedule
  double momentum = 0.95;
  bool nesterov = true;
  std::int64_t steps = 5;   ///< of the Newton-Schulz iteration
  double weight_decay = 0;  ///< decoupled; nothing where weights are normalised
  bool normalize = false;   ///< brings weights to a fixed norm before each step, see below
};

/// Writes over x [rows, columns] (row-major, f32 or f64) the result of `steps` of
///   X <- x / (|x| + 1e-7),   X <- a X + (b A + c A A) X,  A = X X'
/// with a = 3.4445, b = -4.7750, c = 2.0315 and |x| the root of the sum of squares (Frobenius). The
/// singular vectors stay, and singular values come to 0.7 to 1.2 but for the smallest: nearly
/// U V' of x = U S V'. Where there are more rows than columns A is X' X, which multiplies from the
/// right: the same in fewer products. Products in the type of x.
template <class T>
void orthogonalize(T* x, std::int64_t rows, std::int64_t columns, std::int64_t steps);

/// Muon (Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks"). Every
/// parameter of two dimensions or more is a matrix W [out, all others], the filters of a
/// convolution its rows. With gradient G and buffer B (0 at first):
///   B <- momentum B + G
///   D  = G + momentum B  with nesterov,  else  B
///   W <- W sqrt(out) / |W|  when normalised,  else  W (1 - lr wd)
///   W <- W - lr orthogonalize(D)
/// Normalised weights are those of airbench94_muon: rows have norm 1 on average, so the rate is an
/// angle; a batch norm behind the layer makes their length no part of the function. Gradients, also
/// of bf16 networks, and all products are f32 (f64 of f64 parameters). Errors: options out of
/// range; a trained parameter with one dimension, which another optimiser must have.
class Muon final : public Optimizer {
 public:
  explicit Muon(std::vector<NamedParameter> parameters, const MuonOptions& options = {});

  void step(double lr) override;
  void step() { step(options_.lr); }
  /// The momentum buffers, "momentum.<parameter>", in the order of the parameters of two
  /// dimensions or more.
  std::vector<NamedTensor> state() override;
  const MuonOptions& options() const { return options_; }

 private:
  template <class T>
  void apply(double lr);

  std::vector<Tensor> momentum_;  ///< empty of parameters with fewer dimensions
  MuonOptions options_;
};

}  // namespace exciton::optim
