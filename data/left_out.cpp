#include "exciton/data/left_out.hpp"

#include <algorithm>
#include <numeric>

namespace exciton::data {

LeftOut::Reason& LeftOut::reason(const std::string& text) {
  constexpr std::size_t most = 32;  // endings are the files' own: there may be any number
  const auto with = [&](const std::string& wanted) {
    return std::find_if(reasons_.begin(), reasons_.end(),
                        [&](const Reason& r) { return r.text == wanted; });
  };
  if (const auto found = with(text); found != reasons_.end()) return *found;
  if (reasons_.size() < most) return reasons_.emplace_back(Reason{text, 0, {}});
  const std::string others = "for other reasons";
  if (const auto found = with(others); found != reasons_.end()) return *found;
  return reasons_.emplace_back(Reason{others, 0, {}});
}

void LeftOut::add(const std::string& text, const std::string& name) {
  Reason& to = reason(text);
  ++to.files;
  if (to.names.size() < named) to.names.push_back(name);
}

void LeftOut::add(const LeftOut& other) {
  for (const Reason& from : other.reasons_) {
    Reason& to = reason(from.text);
    to.files += from.files;
    for (const std::string& name : from.names)
      if (to.names.size() < named) to.names.push_back(name);
  }
}

std::int64_t LeftOut::files() const {
  return std::accumulate(reasons_.begin(), reasons_.end(), std::int64_t{0},
                         [](std::int64_t sum, const Reason& r) { return sum + r.files; });
}

std::vector<std::string> LeftOut::lines() const {
  std::vector<std::string> out;
  for (const Reason& reason : reasons_) {
    std::string line = "left out " + std::to_string(reason.files) +
                       (reason.files == 1 ? " file, " : " files, ") + reason.text;
    for (std::size_t i = 0; i < reason.names.size(); ++i)
      line += (i == 0 ? ": " : ", ") + reason.names[i];
    if (reason.files > static_cast<std::int64_t>(reason.names.size())) line += ", ...";
    out.push_back(std::move(line));
  }
  return out;
}

}  // namespace exciton::data
