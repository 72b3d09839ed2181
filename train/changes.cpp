#include "exciton/train/changes.hpp"

#include <algorithm>
#include <array>
#include <sstream>

#include "exciton/core/error.hpp"
#include "exciton/train/changes_json.hpp"
#include "exciton/train/recipe_json.hpp"

namespace exciton::train {

bool can_change(const std::string& key) {
  constexpr std::array keys{"schedule",   "epochs",        "optimizer.weight_decay", "data.augment",
                            "data.batch", "accumulate",    "label_smoothing",        "clip_norm",
                            "clip_value", "early_stopping"};
  return std::ranges::any_of(
      keys, [&](const std::string& one) { return key == one || key.starts_with(one + '.'); });
}

std::vector<Change> changes_between(const Recipe& before, const Recipe& after) {
  std::vector<Change> out;
  for (Difference& one : differences(to_json(before), to_json(after))) {
    out.emplace_back();
    out.back().key = std::move(one.path);
    out.back().from = std::move(one.a);
    out.back().to = std::move(one.b);
  }
  return out;
}

Recipe changed(const Recipe& recipe, const std::vector<Change>& changes) {
  Json json = to_json(recipe);
  for (const Change& change : changes) set_value(json, change.key + '=' + change.to);
  return recipe_from(json, Recipe::Source::stored);
}

Json to_json(const Change& c) {
  return {{"epoch", c.position.epoch},
          {"batch", c.position.batch},
          {"step", c.step},
          {"time", c.time},
          {"key", c.key},
          {"from", parse_json(c.from, "changes")},
          {"to", parse_json(c.to, "changes")}};
}

Change change_from(const Json& json, const std::string& who) {
  check(json.is_object() && json.contains("from") && json.contains("to"), who,
        ": expected objects with epoch, batch, step, key, from and to");
  Change out{.position = {value_at<std::int64_t>(json, "epoch", who),
                          value_at<std::int64_t>(json, "batch", who)},
             .step = value_at<std::int64_t>(json, "step", who),
             .time = json.value("time", std::string()),
             .key = value_at<std::string>(json, "key", who),
             .from = json["from"].dump(),
             .to = json["to"].dump()};
  check(out.position.epoch >= 0 && out.position.batch >= 0, who, ": epoch ", out.position.epoch,
        ", batch ", out.position.batch);
  check(can_change(out.key), who, ": ", shortened(out.key, 80), " cannot change within a run");
  return out;
}

std::string to_text(const Change& change) { return to_text(to_json(change)); }

std::vector<Change> read_changes(const std::filesystem::path& journal) {
  const std::string who = "changes: " + journal.string();
  std::istringstream lines(read_text(journal, "changes", std::uint64_t{1} << 24));
  std::vector<Change> out;
  for (std::string line; std::getline(lines, line);) {
    if (line.empty()) continue;
    out.push_back(change_from(parse_json(line, who), who));
    check(out.size() < 2 || out[out.size() - 2].position <= out.back().position, who,
          ": not in the order of the run");
  }
  return out;
}

}  // namespace exciton::train
