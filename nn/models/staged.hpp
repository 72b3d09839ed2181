/// The skeleton of networks in stages, and what registers a family.
#pragma once
#include <functional>
#include <optional>

#include "exciton/nn/blocks.hpp"
#include "exciton/nn/models/families.hpp"
#include "exciton/nn/stage_maps.hpp"

namespace exciton::nn::models {

/// A convolution of the stem, padded to keep the map's size but for its stride.
struct StemConv {
  std::int64_t out, kernel = 3, stride = 1;
};

/// What lies around the stages.
struct Layout {
  std::string_view kind;  ///< the class, for summaries; a literal
  std::vector<StemConv> stem;
  bool stem_norm = true, stem_relu = true;    ///< behind each of its convolutions
  std::optional<ops::PoolSpec> max_pool{};    ///< behind the stem
  bool last_norm = false, last_relu = false;  ///< behind the stages
  std::int64_t features;                      ///< channels that come from there
  double dropout = 0;                         ///< the family's own
};

/// stem - stages of blocks - [bn] - [relu] - mean - dropout - fc
/// Named conv1, bn1, conv2, ..., max_pool, stage1, stage2, ..., bn, pool, dropout, fc.
class Staged final : public Module, public StageMaps {
 public:
  /// Without stages yet.
  Staged(const Layout& layout, const ModelOptions& o, Generator& init);
  std::string_view kind() const override { return layout_.kind; }
  void visit(Visitor& v) override;
  /// A stage more, whose map has so many channels.
  template <class Block>
  void add(std::vector<Block> blocks, std::int64_t channels) {
    auto& stage = stages_.emplace_back();
    for (Block& block : blocks) stage.push_back(std::make_unique<Block>(std::move(block)));
    channels_.push_back(channels);
  }
  std::int64_t stem_channels() const { return layout_.stem.back().out; }
  std::vector<Var> stage_maps(const Var& images) override;
  std::vector<std::int64_t> stage_channels() const override { return channels_; }
  void drop_head() override { head_.reset(); }

 protected:
  Var forward(const Var& x) override;

 private:
  /// What goes into the head; `maps`, if there are any, get the map behind each stage.
  Var through_stages(const Var& x, std::vector<Var>* maps);

  Layout layout_;
  std::vector<Conv2d> convs_;
  std::vector<BatchNorm> norms_;
  std::optional<MaxPool> max_pool_;
  std::vector<std::vector<std::unique_ptr<Module>>> stages_;
  std::vector<std::int64_t> channels_;  // of each stage's map
  std::optional<BatchNorm> bn_;
  std::optional<Head> head_;
};

/// A network whose stages are of residual blocks, blocks[i] in stage i unless the option `blocks`
/// says otherwise. All stages but the first begin with stride 2. `block` gives of each stage's
/// blocks what is not told by the stage itself: width, and what the family has of its own.
template <class Block>
std::unique_ptr<Module> make_residual(const Layout& layout, const std::vector<std::int64_t>& blocks,
                                      const ModelOptions& o, Generator& init,
                                      const std::function<BlockOptions(std::size_t)>& block) {
  auto net = std::make_unique<Staged>(layout, o, init);
  std::int64_t channels = net->stem_channels();
  for (std::size_t stage = 0; stage < blocks.size(); ++stage) {
    BlockOptions first = block(stage);
    first.in = channels;
    first.stride = stage > 0 ? 2 : 1;
    first.se = o.se.in_stage(static_cast<std::int64_t>(stage) + 2,
                             static_cast<std::int64_t>(blocks.size()));
    first.shortcut = o.shortcut;
    channels = channels_out<Block>(first);
    net->add(make_stage<Block>(blocks_of(o.blocks, stage, blocks[stage]), first, init), channels);
  }
  return net;
}

}  // namespace exciton::nn::models
