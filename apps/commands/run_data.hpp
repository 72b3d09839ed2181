/// The options that choose the images on which a command tries a trained model.
#pragma once
#include "apps/terminal/options.hpp"
#include "exciton/train/run_data.hpp"

namespace exciton::apps {

using train::check_fits;
using train::open_data_of;
using train::RunData;

/// --data, --kind and --split.
void add_run_data_options(Command& command, RunData& to);

}  // namespace exciton::apps
