#include "apps/measure/convolutions.hpp"

#include <algorithm>

#include "exciton/nn/layers.hpp"
#include "exciton/nn/names.hpp"

namespace exciton::apps {
namespace {

/// The attributes of a convolution, from its layer. SE blocks also call the operator on weights of
/// their own, as 1x1 layers at every pixel, which leave no choice. Errors: any other.
ops::ConvSpec spec_of(const EntryInfo& e, const nn::Names& names, const char* who) {
  if (!e.parameters.empty())
    if (const auto* conv = dynamic_cast<const nn::Conv2d*>(&names.owner(e.parameters[0])))
      return conv->spec;
  const Shape &x = e.inputs[0], &w = e.inputs[1], &y = e.output;
  check(w[2] == 1 && w[3] == 1 && x[1] == y[1] && x[2] == y[2], who, ": the convolution of ", x,
        " to ", y, " by ", w, " is no Conv2d layer, so its stride is unknown");
  ops::ConvSpec spec;
  spec.groups = x[3] / w[1];
  return spec;
}

}  // namespace

NetworkConvolutions convolutions_of(Workload& w, const char* who) {
  nn::set_training(*w.model.net, false);
  // A frozen layer convolves, too, and its weights name it.
  for (const auto& p : nn::parameters(*w.model.net)) p.parameter->trainable = true;
  Description description;
  const Tape tape(&description);
  (*w.model.net)(w.images);
  const nn::Names names(*w.model.net);
  NetworkConvolutions found;
  for (const EntryInfo& e : description.entries()) {
    if (e.op != ops::Conv2d::name) continue;
    const auto geometry = ops::geometry_of(e.inputs[0], e.inputs[1], spec_of(e, names, who),
                                           w.precision.dtype, e.inputs.size() > 2);
    auto& shapes = found.shapes;
    auto at = std::find_if(shapes.begin(), shapes.end(),
                           [&](const SharedConvolution& s) { return s.geometry == geometry; });
    if (at == shapes.end()) at = shapes.insert(at, SharedConvolution{geometry, e.inputs[1]});
    ++at->count;
    if (found.convolutions++ > 0) ++at->data_gradients;
    found.multiply_adds += e.multiply_adds;
  }
  return found;
}

}  // namespace exciton::apps
