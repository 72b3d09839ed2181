/// The images on which a trained model is tried.
#pragma once
#include <memory>
#include <string>

#include "exciton/train/trained_model.hpp"

namespace exciton::train {

struct RunData {
  std::string data, kind;  ///< folder and format; empty: the run's own
  /// As the run has them: "test" (or "") what it reports, which may be val or what is held out of
  /// train; "val" what chooses its best epoch; "train" what it trains on.
  std::string split;
};

/// The chosen data set. Errors: those of open_dataset; other classes or channels than the model's;
/// a model without data of its own and no folder.
std::shared_ptr<const data::Dataset> open_data_of(const TrainedModel& trained,
                                                  const RunData& chosen = {});
/// Errors: a data set of other classes or channels than the model's.
void check_fits(const TrainedModel& trained, const data::Dataset& set);

}  // namespace exciton::train
