#include "exciton/nn/models/staged.hpp"

#include "exciton/core/tape_observer.hpp"
#include "exciton/ops/activations.hpp"

namespace exciton::nn::models {

Staged::Staged(const Layout& layout, const ModelOptions& o, Generator& init)
    : layout_(layout),
      convs_([&] {
        std::vector<Conv2d> convs;
        std::int64_t channels = o.image_channels;
        for (const StemConv& c : layout.stem) {
          convs.emplace_back(channels, c.out, c.kernel,
                             ops::ConvSpec{.stride = c.stride, .padding = c.kernel / 2}, init);
          channels = c.out;
        }
        return convs;
      }()),
      head_(std::in_place, layout.features, layout.dropout, o, init) {
  if (layout.stem_norm)
    for (const StemConv& c : layout.stem) norms_.emplace_back(c.out);
  if (layout.max_pool) max_pool_.emplace(*layout.max_pool);
  if (layout.last_norm) bn_.emplace(layout.features);
}

void Staged::visit(Visitor& v) {
  for (std::size_t i = 0; i < convs_.size(); ++i) {
    v("conv" + std::to_string(i + 1), convs_[i]);
    if (!norms_.empty()) v("bn" + std::to_string(i + 1), norms_[i]);
  }
  if (max_pool_) v("max_pool", *max_pool_);
  for (std::size_t i = 0; i < stages_.size(); ++i) v("stage" + std::to_string(i + 1), stages_[i]);
  if (bn_) v("bn", *bn_);
  if (head_) head_->visit(v);
}

Var Staged::through_stages(const Var& x, std::vector<Var>* maps) {
  Var y = x;
  for (std::size_t i = 0; i < convs_.size(); ++i)
    y = norms_.empty() ? convs_[i](y)
                       : run_unit({convs_[i], norms_[i], nullptr, layout_.stem_relu}, y);
  if (max_pool_) y = (*max_pool_)(y);
  for (const auto& stage : stages_) {
    for (const auto& block : stage) y = (*block)(y);
    if (maps) maps->push_back(y);
  }
  if (bn_)
    y = norm_relu(*bn_, y);
  else if (layout_.last_relu)
    y = ops::relu(y);
  if (maps && !maps->empty()) maps->back() = y;
  return y;
}

std::vector<Var> Staged::stage_maps(const Var& images) {
  const TapeObserver::Scope scope(this);
  std::vector<Var> maps;
  through_stages(images, &maps);
  return maps;
}

Var Staged::forward(const Var& x) {
  check(head_.has_value(), kind(), ": its classifier was taken away");
  return (*head_)(through_stages(x, nullptr));
}

}  // namespace exciton::nn::models
