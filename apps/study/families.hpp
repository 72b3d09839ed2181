/// The paper's ablations as families of runs: what is trained, and what may be said of it.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "apps/study/statistics.hpp"
#include "exciton/train/json.hpp"
#include "exciton/train/recipe.hpp"

namespace exciton::apps {

/// One network of a family.
struct Variant {
  std::string name;                   ///< "r4"; also the name of its folders
  std::string title;                  ///< "reduction 4"
  std::vector<std::string> settings;  ///< what differs from the base recipe
  std::optional<double> paper;        ///< top-1 error of the paper's row, percent
  bool plain = false;                 ///< the network without SE
};

struct Family {
  std::string name, title;
  std::string paper;  ///< where the paper's numbers are from; "" without
  std::vector<Variant> variants;
  std::size_t reference = 0;  ///< the variant the others are compared with
};

/// Names of all families.
std::vector<std::string> study_names();
/// Errors: an unknown name.
Family study_family(const std::string& name);

/// The recipe of a variant: the base with its settings, and the seed. Errors: the base is of a
/// network without SE.
train::Recipe variant_recipe(const train::Json& base, const Variant& variant, std::uint64_t seed);

/// What one variant came to.
struct VariantResult {
  Variant variant;
  std::int64_t parameters = 0, multiply_adds = 0;
  std::vector<double> errors;   ///< test error in percent after the last epoch, a seed each
  std::vector<double> seconds;  ///< an epoch of training, a seed each
  std::vector<std::vector<train::Json>> logs;  ///< a seed each
};

struct Comparison {
  Welch welch;           ///< of the test errors, in points: variant minus reference
  double corrected = 1;  ///< p after Holm's correction for the family
  std::string verdict;   ///< "lower error", "higher error" or "no difference shown"
};

/// Every variant against the reference (an empty verdict for itself).
std::vector<Comparison> compare(const Family& family, const std::vector<VariantResult>& results);

}  // namespace exciton::apps
