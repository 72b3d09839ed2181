/// The layers that models are made of. Every layer with weights is constructed with the generator
/// that initialises it.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "exciton/core/random.hpp"
#include "exciton/nn/hook.hpp"
#include "exciton/nn/module.hpp"
#include "exciton/ops/batch_norm.hpp"
#include "exciton/ops/convolution/conv2d.hpp"
#include "exciton/ops/convolution/folded_conv.hpp"
#include "exciton/ops/pooling.hpp"

namespace exciton::nn {

/// While in scope, parameters that this thread makes have memory and no values: for models whose
/// weights come from elsewhere, and those that are only asked for their shapes.
class SkipInitialization {
 public:
  SkipInitialization();
  ~SkipInitialization();
  SkipInitialization(const SkipInitialization&) = delete;
  SkipInitialization& operator=(const SkipInitialization&) = delete;

 private:
  bool outer_;
};

/// Kaiming normal (He et al. 2015, eq. 14), the paper's initialisation: independent normal values
/// with mean 0 and standard deviation sqrt(2 / fan_out).
Parameter kaiming_normal(const Shape& shape, std::int64_t fan_out, Generator& init);
/// Makes the first min(out, in) filters of `weight` [out, in, kH, kW] the identity (PyTorch's
/// dirac_): w[i, j, y, x] = 1 where i = j < min(out, in) and (y, x) is the middle of the window,
/// else 0. The filters behind them stay as they are. So a layer begins as a shortcut beside random
/// features (Zagoruyko and Komodakis 2017, DiracNets; Jordan 2024, arXiv 2404.00498, section 3.2).
/// Errors: no filters; a window of even sides, which has no middle.
void set_dirac(Parameter& weight);
/// Independent normal values with mean 0.
Parameter normal(const Shape& shape, double deviation, Generator& init);
/// Independent uniform values in [-bound, bound).
Parameter uniform(const Shape& shape, double bound, Generator& init);

/// Height and width of a convolution's window; one number for both.
struct KernelSize {
  KernelSize(std::int64_t side) : h(side), w(side) {}  // NOLINT: the usual case reads as a number
  KernelSize(std::int64_t height, std::int64_t width) : h(height), w(width) {}
  std::int64_t h, w;
};

/// Convolution [N, H, W, in] -> [N, H', W', out]; see ops/convolution/conv2d.hpp for the equation.
/// weight [out, in/groups, kernel.h, kernel.w] starts Kaiming normal with fan_out = h w out/groups
/// (the outputs one input reaches; PyTorch does not divide by groups); bias [out] starts at 0.
/// Errors: sizes below one, groups that do not divide in and out.
class Conv2d final : public Module {
 public:
  Conv2d(std::int64_t in, std::int64_t out, KernelSize kernel, const ops::ConvSpec& spec,
         Generator& init, bool bias = false);
  std::string_view kind() const override { return "Conv2d"; }
  void visit(Visitor& v) override;

  Parameter weight, bias;  ///< bias is empty when switched off
  ops::ConvSpec spec;
  ops::PackedWeights packed;
  /// Whether evaluation keeps the weights packed: faster, and a second copy of them.
  bool keep_packed = true;
  ops::FoldedConv folded;  ///< with the batch norm behind it; see nn/branch.hpp

 protected:
  Var forward(const Var& x) override;
};

/// Sets Conv2d::keep_packed in all of `module`: false for who looks at one image and has no room
/// for a second copy of the weights.
void keep_packed_weights(Module& module, bool keep);

struct BatchNormOptions {
  double eps = 1e-5;
  double momentum = 0.1;
  bool scale = true;  ///< false: weight (gamma) stays 1 and is not trained
};

/// Batch normalisation over channels; see ops/batch_norm.hpp. weight (gamma) starts at 1, bias
/// (beta) at 0, running_mean at 0 and running_var at 1.
class BatchNorm final : public Module {
 public:
  explicit BatchNorm(std::int64_t channels, const BatchNormOptions& options = {});
  std::string_view kind() const override { return "BatchNorm"; }
  void visit(Visitor& v) override;
  /// What the operator needs now: training or not, and where the running statistics live.
  ops::BatchNormSpec spec();

  Parameter weight, bias;
  ops::RunningStats running;
  /// In training, too, the running statistics are used, and left as they are; see freeze_norms().
  bool frozen = false;
  BatchNormOptions options;

 protected:
  Var forward(const Var& x) override;
};

/// Freezes the statistics of every batch norm of the module, or lets them move again. Frozen ones
/// are constants, so no gradient passes through them; weight and bias go on training.
void freeze_norms(Module& module, bool frozen);

/// Freezes what the names begin with ("stage1" is stage1.0.conv1.weight, not stage10): parameters
/// get neither gradient nor update, and batch norms use their running statistics and leave them as
/// they are. Errors: a name that nothing has, with the nearest.
void freeze(Module& module, const std::vector<std::string>& names);

/// y [N, out] = x [N, in] weight' + bias, weight [out, in]. Both start uniform in
/// +-1/sqrt(in), as torch.nn.Linear; the paper and the authors' files say nothing else.
class Linear final : public Module {
 public:
  Linear(std::int64_t in, std::int64_t out, Generator& init, bool bias = true);
  std::string_view kind() const override { return "Linear"; }
  void visit(Visitor& v) override;

  Parameter weight, bias;  ///< bias is empty when switched off

 protected:
  Var forward(const Var& x) override;
};

/// Zeroes elements with probability p in training and scales the rest by 1 / (1 - p); the identity
/// in evaluation. Its random stream is its own, and its position is the buffer "state" [3] i64
/// (seed, stream, counter; none when p is 0), so a checkpoint resumes it exactly. Errors: p outside
/// [0, 1).
class Dropout final : public Module {
 public:
  Dropout(double p, Generator& init);
  std::string_view kind() const override { return "Dropout"; }
  void visit(Visitor& v) override;

  double p;
  Tensor state;

 protected:
  Var forward(const Var& x) override;
};

class Relu final : public Module {
 public:
  std::string_view kind() const override { return "Relu"; }

 protected:
  Var forward(const Var& x) override;
};

/// Maximum over windows; padding never wins.
class MaxPool final : public Module {
 public:
  explicit MaxPool(const ops::PoolSpec& pool) : spec(pool) {}
  std::string_view kind() const override { return "MaxPool"; }
  ops::PoolSpec spec;

 protected:
  Var forward(const Var& x) override;
};

/// Mean over windows.
class AvgPool final : public Module {
 public:
  explicit AvgPool(const ops::PoolSpec& pool) : spec(pool) {}
  std::string_view kind() const override { return "AvgPool"; }
  ops::PoolSpec spec;

 protected:
  Var forward(const Var& x) override;
};

/// [N, H, W, C] -> [N, C], the mean over all pixels.
class GlobalAvgPool final : public Module {
 public:
  std::string_view kind() const override { return "GlobalAvgPool"; }
  ForwardHook hook;  ///< on the map before the mean

 protected:
  Var forward(const Var& x) override;
};

/// Modules one after another, named "0", "1", ...
class Sequential final : public Module {
 public:
  std::string_view kind() const override { return "Sequential"; }
  void visit(Visitor& v) override;

  template <class M, class... Args>
  M& add(Args&&... args) {
    auto made = std::make_unique<M>(std::forward<Args>(args)...);
    M& module = *made;
    modules_.push_back(std::move(made));
    return module;
  }
  void add(std::unique_ptr<Module> module) { modules_.push_back(std::move(module)); }
  std::size_t size() const { return modules_.size(); }
  bool empty() const { return modules_.empty(); }

 protected:
  Var forward(const Var& x) override;

 private:
  std::vector<std::unique_ptr<Module>> modules_;
};

}  // namespace exciton::nn
