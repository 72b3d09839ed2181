/// Signals that let the step finish.
#pragma once
#include <array>
#include <csignal>

namespace exciton::apps {

/// While in scope, the signals that ask a process to end are only noted: SIGINT (Ctrl-C), SIGTERM,
/// SIGHUP (the terminal is gone), SIGXCPU (a limit on processor time), SIGUSR1 and SIGUSR2 (batch
/// systems, before their time is up). A second SIGINT or SIGTERM ends the process, as it always
/// would; the others come more than once by themselves, and are noted again. A SIGHUP that was
/// ignored before (nohup) still is.
class Interrupt {
 public:
  Interrupt();
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;
  bool requested() const;

 private:
  static constexpr std::array signals{SIGINT, SIGTERM, SIGHUP, SIGXCPU, SIGUSR1, SIGUSR2};
  std::array<struct ::sigaction, signals.size()> before_{};
};

}  // namespace exciton::apps
