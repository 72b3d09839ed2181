#include "apps/live/live_log.hpp"

#include <algorithm>

#include "apps/page/page.hpp"
#include "exciton/nn/gates.hpp"
#include "exciton/train/json.hpp"

namespace exciton::apps {
namespace {

using Seconds = std::chrono::duration<double>;
constexpr Seconds between_lines{0.25};

/// Gates are written every half second at first, and later by a five-hundredth of the time that has
/// passed: some thousand times in a day.
Seconds between_gates(Seconds passed) { return std::max(Seconds(0.5), passed / 500); }

/// The mean over the images (and pixels, where each has its own) of every channel.
train::Json channel_means(const Tensor& gates) {
  const std::int64_t channels = gates.dim(gates.rank() - 1);
  const Tensor values = gates.to(DType::f32);
  std::vector<double> sum(static_cast<std::size_t>(channels));
  const float* v = values.data<float>();
  for (std::int64_t i = 0; i < values.numel(); ++i)
    sum[static_cast<std::size_t>(i % channels)] += static_cast<double>(v[i]);
  const auto rows = static_cast<double>(values.numel() / channels);
  for (double& s : sum) s /= rows;
  return rounded_list(sum, 3);
}

}  // namespace

std::filesystem::path live_file(const std::filesystem::path& run) { return run / "live.jsonl"; }

void LiveLog::started(const train::RunInfo& info) {
  train::Json units = train::Json::array();
  newest_ = std::make_shared<std::vector<Tensor>>();
  if (info.net != nullptr) {
    const std::vector<nn::NamedAttention> found = nn::attention_units(*info.net);
    newest_->resize(found.size());
    for (std::size_t i = 0; i < found.size(); ++i) {
      units.push_back(found[i].name);
      // The watch is the network's, and goes with it.
      found[i].unit->watch = [newest = newest_, i](const Tensor& s) { (*newest)[i] = s; };
    }
  }
  file_.emplace(live_file(info.folder), File::Mode::append, "live");
  begun_ = written_ = gates_written_ = Clock::now();
  written_step_ = info.first_step;
  append(train::Json{{"started",
                      {{"first_step", info.first_step},
                       {"steps", info.epochs * info.steps_per_epoch},
                       {"steps_per_epoch", info.steps_per_epoch},
                       {"epochs", info.epochs},
                       {"units", units}}}}
             .dump());
  inner_.started(info);
}

bool LiveLog::step(const train::Progress& now) {
  const bool goes_on = inner_.step(now);
  // The first step, so that a page has something to show, and the last of an epoch, too.
  const bool testing = now.phase == train::Progress::Phase::testing;
  if (now.step > written_step_ &&
      (now.step == 1 || testing || Clock::now() - written_ >= between_lines))
    write(now);
  return goes_on;
}

void LiveLog::write(const train::Progress& now) {
  const Clock::time_point time = Clock::now();
  train::Json line{{"step", now.step},
                   {"epoch", now.epoch},
                   {"seconds", rounded(Seconds(time - begun_).count())},
                   {"loss", rounded(now.loss)},
                   {"top1", rounded(now.top1)},
                   {"lr", rounded(now.lr)},
                   {"images_per_second", rounded(now.images_per_second, 4)}};
  const bool has_gates = !newest_->empty() &&
                         std::ranges::none_of(*newest_, [](const Tensor& t) { return t.empty(); });
  if (has_gates &&
      (now.step == 1 || time - gates_written_ >= between_gates(Seconds(time - begun_)))) {
    train::Json& gates = line["gates"] = train::Json::array();
    for (const Tensor& unit : *newest_) gates.push_back(channel_means(unit));
    gates_written_ = time;
  }
  written_ = time;
  written_step_ = now.step;
  append(line.dump());
}

void LiveLog::append(const std::string& line) {
  if (!file_) return;
  try {
    file_->write((line + '\n').data(), line.size() + 1);
  } catch (const Error& error) {  // the run is worth more than its picture
    file_.reset();
    inner_.warning(std::string(error.what()) + "; the live page shows no more");
  }
}

}  // namespace exciton::apps
