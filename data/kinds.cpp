#include "exciton/data/kinds.hpp"

#include <algorithm>

#include "exciton/core/error.hpp"

namespace exciton::data {

void KindRegistry::add(Kind kind) {
  const std::vector<std::string> taken = dataset_kinds();
  check(!kind.name.empty() && std::find(taken.begin(), taken.end(), kind.name) == taken.end(),
        "data: the name \"", kind.name, "\" of a kind of data sets is taken");
  kinds_.push_back(std::move(kind));
}

const Kind* KindRegistry::find(const std::string& name) const {
  const auto found =
      std::find_if(kinds_.begin(), kinds_.end(), [&](const Kind& k) { return k.name == name; });
  return found == kinds_.end() ? nullptr : &*found;
}

KindRegistry& kind_registry() {
  static KindRegistry all;
  return all;
}

}  // namespace exciton::data
