#include "exciton/core/file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "exciton/core/error.hpp"
#include "exciton/core/system_call.hpp"

namespace exciton {
namespace fs = std::filesystem;
namespace {

int flags_of(File::Mode mode) {
  switch (mode) {
    case File::Mode::read:
      return O_RDONLY;
    case File::Mode::write:
      return O_WRONLY | O_CREAT | O_TRUNC;
    case File::Mode::append:
      return O_WRONLY | O_CREAT | O_APPEND;
  }
  return O_RDONLY;
}

/// Makes the names in a folder durable.
void sync_folder(const fs::path& folder, const std::string& who) {
  const fs::path path = folder.empty() ? fs::path(".") : folder;
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  SystemCall(descriptor >= 0).check(who, ": cannot open ", path.string());
  const SystemCall synced(::fsync(descriptor) == 0);
  ::close(descriptor);
  synced.check(who, ": cannot write ", path.string());
}

/// Writes to what is there and no regular file.
void write_into(const fs::path& path, const std::string& text, const std::string& who) {
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC);
  SystemCall(descriptor >= 0).check(who, ": cannot write ", path.string());
  ::fcntl(descriptor, F_SETFL, 0);  // only the opening must not wait
  SystemCall end(true);
  for (std::size_t at = 0; at < text.size() && (end.ok() || end.error() == EINTR);) {
    const ::ssize_t put = ::write(descriptor, text.data() + at, text.size() - at);
    end = SystemCall(put > 0);
    if (end.ok()) at += static_cast<std::size_t>(put);
  }
  ::close(descriptor);
  end.check(who, ": cannot write ", path.string());
}

}  // namespace

File::File(fs::path path, Mode mode, std::string who, std::string advice)
    : path_(std::move(path)), who_(std::move(who)), advice_(std::move(advice)) {
  // Without O_NONBLOCK the opening of a named pipe waits for somebody at its other end.
  descriptor_ = ::open(path_.c_str(), flags_of(mode) | O_NONBLOCK | O_CLOEXEC, 0644);
  const SystemCall opened(descriptor_ >= 0);
  const bool other = opened.error() == ENXIO;  // a pipe without a reader, a socket
  check(opened.ok() || other, who_, ": cannot ", mode == Mode::read ? "open " : "write ",
        path_.string(), ": ", opened.reason(), mode == Mode::read ? "" : advice_);
  struct ::stat status = {};
  if (opened.ok() && ::fstat(descriptor_, &status) == 0 && S_ISREG(status.st_mode)) return;
  if (opened.ok()) ::close(descriptor_);
  fail(who_, ": ", path_.string(), " is ", kind_of_file(path_), ", expected a file");
}

File::~File() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

File::File(File&& other) noexcept
    : path_(std::move(other.path_)),
      who_(std::move(other.who_)),
      advice_(std::move(other.advice_)),
      descriptor_(std::exchange(other.descriptor_, -1)) {}

std::uint64_t File::bytes() const {
  struct ::stat status = {};
  SystemCall(::fstat(descriptor_, &status) == 0).check(who_, ": cannot read ", path_.string());
  return static_cast<std::uint64_t>(status.st_size);
}

void File::read(std::uint64_t offset, void* out, std::size_t count) const {
  for (auto* at = static_cast<char*>(out); count > 0;) {
    const ::ssize_t got = ::pread(descriptor_, at, count, static_cast<::off_t>(offset));
    const SystemCall done(got >= 0);
    if (done.error() == EINTR) continue;
    done.check(who_, ": cannot read ", path_.string());
    check(got > 0, who_, ": ", path_.string(), " ends at byte ", offset, ", expected ", count,
          " more: it is cut short");
    at += got;
    offset += static_cast<std::uint64_t>(got);
    count -= static_cast<std::size_t>(got);
  }
}

void File::write(const void* from, std::size_t count) {
  for (const auto* at = static_cast<const char*>(from); count > 0;) {
    const ::ssize_t put = ::write(descriptor_, at, count);
    const SystemCall done(put >= 0);
    if (done.error() == EINTR) continue;
    check(put > 0, who_, ": cannot write ", path_.string(), ": ",
          done.ok() ? "the system takes no more" : done.reason(), advice_);
    at += put;
    count -= static_cast<std::size_t>(put);
  }
}

void File::sync() const {
  const SystemCall done(::fsync(descriptor_) == 0);
  check(done.ok(), who_, ": cannot write ", path_.string(), ": ", done.reason(), advice_);
}

std::string read_text(const fs::path& path, const std::string& who, std::uint64_t at_most) {
  const File file(path, File::Mode::read, who);
  const std::uint64_t bytes = file.bytes();
  check(bytes <= at_most, who, ": ", path.string(), " has ", bytes, " bytes, expected at most ",
        at_most);
  std::string text(static_cast<std::size_t>(bytes), '\0');
  file.read(0, text.data(), text.size());
  return text;
}

void replace_file(const fs::path& given, const std::string& who, const std::string& advice,
                  const std::function<void(File&)>& write) {
  std::error_code none;
  const bool there = fs::exists(given, none);
  check(!there || fs::is_regular_file(given, none), who, ": ", given.string(), " is ",
        kind_of_file(given), ", expected a file");
  const fs::path path = there && fs::is_symlink(given, none) ? fs::canonical(given) : given;
  const fs::path temporary = temporary_beside(path);
  try {
    File file(temporary, File::Mode::write, who, advice);
    write(file);
    file.sync();
    const SystemCall renamed(::rename(temporary.c_str(), path.c_str()) == 0);
    check(renamed.ok(), who, ": cannot write ", path.string(), ": ", renamed.reason(), advice);
  } catch (...) {
    ::unlink(temporary.c_str());  // give the space back; the error itself goes on to the caller
    throw;
  }
  sync_folder(path.parent_path(), who);
}

void write_text(const fs::path& path, const std::string& text, const std::string& who,
                const std::string& advice) {
  std::error_code none;
  const fs::file_status status = fs::status(path, none);
  if (fs::exists(status) && !fs::is_regular_file(status) && !fs::is_directory(status))
    return write_into(path, text, who);
  replace_file(path, who, advice, [&](File& file) { file.write(text.data(), text.size()); });
}

void link_file(const fs::path& target, const fs::path& link, const std::string& who,
               const std::string& advice) {
  const fs::path temporary = temporary_beside(link);
  ::unlink(temporary.c_str());
  if (::link(target.c_str(), temporary.c_str()) != 0) {
    const File from(target, File::Mode::read, who);
    replace_file(link, who, advice, [&](File& to) {
      std::string chunk(std::size_t{1} << 20, '\0');
      for (std::uint64_t at = 0, end = from.bytes(); at < end;) {
        const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(end - at, chunk.size()));
        from.read(at, chunk.data(), n);
        to.write(chunk.data(), n);
        at += n;
      }
    });
    return;
  }
  const SystemCall renamed(::rename(temporary.c_str(), link.c_str()) == 0);
  ::unlink(temporary.c_str());  // rename leaves both names when they already were one file
  check(renamed.ok(), who, ": cannot write ", link.string(), ": ", renamed.reason(), advice);
  sync_folder(link.parent_path(), who);
}

fs::path temporary_beside(const fs::path& path) {
  fs::path out = path;
  return out += ".tmp";
}

std::string kind_of_file(const fs::path& path) {
  std::error_code none;
  switch (fs::status(path, none).type()) {
    case fs::file_type::regular:
      return "a file";
    case fs::file_type::directory:
      return "a folder";
    case fs::file_type::fifo:
      return "a named pipe";
    case fs::file_type::socket:
      return "a socket";
    case fs::file_type::character:
    case fs::file_type::block:
      return "a device";
    case fs::file_type::not_found:
      return "not there";
    default:
      return "not a file";
  }
}

}  // namespace exciton
