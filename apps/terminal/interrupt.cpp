#include "apps/terminal/interrupt.hpp"

#include <cstddef>

namespace exciton::apps {
namespace {

// A signal handler can reach nothing but a global.
volatile std::sig_atomic_t noted = 0;

void note(int) { noted = 1; }

}  // namespace

Interrupt::Interrupt() {
  noted = 0;
  for (std::size_t i = 0; i < signals.size(); ++i) {
    struct ::sigaction action = {};
    action.sa_handler = note;
    sigemptyset(&action.sa_mask);
    const bool twice_ends = signals[i] == SIGINT || signals[i] == SIGTERM;
    action.sa_flags = static_cast<int>(twice_ends ? SA_RESETHAND | SA_RESTART : SA_RESTART);
    ::sigaction(signals[i], nullptr, &before_[i]);
    if (signals[i] == SIGHUP && before_[i].sa_handler == SIG_IGN) continue;
    ::sigaction(signals[i], &action, nullptr);
  }
}

Interrupt::~Interrupt() {
  for (std::size_t i = 0; i < signals.size(); ++i) ::sigaction(signals[i], &before_[i], nullptr);
}

bool Interrupt::requested() const { return noted != 0; }

}  // namespace exciton::apps
