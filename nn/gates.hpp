/// Looking at the gates of a network's SE units (and their variants), and putting others in their
/// place.
///
///   GateRecorder recorder(net);
///   net(images);
///   recorder.gates(0);                             // [N, C] of the first unit
///
///   const HookScope off(units[3].unit->hook, constant_gates(Tensor::full({c}, 1)));
///   net(images);                                   // as if the fourth unit were not there
#pragma once
#include <string>
#include <vector>

#include "exciton/nn/squeeze_excite.hpp"

namespace exciton::nn {

struct NamedAttention {
  std::string name;  ///< "stage1.0.se"
  ChannelAttention* unit;
};

/// All units of `net` in the order of its traversal, which is that of the forward pass.
std::vector<NamedAttention> attention_units(Module& net);

/// Keeps the gates of every unit in the newest forward pass, while in scope. It looks only: what
/// comes out of the network stays the same.
class GateRecorder {
 public:
  explicit GateRecorder(Module& net);
  GateRecorder(const GateRecorder&) = delete;  // the watches know where it is
  GateRecorder& operator=(const GateRecorder&) = delete;
  const std::vector<NamedAttention>& units() const { return units_; }
  /// Whether unit i has run since.
  bool ran(std::size_t i) const { return !seen_.at(i).empty(); }
  /// Of unit i, f32 [N, C]; where every pixel has gates of its own, their mean over the pixels.
  /// Errors: the unit has not run yet.
  Tensor gates(std::size_t i) const;

 private:
  std::vector<NamedAttention> units_;
  std::vector<Tensor> seen_;
  std::vector<std::unique_ptr<WatchScope>> watches_;
};

/// The same gates `values` [C] for every image. All 1: as if the unit were not there. All 0: as if
/// its branch were not there. Errors (when it runs): another number of channels.
ForwardHook constant_gates(const Tensor& values);
/// s[n,c] mask[c], mask [C]: channels with mask 0 are switched off. Errors: as constant_gates.
ForwardHook masked_gates(const Tensor& mask);

}  // namespace exciton::nn
