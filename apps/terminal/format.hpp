/// Text by printf's patterns.
#pragma once
#include <cstdio>
#include <string>

namespace exciton::apps {

/// What printf would print.
std::string format(const char* pattern, auto... values) {
  const int n = std::snprintf(nullptr, 0, pattern, values...);
  std::string out(static_cast<std::size_t>(n), '\0');
  std::snprintf(out.data(), out.size() + 1, pattern, values...);
  return out;
}

}  // namespace exciton::apps
