/// The speed-run: how accurate the networks of recipes/speedrun become, and in what time.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace exciton::apps {

inline constexpr const char* speedrun_study = "speedrun";

struct SpeedrunArguments {
  std::vector<std::int64_t> targets;  ///< none: 93, 94, 95
  bool se = false;                    ///< each with SE, too
  /// Each with SE and its recipe changed so, too: assignments with blanks between them
  /// ("model.se.placement=post model.se.reduction=4").
  std::vector<std::string> variants;
  std::int64_t seeds = 3;
  std::optional<std::string> epochs, threads;  ///< as they were written
  std::string data, out;                       ///< empty: the recipes', studies/speedrun
  std::string recipes;  ///< folder of cifar10_94.json ...; empty: recipes/speedrun
  std::vector<std::string> set;
  bool json = false;
};

/// Trains what is left of each network and seed, evaluates it plainly and with six views (mirrored,
/// and moved by a pixel), and prints and writes the table. False: interrupted. Errors: no
/// recipes; a variant without assignments; a target or variant given twice; those of a run.
bool run_speedrun(const SpeedrunArguments& args);

}  // namespace exciton::apps
