/// Dropout (Srivastava et al. 2014), scaled in training ("inverted").
#pragma once
#include <string_view>
#include <vector>

#include "exciton/core/group.hpp"
#include "exciton/core/operator.hpp"
#include "exciton/core/random.hpp"
#include "exciton/core/tape.hpp"
#include "exciton/ops/arguments.hpp"

namespace exciton::ops {

/// x of any shape -> y = m x / (1 - p), m[i] = 0 with probability p, else 1. Element i is decided
/// by the number `counter` + i of the stream, so the same attributes give the same mask in any
/// thread count, and backward, dx = m dy / (1 - p), draws it again instead of keeping it. Errors: p
/// outside [0, 1).
struct Dropout {
  static constexpr std::string_view name = "dropout";
  double p = 0.5;
  Generator::State start;

  struct Saved {
    Form form;
  };
  Tensor forward(Saved& saved, const Tensor& x) const;
  Grads<1> backward(Saved& saved, Tensor dy, Needs<1> needs) const;
  static std::vector<Example<Dropout>> examples();
};

/// Takes one number an element of the batch from `generator`.
inline Var dropout(const Var& x, double p, Generator& generator) {
  Generator::State state = generator.state();
  const std::int64_t images = x.value().rank() > 0 ? x.dim(0) : 1,
                     each = images > 0 ? x.value().numel() / images : 0;
  Generator::State here = state;
  here.counter += static_cast<std::uint64_t>(images_before(images) * each);
  Var y = apply(Dropout{p, here}, x);
  state.counter += static_cast<std::uint64_t>(images_of_batch(images) * each);
  generator.set_state(state);
  return y;
}

}  // namespace exciton::ops
