/// Which images of a data set train, which choose the best epoch, and which are reported.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "exciton/data/dataset.hpp"

namespace exciton::data {

/// What a recipe says about choosing: `data.validation`.
struct Validation {
  enum class By {
    automatic,  ///< "auto": val where the data has one; nothing where it comes with an official
                ///< test set; else a tenth of train
    share,      ///< a number: so large a share of train is held out; 0: val, or nothing
    test        ///< "test": the test set itself, as programs did before they knew this key
  };
  By by = By::automatic;
  double share = 0;
};

/// The share that is held out where nobody says otherwise.
inline constexpr double default_validation_share = 0.1;

/// For each image whether it is held out: of every class `share` of its images, rounded, at least
/// one where the class has two or more, and never all. Drawn from (seed, class), so it is the same
/// however the files are read. `labels` are in [0, classes). Errors: none can be held out.
std::vector<bool> held_out(const std::vector<std::int64_t>& labels, std::int64_t classes,
                           double share, std::uint64_t seed);

/// Some of the images of a data set that play one part.
enum class Part {
  none,
  all,       ///< the whole split train
  train,     ///< what is trained on: train, but for what is held out
  held_out,  ///< the share of train that is held out
  val,       ///< the split val
  test       ///< the split test
};

/// How the images of a data set are used.
struct SplitPlan {
  DataLayout layout;
  double share = 0;  ///< of train that is held out
  std::uint64_t seed = 0;
  Part chooses = Part::none;  ///< the best epoch is the one that is best on these
  Part reported = Part::none;
  std::vector<std::string> notes;  ///< sentences about what is used how, and what is not

  /// The images of a part; nothing for Part::none. Errors: those of open_split; a share that holds
  /// nothing out.
  std::shared_ptr<const Dataset> open(Part part, const OpenOptions& options = {}) const;
};

/// Decides by what lies there. Errors: no train; nothing that could be reported; a share of 0.9 or
/// more.
SplitPlan plan_splits(DataLayout layout, const Validation& validation, std::uint64_t seed);

}  // namespace exciton::data
