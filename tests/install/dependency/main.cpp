#include <cstdio>
#include <exciton/core/operator.hpp>
#include <exciton/core/parameter.hpp>
#include <exciton/core/tape.hpp>
#include <exciton/core/threads.hpp>
#include <vector>

#include "core/error.hpp"
#include "nn/module.hpp"

/// y = 2 x.
struct Twice {
  static constexpr std::string_view name = "twice";
  struct Saved {};
  static exciton::Tensor twice(const exciton::Tensor& x) {
    exciton::Tensor y = x.clone();
    for (float& v : y.span<float>()) v *= 2;
    return y;
  }
  exciton::Tensor forward(Saved&, const exciton::Tensor& x) const { return twice(x); }
  exciton::Grads<1> backward(Saved&, exciton::Tensor dy, exciton::Needs<1>) const {
    return {twice(dy)};
  }
};

int main() try {
  exciton::check(own_error == 7 && own_module == 8, "another header came");
  exciton::Parameter weight(exciton::Tensor::full({4}, 1));
  exciton::Tape tape;
  const exciton::Var y = exciton::apply(Twice{}, exciton::Var(weight));
  tape.backward(y, exciton::Tensor::full({4}, 0.5));
  exciton::check(y.value().at(3) == 2 && weight.grad.at(3) == 1, "the tape is wrong");
} catch (const std::exception& error) {
  std::fprintf(stderr, "stranger: %s\n", error.what());
  return 1;
}
