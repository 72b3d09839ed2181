#include "exciton/data/fetch.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <map>
#include <mutex>
#include <thread>

#include "exciton/data/files.hpp"
#include "exciton/data/transfer.hpp"
#include "support.hpp"

namespace exciton::data {
namespace {

using namespace testing;
namespace fs = std::filesystem;

/// A little HTTP/1.1 server on loopback, one connection after another.
class Server {
 public:
  struct Behaviour {
    bool ranges = true;     ///< answers Range with 206
    bool length = true;     ///< sends Content-Length
    std::int64_t cut = -1;  ///< closes after so many bytes of a body...
    int cuts = 1 << 30;     ///< ...so many times
    int status = 200;       ///< anything else is sent in place of every file
  };

  explicit Server(std::map<std::string, Bytes> files) : files_(std::move(files)) {
    setenv("no_proxy", "127.0.0.1", 1);
    socket_ = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    check(bind(socket_, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
              listen(socket_, 8) == 0 &&
              getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size) == 0,
          "test: no loopback socket");
    port_ = ntohs(address.sin_port);
    thread_ = std::jthread([this] { serve(); });
  }
  ~Server() {
    shutdown(socket_, SHUT_RDWR);
    thread_.join();
    close(socket_);
  }

  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  void behave(const Behaviour& b) {
    const std::lock_guard lock(mutex_);
    behaviour_ = b;
  }
  /// Byte at which each request so far wanted to begin.
  std::vector<std::int64_t> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

 private:
  void serve() {
    while (true) {
      const int connection = accept(socket_, nullptr, nullptr);
      if (connection < 0) return;
      std::string request;
      char buffer[2048];
      while (request.find("\r\n\r\n") == std::string::npos) {
        const ssize_t got = recv(connection, buffer, sizeof buffer, 0);
        if (got <= 0) break;
        request.append(buffer, static_cast<std::size_t>(got));
      }
      answer(connection, request);
      close(connection);
    }
  }

  void answer(int connection, const std::string& request) {
    const std::lock_guard lock(mutex_);
    const std::size_t begin = request.find('/'), end = request.find(' ', begin);
    if (begin == std::string::npos || end == std::string::npos) return;
    const auto file = files_.find(request.substr(begin + 1, end - begin - 1));
    std::int64_t first = 0;
    if (const auto range = request.find("Range: bytes="); range != std::string::npos)
      first = std::atoll(request.c_str() + range + 13);
    requests_.push_back(first);

    const int status = file == files_.end() ? 404 : behaviour_.status;
    const std::string sorry = "<html>sorry</html>";
    Bytes body(sorry.begin(), sorry.end());
    std::string head = "HTTP/1.1 " + std::to_string(status) + " Whatever\r\n";
    if (status == 200) {
      body = file->second;
      if (first > 0 && behaviour_.ranges) {
        head = "HTTP/1.1 206 Partial\r\nContent-Range: bytes " + std::to_string(first) + "-" +
               std::to_string(body.size() - 1) + "/" + std::to_string(body.size()) + "\r\n";
        body.erase(body.begin(), body.begin() + first);
      }
    }
    if (behaviour_.length) head += "Content-Length: " + std::to_string(body.size()) + "\r\n";
    head += "Connection: close\r\n\r\n";
    if (behaviour_.cut >= 0 && behaviour_.cuts-- > 0)
      body.resize(std::min(body.size(), static_cast<std::size_t>(behaviour_.cut)));
    send_all(connection, Bytes(head.begin(), head.end()));
    send_all(connection, body);
  }

  static void send_all(int connection, const Bytes& bytes) {
    for (std::size_t sent = 0; sent < bytes.size();) {
      const ssize_t n = send(connection, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
      if (n <= 0) return;
      sent += static_cast<std::size_t>(n);
    }
  }

  std::map<std::string, Bytes> files_;
  int socket_ = -1;
  int port_ = 0;
  mutable std::mutex mutex_;
  Behaviour behaviour_;
  std::vector<std::int64_t> requests_;
  std::jthread thread_;
};

std::string md5(const Bytes& bytes) {
  const TempDir dir;
  write_file(dir / "x", bytes);
  return md5_of(dir / "x");
}

struct Entry {
  std::string name;
  std::string text;
  unsigned type = AE_IFREG;
  std::string link{};
};

Bytes tar_gz(const std::vector<Entry>& entries) {
  Bytes out(1 << 20);
  std::size_t used = 0;
  archive* a = archive_write_new();
  archive_write_add_filter_gzip(a);
  archive_write_set_format_pax_restricted(a);
  check(archive_write_open_memory(a, out.data(), out.size(), &used) == ARCHIVE_OK, "test: tar");
  for (const Entry& entry : entries) {
    archive_entry* e = archive_entry_new();
    archive_entry_set_pathname(e, entry.name.c_str());
    archive_entry_set_filetype(e, entry.type);
    archive_entry_set_perm(e, 0644);
    archive_entry_set_size(e, static_cast<la_int64_t>(entry.text.size()));
    if (entry.type == AE_IFLNK)
      archive_entry_set_symlink(e, entry.link.c_str());
    else if (!entry.link.empty())
      archive_entry_set_hardlink(e, entry.link.c_str());
    check(archive_write_header(a, e) == ARCHIVE_OK, "test: ", archive_error_string(a));
    if (!entry.text.empty()) archive_write_data(a, entry.text.data(), entry.text.size());
    archive_entry_free(e);
  }
  archive_write_close(a);
  archive_write_free(a);
  out.resize(used);
  return out;
}

const Bytes noisy = noise_image(500, 700, 1, 3).pixels;

/// One file of noise, plain.
FetchOptions plain_options(const Server& server) {
  FetchOptions options;
  options.catalogue = {
      {"noise",
       {{server.url() + "/noise.bin", static_cast<std::int64_t>(noisy.size()), md5(noisy)}}}};
  return options;
}

TEST(Fetch, official_catalogue_names_what_the_issue_names) {
  std::vector<std::string> names;
  for (const auto& set : official_catalogue()) {
    names.push_back(set.name);
    for (const auto& file : set.files) {
      EXPECT_EQ(file.md5.size(), 32u);
      EXPECT_GT(file.bytes, 0);
    }
  }
  EXPECT_EQ(names, (std::vector<std::string>{"cifar10", "cifar100", "fashion-mnist"}));
}

TEST(Fetch, md5_of_known_texts) {
  EXPECT_EQ(md5({}), "d41d8cd98f00b204e9800998ecf8427e");
  EXPECT_EQ(md5({'a', 'b', 'c'}), "900150983cd24fb0d6963f7d28e17f72");
}

TEST(Fetch, downloads_checks_and_reports_progress) {
  Server server({{"noise.bin", noisy}});
  const TempDir dir;
  FetchOptions options = plain_options(server);
  std::vector<FetchProgress> seen;
  options.progress = [&](const FetchProgress& p) { seen.push_back(p); };
  const FetchResult result = fetch_dataset("noise", dir / "made/for/it", options);
  EXPECT_EQ(read_file(dir / "made/for/it/noise.bin"), noisy);
  EXPECT_FALSE(fs::exists(dir / "made/for/it/noise.bin.part"));
  EXPECT_EQ(result.bytes_downloaded, static_cast<std::int64_t>(noisy.size()));
  EXPECT_EQ(result.files, (std::vector{dir / "made/for/it/noise.bin"}));
  ASSERT_FALSE(seen.empty());
  EXPECT_EQ(seen.back().file, "noise.bin");
  EXPECT_EQ(seen.back().bytes, seen.back().total);
  EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end(),
                             [](const auto& a, const auto& b) { return a.bytes < b.bytes; }));
}

TEST(Fetch, a_complete_file_is_not_downloaded_again) {
  Server server({{"noise.bin", noisy}});
  const TempDir dir;
  write_file(dir / "noise.bin", noisy);
  EXPECT_EQ(fetch_dataset("noise", dir.path(), plain_options(server)).bytes_downloaded, 0);
  EXPECT_TRUE(server.requests().empty());
}

TEST(Fetch, a_damaged_file_is_downloaded_again) {
  Server server({{"noise.bin", noisy}});
  const TempDir dir;
  Bytes damaged = noisy;
  damaged[1000] ^= 1;
  write_file(dir / "noise.bin", damaged);
  fetch_dataset("noise", dir.path(), plain_options(server));
  EXPECT_EQ(read_file(dir / "noise.bin"), noisy);
}

TEST(Fetch, resumes_where_an_earlier_run_ended) {
  Server server({{"noise.bin", noisy}});
  const TempDir dir;
  write_file(dir / "noise.bin.part", Bytes(noisy.begin(), noisy.begin() + 12345));
  const FetchResult result = fetch_dataset("noise", dir.path(), plain_options(server));
  EXPECT_EQ(read_file(dir / "noise.bin"), noisy);
  EXPECT_EQ(server.requests(), (std::vector<std::int64_t>{12345}));
  EXPECT_EQ(result.bytes_downloaded, static_cast<std::int64_t>(noisy.size()) - 12345);
}

TEST(Fetch, a_whole_part_needs_only_its_name) {
  Server server({{"noise.bin", noisy}});
  const TempDir dir;
  write_file(dir / "noise.bin.part", noisy);
  fetch_dataset("noise", dir.path(), plain_options(server));
  EXPECT_EQ(read_file(dir / "noise.bin"), noisy);
  EXPECT_TRUE(server.requests().empty());
}

TEST(Fetch, begins_again_where_the_server_knows_no_ranges) {
  Server server({{"noise.bin", noisy}});
  server.behave({.ranges = false});
  const TempDir dir;
  write_file(dir / "noise.bin.part", Bytes(noisy.begin(), noisy.begin() + 12345));
  fetch_dataset("noise", dir.path(), plain_options(server));
  EXPECT_EQ(read_file(dir / "noise.bin"), noisy);
  EXPECT_EQ(server.requests(), (std::vector<std::int64_t>{12345, 0}));
}

TEST(Fetch, a_part_that_is_too_long_is_begun_again) {
  Server server({{"noise.bin", noisy}});
  const TempDir dir;
  write_file(dir / "noise.bin.part", Bytes(noisy.size() + 1));
  fetch_dataset("noise", dir.path(), plain_options(server));
  EXPECT_EQ(read_file(dir / "noise.bin"), noisy);
}

TEST(Fetch, a_broken_transfer_is_taken_up_again_at_once) {
  for (const bool length : {true, false}) {
    Server server({{"noise.bin", noisy}});
    server.behave({.length = length, .cut = 100000, .cuts = 2});
    const TempDir dir;
    fetch_dataset("noise", dir.path(), plain_options(server));
    EXPECT_EQ(read_file(dir / "noise.bin"), noisy);
    EXPECT_EQ(server.requests(), (std::vector<std::int64_t>{0, 100000, 200000}));
  }
}

TEST(Fetch, a_transfer_that_always_breaks_keeps_what_it_has) {
  Server server({{"noise.bin", noisy}});
  server.behave({.cut = 1000});
  const TempDir dir;
  FetchOptions options = plain_options(server);
  options.attempts = 2;
  expect_error([&] { fetch_dataset("noise", dir.path(), options); },
               {"fetch", "noise.bin", "2000 of 350000 bytes", "run again to continue"});
  EXPECT_EQ(fs::file_size(dir / "noise.bin.part"), 2000u);
  EXPECT_FALSE(fs::exists(dir / "noise.bin"));
  server.behave({});
  fetch_dataset("noise", dir.path(), options);
  EXPECT_EQ(read_file(dir / "noise.bin"), noisy);
}

TEST(Fetch, wrong_checksum_deletes_the_download) {
  Server server({{"noise.bin", noisy}});
  const TempDir dir;
  FetchOptions options = plain_options(server);
  options.catalogue[0].files[0].md5 = "00112233445566778899aabbccddeeff";
  expect_error([&] { fetch_dataset("noise", dir.path(), options); },
               {"noise.bin", md5(noisy), "expected 00112233445566778899aabbccddeeff"});
  EXPECT_TRUE(fs::is_empty(dir.path()));
}

TEST(Fetch, not_found_is_not_tried_again) {
  Server server({});
  const TempDir dir;
  expect_error([&] { fetch_dataset("noise", dir.path(), plain_options(server)); },
               {"noise.bin", "404", "mirror"});
  EXPECT_EQ(server.requests().size(), 1u);
}

TEST(Fetch, not_found_leaves_the_part_of_an_earlier_run) {
  Server server({});
  const TempDir dir;
  write_file(dir / "noise.bin.part", Bytes(noisy.begin(), noisy.begin() + 12345));
  error_of([&] { fetch_dataset("noise", dir.path(), plain_options(server)); });
  EXPECT_EQ(fs::file_size(dir / "noise.bin.part"), 12345u);
}

TEST(Fetch, a_server_that_is_down_for_a_while) {
  Server server({{"noise.bin", noisy}});
  server.behave({.status = 503});
  const TempDir dir;
  FetchOptions options = plain_options(server);
  options.attempts = 2;
  expect_error([&] { fetch_dataset("noise", dir.path(), options); }, {"503"});
  EXPECT_EQ(server.requests().size(), 2u);
}

TEST(Fetch, nobody_listens) {
  const TempDir dir;
  FetchOptions options;
  {
    Server gone({});
    options = plain_options(gone);
  }
  options.attempts = 1;
  expect_error([&] { fetch_dataset("noise", dir.path(), options); },
               {"noise.bin", "127.0.0.1", "0 of 350000 bytes"});
}

TEST(Fetch, a_shorter_file_in_its_place) {
  Server server({{"noise.bin", Bytes(500)}});
  const TempDir dir;
  expect_error([&] { fetch_dataset("noise", dir.path(), plain_options(server)); },
               {"file of 500 bytes", "0 of 350000"});
  EXPECT_FALSE(fs::exists(dir / "noise.bin.part"));
}

TEST(Fetch, a_longer_file_in_its_place) {
  Server server({{"noise.bin", Bytes(noisy.size() + 1)}});
  const TempDir dir;
  expect_error([&] { fetch_dataset("noise", dir.path(), plain_options(server)); },
               {"more than the 350000 bytes"});
}

TEST(Fetch, a_part_outlives_what_is_not_its_file) {
  const Bytes begun(noisy.begin(), noisy.begin() + 12345);
  for (const bool length : {true, false}) {
    SCOPED_TRACE(length);
    Server server({{"noise.bin", Bytes(500)}});  // a page that asks to log in
    server.behave({.ranges = false, .length = length});
    const TempDir dir;
    write_file(dir / "noise.bin.part", begun);
    FetchOptions options = plain_options(server);
    options.attempts = 1;
    EXPECT_THROW(fetch_dataset("noise", dir.path(), options), Error);
    EXPECT_EQ(read_file(dir / "noise.bin.part"), begun);
    EXPECT_FALSE(fs::exists(dir / "noise.bin.part.new"));
  }
  // A server without ranges that breaks off earlier than the part goes.
  Server server({{"noise.bin", noisy}});
  server.behave({.ranges = false, .cut = 5000});
  const TempDir dir;
  write_file(dir / "noise.bin.part", begun);
  FetchOptions options = plain_options(server);
  options.attempts = 1;
  EXPECT_THROW(fetch_dataset("noise", dir.path(), options), Error);
  EXPECT_EQ(read_file(dir / "noise.bin.part"), begun);
}

TEST(Fetch, unknown_name) {
  const TempDir dir;
  expect_error([&] { fetch_dataset("cifar11", dir.path()); },
               {"cifar11", "cifar10, cifar100, fashion-mnist"});
}

TEST(Fetch, mirror_by_folder_or_by_file) {
  Server server({{"mirror/noise.bin", noisy}});
  FetchOptions options = plain_options(server);
  for (const char* end : {"/mirror", "/mirror/", "/mirror/noise.bin"}) {
    const TempDir dir;
    options.url = server.url() + end;
    fetch_dataset("noise", dir.path(), options);
    EXPECT_EQ(read_file(dir / "noise.bin"), noisy);
  }
}

TEST(Fetch, mirror_on_disk) {
  const TempDir mirror, dir;
  Server server({});
  write_file(mirror / "noise.bin", noisy);
  FetchOptions options = plain_options(server);
  options.url = "file://" + mirror.path().string();
  fetch_dataset("noise", dir.path(), options);
  EXPECT_EQ(read_file(dir / "noise.bin"), noisy);
}

TEST(Fetch, other_protocols_are_refused) {
  const TempDir dir;
  Server server({});
  FetchOptions options = plain_options(server);
  options.url = "gopher://127.0.0.1/";
  expect_error([&] { fetch_dataset("noise", dir.path(), options); }, {"gopher", "rotocol"});
}

TEST(Fetch, folder_that_cannot_be_made) {
  const TempDir dir;
  write_file(dir / "file", std::string("in the way"));
  Server server({});
  expect_error([&] { fetch_dataset("noise", dir / "file/sub", plain_options(server)); },
               {"cannot make folder", "file/sub"});
}

TEST(Fetch, what_progress_throws_arrives) {
  Server server({{"noise.bin", noisy}});
  const TempDir dir;
  FetchOptions options = plain_options(server);
  options.progress = [](const FetchProgress& p) { check(p.bytes < 1, "stopped by the user"); };
  expect_error([&] { fetch_dataset("noise", dir.path(), options); }, {"stopped by the user"});
}

TEST(Fetch, full_disk) {
  Server server({{"noise.bin", noisy}});
  const TempDir dir;
  const FetchOptions options = plain_options(server);
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{100000, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  const std::string message = error_of([&] { fetch_dataset("noise", dir.path(), options); });
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_NE(message.find("cannot write"), std::string::npos) << message;
  EXPECT_NE(message.find("noise.bin.part"), std::string::npos) << message;
  fetch_dataset("noise", dir.path(), options);  // there is room again
  EXPECT_EQ(read_file(dir / "noise.bin"), noisy);
}

TEST(Fetch, unpacks_into_the_folder) {
  const Bytes tar = tar_gz({{"set/", "", AE_IFDIR},
                            {"set/a.bin", "alpha"},
                            {"set/deep/er/b.bin", "beta"},
                            {"./set/c.bin", std::string(300000, 'c')}});
  Server server({{"set.tar.gz", tar}});
  const TempDir dir;
  FetchOptions options;
  options.catalogue = {
      {"set",
       {{server.url() + "/set.tar.gz", static_cast<std::int64_t>(tar.size()), md5(tar), true}}}};
  const FetchResult result = fetch_dataset("set", dir.path(), options);
  EXPECT_EQ(result.files_unpacked, 3);
  EXPECT_EQ(read_file(dir / "set/a.bin"), (Bytes{'a', 'l', 'p', 'h', 'a'}));
  EXPECT_EQ(read_file(dir / "set/deep/er/b.bin"), (Bytes{'b', 'e', 't', 'a'}));
  EXPECT_EQ(read_file(dir / "set/c.bin"), Bytes(300000, 'c'));
  fs::remove(dir / "set/a.bin");
  EXPECT_EQ(fetch_dataset("set", dir.path(), options).bytes_downloaded, 0);
  EXPECT_TRUE(fs::exists(dir / "set/a.bin"));
}

void expect_refused(const std::vector<Entry>& entries, const std::string& why) {
  const TempDir dir;
  write_file(dir / "x.tar.gz", tar_gz(entries));
  fs::create_directories(dir / "inside");
  expect_error([&] { unpack_archive(dir / "x.tar.gz", dir / "inside"); },
               {"archive", "x.tar.gz", why});
  EXPECT_FALSE(fs::exists(dir / "evil"));
  EXPECT_FALSE(fs::is_symlink(dir / "inside/link"));
}

TEST(Unpack, refuses_parent_folders) {
  expect_refused({{"../evil", "x"}}, "outside");
  expect_refused({{"good/../../evil", "x"}}, "outside");
}

TEST(Unpack, refuses_absolute_paths) {
  expect_refused({{(fs::temp_directory_path() / "exciton-evil").string(), "x"}}, "outside");
  EXPECT_FALSE(fs::exists(fs::temp_directory_path() / "exciton-evil"));
}

TEST(Unpack, refuses_links) {
  expect_refused({{"link", "", AE_IFLNK, "/etc"}, {"link/evil", "x"}}, "link");
  expect_refused({{"link", "", AE_IFLNK, "harmless"}}, "link");
  expect_refused({{"link", "", AE_IFREG, "../evil"}}, "link");
}

TEST(Unpack, truncated_archive) {
  const TempDir dir;
  const Bytes pixels = noise_image(300, 300, 1, 1).pixels;
  Bytes tar = tar_gz({{"a.bin", std::string(pixels.begin(), pixels.end())}});
  tar.resize(tar.size() / 2);
  write_file(dir / "x.tar.gz", tar);
  expect_error([&] { unpack_archive(dir / "x.tar.gz", dir.path()); }, {"x.tar.gz"});
  EXPECT_FALSE(fs::exists(dir / "a.bin")) << "an unfinished file keeps its temporary name";
}

TEST(Unpack, not_an_archive) {
  const TempDir dir;
  write_file(dir / "x.tar.gz", std::string("<html>no</html>"));
  expect_error([&] { unpack_archive(dir / "x.tar.gz", dir.path()); }, {"x.tar.gz"});
}

}  // namespace
}  // namespace exciton::data
