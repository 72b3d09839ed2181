/// Recipes as JSON documents, for what builds or compares them key by key.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "exciton/train/json.hpp"
#include "exciton/train/recipe.hpp"

namespace exciton::train {

/// Errors: those of Recipe::parse.
Recipe recipe_from(const Json& json, Recipe::Source source = Recipe::Source::given,
                   const std::string& who = "recipe");
/// Every key, defaults included.
Json to_json(const Recipe& recipe);

/// Keys come to be known. A run begun by a program that did not know one goes on as that program
/// did, which may not be today's default: each such key that neither `json` nor the run's recipe
/// `stored` has is set in `json` to the value it stood for then.
void fill_as_begun(Json& json, const Json& stored);
/// `recipe` under which a run with the recipe `stored` was begun, as far as `stored` lacks keys.
Recipe as_begun(const Recipe& recipe, const Json& stored);

/// Sets `a.b.c=value` in `json`; the value is JSON if it parses as such, else a string. Objects on
/// the way are made. Errors: no '=', or a path that runs through a value.
void set_value(Json& json, const std::string& assignment);

/// The first value in which two JSON documents differ.
struct Difference {
  std::string path;  ///< "schedule.lr"
  std::string a, b;  ///< the values as JSON; "null" where there is none
};
/// All of them, in the order of the keys of `a`, then of `b`.
std::vector<Difference> differences(const Json& a, const Json& b);
/// The first; nothing: they are equal.
std::optional<Difference> first_difference(const Json& a, const Json& b);

}  // namespace exciton::train
