#include "apps/terminal/train_report.hpp"

#include <algorithm>
#include <iostream>
#include <optional>

#include "apps/live/live_log.hpp"
#include "apps/live/live_server.hpp"
#include "apps/terminal/command_line.hpp"
#include "apps/terminal/format.hpp"
#include "apps/terminal/hints.hpp"
#include "apps/terminal/interrupt.hpp"
#include "apps/terminal/progress.hpp"
#include "exciton/core/threads.hpp"
#include "exciton/data/loader.hpp"

namespace exciton::apps {
namespace {

auto wide(std::int64_t value) { return static_cast<long long>(value); }

std::string describe_workers(std::int64_t workers) {
  if (workers == 0) return "Images are prepared by the step itself";
  if (workers != data::automatic_workers)
    return "Images are prepared by " + std::to_string(workers) + " threads beside the step";
  return "Images are prepared by 1 thread beside the step, by up to " +
         std::to_string(num_threads()) + " when it waits";
}

/// Of detectors it is not known before: their images have many sizes.
std::string describe_memory(const train::RunInfo& info) {
  if (info.memory_bytes == 0) return "";
  return "Memory: about " + format_bytes(static_cast<double>(info.memory_bytes)) + " of " +
         format_bytes(static_cast<double>(info.memory_limit)) + '\n';
}

/// A sentence when batches do not take every image of an epoch.
std::string describe_left_out(const train::RunInfo& info) {
  if (info.left_out == 0) return "";
  return "Each epoch leaves out " + std::to_string(info.left_out) +
         (info.left_out == 1 ? " image, another one" : " images, others") +
         " each time: the last batch would be incomplete (data.last_batch is " +
         (info.drop_last ? "\"drop\")\n" : "\"train\", but batch norm needs two)\n");
}

std::string listed(const std::vector<train::NamedValue>& values, std::size_t most, double factor,
                   int digits) {
  std::string out;
  for (std::size_t i = 0; i < std::min(most, values.size()); ++i) {
    // "loss_objectness" beside the whole loss is "objectness".
    std::string name = values[i].name;
    if (const std::string prefix = "loss_"; name.starts_with(prefix))
      name = name.substr(prefix.size());
    out += (i > 0 ? "  " : "") + name + format(" %.*f", digits, factor * values[i].value);
  }
  return out;
}

class TrainReport final : public train::Observer {
 public:
  TrainReport(bool verbose, std::optional<int> live) : verbose_(verbose), live_(live) {}

  void started(const train::RunInfo& info) override {
    uneven_ = info.uneven;
    for (const std::string& note : info.notes) std::cout << note << '\n';
    std::cout << info.model << ", " << info.parameters << " parameters, " << info.dtype << ", "
              << info.threads << " threads"
              << (info.threads_from.empty() ? "" : " (" + info.threads_from + ')') << ", seed "
              << info.seed << "; " << info.epochs << " epochs of " << info.steps_per_epoch
              << " steps, batch " << info.batch << '\n'
              << describe_left_out(info) << describe_workers(info.workers) << '\n'
              << describe_memory(info) << "Run folder " << info.folder.string() << std::endl;
    if (live_) {
      server_.emplace(info.folder, *live_);
      std::cout << "Watch it at " << server_->address() << std::endl;
    }
    interrupt_.emplace();
    bar_.emplace(info.epochs * info.steps_per_epoch, info.first_step);
  }

  bool step(const train::Progress& now) override {
    if (bar_->due()) {
      const bool tests = now.phase == train::Progress::Phase::testing;
      bar_->update(
          now.step, "epoch " + std::to_string(now.epoch) + '/' + std::to_string(now.epochs),
          tests ? format("testing, %lld images", wide(now.tested))
          : now.losses.empty()
              ? format("loss %.3f  top-1 %.1f %%  %.0f images/s", now.loss, 100 * now.top1,
                       now.images_per_second)
              : format("loss %.3f (%s)  %.2f images/s", now.loss,
                       listed(now.losses, now.losses.size(), 1, 3).c_str(), now.images_per_second));
    }
    return !interrupt_->requested();
  }

  void epoch(const train::EpochLine& line) override {
    const char* on = line.measured_on.c_str();
    if (!line.losses.empty())
      detector_epoch(line);
    else
      bar_->line(format(
          "epoch %*lld/%lld  train loss %.4f top-1 %.2f %%  %s loss %.4f top-1 "
          "%.2f %%  %.0f images/s, waited %.1f %%  %s%s",
          static_cast<int>(std::to_string(line.epochs).size()), wide(line.epoch), wide(line.epochs),
          line.train_loss, 100 * line.train_top1, on, line.loss, 100 * line.top1,
          line.images_per_second, 100 * line.data_wait_share(),
          format_duration(line.seconds + line.test_seconds).c_str(), line.best ? "  *" : ""));
    if (uneven_ && !line.worst_class.empty())
      bar_->line(format("  macro recall %.2f %%, worst class %s %.2f %%", 100 * line.macro_recall,
                        printable(line.worst_class).c_str(), 100 * line.worst_recall));
    if (line.skipped_steps > 0)
      bar_->line(format("  %lld steps were left out, the norm of their gradients was no number",
                        wide(line.skipped_steps)));
    if (line.skipped_images + line.test_skipped_images > 0)
      bar_->line(format("  %lld train and %lld %s images could not be read and were left out",
                        wide(line.skipped_images), wide(line.test_skipped_images), on));
    if (verbose_)
      bar_->line(
          format("  peak memory %.0f MiB, pool %s in use at most; memory taken from the "
                 "system in this epoch: %llu times; waited for data %.2f s; %d data threads",
                 line.peak_rss_mib, format_bytes(static_cast<double>(line.pool_peak_bytes)).c_str(),
                 static_cast<unsigned long long>(line.system_allocations), line.data_wait_seconds,
                 line.data_workers));
  }

  void warning(std::string_view text) override {
    if (bar_)
      bar_->line("warning: " + std::string(text));
    else
      warn(std::string(text));
  }

  void ended(const train::Outcome& outcome) {
    const std::string run = outcome.folder.string();
    if (!outcome.finished) {
      bar_->line(format("Interrupted in epoch %lld, everything is saved in %s",
                        wide(outcome.epochs + 1), outcome.checkpoint.c_str()));
      std::cout << "Resume with\n  " << command_line({"train", run, "--resume"}) << std::endl;
      return;
    }
    bar_->clear();
    std::cout << '\n';
    if (outcome.last)
      std::cout << "Trained " << outcome.model << " in " << format_duration(outcome.seconds) << ": "
                << outcome.measured_on
                << format(" top-1 %.2f %%, top-5 %.2f %%, loss %.4f", 100 * outcome.last->top1(),
                          100 * outcome.last->top5(), outcome.last->loss());
    else if (!outcome.average_precision.empty())
      std::cout << "Trained " << outcome.model << " in " << format_duration(outcome.seconds) << ": "
                << outcome.measured_on << ' ' << listed(outcome.average_precision, 3, 100, 2)
                << " %";
    else
      std::cout << "Nothing left to do: all " << outcome.epochs << " epochs are trained";
    if (outcome.best && outcome.best->by == "AP") {
      std::cout << format("; best AP %.2f %% after epoch %lld", 100 * outcome.best->value,
                          wide(outcome.best->epoch));
    } else if (outcome.best) {
      const auto& [epoch, top1, by, value] = *outcome.best;
      std::cout << format("; best %.2f %% after epoch %lld", 100 * top1, wide(epoch));
      if (by != "top1") std::cout << format(", by %s %.4f", by.c_str(), value);
    }
    std::cout << '\n';
    if (outcome.stopped_early)
      std::cout << format(
          "Stopped after epoch %lld of the planned ones: %s has been no better since epoch %lld "
          "(%.4f)\n",
          wide(outcome.epochs), outcome.stopped_early->metric.c_str(),
          wide(outcome.stopped_early->epoch), outcome.stopped_early->value);
    if (const auto& final = outcome.final_test)
      std::cout << format(
          "%s, by the weights of epoch %lld: top-1 %.2f %%, top-5 %.2f %%, loss %.4f\n",
          final->on.c_str(), wide(final->epoch), 100 * final->result.top1(),
          100 * final->result.top5(), final->result.loss());
    std::cout << "Saved in " << run << ": recipe.json, log.jsonl, checkpoints/\nTry next\n"
              << "  " << command_line({"eval", run})
              << (!outcome.detects ? "              accuracy of every class\n"
                                   : "              average precisions\n")
              << "  " << command_line({"predict", run}) << " IMAGE...  what is on an image\n"
              << (!outcome.detects ? "  " + command_line({"summary", outcome.model}) +
                                         "   layers, parameters, multiply-adds\n"
                                   : "")
              << std::flush;
  }

 private:
  void detector_epoch(const train::EpochLine& line) {
    std::string measured;
    constexpr std::size_t main_ones = 3;  // AP, AP50, AP75
    if (!line.average_precision.empty())
      measured =
          "  " + line.measured_on + ' ' + listed(line.average_precision, main_ones, 100, 2) + " %";
    bar_->line(format(
        "epoch %*lld/%lld  train loss %.4f (%s)%s  %.2f images/s, waited %.1f %%  %s%s",
        static_cast<int>(std::to_string(line.epochs).size()), wide(line.epoch), wide(line.epochs),
        line.train_loss, listed(line.losses, line.losses.size(), 1, 4).c_str(), measured.c_str(),
        line.images_per_second, 100 * line.data_wait_share(),
        format_duration(line.seconds + line.test_seconds).c_str(), line.best ? "  *" : ""));
  }

  bool verbose_, uneven_ = false;
  std::optional<int> live_;
  std::optional<LiveServer> server_;
  std::optional<Interrupt> interrupt_;
  std::optional<Progress> bar_;
};

}  // namespace

bool train_and_report(train::Recipe recipe, const train::RunOptions& options, bool verbose,
                      std::optional<int> live) {
  TrainReport report(verbose, live);
  LiveLog log(report);
  train::Observer& observer = live ? static_cast<train::Observer&>(log) : report;
  const train::Outcome outcome = train::run(std::move(recipe), options, observer);
  report.ended(outcome);
  return outcome.finished;
}

}  // namespace exciton::apps
