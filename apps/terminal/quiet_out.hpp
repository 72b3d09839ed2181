/// Commands with --json that train on the way.
#pragma once
#include <iostream>

namespace exciton::apps {

/// While in scope, what is printed for people goes to stderr, so that stdout holds JSON alone.
class QuietOut {
 public:
  explicit QuietOut(bool quiet) : before_(quiet ? std::cout.rdbuf(std::cerr.rdbuf()) : nullptr) {}
  ~QuietOut() {
    if (before_) std::cout.rdbuf(before_);
  }
  QuietOut(const QuietOut&) = delete;
  QuietOut& operator=(const QuietOut&) = delete;

 private:
  std::streambuf* before_;
};

}  // namespace exciton::apps
