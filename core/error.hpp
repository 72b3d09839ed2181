/// Errors for people: who complains, what was wanted, what came, what to try.
#pragma once
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>

namespace exciton {

/// Wrong use or bad input. The message is one line a user can act on; programs print it after
/// "exciton: " and exit with a non-zero status.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The text, or where it has more than `most` bytes its beginning and its end with "..." between:
/// for names out of files that may have any length. Cuts no UTF-8 sequence.
inline std::string shortened(std::string_view text, std::size_t most) {
  if (text.size() <= most) return std::string(text);
  const auto continues = [&](std::size_t i) {
    return (static_cast<unsigned char>(text[i]) & 0xc0) == 0x80;
  };
  const std::size_t kept = most > 3 ? most - 3 : 0;
  std::size_t head = kept - kept / 3, tail = text.size() - kept / 3;
  while (head > 0 && continues(head)) --head;
  while (tail < text.size() && continues(tail)) ++tail;
  return std::string(text.substr(0, head)) + "..." + std::string(text.substr(tail));
}

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
