/// What a person can try after an error of a run. The library tells facts; how the way out is
/// taken, by a flag or by an argument, is for the program to say.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "exciton/core/error.hpp"

namespace exciton::train {

enum class Remedy {
  another_folder,          ///< choose another run folder
  wait_or_another_folder,  ///< another process trains in it
  start_again,             ///< in another run folder
  resume,                  ///< the run that is in the folder, or choose another folder
  give_data,               ///< the recipe names no data
  fetch_data,              ///< there is none where it says; details: kind, folder
  more_epochs,             ///< or another run in another folder
  bring_back,              ///< what is missing in the folder, or the same
  put_back,                ///< what was changed in the folder, or the same
  same_recipe,             ///< or the same
  change_course,           ///< say that it is meant, or the same as with same_recipe
  own_data,                ///< what the run was trained on, or the same
  larger_images,           ///< larger images, or smaller crops
  less_memory,             ///< a smaller batch, or recompute, or let it be chosen
  load_plugin,             ///< what registers a name that is not known here
  begin_with_weights,      ///< weights came in the place of a recipe; details: their file
};

/// An error that somebody can do something about.
class RunError : public Error {
 public:
  RunError(const std::string& facts, Remedy remedy, std::vector<std::string> details = {})
      : Error(facts), remedy_(remedy), details_(std::move(details)) {}
  Remedy remedy() const { return remedy_; }
  const std::vector<std::string>& details() const { return details_; }

 private:
  Remedy remedy_;
  std::vector<std::string> details_;
};

/// As fail() and check() of core/error.hpp, with a remedy.
template <class... Parts>
[[noreturn]] void fail_with(Remedy remedy, const Parts&... parts) {
  std::ostringstream facts;
  (facts << ... << parts);
  throw RunError(facts.str(), remedy);
}
template <class... Parts>
void check_or(Remedy remedy, bool ok, const Parts&... parts) {
  if (!ok) [[unlikely]]
    fail_with(remedy, parts...);
}

}  // namespace exciton::train
