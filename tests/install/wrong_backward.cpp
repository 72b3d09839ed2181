// An operator whose backward has another signature; the compiler's message says which is wanted.
#include <exciton/core/tape.hpp>

struct Wrong {
  static constexpr std::string_view name = "wrong";
  struct Saved {};
  exciton::Tensor forward(Saved&, const exciton::Tensor& x) const { return x; }
  exciton::Tensor backward(Saved&, exciton::Tensor dy) const { return dy; }
};

exciton::Var wrong(const exciton::Var& x) { return exciton::apply(Wrong{}, x); }
