/// What networks without residual blocks are made of: convolution units, and branches side by side.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "exciton/nn/branch.hpp"

namespace exciton::nn {

struct ConvNormOptions {
  std::int64_t in = 0, out = 0;
  KernelSize kernel = 1;
  ops::ConvSpec spec{};
  double eps = 1e-5;  ///< of the batch norm
  /// SE on the unit's result, "after the non-linearity following each convolution" (paper section
  /// 3.3, of VGG).
  SESpec se{};
};

/// conv - bn - relu - [se], the convolution without bias.
class ConvNorm final : public Module {
 public:
  ConvNorm(const ConvNormOptions& options, Generator& init);
  std::string_view kind() const override { return "ConvNorm"; }
  void visit(Visitor& v) override;

  Conv2d conv;
  BatchNorm bn;
  std::unique_ptr<ChannelAttention> se;  ///< nullptr in plain units

 protected:
  Var forward(const Var& x) override;
};

/// Branches that all read x, their results joined along the channels in the order they were added;
/// named "0", "1", ... Errors: as concat, e.g. branches that stride to different sizes.
class Concat final : public Module {
 public:
  std::string_view kind() const override { return "Concat"; }
  void visit(Visitor& v) override;
  /// A new branch, to be filled.
  Sequential& branch() { return *branches_.emplace_back(std::make_unique<Sequential>()); }

 protected:
  Var forward(const Var& x) override;

 private:
  std::vector<std::unique_ptr<Sequential>> branches_;
};

}  // namespace exciton::nn
