/// The units that may stand where a network has SE, by name: SE, its variants that come along, and
/// those of a user (recipe key model.se.kind).
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "exciton/core/named_registry.hpp"
#include "exciton/nn/squeeze_excite.hpp"

namespace exciton::nn {

/// Makes a unit for maps of so many channels. Errors: options of `spec` that the unit has not.
using MakeAttention = std::function<std::unique_ptr<ChannelAttention>(
    std::int64_t channels, const SESpec& spec, Generator& init)>;
using AttentionRegistry = NamedRegistry<MakeAttention>;

/// The process's own; "se" is the first.
AttentionRegistry& attention_registry();

/// The unit that `spec` asks for by its kind, or nullptr where it is not enabled. For blocks that
/// know where to put it. Errors: an unknown kind; a placement or stages that the block should have
/// decided on; options the kind has not.
std::unique_ptr<ChannelAttention> make_attention(std::int64_t channels, const SESpec& spec,
                                                 Generator& init);

}  // namespace exciton::nn
