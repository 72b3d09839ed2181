#include "apps/commands/run_data.hpp"

#include "apps/commands/commands.hpp"

namespace exciton::apps {

void add_run_data_options(Command& command, RunData& to) {
  add_data_option(command, to.data, "the run's");
  command.add_option("--kind", to.kind, "its format (default: as the run's)")
      .check(one_of(data::dataset_kinds()));
  command.add_option("--split", to.split, "which images")
      .check(one_of({"train", "val", "test"}))
      .show_default();
}

std::shared_ptr<const data::Dataset> open_data_of(const train::TrainedModel& trained,
                                                  const RunData& chosen) {
  const train::DataRecipe& own = trained.recipe.data;
  const data::DataLayout layout = data::find_layout(chosen.kind.empty() ? own.kind : chosen.kind,
                                                    chosen.data.empty() ? own.dir : chosen.data);
  const auto planned = [&](const data::SplitPlan& plan) {
    if (chosen.split == "train") return plan.open(data::Part::train);
    if (chosen.split == "test") return plan.open(plan.reported);
    return plan.open(plan.chooses == data::Part::held_out ? data::Part::held_out : data::Part::val);
  };
  // A folder that is only there to be looked at needs no train.
  const bool at_once = chosen.split == "test" && (layout.has("test") || layout.has("val"));
  auto set = at_once ? data::open_split(layout, layout.has("test") ? "test" : "val")
                     : planned(data::plan_splits(layout, own.validation, trained.recipe.seed));
  check_fits(trained, *set);
  return set;
}

void check_fits(const train::TrainedModel& trained, const data::Dataset& set) {
  check(set.class_names() == trained.preprocessing.class_names &&
            set.channels() == trained.preprocessing.channels,
        "data: ", set.description(), " does not have the classes of ", trained.checkpoint.string());
}

}  // namespace exciton::apps
