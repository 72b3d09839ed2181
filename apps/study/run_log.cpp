#include "apps/study/run_log.hpp"

#include <string>

namespace exciton::apps {

std::vector<train::Json> watched_log(const train::RunFolder& folder) {
  std::vector<train::Json> out;
  for (const std::string& text : folder.read_log()) {
    train::Json line = train::parse_json(text, "log: " + folder.log().string());
    const bool val = line.contains("val_top1");
    for (const char* what : {"_loss", "_top1", "_top5"})
      if (val && line.contains(std::string("val") + what))
        line[std::string("test") + what] = line[std::string("val") + what];
    line["measured_on"] = val ? "val" : "test";
    out.push_back(std::move(line));
  }
  return out;
}

}  // namespace exciton::apps
