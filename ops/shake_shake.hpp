/// The random mix of two residual branches (Gastaldi 2017, Shake-Shake regularization,
/// arXiv 1705.07485).
#pragma once
#include <string_view>
#include <vector>

#include "exciton/core/group.hpp"
#include "exciton/core/operator.hpp"
#include "exciton/core/random.hpp"
#include "exciton/core/tape.hpp"
#include "exciton/ops/arguments.hpp"

namespace exciton::ops {

/// The paper's names of what a pass takes for its coefficients: new random ones, halves, or (in
/// backward) those that forward took.
enum class ShakeKind { shake, even, keep };

/// a, b [N, ...] of one shape and type -> y with y[n] = alpha_n a[n] + (1 - alpha_n) b[n].
/// Backward, by its own rule: da[n] = beta_n dy[n], db[n] = (1 - beta_n) dy[n]. This is the
/// gradient of forward only where beta is alpha (`keep`, or `even` twice); `shake` and `even`
/// backward are the regularisation itself. Coefficients are uniform in [0, 1), one an image in each
/// pass ("Shake-Shake-Image"): alpha_n is number n of the stream from `start`, beta_n number N + n,
/// so backward draws it anew and keeps nothing (n and N count the whole batch, core/group.hpp).
/// Errors: shapes or types differ, rank 0, forward = keep.
struct ShakeShake {
  static constexpr std::string_view name = "shake_shake";
  ShakeKind forward_kind = ShakeKind::shake, backward_kind = ShakeKind::shake;
  Generator::State start;

  struct Saved {
    Form form;
  };
  Tensor forward(Saved& saved, const Tensor& a, const Tensor& b) const;
  Grads<2> backward(Saved& saved, Tensor dy, Needs<2> needs) const;
  /// Examples differentiate (keep, or even twice); tests of the other rules are their own.
  static std::vector<Example<ShakeShake>> examples();

  /// alpha [images] and beta [images], in double.
  std::vector<double> alphas(std::int64_t images) const;
  std::vector<double> betas(std::int64_t images) const;
};

/// Takes two numbers per image from `generator`.
inline Var shake_shake(const Var& a, const Var& b, ShakeKind forward, ShakeKind backward,
                       Generator& generator) {
  Generator::State state = generator.state();
  Var y = apply(ShakeShake{forward, backward, state}, a, b);
  state.counter += 2 * static_cast<std::uint64_t>(images_of_batch(a.dim(0)));
  generator.set_state(state);
  return y;
}

}  // namespace exciton::ops
