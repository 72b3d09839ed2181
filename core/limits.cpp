#include "exciton/core/limits.hpp"

#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <limits>
#include <sstream>
#include <vector>

namespace exciton {
namespace {

namespace fs = std::filesystem;

/// The words of a file's first line; none where it cannot be read.
std::vector<std::string> words_of(const fs::path& file) {
  std::ifstream in(file);
  std::string line, word;
  std::getline(in, line);
  std::vector<std::string> out;
  for (std::istringstream words(line); words >> word;) out.push_back(word);
  return out;
}

std::optional<double> number(const std::string& word) {
  try {
    std::size_t used = 0;
    const double value = std::stod(word, &used);
    if (used == word.size() && value > 0) return value;
  } catch (const std::exception&) {
    return std::nullopt;  // "max", or a word that is no number: no limit
  }
  return std::nullopt;
}

bool lists(const std::string& commas, const std::string& name) {
  std::istringstream words(commas);
  for (std::string word; std::getline(words, word, ',');)
    if (word == name) return true;
  return false;
}

/// The group of this process in one hierarchy, below where that is mounted, and all above it.
class Hierarchy {
 public:
  /// Of the controller of that name (version 1), or of version 2 where it is "".
  Hierarchy(const fs::path& root, const std::string& controller) {
    std::ifstream mounts(root / "proc/self/mountinfo");
    for (std::string line; std::getline(mounts, line);) {
      std::istringstream words(line);
      std::string id, parent, device, top, point, word, type, source, options;
      words >> id >> parent >> device >> top >> point;
      while (words >> word && word != "-") continue;
      words >> type >> source >> options;
      const bool is_it =
          controller.empty() ? type == "cgroup2" : type == "cgroup" && lists(options, controller);
      if (!is_it) continue;
      mount_ = root / fs::path(point).relative_path();
      fs::path own = fs::path(group(root, controller)).relative_path();
      if (const fs::path below = own.lexically_relative(fs::path(top).relative_path());
          top != "/" && !below.empty() && *below.begin() != "..")
        own = below;  // a container sees a part of the tree
      group_ = mount_ / own;
      while (group_ != mount_ && !fs::exists(group_)) group_ = group_.parent_path();
      found_ = true;
      return;
    }
  }

  /// f(folder) for the group and those above it.
  template <class F>
  void each(const F& f) const {
    if (!found_) return;
    for (fs::path at = group_; !at.empty(); at = at.parent_path()) {
      f(at);
      if (at == mount_ || at == at.parent_path()) return;
    }
  }

 private:
  static std::string group(const fs::path& root, const std::string& controller) {
    std::ifstream groups(root / "proc/self/cgroup");
    for (std::string line; std::getline(groups, line);) {
      const std::size_t first = line.find(':'), second = line.find(':', first + 1);
      if (first == line.npos || second == line.npos) continue;
      const std::string controllers = line.substr(first + 1, second - first - 1);
      if (controller.empty() ? controllers.empty() && line.starts_with("0:")
                             : lists(controllers, controller))
        return line.substr(second + 1);
    }
    return "/";
  }

  bool found_ = false;
  fs::path mount_, group_;
};

template <class T>
void lower(std::optional<T>& limit, T other) {
  limit = limit ? std::min(*limit, other) : other;
}

void read_quota(const fs::path& root, Limits& out) {
  Hierarchy(root, "").each([&](const fs::path& group) {
    const auto words = words_of(group / "cpu.max");  // "200000 100000" or "max 100000"
    if (words.size() < 2) return;
    const auto time = number(words[0]), period = number(words[1]);
    if (time && period) lower(out.quota, *time / *period);
  });
  Hierarchy(root, "cpu").each([&](const fs::path& group) {
    const auto time = words_of(group / "cpu.cfs_quota_us"),
               period = words_of(group / "cpu.cfs_period_us");
    if (time.empty() || period.empty()) return;
    const auto t = number(time[0]), p = number(period[0]);  // -1: none
    if (t && p) lower(out.quota, *t / *p);
  });
}

void read_memory(const fs::path& root, Limits& out) {
  const auto limit = [&](const fs::path& file) {
    const auto words = words_of(file);
    const auto bytes = words.empty() ? std::nullopt : number(words[0]);
    if (bytes && *bytes < 0x1p60) lower(out.memory_limit, static_cast<std::uint64_t>(*bytes));
  };
  Hierarchy(root, "").each([&](const fs::path& group) { limit(group / "memory.max"); });
  Hierarchy(root, "memory").each([&](const fs::path& group) {
    limit(group / "memory.limit_in_bytes");
  });
  if (out.memory_limit && *out.memory_limit >= out.memory) out.memory_limit.reset();
  if (out.memory_limit) out.memory_limited_by = "cgroup limit";
  rlimit space{};
  if (getrlimit(RLIMIT_AS, &space) == 0 && space.rlim_cur != RLIM_INFINITY &&
      space.rlim_cur < out.usable_memory()) {
    out.memory_limit = space.rlim_cur;
    out.memory_limited_by = "ulimit -v";
  }
}

}  // namespace

int Limits::threads() const {
  int out = allowed;
  if (quota && *quota < allowed) out = static_cast<int>(std::max(1.0, std::floor(*quota + 0.5)));
  return std::max(1, std::min(out, allowed));
}

std::string Limits::text() const {
  const std::string machine =
      std::to_string(processors) + (processors == 1 ? " processor" : " processors");
  char share[32];
  if (quota && *quota < allowed) {
    std::snprintf(share, sizeof share, "%.1f", *quota);
    return std::string("cgroup quota ") + share + " of " + machine;
  }
  return allowed < processors ? std::to_string(allowed) + " of " + machine + " by affinity"
                              : machine;
}

Limits read_limits(const fs::path& root) {
  Limits out;
  out.processors = static_cast<int>(std::max(1L, sysconf(_SC_NPROCESSORS_ONLN)));
  out.allowed = out.processors;
  // The set is as large as the system's, which may be larger than the fixed one.
  for (int room = 1024; room <= 1 << 20; room *= 4) {
    cpu_set_t* const set = CPU_ALLOC(static_cast<std::size_t>(room));
    if (!set) break;
    const std::size_t bytes = CPU_ALLOC_SIZE(static_cast<std::size_t>(room));
    const bool known = sched_getaffinity(0, bytes, set) == 0;
    if (known) out.allowed = std::max(1, CPU_COUNT_S(bytes, set));
    CPU_FREE(set);
    if (known) break;
  }
  out.memory = static_cast<std::uint64_t>(std::max(0L, sysconf(_SC_PHYS_PAGES))) *
               static_cast<std::uint64_t>(std::max(1L, sysconf(_SC_PAGESIZE)));
  read_quota(root, out);
  read_memory(root, out);
  return out;
}

}  // namespace exciton
