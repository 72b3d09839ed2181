/// Command lines for people to copy.
#pragma once
#include <string>
#include <vector>

namespace exciton::apps {

/// The program as this process was called ("exciton" where it is on the PATH, else the path that
/// was typed), then `words`, each quoted where a shell would take it for something else.
std::string command_line(const std::vector<std::string>& words);

}  // namespace exciton::apps
