/// A changed course: what of a run's recipe was changed on the way, and when. Checkpoints hold it;
/// RUN/changes.jsonl has it for people, and for doing the same in one go.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "exciton/train/run_folder.hpp"

namespace exciton::train {

struct Change {
  Position position;      ///< from here on
  std::int64_t step = 0;  ///< of the run, from 0
  std::string time;       ///< when it was made, ISO 8601, UTC
  std::string key;        ///< of the recipe, "schedule.lr"
  std::string from, to;   ///< JSON
  bool operator==(const Change&) const = default;
};

/// Whether a resume may change a key (that its user asks for by name): the rate and its schedule,
/// the number of epochs, decay, augmentation, batch, smoothing, clipping, early stopping.
bool can_change(const std::string& key);

/// Every key in which two recipes differ; position and step are left 0.
std::vector<Change> changes_between(const Recipe& before, const Recipe& after);
/// With these changes made. Errors: a value that the recipe refuses.
Recipe changed(const Recipe& recipe, const std::vector<Change>& changes);

/// A journal, a JSON object a line. Errors: unreadable, a line that is none.
std::vector<Change> read_changes(const std::filesystem::path& journal);
std::string to_text(const Change& change);

}  // namespace exciton::train
