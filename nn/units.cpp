#include "exciton/nn/units.hpp"
#include "exciton/nn/attention.hpp"

#include "exciton/ops/concat.hpp"

namespace exciton::nn {

ConvNorm::ConvNorm(const ConvNormOptions& o, Generator& init)
    : conv(o.in, o.out, o.kernel, o.spec, init),
      bn(o.out, {.eps = o.eps}),
      se(make_attention(o.out, o.se, init)) {}

void ConvNorm::visit(Visitor& v) {
  v("conv", conv);
  v("bn", bn);
  if (se) v("se", *se);
}

Var ConvNorm::forward(const Var& x) {
  const Var y = run_unit({conv, bn}, x);
  return se ? (*se)(y) : y;
}

void Concat::visit(Visitor& v) {
  for (std::size_t i = 0; i < branches_.size(); ++i) v(std::to_string(i), *branches_[i]);
}

Var Concat::forward(const Var& x) {
  std::vector<Var> results;
  for (const auto& branch : branches_) results.push_back((*branch)(x));
  return ops::concat(results);
}

}  // namespace exciton::nn
