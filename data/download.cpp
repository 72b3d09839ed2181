#include <curl/curl.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <memory>

#include "core/error.hpp"
#include "data/transfer.hpp"

namespace exciton::data {
namespace fs = std::filesystem;
namespace {

/// A type of our own: the C library gives fclose attributes that a template argument would lose.
struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

/// What the callbacks need and what they have to say. They must not throw through C code.
struct Sink {
  std::FILE* file;
  std::int64_t have, wanted;
  const std::function<void(std::int64_t)>& progress;
  int write_errno = 0;
  bool too_much = false;
  std::exception_ptr stopped = nullptr;  // what progress threw
};

std::size_t receive(const char* data, std::size_t, std::size_t bytes, void* context) {
  auto& sink = *static_cast<Sink*>(context);
  sink.too_much = static_cast<std::int64_t>(bytes) > sink.wanted - sink.have;
  if (sink.too_much) return CURL_WRITEFUNC_ERROR;
  if (std::fwrite(data, 1, bytes, sink.file) != bytes) {
    sink.write_errno = errno;
    return CURL_WRITEFUNC_ERROR;
  }
  sink.have += static_cast<std::int64_t>(bytes);
  return bytes;
}

int tick(void* context, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  auto& sink = *static_cast<Sink*>(context);
  try {
    if (sink.progress) sink.progress(sink.have);
  } catch (...) {
    sink.stopped = std::current_exception();
  }
  return sink.stopped ? 1 : 0;
}

}  // namespace

TransferEnd transfer(const Transfer& what) {
  static const CURLcode started = curl_global_init(CURL_GLOBAL_DEFAULT);
  check(started == CURLE_OK, "download: libcurl does not start");
  const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl(curl_easy_init(),
                                                                 &curl_easy_cleanup);
  check(curl != nullptr, "download: libcurl does not start");

  std::error_code none;
  const auto size = fs::file_size(what.part, none);
  std::int64_t have = none ? 0 : static_cast<std::int64_t>(size);
  if (have > what.bytes) have = 0;  // not ours
  if (have == what.bytes) return {.complete = true};

  const std::unique_ptr<std::FILE, CloseFile> file(
      std::fopen(what.part.c_str(), have > 0 ? "ab" : "wb"));
  check(file != nullptr, "download: cannot write ", what.part.string(), ": ", std::strerror(errno));
  Sink sink{file.get(), have, what.bytes, what.progress};
  char message[CURL_ERROR_SIZE] = "";
  const auto set = [&](CURLoption option, auto value) {
    check(curl_easy_setopt(curl.get(), option, value) == CURLE_OK,
          "download: libcurl refuses option ", static_cast<int>(option), " for ", what.url);
  };
  set(CURLOPT_URL, what.url.c_str());
  set(CURLOPT_PROTOCOLS_STR, "http,https,file");
  set(CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
  set(CURLOPT_FOLLOWLOCATION, 1L);
  set(CURLOPT_MAXREDIRS, 10L);
  set(CURLOPT_FAILONERROR, 1L);
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_USERAGENT, "exciton");
  set(CURLOPT_CONNECTTIMEOUT, 30L);
  set(CURLOPT_LOW_SPEED_LIMIT, 1L);
  set(CURLOPT_LOW_SPEED_TIME, static_cast<long>(what.stall_seconds));
  set(CURLOPT_RESUME_FROM_LARGE, static_cast<curl_off_t>(have));
  set(CURLOPT_ERRORBUFFER, static_cast<char*>(message));
  set(CURLOPT_WRITEFUNCTION, &receive);
  set(CURLOPT_WRITEDATA, static_cast<void*>(&sink));
  set(CURLOPT_NOPROGRESS, 0L);
  set(CURLOPT_XFERINFOFUNCTION, &tick);
  set(CURLOPT_XFERINFODATA, static_cast<void*>(&sink));

  const CURLcode code = curl_easy_perform(curl.get());
  const bool flushed = std::fflush(file.get()) == 0;
  check(sink.write_errno == 0 && flushed, "download: cannot write ", what.part.string(), ": ",
        std::strerror(sink.write_errno ? sink.write_errno : errno));
  if (sink.stopped) std::rethrow_exception(sink.stopped);
  check(!sink.too_much, "download: ", what.url, " sends more than the ", what.bytes,
        " bytes of this file; try another mirror");
  if (what.progress) what.progress(sink.have);

  TransferEnd end{.received = sink.have - have};
  end.complete = code == CURLE_OK && sink.have == what.bytes;
  if (end.complete) return end;

  end.reason = message[0] ? message : curl_easy_strerror(code);
  long status = 0;
  curl_off_t announced = -1;
  curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &status);
  curl_easy_getinfo(curl.get(), CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &announced);
  if (code == CURLE_RANGE_ERROR || (code == CURLE_HTTP_RETURNED_ERROR && status == 416)) {
    fs::remove(what.part, none);  // this server cannot continue: begin again
    end.broken = true;
  } else if (code == CURLE_OK && announced >= 0) {
    fs::remove(what.part, none);  // another file: a page that asks to log in, a newer version
    end.reason =
        "the server sends a file of " + std::to_string(sink.have) + " bytes, another than wanted";
  } else {
    end.broken = code == CURLE_OK || code == CURLE_PARTIAL_FILE || code == CURLE_RECV_ERROR ||
                 code == CURLE_GOT_NOTHING || code == CURLE_OPERATION_TIMEDOUT ||
                 code == CURLE_COULDNT_CONNECT || code == CURLE_SEND_ERROR ||
                 (code == CURLE_HTTP_RETURNED_ERROR && status >= 500);
    if (code == CURLE_OK) end.reason = "the connection ended early";
  }
  return end;
}

}  // namespace exciton::data
