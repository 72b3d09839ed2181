/// Ctrl-C that lets the step finish.
#pragma once
#include <csignal>

namespace exciton::apps {

/// While in scope, the first SIGINT or SIGTERM is only noted; a second one ends the process, as it
/// always would.
class Interrupt {
 public:
  Interrupt();
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;
  bool requested() const;

 private:
  struct ::sigaction old_int_ {
  }, old_term_{};
};

}  // namespace exciton::apps
