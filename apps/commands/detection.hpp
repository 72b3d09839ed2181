/// What eval and predict do with a detector.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace exciton::apps {

struct DetectorEval {
  std::string run, data, split, csv, page;
  std::int64_t batch = 0;
  bool json = false;
};
int eval_detector(const DetectorEval& args);

struct DetectorPredict {
  std::string run, csv, out, page;
  std::vector<std::string> images;
  double score = 0.5;
  bool json = false;
};
int predict_detector(const DetectorPredict& args);

}  // namespace exciton::apps
