/// A training run as a person at a terminal sees it.
#pragma once
#include "exciton/train/run.hpp"

namespace exciton::apps {

/// Trains, and prints what it does: a line per epoch, a bar meanwhile, what to try next. A signal
/// stops it after the step at hand. `verbose` tells about memory, too. True: finished; false:
/// stopped by a signal. Errors: those of train::run.
bool train_and_report(train::Recipe recipe, const train::RunOptions& options, bool verbose = false);

}  // namespace exciton::apps
