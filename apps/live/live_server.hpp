/// Serves the page that shows a run, finished or not, as its folder has it: on loopback alone,
/// under a random token, to requests that name this very address (so that no other site's page can
/// reach it through a name of its own).
#pragma once
#include <filesystem>
#include <memory>
#include <string>

namespace exciton::apps {

class LiveServer {
 public:
  /// `port` 0: any that is free. Errors: the port is taken; no run folder.
  LiveServer(const std::filesystem::path& run, int port);
  ~LiveServer();
  LiveServer(const LiveServer&) = delete;
  LiveServer& operator=(const LiveServer&) = delete;

  /// "http://127.0.0.1:40123/5f2c.../"
  const std::string& address() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace exciton::apps
