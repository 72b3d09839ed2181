/// Modules are plain values with one traversal. Parameters, buffers, names, checkpoints, summaries,
/// counts and train/eval mode are all visitors of the same `visit`.
#pragma once
#include <concepts>
#include <string>
#include <string_view>
#include <vector>

#include "exciton/core/anchored.hpp"
#include "exciton/core/tape.hpp"
#include "exciton/core/thread_claim.hpp"
#include "exciton/nn/hook.hpp"

namespace exciton::nn {

class Visitor;

/// What a training step computes twice to save memory; see nn/recompute.hpp.
enum class Recompute { none, block };

/// Something with parameters that maps a Var to a Var.
///
/// Threads. In evaluation several threads may call one module at once: what its layers cache is
/// used in turns. In training a module belongs to one thread: running statistics, random streams
/// and gradients change, and a second thread that calls it gets an Error. Modes, parameters and
/// hooks are to be changed while nobody calls the module.
class Module : public Anchored<Module> {
 public:
  Module() = default;
  virtual ~Module() = default;
  Module(Module&&) = default;
  Module& operator=(Module&&) = default;
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;

  /// The class, for summaries: "Conv2d".
  virtual std::string_view kind() const = 0;
  /// Runs forward, naming this module on the active tape's description.
  Var operator()(const Var& x);
  /// The same, whatever `recompute` says. Errors: see above.
  Var run(const Var& x);
  /// Names every parameter, buffer and child once, in a stable order, and says of parameters what
  /// they are, unless they are weights:
  ///   void visit(Visitor& v) override { v("conv1", conv1); v("bias", bias, Role::bias); }
  virtual void visit(Visitor&) {}
  /// How many pixels of training images (height times width, over all images) initialize() wants to
  /// see; 0: it has nothing to compute.
  virtual std::int64_t initial_pixels() const { return 0; }
  /// Computes what starts from data. A run calls it on its network, before the first step and
  /// checkpoint, with images [N, H, W, C] f32, normalised and not augmented, of about as many
  /// pixels: the same ones for a seed. Not where a run begins with weights (recipe key init).
  virtual void initialize(const Tensor& /*images*/) {}
  /// Training (batch statistics, dropout) or evaluation; see set_training().
  bool training = true;
  /// Fused operators where the form allows, or their plain twins; see set_fused().
  bool fused = true;
  /// See set_recompute().
  Recompute recompute = Recompute::none;
  /// On what forward returns. Of a layer that would be part of a fused operator the branch then
  /// runs by the single ones (nn/branch.hpp).
  ModuleHook forward_hook;
  /// Whether networks are made of many of these, one behind the other, so that computing each again
  /// saves memory (block).
  virtual bool repeats() const { return false; }

 protected:
  virtual Var forward(const Var& x) = 0;

 private:
  Var run_hooked(const Var& x);
  ThreadClaim in_training_;
};

/// Walks a module tree. Names arrive joined with dots: "stage2.0.se.reduce.weight".
class Visitor {
 public:
  virtual ~Visitor() = default;
  virtual void parameter(const std::string& /*name*/, Parameter&) {}
  /// State that is saved but not trained, such as running statistics.
  virtual void buffer(const std::string& /*name*/, Tensor&) {}
  virtual void enter(const std::string& /*name*/, Module&) {}
  virtual void leave(const std::string& /*name*/, Module&) {}

  /// Empty parameters (a bias switched off) are skipped.
  void operator()(std::string_view name, Parameter& p, Role role = Role::weight);
  void operator()(std::string_view name, Tensor& t);
  void operator()(std::string_view name, Module& m);
  template <class M>
  void operator()(std::string_view name, std::vector<M>& children) {
    for (std::size_t i = 0; i < children.size(); ++i)
      (*this)(std::string(name) + '.' + std::to_string(i), *pointer(children[i]));
  }
  /// Starts at the root, whose own name is empty.
  void walk(Module& root);

 private:
  /// The child held by value or by pointer.
  template <class M>
  static Module* pointer(M& child) {
    if constexpr (std::derived_from<M, Module>)
      return &child;
    else
      return &*child;
  }
  std::string joined(std::string_view name) const;
  std::string prefix_;
};

using exciton::NamedParameter;
using NamedBuffer = NamedTensor;

/// Each once; where one is shared by several modules, by the first of its names.
std::vector<NamedParameter> parameters(Module& module);
std::vector<NamedBuffer> buffers(Module& module);
/// Sum of the elements of all parameters (running statistics are buffers and not counted).
std::int64_t parameter_count(Module& module);
/// Train (true) or eval (false) mode for the module and all below it.
void set_training(Module& module, bool training);
/// Has a module in evaluation mode while in scope, then in the mode it was in.
class EvaluationMode {
 public:
  explicit EvaluationMode(Module& module) : module_(module), training_(module.training) {
    set_training(module_, false);
  }
  ~EvaluationMode() { set_training(module_, training_); }
  EvaluationMode(const EvaluationMode&) = delete;
  EvaluationMode& operator=(const EvaluationMode&) = delete;

 private:
  Module& module_;
  bool training_;
};
/// Chooses between fused operators (true, the default) and their plain twins for the module and all
/// below it; both compute the same.
void set_fused(Module& module, bool fused);
/// Converts every parameter and floating buffer, e.g. to f64 for a gradient check of a whole
/// network.
void convert(Module& module, DType type);

}  // namespace exciton::nn
