#include "exciton/nn/detection/fpn.hpp"

#include <cmath>

#include "exciton/ops/add.hpp"
#include "exciton/ops/max_pool.hpp"
#include "exciton/ops/upsample_nearest.hpp"

namespace exciton::nn::detection {
namespace {

Conv2d convolution(std::int64_t in, std::int64_t out, std::int64_t kernel, Generator& init) {
  Conv2d conv(in, out, kernel, {.padding = kernel / 2}, init, /*bias=*/true);
  const double fan_in = static_cast<double>(in * kernel * kernel);
  conv.weight = uniform(conv.weight.shape(), std::sqrt(3 / fan_in), init);
  return conv;
}

}  // namespace

Fpn::Fpn(const std::vector<std::int64_t>& channels_in, std::int64_t channels_out, Generator& init) {
  check(!channels_in.empty(), "fpn: expected at least one map");
  for (const std::int64_t channels : channels_in) {
    inner_.push_back(convolution(channels, channels_out, 1, init));
    layers_.push_back(convolution(channels_out, channels_out, 3, init));
  }
}

void Fpn::visit(Visitor& v, const std::string& name) {
  v(name + ".inner", inner_);
  v(name + ".layer", layers_);
}

std::vector<Var> Fpn::operator()(const std::vector<Var>& maps) {
  check(maps.size() == inner_.size(), "fpn: got ", maps.size(), " maps, expected ", inner_.size());
  std::vector<Var> out(maps.size());
  Var above;
  for (std::size_t l = maps.size(); l-- > 0;) {
    Var own = inner_[l](maps[l]);
    if (!above.empty()) own = ops::add(own, ops::upsample_nearest(above, own.dim(1), own.dim(2)));
    out[l] = layers_[l](own);
    above = own;
  }
  out.push_back(ops::max_pool(out.back(), {.kernel = 1, .stride = 2}));
  return out;
}

}  // namespace exciton::nn::detection
