/// What somebody may have meant: known words near one that is not known.
#pragma once
#include <cstddef>
#include <string>
#include <vector>

namespace exciton {

/// The words of `known` that `word` may be a slip of, nearest first, at most `count`; often none.
/// Compared without regard to case, by the number of insertions, deletions, changes and swaps of
/// neighbours; near is at most a third of the longer word's length. "trian" is near "train", "dog"
/// is not near "lady bug".
std::vector<std::string> nearest(const std::string& word, const std::vector<std::string>& known,
                                 std::size_t count = 3);

/// "; did you mean X?" for error messages, or "" where nothing known is near.
std::string did_you_mean(const std::string& word, const std::vector<std::string>& known);

/// The words with commas between, for error messages: "a, b, c".
std::string listed(const std::vector<std::string>& words);

}  // namespace exciton
