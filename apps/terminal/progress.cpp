#include "apps/terminal/progress.hpp"

#include <unistd.h>

#include <algorithm>
#include <iostream>

#include "apps/terminal/format.hpp"

namespace exciton::apps {
std::string format_duration(double seconds) {
  if (seconds < 60) return format("%.1f s", seconds);
  const auto s = static_cast<long>(seconds + 0.5);
  if (s < 3600) return format("%ld min %02ld s", s / 60, s % 60);
  return format("%ld h %02ld min", s / 3600, s % 3600 / 60);
}

std::string format_bytes(double bytes) {
  if (bytes < 1e6) return format("%.0f KB", bytes / 1e3);
  if (bytes < 1e9) return format("%.1f MB", bytes / 1e6);
  return format("%.2f GB", bytes / 1e9);
}

Progress::Progress(std::int64_t total, std::int64_t done)
    : total_(total),
      first_(done),
      terminal_(::isatty(STDERR_FILENO) == 1),
      start_(Clock::now()),
      last_(terminal_ ? Clock::time_point{} : start_) {}

Progress::~Progress() { clear(); }

bool Progress::due() const {
  return Clock::now() - last_ >=
         (terminal_ ? std::chrono::milliseconds(100) : std::chrono::milliseconds(30'000));
}

void Progress::update(std::int64_t done, const std::string& title, const std::string& details) {
  if (!due()) return;
  last_ = Clock::now();
  const double seconds = std::chrono::duration<double>(last_ - start_).count();
  const double share = total_ > 0 ? static_cast<double>(done) / static_cast<double>(total_) : 1.0;
  std::string left;
  if (done > first_)
    left = "  " +
           format_duration(seconds * static_cast<double>(total_ - done) /
                           static_cast<double>(done - first_)) +
           " left";
  if (!terminal_) {
    std::cerr << title << "  " << format("%3.0f %%", 100 * share) << "  " << details << left
              << std::endl;
    return;
  }
  constexpr int width = 24;
  const int full = std::clamp(static_cast<int>(share * width), 0, width);
  std::string bar;
  for (int i = 0; i < width; ++i) bar += i < full ? "█" : "░";
  std::cerr << "\r\x1b[K" << title << ' ' << bar << format(" %3.0f %%", 100 * share) << "  "
            << details << left << std::flush;
  drawn_ = true;
}

void Progress::line(const std::string& text) {
  clear();
  std::cout << text << std::endl;
}

void Progress::clear() {
  if (drawn_) std::cerr << "\r\x1b[K" << std::flush;
  drawn_ = false;
}

}  // namespace exciton::apps
