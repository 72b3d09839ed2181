/// What the system answered to a call, kept before anything else can overwrite it.
#pragma once
#include <cerrno>
#include <string>
#include <system_error>

#include "exciton/core/error.hpp"

namespace exciton {

/// The end of a call that reports its errors in errno. errno is read as the object is made, and
/// C++ makes it before the arguments of check() are evaluated; `check(f() == 0, ..., reason())`
/// leaves the order open, and GCC reads the reason first.
///   SystemCall(::fsync(fd) == 0).check("log: cannot write ", path);
///   // "log: cannot write runs/a/log.jsonl: No space left on device"
class SystemCall {
 public:
  explicit SystemCall(bool ok) : error_(ok ? 0 : errno), ok_(ok) {}

  bool ok() const { return ok_; }
  /// errno as the call left it; 0 after one that worked.
  int error() const { return error_; }
  /// "No space left on device"
  std::string reason() const { return std::generic_category().message(error_); }
  /// Throws Error with the streamed parts, ": " and the reason, unless the call worked.
  template <class... Parts>
  void check(const Parts&... parts) const {
    if (!ok_) [[unlikely]]
      fail(parts..., ": ", reason());
  }

 private:
  int error_;
  bool ok_;
};

}  // namespace exciton
