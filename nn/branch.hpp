/// A branch of convolutions, each with its norm, and the ways it can run. Blocks describe theirs
/// once and compose nothing by hand, so a fused operator behind these functions serves all models.
#pragma once
#include <functional>
#include <span>
#include <string_view>

#include "exciton/nn/layers.hpp"
#include "exciton/nn/squeeze_excite.hpp"

namespace exciton::nn {

/// One step of a branch: conv - bn - [attention] - [relu].
struct Unit {
  Conv2d& conv;
  BatchNorm& bn;
  ChannelAttention* attention = nullptr;
  bool relu = true;  ///< of the last unit of a branch: behind the sum with the shortcut
};

/// How a unit, and the sum behind a branch's last one, run. All compute the same up to rounding.
enum class Path { composed, fused, recomputed, folded };

/// What there is to know of a path. The first row whose `when` holds is taken.
struct PathRow {
  Path path;
  std::string_view name;
  std::string_view when;
  std::string_view runs;      ///< the operators
  std::string_view keeps;     ///< of maps, for backward
  std::string_view composed;  ///< the form it stands for, and is tested against
  std::string_view gain;      ///< measured, see docs/performance.md
};
/// One row a path, in the order in which path_of() asks.
std::span<const PathRow> path_table();
std::string_view name_of(Path path);

/// The path of `unit` with x before its convolution. `next` is the convolution that reads its
/// result or nullptr, `shortcut` what is added to it or empty.
Path path_of(const Unit& unit, const Conv2d* next, const Var& x, const Var& shortcut);

/// relu(attention(bn(conv(x))) + shortcut), shortcut of the result's shape; without the parts that
/// are nullptr, empty or false.
Var run_unit(const Unit& unit, const Var& x, const Var& shortcut = {});
/// next(run_unit(unit, x)).
Var run_unit(const Unit& unit, const Var& x, Conv2d& next);
/// x through the units, one after another, and the sum with shortcut() behind the last. An empty
/// function is no shortcut; it is called when its value is wanted.
Var run_branch(std::span<const Unit> units, const Var& x,
               const std::function<Var()>& shortcut = {});

/// Of relu(bn(x)) before `conv`, in a pre-activation branch.
Path path_of(const BatchNorm& bn, const Conv2d& conv);
/// conv(relu(bn(x))), a step of such a branch.
Var norm_relu_conv(BatchNorm& bn, Conv2d& conv, const Var& x);
/// relu(bn(x)), the start of one where others read it, too.
Var norm_relu(BatchNorm& bn, const Var& x);

}  // namespace exciton::nn
