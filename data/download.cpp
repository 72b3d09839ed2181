#include <curl/curl.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <memory>
#include <utility>

#include "exciton/core/error.hpp"
#include "exciton/core/system_call.hpp"
#include "exciton/data/transfer.hpp"

namespace exciton::data {
namespace fs = std::filesystem;
namespace {

/// A type of our own: the C library gives fclose attributes that a template argument would lose.
struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

/// What the callbacks need and what they have to say. They must not throw through C code.
struct Sink {
  CURL* curl;
  std::FILE* file;
  std::int64_t have, wanted;
  bool goes_on;  ///< behind what `file` has: the server must say that it sends the rest
  const std::function<void(std::int64_t)>& progress;
  bool asked = false;
  int write_errno = 0;
  bool too_much = false, not_the_rest = false;
  std::int64_t other = -1;               ///< bytes of the file that the server has in its place
  std::exception_ptr stopped = nullptr;  ///< what progress threw
};

/// Before the first byte is written: whether it is what was asked for.
bool is_wanted(Sink& sink) {
  long status = 0;
  curl_off_t announced = -1;
  curl_easy_getinfo(sink.curl, CURLINFO_RESPONSE_CODE, &status);
  curl_easy_getinfo(sink.curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &announced);
  sink.not_the_rest = sink.goes_on && status != 0 && status != 206;  // 0: a file on disk
  if (sink.not_the_rest) return false;
  if (!sink.goes_on && announced >= 0 && announced != sink.wanted) sink.other = announced;
  return sink.other < 0;
}

std::size_t receive(const char* data, std::size_t, std::size_t bytes, void* context) {
  auto& sink = *static_cast<Sink*>(context);
  if (!std::exchange(sink.asked, true) && !is_wanted(sink)) return CURL_WRITEFUNC_ERROR;
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

std::int64_t bytes_of(const fs::path& file) {
  std::error_code none;
  const auto size = fs::file_size(file, none);
  return none ? 0 : static_cast<std::int64_t>(size);
}

/// One attempt from byte `from` on, into `file`.
struct Attempt {
  TransferEnd end;
  bool not_the_rest = false;  ///< the server cannot go on there
};

Attempt attempt(const Transfer& what, const fs::path& to, std::int64_t from) {
  const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl(curl_easy_init(),
                                                                 &curl_easy_cleanup);
  check(curl != nullptr, "download: libcurl does not start");
  const std::unique_ptr<std::FILE, CloseFile> file(std::fopen(to.c_str(), from > 0 ? "ab" : "wb"));
  const SystemCall opened(file != nullptr);
  opened.check("download: cannot write ", to.string());
  Sink sink{curl.get(), file.get(), from, what.bytes, from > 0, what.progress};
  char message[CURL_ERROR_SIZE] = "";
  const auto set = [&](CURLoption option, auto value) {
    check(curl_easy_setopt(curl.get(), option, value) == CURLE_OK,
          "download: libcurl refuses option ", static_cast<int>(option), " for ", what.url);
  };
  // Slower than a modem for so long is a connection that is as good as lost.
  constexpr long slowest = 1000;  // bytes per second
  set(CURLOPT_URL, what.url.c_str());
  set(CURLOPT_PROTOCOLS_STR, "http,https,file");
  set(CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
  set(CURLOPT_FOLLOWLOCATION, 1L);
  set(CURLOPT_MAXREDIRS, 10L);
  set(CURLOPT_FAILONERROR, 1L);
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_USERAGENT, "exciton");
  set(CURLOPT_CONNECTTIMEOUT, 30L);
  set(CURLOPT_LOW_SPEED_LIMIT, slowest);
  set(CURLOPT_LOW_SPEED_TIME, static_cast<long>(what.stall_seconds));
  set(CURLOPT_RESUME_FROM_LARGE, static_cast<curl_off_t>(from));
  set(CURLOPT_ERRORBUFFER, static_cast<char*>(message));
  set(CURLOPT_WRITEFUNCTION, &receive);
  set(CURLOPT_WRITEDATA, static_cast<void*>(&sink));
  set(CURLOPT_NOPROGRESS, 0L);
  set(CURLOPT_XFERINFOFUNCTION, &tick);
  set(CURLOPT_XFERINFODATA, static_cast<void*>(&sink));

  const CURLcode code = curl_easy_perform(curl.get());
  const SystemCall flushed(std::fflush(file.get()) == 0);
  check(sink.write_errno == 0 && flushed.ok(), "download: cannot write ", to.string(), ": ",
        std::strerror(sink.write_errno ? sink.write_errno : flushed.error()));
  if (sink.stopped) std::rethrow_exception(sink.stopped);
  check(!sink.too_much && sink.other <= what.bytes, "download: ", what.url, " sends more than the ",
        what.bytes, " bytes of this file; try another mirror");
  long status = 0;
  curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &status);
  Attempt out;
  out.not_the_rest = sink.not_the_rest || code == CURLE_RANGE_ERROR ||
                     (code == CURLE_HTTP_RETURNED_ERROR && status == 416);
  TransferEnd& end = out.end;
  end.received = sink.have - from;
  end.complete = code == CURLE_OK && sink.have == what.bytes;
  if (end.complete) return out;
  end.reason = message[0] ? message : curl_easy_strerror(code);
  if (sink.other >= 0) {  // a page that asks to log in, another version
    end.reason =
        "the server sends a file of " + std::to_string(sink.other) + " bytes, another than wanted";
    return out;
  }
  end.broken = code == CURLE_OK || code == CURLE_PARTIAL_FILE || code == CURLE_RECV_ERROR ||
               code == CURLE_GOT_NOTHING || code == CURLE_OPERATION_TIMEDOUT ||
               code == CURLE_COULDNT_CONNECT || code == CURLE_SEND_ERROR ||
               (code == CURLE_HTTP_RETURNED_ERROR && status >= 500);
  if (code == CURLE_OK) end.reason = "the connection ended early";
  return out;
}

}  // namespace

TransferEnd transfer(const Transfer& what) {
  static const CURLcode started = curl_global_init(CURL_GLOBAL_DEFAULT);
  check(started == CURLE_OK, "download: libcurl does not start");
  const std::int64_t size = bytes_of(what.part), have = size > what.bytes ? 0 : size;
  if (have == what.bytes) return {.complete = true};
  const auto told = [&](const TransferEnd& end) {
    if (what.progress) what.progress(bytes_of(what.part));
    return end;
  };
  if (have > 0) {
    const Attempt rest = attempt(what, what.part, have);
    if (!rest.not_the_rest) return told(rest.end);
  }
  // From the start, beside what is there: that goes only for something better.
  fs::path fresh = what.part;
  fresh += ".new";
  std::error_code none;
  try {
    const TransferEnd end = attempt(what, fresh, 0).end;
    const bool better = bytes_of(fresh) > have;
    if (better) {
      std::error_code error;
      fs::rename(fresh, what.part, error);
      check(!error, "download: cannot name ", what.part.string(), ": ", error.message());
    } else {
      fs::remove(fresh, none);
    }
    return told(end);
  } catch (...) {
    if (bytes_of(fresh) > have)
      fs::rename(fresh, what.part, none);
    else
      fs::remove(fresh, none);
    throw;
  }
}

}  // namespace exciton::data
