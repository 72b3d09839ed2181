#include "exciton/ops/convolution/onednn/trial.hpp"

#include <cpuid.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "exciton/core/error.hpp"

namespace exciton::ops::onednn {

std::string tried(const std::function<bool()>& work, unsigned seconds) {
  const pid_t child = ::fork();
  check(child >= 0, "oneDNN: no process to try it in: ", std::strerror(errno));
  if (child == 0) {
    ::alarm(seconds);
    bool right = false;
    try {
      right = work();
    } catch (...) {
      right = false;  // an error of the library is one more way to be wrong; the parent tells it
    }
    std::_Exit(right ? 0 : 1);
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0)
    check(errno == EINTR, "oneDNN: lost the process that tries it: ", std::strerror(errno));
  if (WIFSIGNALED(status)) {
    const int signal = WTERMSIG(status);
    return signal == SIGALRM ? "does not come to an end"
                             : std::string("dies of ") + ::strsignal(signal);
  }
  return WEXITSTATUS(status) == 0 ? "" : "computes wrong numbers";
}

bool caches_are_untold() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid(0, &a, &b, &c, &d)) return false;
  char vendor[13] = {};
  std::memcpy(vendor, &b, 4);
  std::memcpy(vendor + 4, &d, 4);
  std::memcpy(vendor + 8, &c, 4);
  if (std::strcmp(vendor, "AuthenticAMD") != 0 && std::strcmp(vendor, "HygonGenuine") != 0)
    return false;
  constexpr unsigned caches = 0x8000001D, type = 0x1F;
  // Clang returns an int. Older processors end before these leaves.
  if (static_cast<unsigned>(__get_cpuid_max(0x80000000, nullptr)) < caches) return false;
  return !__get_cpuid_count(caches, 0, &a, &b, &c, &d) || (a & type) == 0;
}

}  // namespace exciton::ops::onednn
