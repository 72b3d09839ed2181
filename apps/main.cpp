/// The program `exciton`.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <iostream>
#include <new>
#include <string>
#include <vector>

#include "apps/commands/commands.hpp"
#include "apps/terminal/hints.hpp"
#include "exciton/core/error.hpp"
#include "exciton/ops/convolution/onednn/convolution.hpp"
#include "exciton/ops/processor.hpp"
#include "exciton/train/kernel_file.hpp"
#include "exciton/train/plugin.hpp"

namespace {

int complain(const std::string& text, int code) {
  // Names out of files and of the command line may be of any length and hold anything.
  std::string line = exciton::shortened(text, 1200);
  for (char& c : line)
    if (static_cast<unsigned char>(c) < ' ' || c == '\x7f') c = ' ';
  std::cerr << "exciton: " << line << std::endl;
  return code;
}

/// `code`, or an error where something that was printed did not arrive: a full disk, a closed pipe.
int with_output_checked(int code) {
  using namespace exciton::apps;
  errno = 0;
  std::cout.flush();
  std::fflush(stdout);
  const int reason = errno;
  if (std::cout && std::ferror(stdout) == 0) return code;
  complain(std::string("cannot write to the standard output") +
               (reason == 0 ? "" : std::string(": ") + std::strerror(reason)) +
               "; what was printed is not complete",
           code);
  return code == 0 ? exit_error : code;
}

/// Without them the next files that are opened, a checkpoint or the log, would get the numbers of
/// the standard streams, and every message would be written into them.
void open_standard_streams() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(stream, F_GETFD) >= 0) continue;
    // The lowest free number is this one. Writing to what is open for reading stays an error.
    static_cast<void>(::open("/dev/null", O_RDONLY));
  }
}

/// The values of an option that may stand anywhere on the command line.
std::vector<std::string> values_of(const std::string& option, int argc, char** argv) {
  std::vector<std::string> out;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == option && i + 1 < argc) out.emplace_back(argv[++i]);
    if (word.starts_with(option + "=")) out.push_back(word.substr(option.size() + 1));
  }
  return out;
}

/// The kernels of the file that --kernels names.
void take_kernels(const std::vector<std::string>& files,
                  std::optional<exciton::ops::ScopedKernelChoices>& kernels) {
  if (files.empty()) return;
  exciton::check(files.size() == 1, "--kernels: expected one file, got ", files.size());
  exciton::train::KernelFile file = exciton::train::read_kernel_file(files[0]);
  kernels.emplace(std::move(file.kernels));
  if (const std::string& here = exciton::ops::processor().name; file.processor != here)
    exciton::apps::warn("--kernels: " + files[0] + " was measured on another processor, " +
                        file.processor + "; this one is " + here);
}

}  // namespace

int main(int argc, char** argv) {
  using namespace exciton::apps;
  open_standard_streams();
  // A file-size limit is then an error of write(), like a full disk, and not the end; and a
  // training run goes on when whoever read its lines is gone.
  std::signal(SIGXFSZ, SIG_IGN);
  std::signal(SIGPIPE, SIG_IGN);

  // Before the commands: what a plugin brings is among the words that their options take.
  std::optional<exciton::ops::ScopedKernelChoices> choices;
  try {
    for (const std::string& file : values_of("--plugin", argc, argv))
      exciton::train::load_plugin(file);
    take_kernels(values_of("--kernels", argc, argv), choices);
  } catch (const std::exception& error) {
    return complain(error.what(), exit_error);
  }
  Command program("exciton", "Squeeze-and-Excitation networks, trained on the CPU you have.");
  program.footer(
      "Example:\n  exciton data fetch cifar10 --dir data-cache/cifar10\n"
      "  exciton train recipes/cifar10_se_resnet20_fast.json --data data-cache/cifar10 "
      "--out runs/first\n  exciton eval runs/first");
  program.show_version(std::string("exciton ") + EXCITON_VERSION);
  program.require_command();
  std::vector<std::string> plugins;  // loaded by now, like the next
  std::string kernels;
  program
      .add_option("--plugin", plugins,
                  "a shared library with units, models or data sets of your own")
      .type_name("FILE")
      .one_at_a_time();
  program
      .add_option("--kernels", kernels,
                  "which kernel runs which convolution, as `exciton tune` measured it")
      .type_name("FILE");
  for (const auto add :
       {add_train,   add_finetune,   add_eval,    add_predict, add_weights, add_import,
        add_export,  add_inspect,    add_report,  add_study,   add_prune,   add_trace,
        add_summary, add_bench,      add_profile, add_tune,    add_data,    add_recipes,
        add_doctor,  add_completion, add_man,     add_watch})
    add(program);
  try {
    const auto before = [] {
      if (const std::string doubts = exciton::ops::onednn::doubts(); !doubts.empty()) warn(doubts);
    };
    const auto wrong = [](const std::string& what) { return complain(what, exit_usage); };
    return with_output_checked(program.run(argc, argv, before, wrong));
  } catch (const std::bad_alloc&) {
    return complain(
        "out of memory: the system has no more; try a smaller batch, fewer threads or data "
        "workers, or a higher limit (ulimit -v)",
        exit_error);
  } catch (const std::exception& error) {
    return with_output_checked(complain(explained(error), exit_error));
  }
}
