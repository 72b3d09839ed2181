#include "exciton/data/splits.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <sstream>
#include <utility>

#include "exciton/core/error.hpp"
#include "exciton/core/random.hpp"
#include "exciton/data/subset.hpp"

namespace exciton::data {
namespace {

/// Streams of this file have the second highest bit set and the highest not, which is the loader's.
std::uint64_t stream_of_class(std::int64_t number) {
  return std::uint64_t{1} << 62 | static_cast<std::uint64_t>(number);
}

std::string text_of(double share) {
  std::ostringstream out;
  out << share;
  return out.str();
}

/// What chooses and what is reported where the test set steers, as it once did.
void plan_by_test(SplitPlan& plan) {
  plan.chooses = plan.reported = plan.layout.has("test") ? Part::test : Part::val;
  check(plan.layout.has("test") || plan.layout.has("val"), "data: ", plan.layout.dir.string(),
        " has no labelled test and no val, but data.validation is \"test\"");
  plan.notes.emplace_back("The test images choose the best epoch (data.validation is \"test\")");
}

void plan_held_out(SplitPlan& plan, bool asked_for) {
  const DataLayout& layout = plan.layout;
  plan.chooses = Part::held_out;
  plan.reported = layout.has("test") ? Part::test : layout.has("val") ? Part::val : Part::held_out;
  const bool unlabelled =  // and so not has("val")
      std::any_of(layout.splits.begin(), layout.splits.end(),
                  [](const FoundSplit& split) { return split.name == "val"; });
  const std::string why = unlabelled ? "There is no val with labels" : "There is no val";
  plan.notes.push_back((asked_for ? "Of each class" : why + ": of each class") +
                       std::string(" of train a share of ") + text_of(plan.share) +
                       " is held out and chooses the best epoch (data.validation)" +
                       (plan.reported == Part::held_out ? "; it is also what eval reports" : ""));
  if (asked_for && layout.has("val"))
    plan.notes.push_back(layout.has("test")
                             ? "val is not used: the held-out share chooses"
                             : "val is what eval reports: the held-out share chooses");
}

void plan_by_val(SplitPlan& plan) {
  const bool test = plan.layout.has("test");
  plan.chooses = Part::val;
  plan.reported = test ? Part::test : Part::val;
  plan.notes.emplace_back(test ? "val chooses the best epoch, test is reported at the end"
                               : "val chooses the best epoch and is what eval reports: there is no "
                                 "labelled test");
}

void plan_without_choice(SplitPlan& plan) {
  check(plan.layout.has("test"), "data: ", plan.layout.dir.string(),
        " has neither val nor a labelled test, and data.validation is 0, so nothing would tell how "
        "good the model is; set data.validation, for example to ",
        default_validation_share);
  plan.reported = Part::test;
  plan.notes.emplace_back(
      "Nothing chooses among the epochs, the last one is the result: test is shown, but steers "
      "nothing (data.validation 0.1 would hold out a tenth of train to choose by)");
}

}  // namespace

std::vector<bool> held_out(const std::vector<std::int64_t>& labels, std::int64_t classes,
                           double share, std::uint64_t seed) {
  std::vector<std::vector<std::size_t>> images(static_cast<std::size_t>(classes));
  for (std::size_t i = 0; i < labels.size(); ++i)
    images[static_cast<std::size_t>(labels[i])].push_back(i);
  std::vector<bool> out(labels.size(), false);
  bool any = false;
  for (std::int64_t c = 0; c < classes; ++c) {
    auto& own = images[static_cast<std::size_t>(c)];
    if (own.size() < 2) continue;
    const auto rounded =
        static_cast<std::size_t>(std::llround(share * static_cast<double>(own.size())));
    const std::size_t count = std::clamp<std::size_t>(rounded, 1, own.size() - 1);
    Generator rng(seed, stream_of_class(c));
    for (std::size_t i = 0; i < count; ++i) {  // the first of a shuffle
      std::swap(own[i], own[i + static_cast<std::size_t>(rng.below(own.size() - i))]);
      out[own[i]] = any = true;
    }
  }
  check(any,
        "data: no class has two images, so none can be held out; expected two or more of some "
        "class, or a folder val");
  return out;
}

SplitPlan plan_splits(DataLayout layout, const Validation& validation, std::uint64_t seed) {
  SplitPlan plan{.layout = std::move(layout), .seed = seed, .notes = {}};
  check(plan.layout.has("train"), "data: ", plan.layout.dir.string(), " has no train images");
  plan.notes = plan.layout.notes;
  const bool automatic = validation.by == Validation::By::automatic;
  if (validation.by == Validation::By::share) plan.share = validation.share;
  if (automatic && !plan.layout.official && !plan.layout.has("val"))
    plan.share = default_validation_share;
  check(plan.share >= 0 && plan.share <= 0.9, "data: a share of ", plan.share,
        " cannot be held out; expected 0 to 0.9");
  if (validation.by == Validation::By::test)
    plan_by_test(plan);
  else if (plan.share > 0)
    plan_held_out(plan, !automatic);
  else if (plan.layout.has("val"))
    plan_by_val(plan);
  else
    plan_without_choice(plan);
  return plan;
}

std::shared_ptr<const Dataset> SplitPlan::open(Part part, const OpenOptions& options) const {
  if (part == Part::none) return nullptr;
  if (part == Part::val) return open_split(layout, "val", options);
  if (part == Part::test) return open_split(layout, "test", options);
  auto whole = open_split(layout, "train", options);
  if (part == Part::all || (part == Part::train && share == 0)) return whole;
  std::vector<std::int64_t> labels, chosen;
  for (std::int64_t i = 0; i < whole->size(); ++i) labels.push_back(whole->label(i));
  const std::vector<bool> out = held_out(labels, whole->classes(), share, seed);
  for (std::int64_t i = 0; i < whole->size(); ++i)
    if (out[static_cast<std::size_t>(i)] == (part == Part::held_out)) chosen.push_back(i);
  return std::make_shared<Subset>(whole, std::move(chosen),
                                  part == Part::held_out ? "held out" : "trained on");
}

}  // namespace exciton::data
