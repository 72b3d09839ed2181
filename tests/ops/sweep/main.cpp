// The differential sweep as a program: many forms, each in guarded memory, in child processes, so
// that a form that ends its process is a finding like any other.
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "exciton/ops/simd/channel_kernels.hpp"
#include "sweep/check.hpp"

namespace exciton::sweep {
namespace {

constexpr const char* usage =
    "usage: convolution_sweep [--seed N] [--forms N] [--first N]   forms FIRST to FIRST + FORMS\n"
    "       convolution_sweep --form 'n=1 h=8 ...'                 one of them again\n"
    "Environment: EXCITON_ISA, EXCITON_CONV, DNNL_MAX_CPU_ISA choose the kernels.\n";

struct Options {
  std::uint64_t seed = 1, forms = 1000, first = 0;
  std::optional<Form> form;
};

Options parse(const std::vector<std::string>& words) {
  Options o;
  for (std::size_t i = 0; i < words.size(); i += 2) {
    check(i + 1 < words.size(), "convolution_sweep: ", words[i], " expects a value\n", usage);
    const std::string& value = words[i + 1];
    if (words[i] == "--form") {
      o.form = parse_form(value);
      continue;
    }
    std::uint64_t* number = words[i] == "--seed"    ? &o.seed
                            : words[i] == "--forms" ? &o.forms
                            : words[i] == "--first" ? &o.first
                                                    : nullptr;
    check(number != nullptr, "convolution_sweep: no option ", words[i], '\n', usage);
    check(
        !value.empty() && value.find_first_not_of("0123456789") == value.npos && value.size() < 19,
        "convolution_sweep: ", words[i], " expects a number, got \"", value, '"');
    *number = std::stoull(value);
  }
  return o;
}

/// Shared by the parent and the child at work.
struct Progress {
  std::uint64_t next = 0;  ///< form at work
  std::uint64_t findings = 0;
};

void report(const Form& form, const std::string& what) {
  std::cout << "FINDING --form '" << form << "'\n" << what << std::flush;
}

/// What is wrong with a form, errors included.
std::string result_of(const Form& form) {
  try {
    return check_form(form);
  } catch (const std::exception& e) {
    return std::string("error: ") + e.what() + '\n';
  }
}

/// Forms from progress.next up to `end`, in this process.
void run_forms(const Options& o, std::uint64_t end, Progress& progress) {
  constexpr unsigned patience = 300;  // seconds a form; a second is much
  for (; progress.next < end; ++progress.next) {
    ::alarm(patience);
    const Form form = o.form ? *o.form : make_form(o.seed, progress.next);
    const std::string wrong = result_of(form);
    if (wrong.empty()) continue;
    ++progress.findings;
    report(form, wrong);
  }
}

/// The same in a child. A form that ends it is reported and skipped.
void run_in_child(const Options& o, std::uint64_t end, Progress& progress) {
  const pid_t child = ::fork();
  check(child >= 0, "convolution_sweep: no process: ", std::strerror(errno));
  if (child == 0) {
    run_forms(o, end, progress);
    std::_Exit(0);
  }
  int status = 0;
  check(::waitpid(child, &status, 0) == child, "convolution_sweep: lost a process");
  if (!WIFSIGNALED(status)) return;
  const int signal = WTERMSIG(status);
  if (signal == SIGKILL) fail("convolution_sweep: killed, at form ", progress.next);
  ++progress.findings;
  report(o.form ? *o.form : make_form(o.seed, progress.next),
         std::string("ends the process: ") + ::strsignal(signal) + '\n');
  ++progress.next;
}

int run(const Options& o) {
  void* shared =
      ::mmap(nullptr, sizeof(Progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  check(shared != MAP_FAILED, "convolution_sweep: no memory");
  Progress& progress = *std::construct_at(static_cast<Progress*>(shared));
  const auto start = std::chrono::steady_clock::now();
  const auto seconds = [&] {
    return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() -
                                                            start)
        .count();
  };
  constexpr std::uint64_t chunk = 250;
  progress.next = o.form ? 0 : o.first;
  const std::uint64_t end = o.form ? 1 : o.first + o.forms;
  while (progress.next < end) {
    run_in_child(o, std::min(end, progress.next + chunk), progress);
    std::cerr << "sweep: seed " << o.seed << ", " << progress.next - o.first << " of "
              << end - o.first << " forms, " << progress.findings << " findings, " << seconds()
              << " s\n";
  }
  const auto set = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(" ") + name + "=" + (value ? value : "");
  };
  std::cout << "sweep: seed " << o.seed << ", " << end - (o.form ? 0 : o.first) << " forms, "
            << progress.findings << " findings, " << seconds() << " s, kernels "
            << ops::simd::instruction_set() << set("EXCITON_ISA") << set("EXCITON_CONV")
            << set("DNNL_MAX_CPU_ISA") << '\n';
  return progress.findings == 0 ? 0 : 1;
}

}  // namespace
}  // namespace exciton::sweep

int main(int count, char** words) {
  try {
    return exciton::sweep::run(exciton::sweep::parse({words + 1, words + count}));
  } catch (const std::exception& e) {
    std::cerr << e.what() << '\n';
    return 2;
  }
}
