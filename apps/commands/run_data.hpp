/// The images on which a command tries a trained model, and the options that choose them.
#pragma once
#include <memory>
#include <string>

#include "apps/terminal/options.hpp"
#include "exciton/train/trained_model.hpp"

namespace exciton::apps {

struct RunData {
  std::string data, kind;  ///< folder and format; empty: the run's own
  /// As the run has them: "test" what it reports, which may be val or what is held out of train;
  /// "val" what chooses its best epoch; "train" what it trains on.
  std::string split = "test";
};

/// --data, --kind and --split.
void add_run_data_options(Command& command, RunData& to);

/// The chosen data set. Errors: those of open_dataset; other classes or channels than the model's.
std::shared_ptr<const data::Dataset> open_data_of(const train::TrainedModel& trained,
                                                  const RunData& chosen);
/// Errors: a data set of other classes or channels than the model's.
void check_fits(const train::TrainedModel& trained, const data::Dataset& set);

}  // namespace exciton::apps
