#include "exciton/train/balance.hpp"

#include <algorithm>

#include "exciton/core/error.hpp"
#include "exciton/core/suggest.hpp"

namespace exciton::train {

std::vector<std::int64_t> class_counts(const data::Dataset& set) {
  std::vector<std::int64_t> counts(static_cast<std::size_t>(set.classes()));
  for (std::int64_t i = 0; i < set.size(); ++i) ++counts[static_cast<std::size_t>(set.label(i))];
  return counts;
}

Tensor balanced_weights(const data::Dataset& set) {
  std::vector<double> weights;
  for (const std::int64_t images : class_counts(set)) {
    check(images > 0, "train: class_weights: ", set.description(), " has no images of class ",
          set.class_names()[weights.size()]);
    weights.push_back(static_cast<double>(set.size()) /
                      (static_cast<double>(set.classes()) * static_cast<double>(images)));
  }
  return Tensor::from({set.classes()}, weights, DType::f64);
}

Tensor weights_of(const ClassWeightsRecipe& recipe, const data::Dataset& set) {
  using By = ClassWeightsRecipe::By;
  constexpr const char* who = "train: class_weights";
  switch (recipe.by) {
    case By::none:
      return {};
    case By::balanced:
      return balanced_weights(set);
    case By::list:
      check(std::ssize(recipe.list) == set.classes(), who, ": ", recipe.list.size(),
            " weights for ", set.classes(), " classes, whose order is ", listed(set.class_names()));
      return Tensor::from({set.classes()}, recipe.list, DType::f64);
    case By::names: {
      for (const auto& [name, weight] : recipe.names)
        check(std::ranges::count(set.class_names(), name) > 0, who, ": there is no class ",
              shortened(name, 60), did_you_mean(name, set.class_names()));
      std::vector<double> weights;
      for (const std::string& name : set.class_names()) {
        const auto own = recipe.names.find(name);
        check(own != recipe.names.end(), who, ": none for class ", shortened(name, 60),
              "; name all ", set.classes());
        weights.push_back(own->second);
      }
      return Tensor::from({set.classes()}, weights, DType::f64);
    }
  }
  return {};
}

std::string describe_balance(const Recipe& recipe, const data::Dataset& set) {
  const std::vector<std::int64_t> counts = class_counts(set);
  const auto [least, most] = std::ranges::minmax_element(counts);
  if (counts.empty() || *most <= 5 * *least) return "";
  const auto named = [&](auto at) {
    return set.class_names()[static_cast<std::size_t>(at - counts.begin())] + " has " +
           std::to_string(*at) + (*at == 1 ? " image" : " images");
  };
  std::string out = "Classes are uneven: " + named(most) + ", " + named(least) +
                    "; look at the macro recall, which counts them alike";
  if (recipe.class_weights.by == ClassWeightsRecipe::By::none && !recipe.data.balanced_sampler)
    out += ", and try class_weights \"balanced\", or data.sampler \"balanced\"";
  return out;
}

}  // namespace exciton::train
