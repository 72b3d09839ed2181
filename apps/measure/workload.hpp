/// What `exciton bench` and `exciton profile` run: a model with random images and labels.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "apps/terminal/options.hpp"
#include "exciton/nn/registry.hpp"
#include "exciton/ops/processor.hpp"
#include "exciton/optim/sgd.hpp"

namespace exciton::apps {

struct WorkloadOptions {
  std::string model, dtype = "f32";
  std::int64_t batch = 128, classes = 0, image = 0;  ///< 0: the model's own
  int threads = 0;                                   ///< 0: all
  std::vector<std::string> set;
  std::vector<std::string> freeze;  ///< see nn::freeze
};

/// MODEL, --batch, --dtype, --threads, --classes, --image, --freeze and --set.
void add_workload_options(Command& command, WorkloadOptions& to, bool model_required = true);

struct Workload {
  nn::Model model;
  ops::Precision precision;
  std::int64_t side = 0;
  Tensor images;  ///< [batch, side, side, channels] of precision.dtype
  Tensor labels;  ///< [batch] i64
  /// Of a detector: the loss of a step, and what evaluation computes; empty for classifiers.
  std::function<Var()> loss;
  std::function<void()> detect;
};

/// Sets the thread count and makes the model, the same for the same options. Errors: an unknown
/// model or option, a type this processor cannot take.
Workload make_workload(const WorkloadOptions& options);

/// The detector of a recipe, whose file is in the place of the model, on random images of 4 : 3 at
/// its size with eight random objects each. Errors: a recipe that is none of a detector.
Workload make_detector_workload(const WorkloadOptions& options);

/// The optimiser of a measured training step: SGD with Nesterov momentum and weight decay.
optim::Sgd make_optimizer(nn::Module& net);

/// Tells people which type was taken and why: on stdout, or as a warning on stderr; nothing of it
/// in a JSON document.
void print_precision(const ops::Precision& precision, bool json);

/// The middle value, the mean of the two middle ones of an even count. `values` must not be empty.
double median(std::vector<double> values);

}  // namespace exciton::apps
