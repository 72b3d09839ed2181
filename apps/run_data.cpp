#include "apps/run_data.hpp"

#include "apps/command.hpp"

namespace exciton::apps {

void add_run_data_options(CLI::App& command, RunData& to) {
  add_data_option(command, to.data, "the run's");
  command.add_option("--kind", to.kind, "its format (default: as the run's)")
      ->check(CLI::IsMember(data::dataset_kinds()));
  command.add_option("--split", to.split, "which images")
      ->check(CLI::IsMember({"train", "test"}))
      ->capture_default_str();
}

std::shared_ptr<const data::Dataset> open_data_of(const TrainedModel& trained,
                                                  const RunData& chosen) {
  const DataRecipe& own = trained.recipe.data;
  auto set = data::open_dataset(chosen.kind.empty() ? own.kind : chosen.kind,
                                chosen.data.empty() ? own.dir : chosen.data, chosen.split);
  check_fits(trained, *set);
  return set;
}

void check_fits(const TrainedModel& trained, const data::Dataset& set) {
  check(set.class_names() == trained.facts.class_names && set.channels() == trained.facts.channels,
        "data: ", set.description(), " does not have the classes of ", trained.checkpoint.string());
}

}  // namespace exciton::apps
