/// Errors for people: who complains, what was wanted, what came, what to try.
#pragma once
#include <sstream>
#include <stdexcept>
#include <string>

namespace exciton {

/// Wrong use or bad input. The message is one line a user can act on; programs print it after
/// "exciton: " and exit with a non-zero status.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Throws Error with the parts streamed one after another.
template <class... Parts>
[[noreturn]] void fail(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  throw Error(out.str());
}

/// Throws Error with the streamed parts unless `ok`. Parts are formatted only on failure.
///   check(x.dim(3) == w.dim(1), name, ": x ", x.shape(), " has ", x.dim(3), " channels, ...");
template <class... Parts>
void check(bool ok, const Parts&... parts) {
  if (!ok) [[unlikely]]
    fail(parts...);
}

}  // namespace exciton
