#include "exciton/train/task_run.hpp"

#include <cmath>
#include <utility>

#include "exciton/core/memory.hpp"
#include "exciton/core/threads.hpp"
#include "exciton/data/given_file.hpp"
#include "exciton/train/recipe_json.hpp"
#include "exciton/train/remedy.hpp"

namespace exciton::train {
namespace fs = std::filesystem;

optim::Schedule make_schedule(const Recipe& recipe, std::int64_t steps_per_epoch) {
  const ScheduleRecipe& s = recipe.schedule;
  optim::ScheduleSpec spec;
  spec.kind = s.name;
  spec.lr = s.lr;
  spec.total_steps = recipe.epochs * steps_per_epoch;
  spec.steps_per_epoch = steps_per_epoch;
  spec.gamma = s.gamma;
  spec.step_size = s.step_epochs;
  spec.milestones = s.milestones;
  spec.final_lr = s.final_lr;
  spec.warmup_fraction = s.warmup_fraction;
  spec.warmup_steps = std::llround(s.warmup_epochs * static_cast<double>(steps_per_epoch));
  spec.warmup_start_lr = s.warmup_start_lr;
  spec.warmup = s.warmup;
  return optim::Schedule(spec);
}

std::vector<std::pair<std::size_t, optim::Schedule>> group_schedules(
    const Recipe& recipe, const std::vector<optim::ParameterGroup>& groups,
    std::int64_t steps_per_epoch) {
  std::vector<std::pair<std::size_t, optim::Schedule>> out;
  for (std::size_t g = 0; g < groups.size(); ++g) {
    if (groups[g].epochs <= 0) continue;
    optim::ScheduleSpec spec = make_schedule(recipe, steps_per_epoch).spec();
    const auto steps = std::llround(groups[g].epochs * static_cast<double>(steps_per_epoch));
    spec.total_steps = std::clamp<std::int64_t>(steps, 1, spec.total_steps);
    spec.warmup_steps = std::min(spec.warmup_steps, spec.total_steps);
    out.emplace_back(g, optim::Schedule(spec));
  }
  return out;
}

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

Json EpochTotals::common_json() const {
  return {{"seconds", seconds},
          {"waited", waited},
          {"images", images},
          {"skipped", skipped},
          {"skipped_steps", skipped_steps}};
}

void EpochTotals::read_common(const Json& json) {
  seconds = json.at("seconds").get<double>();
  waited = json.at("waited").get<double>();
  images = json.at("images").get<std::int64_t>();
  skipped = json.value("skipped", std::int64_t{0});
  skipped_steps = json.value("skipped_steps", std::int64_t{0});
}

Json common_json(const EpochLine& line) {
  return {{"epoch", line.epoch},
          {"train_loss", line.train_loss},
          {"lr", line.lr},
          {"images_per_second", line.images_per_second},
          {"seconds", line.seconds},
          {"test_seconds", line.test_seconds},
          {"data_wait_seconds", line.data_wait_seconds},
          {"data_wait_share", line.data_wait_share()},
          {"data_workers", line.data_workers},
          {"threads", line.threads},
          {"skipped_images", line.skipped_images},
          {"skipped_steps", line.skipped_steps},
          {"test_skipped_images", line.test_skipped_images},
          {"peak_rss_mib", line.peak_rss_mib},
          {"system_allocations", line.system_allocations}};
}

TaskRun::TaskRun(Recipe recipe, const RunOptions& options, Observer& observer,
                 std::optional<FolderLock> lock, std::optional<FoundCheckpoint> start)
    : recipe_(std::move(recipe)),
      options_(options),
      observer_(observer),
      folder_(options.out, warn()),
      lock_(std::move(lock)),
      start_(std::move(start)) {}

void TaskRun::load_weights_to_begin_with() {
  if (start_ || recipe_.init.weights.empty()) return;
  recipe_.init.weights = fs::absolute(recipe_.init.weights).lexically_normal().string();
  initial_.emplace(
      load_initial(recipe_.init.weights, recipe_.init.from, recipe_.model.name, warn()));
}

void TaskRun::open_data_folder() {
  if (recipe_.threads > 0) set_num_threads(static_cast<int>(recipe_.threads));
  check_or(Remedy::give_data, !recipe_.data.dir.empty(), "train: the recipe names no data");
  std::error_code none;
  if (const fs::path& dir = recipe_.data.dir;
      fs::exists(dir, none) && !fs::is_directory(dir, none)) {
    const data::GivenFile given = data::look_at_file(dir);
    fail("train: ", dir.string(), " is ", given.what, ", expected the folder of the data",
         given.advice);
  }
  if (!fs::is_directory(recipe_.data.dir))
    throw RunError("train: no data folder " + recipe_.data.dir, Remedy::fetch_data,
                   {recipe_.data.kind, recipe_.data.dir});
  recipe_.data.dir = fs::absolute(recipe_.data.dir).lexically_normal().string();
}

void TaskRun::take_folder() {
  if (!lock_) {
    lock_.emplace(folder_.path(), "train", warn());
    check_or(Remedy::another_folder, !folder_.occupied(), "train: another process began a run in ",
             folder_.path().string(), " meanwhile");
  }
  if (!start_ && options_.resume) {
    const std::vector<std::string> log = folder_.read_log();
    check_or(Remedy::bring_back,
             log.empty() || parse_json(log.back(), "log")["epoch"].get<std::int64_t>() <=
                                recipe_.checkpoint.every_epochs,
             "train: resume: ", folder_.log().string(), " tells of ", log.size(),
             " epochs, but there is no checkpoint in ", folder_.checkpoints().string());
  }
  folder_.prepare();
  if (!options_.resume) return;
  notes_.push_back(start_ ? "Resuming from " + start_->path.string()
                          : "No checkpoint in " + folder_.path().string() +
                                " yet: starting at epoch 1");
  folder_.truncate_log(position_.epoch);
}

void TaskRun::folder_is_ready() {
  // The process may have died between a checkpoint and its second name.
  if (start_ && keeps_best() && position_.batch == 0 && position_.epoch > 0 &&
      best_.epoch == position_.epoch && start_->path != folder_.best())
    link_file(start_->path, folder_.best(), "train", resume_advice);
  start_.reset();
  if (options_.tensorboard) events_.emplace(folder_.path(), folder_.read_log());
}

Json TaskRun::common_meta() const {
  Json meta{{"recipe", to_json(recipe_)},
            {"position", {{"epoch", position_.epoch}, {"batch", position_.batch}}},
            {"step", step()},
            {"numerics", numerics},
            {"lr", lr_}};
  if (const auto& kernels = ops::kernel_choices(); !kernels.empty())
    meta["kernels"] = to_json(kernels);
  return meta;
}

void TaskRun::take_kernels(const Json& meta) {
  const std::string path = start_->path.string();
  const auto begun =
      kernel_choices_from(meta.value("kernels", Json::object()), "checkpoint: " + path);
  const ops::KernelChoices& asked = ops::kernel_choices();
  if (begun == asked) return;
  check_or(Remedy::start_again, asked.empty(), "train: resume: ", path, " was trained with ",
           begun.empty() ? "the kernels that the program chooses" : "other kernels", " than the ",
           asked.size(), " that are asked for now");
  try {
    kernels_.emplace(begun);
  } catch (const Error& error) {
    fail_with(Remedy::start_again, "train: resume: ", path, ": ", error.what());
  }
  notes_.push_back(std::to_string(begun.size()) +
                   " forms of convolutions run on the kernels that the run was begun with");
}

void TaskRun::restore_common(const Json& meta) {
  position_ = {meta.at("position").at("epoch").get<std::int64_t>(),
               meta.at("position").at("batch").get<std::int64_t>()};
  best_.epoch = meta.at("best").at("epoch").get<std::int64_t>();
  lr_ = meta.at("lr").get<double>();
  take_kernels(meta);
  if (meta.value("numerics", std::int64_t{1}) != numerics)
    notes_.emplace_back(
        "Begun by a program that rounded differently: steps and rates are as they would have been, "
        "the last bits are not");
  good_.insert(start_->path);
}

void TaskRun::check_position() const {
  const std::string path = start_->path.string();
  check(position_.epoch >= 0 && position_.batch >= 0 && position_.batch <= batches_,
        "checkpoint: ", path, ": was made with other data: batch ", position_.batch,
        " of an epoch, this one has ", batches_);
  check_or(Remedy::more_epochs, position_.epoch + (position_.batch > 0) <= recipe_.epochs,
           "train: resume: ", path, " has trained ", position_.epoch, " epochs and ",
           position_.batch, " steps, more than epochs, which is ", recipe_.epochs);
}

void TaskRun::refuse_ruined(const Checkpoint& checkpoint) const {
  const SavedTensor* ruined = checkpoint.first_not_finite();
  if (ruined) give_up(ruined->name + " holds NaN or infinities");
}

void TaskRun::save() {
  const Checkpoint checkpoint = capture();
  refuse_ruined(checkpoint);
  if (!leads()) return;
  const fs::path path = folder_.checkpoint(position_);
  write_checkpoint(path, checkpoint);
  good_.insert(path);
  folder_.keep_last(recipe_.checkpoint.keep_last, position_, good_);
}

void TaskRun::save_epoch(bool due, bool best) {
  if (due) save();
  if (!best || !keeps_best() || !leads()) return;
  if (due)
    link_file(folder_.checkpoint(position_), folder_.best(), "train", resume_advice);
  else
    write_checkpoint(folder_.best(), capture());
}

void TaskRun::count_update(bool skipped, EpochTotals& totals) {
  if (!skipped) {
    skipped_in_a_row_ = 0;
    return;
  }
  ++totals.skipped_steps;
  constexpr std::int64_t most = 20;
  if (++skipped_in_a_row_ == most)
    give_up("the norm of the gradients was no number for " + std::to_string(most) + " steps");
}

std::int64_t TaskRun::report_skipped(const std::vector<std::string>& reasons, std::int64_t before) {
  constexpr std::int64_t named = 10;
  for (const std::string& reason : reasons) {
    if (before++ < named) observer_.warning("left out: " + reason);
    if (before == named) observer_.warning("further ones are only counted");
  }
  return std::ssize(reasons);
}

void TaskRun::report_skipped_tests(const std::vector<std::string>& reasons, std::int64_t skipped) {
  bool told = false;
  for (const std::string& reason : reasons)
    if (named_tests_.insert(reason).second) {
      observer_.warning("left out: " + reason);
      told = true;
    }
  if (told && skipped > std::ssize(reasons)) observer_.warning("further ones are only counted");
}

void TaskRun::describe_epoch(EpochLine& line, const EpochTotals& totals, int workers) const {
  line.epoch = position_.epoch;
  line.epochs = recipe_.epochs;
  line.lr = lr_;
  line.images_per_second = totals.rate();
  line.seconds = totals.seconds;
  line.data_wait_seconds = totals.waited;
  line.data_workers = workers;
  line.threads = num_threads();
  line.skipped_images = totals.skipped;
  line.skipped_steps = totals.skipped_steps;
  line.peak_rss_mib = static_cast<double>(peak_resident_bytes()) / (1 << 20);
  line.pool_peak_bytes = memory_stats().peak_bytes_in_use;
}

void TaskRun::log(const Json& line) {
  // It comes before the checkpoint: a resume cuts it back to that, but could not add a line.
  if (leads()) folder_.append_log(line.dump());
  if (events_) events_->add(line.dump());
}

Outcome TaskRun::outcome(Clock::time_point start) const {
  Outcome out;
  out.folder = folder_.path();
  out.checkpoint = folder_.checkpoint(position_);
  out.epochs = position_.epoch;
  out.seconds = seconds_since(start);
  return out;
}

void TaskRun::give_up(const std::string& what) const {
  const auto good = folder_.last_good();
  fail("train: ", what, " in epoch ", position_.epoch + 1, ", step ", step(), " (lr ", lr_,
       "); try a lower schedule.lr or a longer warm-up; ",
       good ? "last good checkpoint: " + good->string() : "nothing was saved yet");
}

}  // namespace exciton::train
