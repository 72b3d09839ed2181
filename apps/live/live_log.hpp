/// What a run does while it does it, in RUN/live.jsonl: a line at most four times a second, with
/// the gates of every unit in the newer of them. For pages that watch it
/// (apps/live/live_server.hpp).
///
///   {"started": {"first_step": 0, "steps": 1404, "steps_per_epoch": 468, "epochs": 3,
///                "units": [["stage1.0.se", 16], ...]}}
///   {"step": 12, "epoch": 1, "seconds": 1.25, "loss": 2.1, "top1": 0.2, "lr": 0.01,
///    "images_per_second": 900, "gates": [[0.51, ...], ...]}
#pragma once
#include <chrono>
#include <memory>
#include <optional>
#include <vector>

#include "exciton/core/file.hpp"
#include "exciton/train/run.hpp"

namespace exciton::apps {

/// Passes everything on to another observer, and writes the file.
class LiveLog final : public train::Observer {
 public:
  explicit LiveLog(train::Observer& inner) : inner_(inner) {}

  /// Watches the gates of the run's network, which stays on its path.
  void started(const train::RunInfo& info) override;
  bool step(const train::Progress& now) override;
  void epoch(const train::EpochLine& line) override { inner_.epoch(line); }
  void warning(std::string_view text) override { inner_.warning(text); }

 private:
  using Clock = std::chrono::steady_clock;
  void write(const train::Progress& now);
  void append(const std::string& line);

  train::Observer& inner_;
  std::optional<File> file_;                     ///< none once it could not be written
  std::shared_ptr<std::vector<Tensor>> newest_;  ///< gates [N, C] of each unit
  Clock::time_point begun_, written_, gates_written_;
  std::int64_t written_step_ = 0;
};

/// The file of a run folder.
std::filesystem::path live_file(const std::filesystem::path& run);

}  // namespace exciton::apps
