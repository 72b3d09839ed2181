/// Wide residual networks for CIFAR (Zagoruyko and Komodakis 2016, table 1), plain and with SE:
///   conv3x3 16 - 3 stages of n pre-activation basic blocks with 16 k, 32 k, 64 k channels -
///   bn - relu - mean - fc
/// wrn{d}_{k} has depth d = 6 n + 4 and width k: wrn16_8 is the SENet paper's (tables 4 and 5), and
/// any other name of the form is made on demand, such as se_wrn40_4. Stages 2 and 3 start with
/// stride 2; they are 3 and 4 in se.stages (the paper's conv3 and conv4). No dropout in the blocks.
/// Options: classes (10), image_channels, se, shortcut, blocks, dropout (0).
#include <charconv>
#include <optional>

#include "exciton/nn/models/staged.hpp"

namespace exciton::nn::models {
namespace {

std::unique_ptr<Module> make(std::int64_t blocks, std::int64_t k, const ModelOptions& o,
                             Generator& init) {
  return make_residual<PreActBasicBlock>({.kind = "WideResNet",
                                          .stem = {{16}},
                                          .stem_norm = false,
                                          .last_norm = true,
                                          .features = 64 * k},
                                         {blocks, blocks, blocks}, o, init, [k](std::size_t stage) {
                                           return BlockOptions{.width = 16 * k << stage};
                                         });
}

/// "wrn28_10" or "se_wrn28_10"; nothing for names of another form. Errors: a depth that is not
/// 6 n + 4.
std::optional<Registry::Entry> entry_of(const std::string& name) {
  const bool se = name.starts_with("se_");
  const std::size_t prefix = se ? 6 : 3;
  if (name.substr(0, prefix) != (se ? "se_wrn" : "wrn")) return {};
  std::int64_t depth = 0, width = 0;
  const char* const end = name.data() + name.size();
  const auto first = std::from_chars(name.data() + prefix, end, depth);
  if (first.ec != std::errc{} || first.ptr == end || *first.ptr != '_') return {};
  const auto second = std::from_chars(first.ptr + 1, end, width);
  if (second.ec != std::errc{} || second.ptr != end) return {};
  check(depth >= 10 && depth < 10'000 && depth % 6 == 4 && width >= 1 && width <= 1024, name,
        ": expected a depth of 6 n + 4 (10, 16, 22, 28, 34, 40, ...) and a width of 1 to 1024");
  const auto make_this = [depth, width](const ModelOptions& o, Generator& init) {
    return make((depth - 4) / 6, width, o, init);
  };
  Registry::Entry entry = cifar(name, make_this, 3);
  entry.se = se;
  return reading(entry, {.shortcut = true});
}

}  // namespace

void register_wrn(Registry& registry) {
  for (const char* name : {"wrn16_8", "se_wrn16_8", "wrn28_10", "se_wrn28_10"})
    registry.add(*entry_of(name));
  registry.add_pattern(entry_of);
}

}  // namespace exciton::nn::models
