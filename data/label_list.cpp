#include "exciton/data/label_list.hpp"

#include <charconv>
#include <string_view>

#include "exciton/core/error.hpp"
#include "exciton/data/files.hpp"

namespace exciton::data {
namespace {

/// Takes the first word off `line`.
std::string take_word(std::string_view& line) {
  constexpr std::string_view gaps = " \t,";
  const auto begin = line.find_first_not_of(gaps);
  if (begin == std::string_view::npos) {
    line = {};
    return "";
  }
  const auto end = std::min(line.find_first_of(gaps, begin), line.size());
  const std::string word(line.substr(begin, end - begin));
  line.remove_prefix(end);
  return word;
}

}  // namespace

ClassNumbers::ClassNumbers(const std::vector<std::string>& names) {
  for (std::size_t i = 0; i < names.size(); ++i)
    numbers_.emplace(names[i], static_cast<std::int64_t>(i));
}

std::int64_t ClassNumbers::of(const std::string& label) const {
  if (const auto found = numbers_.find(label); found != numbers_.end()) return found->second;
  std::int64_t number = -1;
  const auto [end, error] = std::from_chars(label.data(), label.data() + label.size(), number);
  const bool known = error == std::errc{} && end == label.data() + label.size() && number >= 0 &&
                     number < static_cast<std::int64_t>(numbers_.size());
  return known ? number : -1;
}

std::vector<LabelLine> read_label_list(const std::filesystem::path& path) {
  std::vector<LabelLine> out;
  bool first = true;
  for (const std::string& text : read_lines(path)) {
    std::string_view line = text;
    LabelLine item{take_word(line), take_word(line)};
    const bool heading = first && item.file == "ImageId";
    first = false;
    if (heading || item.file.empty()) continue;
    if (item.label.empty()) std::swap(item.file, item.label);
    check(out.empty() || out.front().file.empty() == item.file.empty(), "labels: ", path.string(),
          ": \"", text, "\": some lines name a file and some do not");
    out.push_back(std::move(item));
  }
  check(!out.empty(), "labels: ", path.string(), " has no lines");
  return out;
}

}  // namespace exciton::data
