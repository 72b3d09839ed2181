#include "apps/live/live_server.hpp"

#include <httplib.h>

#include <algorithm>
#include <charconv>
#include <iomanip>
#include <random>
#include <sstream>
#include <thread>

#include "apps/live/live_log.hpp"
#include "apps/page/page.hpp"
#include "exciton/core/file.hpp"
#include "exciton/train/json.hpp"
#include "exciton/train/run_folder.hpp"

namespace exciton::apps {
namespace {

namespace fs = std::filesystem;
constexpr const char* loopback = "127.0.0.1";
/// Of one reply; a page asks again until it has all.
constexpr std::uint64_t most_bytes = std::uint64_t{4} << 20;

/// 128 random bits from the system.
std::string random_token() {
  std::random_device random;
  std::ostringstream out;
  out << std::hex << std::setfill('0');
  for (int i = 0; i < 4; ++i) out << std::setw(8) << random();
  return out.str();
}

/// The whole lines of a file from `offset` on, as far as they are JSON, and where the next begins.
/// A file that is shorter now (a resumed run's log) is read from its start, and said so.
train::Json lines_from(const fs::path& path, std::uint64_t offset) {
  train::Json lines = train::Json::array();
  bool again = false;
  std::error_code none;
  if (fs::is_regular_file(path, none)) {
    const File file(path, File::Mode::read, "live");
    const std::uint64_t bytes = file.bytes();
    again = offset > bytes;
    if (again) offset = 0;
    std::string text(static_cast<std::size_t>(std::min(bytes - offset, most_bytes)), '\0');
    file.read(offset, text.data(), text.size());
    text.resize(text.rfind('\n') + 1);  // none: npos + 1 is 0
    offset += text.size();
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);)
      if (train::Json json = train::Json::parse(line, nullptr, false); json.is_object())
        lines.push_back(std::move(json));
  }
  return {{"lines", std::move(lines)}, {"next", offset}, {"again", again}};
}

std::uint64_t offset_of(const httplib::Request& request, const char* name) {
  const std::string text = request.get_param_value(name);
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);  // what is no number is 0
  return value;
}

}  // namespace

struct LiveServer::State {
  httplib::Server server;
  std::string address;
  std::thread thread;
};

LiveServer::LiveServer(const fs::path& run, int port) : state_(std::make_unique<State>()) {
  const train::RunFolder folder(run);
  check(folder.is_run(), "live: ", run.string(), " is no run folder");
  httplib::Server& server = state_->server;
  server.new_task_queue = [] { return std::make_unique<httplib::ThreadPool>(2).release(); };
  const bool bound = port == 0 ? (port = server.bind_to_any_port(loopback)) > 0
                               : server.bind_to_port(loopback, port);
  check(bound, "live: cannot listen on ", loopback, ":", port,
        "; another program may have the port");
  const std::string path = "/" + random_token() + "/", at = ":" + std::to_string(port);
  state_->address = std::string("http://") + loopback + at + path;

  server.set_pre_routing_handler([at](const httplib::Request& request, httplib::Response& reply) {
    const std::string host = request.get_header_value("Host");
    if (host == loopback + at || host == "localhost" + at)
      return httplib::Server::HandlerResponse::Unhandled;
    reply.status = 403;
    reply.set_content("this page is for the machine it runs on\n", "text/plain");
    return httplib::Server::HandlerResponse::Handled;
  });
  server.set_default_headers(
      {{"Cache-Control", "no-store"},
       {"Content-Security-Policy",
        "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; "
        "connect-src 'self'; frame-ancestors 'none'"},
       {"Referrer-Policy", "no-referrer"},
       {"X-Content-Type-Options", "nosniff"}});
  const auto stored = folder.stored_recipe();
  const train::Json recipe = train::parse_json(stored.text, "recipe");
  const std::string page = make_page("Exciton: " + run.filename().string(), "live.js",
                                     {{"run", run.string()}, {"recipe", recipe}});
  server.Get(path, [page](const httplib::Request&, httplib::Response& reply) {
    reply.set_content(page, "text/html; charset=utf-8");
  });
  server.Get(path + "data", [log = folder.log(), live = live_file(run)](
                                const httplib::Request& request, httplib::Response& reply) {
    const train::Json answer{{"log", lines_from(log, offset_of(request, "log"))},
                             {"live", lines_from(live, offset_of(request, "live"))}};
    reply.set_content(answer.dump(), "application/json");
  });
  state_->thread = std::thread([&server] { server.listen_after_bind(); });
}

LiveServer::~LiveServer() {
  state_->server.stop();
  state_->thread.join();
}

const std::string& LiveServer::address() const { return state_->address; }

}  // namespace exciton::apps
