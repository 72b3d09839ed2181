/// Gate counts as the log and `exciton inspect` write them.
#pragma once
#include "exciton/train/inspect/gate_stats.hpp"
#include "exciton/train/json.hpp"

namespace exciton::train {

Json to_json(const GateCounts& counts);

}  // namespace exciton::train
