/// What the library says, in the words of the command line.
#pragma once
#include <exception>
#include <string>

namespace exciton::apps {

/// The error's message and, where something can be done about it, by which option.
std::string explained(const std::exception& error);

/// "exciton: TEXT" on stderr: what was skipped, or is not as it should be.
void warn(const std::string& text);

}  // namespace exciton::apps
