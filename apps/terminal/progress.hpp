/// What a person sees while a run works: a bar with rate and time left on a terminal, else a plain
/// line at most every half minute. Both go to stderr: stdout may be a JSON document.
#pragma once
#include <chrono>
#include <cstdint>
#include <string>

namespace exciton::apps {

/// "4.2 s", "3 min 20 s", "2 h 05 min".
std::string format_duration(double seconds);
/// "1.4 GB", "832 KB".
std::string format_bytes(double bytes);

class Progress {
 public:
  /// `total` steps; `done` of them before this process began (a resume).
  Progress(std::int64_t total, std::int64_t done = 0);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// `title` before the bar ("epoch 3/20"), `details` after it ("loss 1.234  top1 56.7 %"). Cheap:
  /// draws at most ten times a second, prints at most twice a minute.
  void update(std::int64_t done, const std::string& title, const std::string& details);
  /// Time until the next draw has passed: format the texts only then.
  bool due() const;
  /// Prints a whole line that stays, above the bar, to stdout.
  void line(const std::string& text);
  /// Removes the bar.
  void clear();

 private:
  using Clock = std::chrono::steady_clock;
  std::int64_t total_, first_;
  bool terminal_, drawn_ = false;
  Clock::time_point start_, last_;
};

}  // namespace exciton::apps
