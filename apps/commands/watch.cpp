/// exciton watch
#include <chrono>
#include <iostream>
#include <memory>
#include <thread>

#include "apps/commands/commands.hpp"
#include "apps/live/live_server.hpp"
#include "apps/terminal/interrupt.hpp"

namespace exciton::apps {
namespace {

struct WatchArguments {
  std::string run;
  int port = 0;
};

int run(const WatchArguments& args) {
  const Interrupt interrupt;
  const LiveServer server(args.run, args.port);
  std::cout << "Watch it at " << server.address() << "\nCtrl-C ends this; the run goes on"
            << std::endl;
  while (!interrupt.requested()) std::this_thread::sleep_for(std::chrono::milliseconds(100));
  return 0;
}

}  // namespace

void add_watch(Command& program) {
  auto args = std::make_shared<WatchArguments>();
  Command& command =
      program.add_command("watch", "Show a run, finished or under way, as a page on this machine");
  command.add_option("RUN", args->run, "a run folder").required();
  add_port_option(command, args->port);
  command.footer(
      "Curves are there for every run, gates and single steps for those that were trained with "
      "--live.\nExample:\n  exciton watch runs/first");
  command.action([args] { return run(*args); });
}

}  // namespace exciton::apps
