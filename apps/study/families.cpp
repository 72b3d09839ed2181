#include <algorithm>

#include "apps/study/families.hpp"
#include "exciton/core/error.hpp"
#include "exciton/core/suggest.hpp"
#include "exciton/train/recipe_json.hpp"

namespace exciton::apps {
namespace {

Variant plain(double paper) {
  return {.name = "plain", .title = "without SE", .settings = {}, .paper = paper, .plain = true};
}

Variant se(std::optional<double> paper, std::string title = "SE") {
  return {.name = "se", .title = std::move(title), .settings = {}, .paper = paper};
}

/// All of the section 6 ablations are of SE-ResNet-50.
std::string table(const char* number) {
  return std::string("table ") + number + " of the paper, SE-ResNet-50 on ImageNet";
}

Family reduction() {
  Family out{.name = "reduction", .title = "Reduction ratio", .paper = table("10"), .variants = {}};
  const std::pair<int, double> rows[] = {
      {2, 22.29}, {4, 22.25}, {8, 22.26}, {16, 22.28}, {32, 22.72}};
  for (const auto& [reduction, error] : rows) {
    const std::string r = std::to_string(reduction);
    out.variants.push_back({.name = "r" + r,
                            .title = "r = " + r,
                            .settings = {"model.se.reduction=" + r},
                            .paper = error});
  }
  out.variants.push_back(plain(23.30));
  out.reference = 3;
  return out;
}

Family choice(const char* name, const char* title, const char* paper, const char* key,
              const std::vector<std::pair<const char*, std::optional<double>>>& values,
              std::size_t reference) {
  Family out{.name = name, .title = title, .paper = paper, .variants = {}, .reference = reference};
  for (const auto& [value, error] : values)
    out.variants.push_back({.name = value,
                            .title = value,
                            .settings = {std::string("model.se.") + key + '=' + value},
                            .paper = error});
  return out;
}

Family stages() {
  Family out{.name = "stages", .title = "Stages with SE", .paper = table("13"), .variants = {}};
  out.variants.push_back(plain(23.30));
  const std::pair<int, double> rows[] = {{2, 23.03}, {3, 23.04}, {4, 22.68}};
  for (const auto& [stage, error] : rows)
    out.variants.push_back(
        {.name = std::string("stage") + std::to_string(stage),
         .title = std::string("SE in stage ") + std::to_string(stage),
         .settings = {std::string("model.se.stages=[") + std::to_string(stage) + ']'},
         .paper = error});
  out.variants.push_back(se(22.28, "SE in all"));
  return out;
}

std::vector<Family> all_families() {
  const std::string table14 = table("14") + "; conv3x3: table 15";
  std::vector<Family> out;
  out.push_back({.name = "baseline",
                 .title = "SE against the plain network",
                 .paper = "section 6, SE-ResNet-50 on ImageNet",
                 .variants = {plain(23.30), se(22.28)}});
  out.push_back(reduction());
  out.push_back(choice("squeeze", "Squeeze operator", table("11").c_str(), "squeeze",
                       {{"max", 22.57}, {"avg", 22.28}}, 1));
  out.push_back(choice("gate", "Excitation operator", table("12").c_str(), "gate",
                       {{"relu", 23.47}, {"tanh", 23.00}, {"sigmoid", 22.28}}, 2));
  out.push_back(stages());
  out.push_back(choice("placement", "Place in the block", table14.c_str(), "placement",
                       {{"standard", 22.28},
                        {"pre", 22.23},
                        {"post", 22.78},
                        {"identity", 22.20},
                        {"conv3x3", 22.48}},
                       0));
  out.push_back({.name = "nosqueeze",
                 .title = "Is the squeeze needed",
                 .paper = table("16"),
                 .variants = {plain(23.30),
                              {.name = "nosqueeze",
                               .title = "NoSqueeze",
                               .settings = {"model.se.squeeze=none"},
                               .paper = 22.93},
                              se(22.28)},
                 .reference = 2});
  out.push_back(choice("kin", "SE and its variants", "", "kind",
                       {{"se", {}}, {"eca", {}}, {"ge", {}}, {"ese", {}}, {"cbam", {}}}, 0));
  return out;
}

}  // namespace

std::vector<std::string> study_names() {
  std::vector<std::string> out;
  for (const Family& family : all_families()) out.push_back(family.name);
  return out;
}

Family study_family(const std::string& name) {
  for (Family& family : all_families())
    if (family.name == name) return family;
  fail("study: no family ", name, did_you_mean(name, study_names()));
}

train::Recipe variant_recipe(const train::Json& base, const Variant& variant, std::uint64_t seed) {
  train::Json json = base;
  json.erase("paper");  // a claim about the base, not about its relatives
  const std::string name = train::recipe_from(base).model.name;
  check(name.starts_with("se_"), "study: the recipe is of ", name,
        "; wanted one of a network with SE, se_...");
  if (variant.plain) {
    json["model"]["name"] = name.substr(3);
    json["model"].erase("se");
  }
  for (const std::string& setting : variant.settings) train::set_value(json, setting);
  json["seed"] = seed;
  return train::recipe_from(json);
}

std::vector<Comparison> compare(const Family& family, const std::vector<VariantResult>& results) {
  std::vector<Comparison> out(results.size());
  std::vector<double> p;
  for (std::size_t i = 0; i < results.size(); ++i) {
    if (i == family.reference) continue;
    out[i].welch = welch_test(results[i].errors, results[family.reference].errors);
    p.push_back(out[i].welch.p);
  }
  p = holm(p);
  for (std::size_t i = 0, test = 0; i < results.size(); ++i) {
    if (i == family.reference) continue;
    out[i].corrected = p[test++];
    out[i].verdict = out[i].corrected >= 0.05      ? "no difference shown"
                     : out[i].welch.difference < 0 ? "lower error"
                                                   : "higher error";
  }
  return out;
}

}  // namespace exciton::apps
