#include "apps/commands/run_data.hpp"

#include "apps/commands/commands.hpp"

namespace exciton::apps {

void add_run_data_options(Command& command, RunData& to) {
  add_data_option(command, to.data, "the run's");
  command.add_option("--kind", to.kind, "its format (default: as the run's)")
      .check(one_of(data::dataset_kinds()));
  command
      .add_option(
          "--split", to.split,
          "which images (default: what the run reports: test, or else val or held-out ones)")
      .check(one_of({"train", "val", "test"}));
}

}  // namespace exciton::apps
