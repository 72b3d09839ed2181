/// The mistakes of an evaluation that are worth a look.
#pragma once
#include <cstdint>
#include <vector>

#include "exciton/data/dataset.hpp"
#include "exciton/train/evaluate.hpp"
#include "exciton/train/json.hpp"

namespace exciton::apps {

/// The mistakes with the highest probability: wrong labels are among them.
class Mistakes {
 public:
  void add(const train::Seen& seen);
  /// With the images, small.
  train::Json to_json(const data::Dataset& set) const;

 private:
  static constexpr std::size_t most = 60;
  struct One {
    std::int64_t index, label, as;
    double probability, of_label;
  };
  std::vector<One> worst_;  ///< a heap, the least probable in front
};

}  // namespace exciton::apps
