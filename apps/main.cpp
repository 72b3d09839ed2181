/// The program `exciton`.
#include <csignal>
#include <exception>
#include <iostream>
#include <string>

#include "apps/command.hpp"

namespace {

int complain(std::string text, int code) {
  for (char& c : text)
    if (c == '\n') c = ' ';
  std::cerr << "exciton: " << text << std::endl;
  return code;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace exciton::apps;
  // A file-size limit is then an error of write(), like a full disk, and not the end.
  std::signal(SIGXFSZ, SIG_IGN);

  CLI::App program("Squeeze-and-Excitation networks, trained on the CPU you have.", "exciton");
  program.footer(
      "Example:\n  exciton data fetch cifar10 --dir data-cache/cifar10\n"
      "  exciton train recipes/cifar10_se_resnet20_fast.json --data data-cache/cifar10 "
      "--out runs/first\n  exciton eval runs/first");
  program.set_version_flag("--version", std::string("exciton ") + EXCITON_VERSION);
  program.require_subcommand(1);
  Action action;
  for (const auto add :
       {add_train, add_eval, add_predict, add_inspect, add_report, add_study, add_prune, add_trace,
        add_summary, add_bench, add_profile, add_data, add_recipes})
    add(program, action);
  try {
    program.parse(argc, argv);
    return action();
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return program.exit(error);  // --help, --version
    std::string command = "exciton";
    for (const CLI::App* at = &program; !at->get_subcommands().empty();) {
      at = at->get_subcommands().front();
      command += ' ' + at->get_name();
    }
    return complain(error.what() + std::string("; see ") + command + " --help", exit_usage);
  } catch (const std::exception& error) {
    return complain(error.what(), exit_error);
  }
}
