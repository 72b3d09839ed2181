#include "exciton/train/run_data.hpp"

#include "exciton/data/splits.hpp"
#include "exciton/train/import.hpp"
#include "exciton/train/remedy.hpp"

namespace exciton::train {

std::shared_ptr<const data::Dataset> open_data_of(const TrainedModel& trained,
                                                  const RunData& chosen) {
  const DataRecipe& own = trained.recipe.data;
  check_or(Remedy::give_data, !chosen.data.empty() || !own.dir.empty(),
           "data: ", trained.checkpoint.string(), " was imported and has no data of its own");
  const data::DataLayout layout = data::find_layout(chosen.kind.empty() ? own.kind : chosen.kind,
                                                    chosen.data.empty() ? own.dir : chosen.data);
  const bool reported = chosen.split.empty() || chosen.split == "test";
  const auto planned = [&](const data::SplitPlan& plan) {
    if (chosen.split == "train") return plan.open(data::Part::train);
    if (chosen.data.empty() && plan.chooses == data::Part::held_out)
      check_same_train(trained.preprocessing, *plan.open(data::Part::train), trained.checkpoint);
    if (reported) return plan.open(plan.reported);
    return plan.open(plan.chooses == data::Part::held_out ? data::Part::held_out : data::Part::val);
  };
  // A folder that is only there to be looked at needs no train.
  const bool at_once = reported && (layout.has("test") || layout.has("val"));
  auto set = at_once ? data::open_split(layout, layout.has("test") ? "test" : "val")
                     : planned(data::plan_splits(layout, own.validation, trained.recipe.seed));
  check_fits(trained, *set);
  return set;
}

void check_fits(const TrainedModel& trained, const data::Dataset& set) {
  const std::vector<std::string>& names = trained.preprocessing.class_names;
  const bool same = are_placeholders(names)
                        ? set.classes() == static_cast<std::int64_t>(names.size())
                        : set.class_names() == names;
  check(same, "data: ", set.description(), " does not have the classes of ",
        trained.checkpoint.string());
  check(set.channels() == trained.preprocessing.channels, "data: ", set.description(), " has ",
        set.channels(), " channels, ", trained.checkpoint.string(), " expects ",
        trained.preprocessing.channels);
}

}  // namespace exciton::train
