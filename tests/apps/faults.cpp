// Preloaded into the program (LD_PRELOAD), fails one system call as the environment asks:
//   EXCITON_FAULT="CALL:NUMBER:ERRNO:PART"   the NUMBER-th CALL (from 0) on a path that has PART in
//   it
// CALL: open (for writing), write, fsync, rename, link, mkdir. Says so in the file
// EXCITON_FAULT_DONE. tests/apps/endurance.py uses it.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

struct Fault {
  std::string call, part;
  int number = -1, error = 0;
  Fault() {
    const char* text = std::getenv("EXCITON_FAULT");
    char name[32] = {}, path[512] = {};
    if (text && std::sscanf(text, "%31[^:]:%d:%d:%511s", name, &number, &error, path) == 4) {
      call = name;
      part = path;
    }
  }
};

std::string path_of(int descriptor) {
  char link[64], path[4096];
  std::snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  const ::ssize_t n = ::readlink(link, path, sizeof path);
  return n < 0 ? std::string() : std::string(path, static_cast<std::size_t>(n));
}

/// Whether this call is the one to fail; errno is then set.
bool fails(const char* call, const std::string& path) {
  static const Fault fault;
  static std::atomic<int> seen{0};
  if (fault.call != call || path.find(fault.part) == std::string::npos) return false;
  if (seen.fetch_add(1) != fault.number) return false;
  if (const char* done = std::getenv("EXCITON_FAULT_DONE"))
    if (std::FILE* file = std::fopen(done, "w")) std::fclose(file);
  errno = fault.error;
  return true;
}

template <class F>
F* real(const char* name) {
  return reinterpret_cast<F*>(::dlsym(RTLD_NEXT, name));
}

}  // namespace

extern "C" {

int open(const char* path, int flags, ...) {
  ::va_list more;
  va_start(more, flags);
  const ::mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(more, ::mode_t) : 0;
  va_end(more);
  if ((flags & O_ACCMODE) != O_RDONLY && fails("open", path)) return -1;
  return real<int(const char*, int, ...)>("open")(path, flags, mode);
}
::ssize_t write(int descriptor, const void* bytes, std::size_t count) {
  if (fails("write", path_of(descriptor))) return -1;
  return real<::ssize_t(int, const void*, std::size_t)>("write")(descriptor, bytes, count);
}
int fsync(int descriptor) {
  if (fails("fsync", path_of(descriptor))) return -1;
  return real<int(int)>("fsync")(descriptor);
}
int rename(const char* from, const char* to) {
  if (fails("rename", to)) return -1;
  return real<int(const char*, const char*)>("rename")(from, to);
}
int link(const char* from, const char* to) {
  if (fails("link", to)) return -1;
  return real<int(const char*, const char*)>("link")(from, to);
}
int mkdir(const char* path, ::mode_t mode) {
  if (fails("mkdir", path)) return -1;
  return real<int(const char*, ::mode_t)>("mkdir")(path, mode);
}
}
