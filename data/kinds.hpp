/// Data-set kinds of one's own, beside those that come along (data/dataset.hpp).
#pragma once
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "exciton/data/dataset.hpp"

namespace exciton::data {

/// How a kind is found in a folder and opened. Named in recipes as data.kind; "auto" does not look
/// for it.
struct Kind {
  std::string name;
  /// The splits that lie in a folder; none: it is no such data set.
  std::function<std::vector<FoundSplit>(const std::filesystem::path& dir)> splits;
  /// Opens a split of those found.
  std::function<std::shared_ptr<const Dataset>(const std::filesystem::path& dir,
                                               const std::string& split)>
      open;
};

class KindRegistry {
 public:
  /// Errors: the name is taken, or one that comes along.
  void add(Kind kind);
  /// nullptr: none of that name.
  const Kind* find(const std::string& name) const;
  const std::vector<Kind>& kinds() const { return kinds_; }

 private:
  std::vector<Kind> kinds_;
};

/// The process's own: add to it before other threads use the library.
KindRegistry& kind_registry();

}  // namespace exciton::data
