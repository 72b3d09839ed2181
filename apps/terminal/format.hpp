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

/// A name out of a file, for a line of a table: "\\n" for a line end, and so with all that moves
/// the cursor.
inline std::string printable(const std::string& text) {
  std::string out;
  for (const char c : text) {
    const auto code = static_cast<unsigned char>(c);
    if (code >= ' ' && code != 0x7f)
      out += c;
    else if (c == '\n' || c == '\r' || c == '\t')
      out += c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t";
    else
      out += format("\\x%02x", static_cast<unsigned>(code));
  }
  return out;
}

}  // namespace exciton::apps
