/// A training run as a person at a terminal sees it.
#pragma once
#include <optional>

#include "exciton/train/run.hpp"

namespace exciton::apps {

/// Trains, and prints what it does: a line per epoch, a bar meanwhile, what to try next. A signal
/// stops it after the step at hand. `verbose` tells about memory, too. True: finished; false:
/// stopped by a signal. `live`: a page on this port of loopback (0: any) shows the run meanwhile.
/// Errors: those of train::run; the port is taken.
bool train_and_report(train::Recipe recipe, const train::RunOptions& options, bool verbose = false,
                      std::optional<int> live = std::nullopt);

}  // namespace exciton::apps
