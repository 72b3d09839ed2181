#include "exciton/core/suggest.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

namespace exciton {
namespace {

std::string lower(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

/// Edits from a to b: insertions, deletions, changes, and swaps of neighbours (Damerau 1964; no
/// character is edited twice).
std::size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> before(b.size() + 1), above(b.size() + 1), row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::swap(before, above);
    std::swap(above, row);
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      row[j] =
          std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (a[i - 1] == b[j - 1] ? 0u : 1u)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        row[j] = std::min(row[j], before[j - 2] + 1);
    }
  }
  return row.back();
}

}  // namespace

std::vector<std::string> nearest(const std::string& word, const std::vector<std::string>& known,
                                 std::size_t count) {
  const std::string own = lower(word);
  std::vector<std::pair<std::size_t, std::size_t>> near;  // distance and place in `known`
  for (std::size_t i = 0; i < known.size(); ++i) {
    if (known[i].empty()) continue;
    const std::string other = lower(known[i]);
    const auto [shorter, longer] = std::minmax({own.size(), other.size()});
    if (longer - shorter > longer / 3) continue;  // so many insertions at least
    const std::size_t distance = edit_distance(own, other);
    if (distance <= longer / 3) near.emplace_back(distance, i);
  }
  std::sort(near.begin(), near.end());
  std::vector<std::string> out;
  for (std::size_t i = 0; i < std::min(count, near.size()); ++i)
    out.push_back(known[near[i].second]);
  return out;
}

std::string did_you_mean(const std::string& word, const std::vector<std::string>& known) {
  const std::vector<std::string> near = nearest(word, known, 1);
  return near.empty() ? "" : "; did you mean " + near.front() + '?';
}

std::string listed(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

}  // namespace exciton
