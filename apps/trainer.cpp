#include "apps/trainer.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <iostream>
#include <memory>
#include <optional>
#include <set>

#include "apps/command_line.hpp"
#include "apps/interrupt.hpp"
#include "apps/progress.hpp"
#include "core/memory.hpp"
#include "core/threads.hpp"
#include "data/loader.hpp"
#include "nn/layers.hpp"
#include "nn/recompute.hpp"
#include "ops/add.hpp"
#include "ops/cross_entropy.hpp"
#include "ops/mul.hpp"
#include "ops/processor.hpp"
#include "optim/adamw.hpp"
#include "optim/ema.hpp"
#include "optim/schedule.hpp"
#include "optim/sgd.hpp"
#include "train/evaluate.hpp"
#include "train/inspect/gate_stats.hpp"
#include "train/run_folder.hpp"
#include "train/run_state.hpp"
#include "train/tensorboard.hpp"

namespace exciton::apps {
namespace fs = std::filesystem;
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::string format(const char* pattern, auto... values) {
  const int n = std::snprintf(nullptr, 0, pattern, values...);
  std::string out(static_cast<std::size_t>(n), '\0');
  std::snprintf(out.data(), out.size() + 1, pattern, values...);
  return out;
}

optim::Schedule make_schedule(const train::Recipe& recipe, std::int64_t steps_per_epoch) {
  const train::ScheduleRecipe& s = recipe.schedule;
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

std::unique_ptr<optim::Optimizer> make_optimizer(const train::OptimizerRecipe& o,
                                                 std::vector<NamedParameter> parameters) {
  if (o.name == "adamw")
    return std::make_unique<optim::AdamW>(
        std::move(parameters), optim::AdamWOptions{.beta1 = o.beta1,
                                                   .beta2 = o.beta2,
                                                   .eps = o.eps,
                                                   .weight_decay = o.weight_decay,
                                                   .decay_norm_and_bias = o.decay_norm_and_bias});
  return std::make_unique<optim::Sgd>(
      std::move(parameters), optim::SgdOptions{.momentum = o.momentum,
                                               .nesterov = o.nesterov,
                                               .weight_decay = o.weight_decay,
                                               .decoupled = o.decoupled,
                                               .decay_norm_and_bias = o.decay_norm_and_bias});
}

/// labels[n + 1], and labels[0] at last: what images are mixed with.
Tensor labels_of_next(const Tensor& labels) {
  Tensor out(labels.shape(), labels.dtype());
  const auto from = labels.span<std::int64_t>();
  std::rotate_copy(from.begin(), from.begin() + 1, from.end(), out.data<std::int64_t>());
  return out;
}

/// Cross-entropy; of mixed images w CE(labels) + (1 - w) CE(labels of the next).
Var loss_of(const Var& logits, const data::Batch& batch, double smoothing) {
  const Var own = ops::cross_entropy(logits, batch.labels, smoothing);
  if (!batch.mixing.on()) return own;
  const Var next = ops::cross_entropy(logits, labels_of_next(batch.labels), smoothing);
  const auto times = [](const Var& loss, double weight) {
    Tensor factor(loss.value().shape(), loss.value().dtype());
    factor.fill(weight);
    return ops::mul(loss, Var(factor));
  };
  return ops::add(times(own, batch.mixing.weight), times(next, 1 - batch.mixing.weight));
}

std::string describe_workers(std::int64_t workers) {
  if (workers == 0) return "Images are prepared by the step itself";
  if (workers != data::automatic_workers)
    return "Images are prepared by " + std::to_string(workers) + " threads beside the step";
  return "Images are prepared by 1 thread beside the step, by up to " +
         std::to_string(num_threads()) + " when it waits";
}

/// Running totals of the epoch under way; part of checkpoints within an epoch.
struct EpochTotals {
  double loss_sum = 0, seconds = 0, waited = 0;
  std::int64_t correct = 0, images = 0, skipped = 0;

  double loss() const { return images ? loss_sum / static_cast<double>(images) : 0; }
  double top1() const {
    return images ? static_cast<double>(correct) / static_cast<double>(images) : 0;
  }
  double wait_share() const { return seconds > 0 ? waited / seconds : 0; }
  double rate() const { return seconds > 0 ? static_cast<double>(images) / seconds : 0; }
  train::Json to_json() const {
    return {{"loss_sum", loss_sum}, {"seconds", seconds}, {"waited", waited},
            {"correct", correct},   {"images", images},   {"skipped", skipped}};
  }
  static EpochTotals from_json(const train::Json& json) {
    EpochTotals out;
    out.loss_sum = json.at("loss_sum").get<double>();
    out.seconds = json.at("seconds").get<double>();
    out.waited = json.at("waited").get<double>();
    out.correct = json.at("correct").get<std::int64_t>();
    out.images = json.at("images").get<std::int64_t>();
    out.skipped = json.value("skipped", std::int64_t{0});
    return out;
  }
};

/// For a line of the log: of the whole network, and of each block.
train::Json gate_counts(const train::GateStats& gates) {
  train::Json out = gates.counts().to_json();
  for (const train::UnitStats& unit : gates.units())
    out["blocks"][unit.name()] = unit.counts().to_json();
  return out;
}

/// Counts the changes that moved the last bits of what a training step computes. 2: batch variance
/// from shifted sums, and NaN passed on by every ReLU.
constexpr std::int64_t numerics = 2;

struct Best {
  std::int64_t epoch = 0;
  double top1 = -1;
};

class Trainer {
 public:
  /// `lock` and `start` are those of an occupied folder.
  Trainer(train::Recipe recipe, const TrainOptions& options, std::optional<train::FolderLock> lock,
          std::optional<train::FoundCheckpoint> start)
      : recipe_(std::move(recipe)),
        options_(options),
        folder_(options.out),
        lock_(std::move(lock)),
        start_(std::move(start)) {}

  Outcome run() {
    open_data();
    build();
    start_folder();
    announce();
    const Interrupt interrupt;
    const Clock::time_point start = Clock::now();
    Progress progress(recipe_.epochs * batches_, position_.epoch * batches_ + position_.batch);
    while (position_.epoch < recipe_.epochs) {
      const std::uint64_t taken = memory_stats().system_allocations;
      if (!train_epoch(interrupt, progress)) return stop(progress);
      const Clock::time_point test_start = Clock::now();
      const std::optional<train::Evaluation> test = test_now(interrupt, progress);
      if (!test) return stop(progress);
      end_epoch(*test, seconds_since(test_start), memory_stats().system_allocations - taken,
                progress);
    }
    progress.clear();
    summarize(seconds_since(start));
    return Outcome::finished;
  }

 private:
  std::int64_t step() const { return position_.epoch * batches_ + position_.batch; }
  /// Whether some images choose the best epoch.
  bool chooses() const { return plan_.chooses != data::Part::none; }
  bool keeps_best() const { return chooses() && recipe_.checkpoint.keep_best; }
  /// What the log and people call the images that are looked at after every epoch.
  const char* watched() const {
    const data::Part part = chooses() ? plan_.chooses : plan_.reported;
    return part == data::Part::test || by_test() ? "test" : "val";
  }
  /// Whether the test images steer, whatever the folder calls them, as in older runs.
  bool by_test() const { return recipe_.data.validation.by == data::Validation::By::test; }

  void open_data() {
    if (recipe_.threads == 0) recipe_.threads = num_threads();
    set_num_threads(static_cast<int>(recipe_.threads));
    check(!recipe_.data.dir.empty(), "train: the recipe names no data; give --data DIR");
    check(fs::is_directory(recipe_.data.dir), "train: no data folder ", recipe_.data.dir,
          "; give --data DIR, or download it: exciton data fetch ",
          recipe_.data.kind == "auto" ? "cifar10" : recipe_.data.kind, " --dir ", recipe_.data.dir);
    recipe_.data.dir = fs::absolute(recipe_.data.dir).lexically_normal().string();
    plan_ = data::plan_splits(data::find_layout(recipe_.data.kind, recipe_.data.dir),
                              recipe_.data.validation, recipe_.seed);
    // What was found is what a resume goes by.
    if (recipe_.data.validation.by == data::Validation::By::automatic)
      recipe_.data.validation = {data::Validation::By::share, plan_.share};
    train_set_ = plan_.open(data::Part::train);
    test_set_ = plan_.open(chooses() ? plan_.chooses : plan_.reported);
    // What is reported at the end is opened now: an error in it should not come after hours.
    final_set_ =
        chooses() && plan_.reported != plan_.chooses ? plan_.open(plan_.reported) : nullptr;
    for (const auto& set : {test_set_, final_set_})
      check(!set || (set->class_names() == train_set_->class_names() &&
                     set->channels() == train_set_->channels()),
            "train: ", train_set_->description(), " and ", set ? set->description() : "",
            " are of different kinds");
    describe_data();
    recipe_.model.options.classes = recipe_.model.options.classes == 0
                                        ? static_cast<std::int64_t>(facts_.class_names.size())
                                        : recipe_.model.options.classes;

    const data::Augment evaluation = facts_.evaluation();
    data::Augment augment = recipe_.data.augment;
    augment.mean = evaluation.mean;
    augment.std = evaluation.std;
    augment.size = recipe_.data.image_size;
    data::LoaderOptions load;
    load.batch = recipe_.data.batch;
    load.workers = static_cast<int>(recipe_.data.workers);
    load.skip_errors = recipe_.data.skip_errors;
    load.seed = recipe_.seed;
    load.shuffle_block = recipe_.data.shuffle_block;
    load.dtype = train::activation_dtype(recipe_.dtype);
    load.drop_last = recipe_.data.drop_last;
    load.drop_single = true;
    train_ = std::make_unique<data::Loader>(train_set_, augment, load);
    load.shuffle = load.drop_last = load.drop_single = false;
    test_ = std::make_unique<data::Loader>(test_set_, evaluation, load);
    batches_ = train_->batches();
  }

  /// A resume normalises as before, and goes on with nothing but the same images.
  void describe_data() {
    std::optional<train::DataFacts> stored;
    if (start_)
      stored = train::DataFacts::from_json(start_->checkpoint.meta.at("data"), start_->path);
    facts_ = train::facts_of(*train_set_, recipe_.data, stored);
    facts_.train = train::contents_of(*train_set_);
    facts_.test = train::contents_of(*test_set_);
    if (!stored) return;
    train::check_same_data(*stored, facts_, start_->path);
    compared_images_ = stored->train.has_value();
  }

  void build() {
    model_ = make_model(recipe_, facts_);
    nn::set_training(*model_.net, true);
    nn::set_recompute(*model_.net, nn::parse_recompute(recipe_.recompute));
    optimizer_ = make_optimizer(recipe_.optimizer, nn::parameters(*model_.net));
    if (recipe_.ema_decay > 0)
      ema_ = std::make_unique<optim::Ema>(nn::parameters(*model_.net), nn::buffers(*model_.net),
                                          train::ema_options(recipe_));
    schedule_.emplace(make_schedule(recipe_, batches_));
    train::check_readable(recipe_);
  }

  void start_folder() {
    if (start_) {
      restore(*start_);
      check(position_.epoch + (position_.batch > 0) <= recipe_.epochs,
            "train: --resume: ", start_->path.string(), " has trained ", position_.epoch,
            " epochs and ", position_.batch, " steps, more than epochs, which is ", recipe_.epochs,
            "; give a larger --epochs, or start another run with another --out");
    }
    if (!lock_) {
      lock_.emplace(folder_.path(), "train");
      check(!folder_.occupied(), "train: another process began a run in ", folder_.path().string(),
            " meanwhile; choose another --out");
    }
    check_log();
    folder_.prepare();
    if (options_.resume) {
      announce_resume();
      folder_.truncate_log(position_.epoch);
    }
    folder_.write_recipe(recipe_.to_json());
    // The process may have died between a checkpoint and its second name.
    if (start_ && keeps_best() && position_.batch == 0 && position_.epoch > 0 &&
        best_.epoch == position_.epoch && start_->path != folder_.best())
      link_file(start_->path, folder_.best(), "train", train::resume_advice);
    start_.reset();
    if (options_.tensorboard) events_.emplace(folder_.path(), folder_.read_log());
  }

  /// Without a checkpoint a run begins anew, and its log with it: refused where that log tells of
  /// more than can have been trained without one.
  void check_log() const {
    if (start_ || !options_.resume) return;
    const std::vector<train::Json> log = folder_.read_log();
    check(log.empty() || log.back()["epoch"].get<std::int64_t>() <= recipe_.checkpoint.every_epochs,
          "train: --resume: ", folder_.log().string(), " tells of ", log.size(),
          " epochs, but there is no checkpoint in ", folder_.checkpoints().string(),
          "; bring it back, or start another run with another --out");
  }

  void announce_resume() const {
    if (!start_) {
      std::cout << "No checkpoint in " << folder_.path().string() << " yet: starting at epoch 1"
                << std::endl;
      return;
    }
    std::cout << "Going on from " << start_->path.string() << std::endl;
    const std::int64_t planned = start_->checkpoint.meta["recipe"].value("epochs", recipe_.epochs);
    if (planned != recipe_.epochs && step() > 0 && position_.epoch < recipe_.epochs)
      std::cout << format(
                       "%lld epochs were planned, now %lld: the schedule is drawn over all of them "
                       "anew; the learning rate was %g in the last step, is %g in the next, and "
                       "ends at %g",
                       static_cast<long long>(planned), static_cast<long long>(recipe_.epochs), lr_,
                       schedule_->lr(step()), schedule_->lr(recipe_.epochs * batches_ - 1))
                << std::endl;
    if (!compared_images_ && step() > 0)
      std::cout << "This checkpoint does not say which images it was trained on: that they are the "
                   "same was not compared"
                << std::endl;
  }

  void announce() const {
    const ops::Precision precision = ops::choose_precision(recipe_.dtype);
    if (!precision.reason.empty())
      std::cout << (precision.warning ? "warning: " : "") << precision.reason << '\n';
    std::cout << train_set_->description() << '\n' << test_set_->description() << '\n';
    for (const std::string& note : plan_.notes) std::cout << note << '\n';
    for (const auto& set : {train_set_, test_set_, final_set_})
      for (const std::string& line : set ? set->left_out().lines() : std::vector<std::string>{})
        std::cout << "Of " << set->description() << ": " << line << '\n';
    std::cout << model_.name << ", " << nn::parameter_count(*model_.net) << " parameters, "
              << train::activation_dtype(recipe_.dtype) << ", " << recipe_.threads
              << " threads, seed " << recipe_.seed << "; " << recipe_.epochs << " epochs of "
              << batches_ << " steps, batch " << recipe_.data.batch << '\n'
              << describe_left_out() << describe_workers(recipe_.data.workers) << "\nRun folder "
              << folder_.path().string() << std::endl;
  }

  /// A sentence when batches do not take every image of an epoch.
  std::string describe_left_out() const {
    const std::int64_t count = train_->left_out();
    if (count == 0) return "";
    return "Each epoch leaves out " + std::to_string(count) +
           (count == 1 ? " image, another one" : " images, others") +
           " each time: the last batch would be incomplete (data.last_batch is " +
           (recipe_.data.drop_last ? "\"drop\")\n" : "\"train\", but batch norm needs two)\n");
  }

  /// The rest of the current epoch. False: interrupted.
  bool train_epoch(const Interrupt& interrupt, Progress& progress) {
    if (position_.batch == batches_) return true;
    train_->start_epoch(position_.epoch, position_.batch);
    nn::freeze_norms(*model_.net, position_.epoch >= recipe_.epochs - recipe_.freeze_norm_epochs);
    const double waited_before = train_->seconds_waited() - totals_.waited;
    const Clock::time_point start =
        Clock::now() -
        std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(totals_.seconds));
    while (const std::optional<data::Batch> batch = train_->next()) {
      train_step(*batch);
      report_skipped(*batch, progress);
      ++position_.batch;
      totals_.seconds = seconds_since(start);
      totals_.waited = train_->seconds_waited() - waited_before;
      if (progress.due())
        progress.update(step(), title(),
                        format("loss %.3f  top-1 %.1f %%  %.0f images/s", totals_.loss(),
                               100 * totals_.top1(), totals_.rate()));
      const std::int64_t every = recipe_.checkpoint.every_steps;
      if (every > 0 && step() % every == 0 && position_.batch < batches_) save();
      if (interrupt.requested()) return false;
    }
    check(position_.batch == batches_, "train: the epoch ended after ", position_.batch, " of ",
          batches_, " batches");
    return true;
  }

  void train_step(const data::Batch& batch) {
    lr_ = schedule_->lr(step());
    Tape tape;
    const Var logits = (*model_.net)(batch.images);
    const Var loss = loss_of(logits, batch, recipe_.label_smoothing);
    const double value = loss.value().item();
    if (!std::isfinite(value)) give_up("training", value);
    tape.backward(loss);
    optimizer_->step(lr_);
    if (ema_) ema_->update(step() + 1);
    const std::int64_t images = batch.labels.dim(0);
    totals_.loss_sum += value * static_cast<double>(images);
    totals_.correct += train::count_top1(
        logits.value(), batch.mixing.weight < 0.5 ? labels_of_next(batch.labels) : batch.labels);
    totals_.images += images;
  }

  /// Names the first few images that could not be read, and counts them all.
  void report_skipped(const data::Batch& batch, Progress& progress) {
    constexpr std::int64_t named = 10;
    for (const std::string& reason : batch.skipped) {
      if (totals_.skipped++ < named) progress.line("warning: left out: " + reason);
      if (totals_.skipped == named) progress.line("warning: further ones are only counted");
    }
  }

  /// Nothing: interrupted.
  std::optional<train::Evaluation> test_now(const Interrupt& interrupt, Progress& progress) {
    if (ema_) ema_->swap();
    std::optional<nn::GateRecorder> recorder;
    if (recipe_.log.gates) recorder.emplace(*model_.net);
    train::GateStats gates(1);
    train::Evaluation test = train::evaluate(
        *model_.net, *test_, recipe_.model.options.classes, [&](std::int64_t images) {
          if (recorder && !recorder->units().empty())
            gates.add(*recorder, Tensor::zeros({recorder->gates(0).dim(0)}, DType::i64));
          if (progress.due())
            progress.update(step(), title(),
                            format("testing, %lld images", static_cast<long long>(images)));
          return !interrupt.requested();
        });
    if (ema_) ema_->swap();
    if (test.images() + test.skipped() < test_set_->size()) return std::nullopt;
    if (!std::isfinite(test.loss())) give_up(watched(), test.loss());
    if (recorder) gates_ = gate_counts(gates);
    return test;
  }

  void end_epoch(const train::Evaluation& test, double test_seconds,
                 std::uint64_t system_allocations, Progress& progress) {
    refuse_ruined(capture());
    const double peak = static_cast<double>(peak_resident_bytes()) / (1 << 20);
    position_ = {position_.epoch + 1, 0};
    const bool best = chooses() && test.top1() > best_.top1;
    if (best) best_ = {position_.epoch, test.top1()};
    const std::string on = watched();
    // The log comes first: a resume cuts it back to its checkpoint, but could not add a line.
    train::Json line{
        {"epoch", position_.epoch},
        {"train_loss", totals_.loss()},
        {"train_top1", totals_.top1()},
        {on + "_loss", test.loss()},
        {on + "_top1", test.top1()},
        {on + "_top5", test.top5()},
        {"lr", lr_},
        {"images_per_second", totals_.rate()},
        {"seconds", totals_.seconds},
        {"test_seconds", test_seconds},
        {"data_wait_seconds", totals_.waited},
        {"data_wait_share", totals_.wait_share()},
        {"data_workers", train_->workers()},
        {"skipped_images", totals_.skipped},
        {"left_out_images", train_->left_out()},
        {"left_out_files", train_set_->left_out().files() + test_set_->left_out().files()},
        {"test_skipped_images", test.skipped()},
        {"peak_rss_mib", peak},
        {"system_allocations", system_allocations}};
    if (recipe_.log.gates) line["gates"] = gates_;
    folder_.append_log(line);
    if (events_) events_->add(line);
    progress.line(
        format("epoch %*lld/%lld  train loss %.4f top-1 %.2f %%  %s loss %.4f top-1 "
               "%.2f %%  %.0f images/s, waited %.1f %%  %s%s",
               static_cast<int>(std::to_string(recipe_.epochs).size()),
               static_cast<long long>(position_.epoch), static_cast<long long>(recipe_.epochs),
               totals_.loss(), 100 * totals_.top1(), on.c_str(), test.loss(), 100 * test.top1(),
               totals_.rate(), 100 * totals_.wait_share(),
               for_people(totals_.seconds + test_seconds).c_str(), best ? "  *" : ""));
    if (totals_.skipped + test.skipped() > 0)
      progress.line(format("  %lld train and %lld %s images could not be read and were left out",
                           static_cast<long long>(totals_.skipped),
                           static_cast<long long>(test.skipped()), on.c_str()));
    if (options_.verbose)
      progress.line(format(
          "  peak memory %.0f MiB, pool %s in use at most; memory taken from the "
          "system in this epoch: %llu times; waited for data %.2f s; %d data threads",
          peak, bytes_for_people(static_cast<double>(memory_stats().peak_bytes_in_use)).c_str(),
          static_cast<unsigned long long>(system_allocations), totals_.waited, train_->workers()));
    last_ = test;
    totals_ = {};
    const bool due =
        position_.epoch % recipe_.checkpoint.every_epochs == 0 || position_.epoch == recipe_.epochs;
    if (due) save();
    if (best && keeps_best()) {
      if (due)
        link_file(folder_.checkpoint(position_), folder_.best(), "train", train::resume_advice);
      else
        train::write_checkpoint(folder_.best(), capture());
    }
  }

  train::Checkpoint capture() {
    train::Checkpoint out;
    out.meta = {{"recipe", recipe_.to_json()},
                {"data", facts_.to_json()},
                {"position", {{"epoch", position_.epoch}, {"batch", position_.batch}}},
                {"step", step()},
                {"numerics", numerics},
                {"best", {{"epoch", best_.epoch}, {"top1", best_.top1}}},
                {"chosen", chooses() && !by_test()},
                {"totals", totals_.to_json()},
                // Batches and augmentations are a function of (seed, epoch, image).
                {"loader",
                 {{"seed", recipe_.seed}, {"epoch", position_.epoch}, {"batch", position_.batch}}},
                {"lr", lr_}};
    train::save_model(*model_.net, out);
    train::save_tensors(optimizer_->state(), "optimizer", out);
    if (ema_) train::save_tensors(ema_->state(), "average", out);
    return out;
  }

  /// A step can ruin weights after a finite loss: such weights replace nothing.
  void refuse_ruined(const train::Checkpoint& checkpoint) const {
    const train::SavedTensor* ruined = checkpoint.first_not_finite();
    if (ruined) give_up(ruined->name + " holds NaN or infinities");
  }

  void save() {
    const train::Checkpoint checkpoint = capture();
    refuse_ruined(checkpoint);
    const fs::path path = folder_.checkpoint(position_);
    train::write_checkpoint(path, checkpoint);
    good_.insert(path);
    folder_.keep_last(recipe_.checkpoint.keep_last, position_, good_);
  }

  void restore(const train::FoundCheckpoint& found) {
    const auto& [path, checkpoint] = found;
    train::load_model(checkpoint, *model_.net, path);
    train::load_tensors(checkpoint, "optimizer", optimizer_->state(), path);
    if (ema_) train::load_tensors(checkpoint, "average", ema_->state(), path);
    try {
      const train::Json& meta = checkpoint.meta;
      position_ = {meta.at("position").at("epoch").get<std::int64_t>(),
                   meta.at("position").at("batch").get<std::int64_t>()};
      best_ = {meta.at("best").at("epoch").get<std::int64_t>(),
               meta.at("best").at("top1").get<double>()};
      totals_ = EpochTotals::from_json(meta.at("totals"));
      lr_ = meta.at("lr").get<double>();
      if (meta.value("numerics", std::int64_t{1}) != numerics)
        std::cout << "Begun by a program that rounded differently: steps and rates are as they "
                     "would have been, the last bits are not\n";
    } catch (const train::Json::exception&) {
      fail("checkpoint: ", path.string(), ": does not say how far its run had come");
    }
    check(position_.epoch >= 0 && position_.batch >= 0 && position_.batch <= batches_,
          "checkpoint: ", path.string(), ": was made with other data: batch ", position_.batch,
          " of an epoch, this one has ", batches_);
    good_.insert(path);
  }

  Outcome stop(Progress& progress) {
    save();
    progress.line(format("Interrupted in epoch %lld, everything is saved in %s",
                         static_cast<long long>(position_.epoch + 1),
                         folder_.checkpoint(position_).c_str()));
    std::cout << "Go on with\n  " << command_line({"train", folder_.path().string(), "--resume"})
              << std::endl;
    return Outcome::interrupted;
  }

  [[noreturn]] void give_up(const std::string& what) const {
    const auto good = folder_.last_good();
    fail("train: ", what, " in epoch ", position_.epoch + 1, ", step ", step(), " (lr ", lr_,
         "); try a lower schedule.lr or a longer warm-up; ",
         good ? "last good checkpoint: " + good->string() : "nothing was saved yet");
  }
  [[noreturn]] void give_up(const char* which, double loss) const {
    give_up(std::string("the ") + which + " loss is " + (std::isnan(loss) ? "nan" : "infinite"));
  }

  void summarize(double seconds) const {
    const std::string run = folder_.path().string();
    std::cout << '\n';
    if (last_)
      std::cout << "Trained " << model_.name << " in " << for_people(seconds) << ": " << watched()
                << format(" top-1 %.2f %%, top-5 %.2f %%, loss %.4f", 100 * last_->top1(),
                          100 * last_->top5(), last_->loss());
    else
      std::cout << "Nothing left to do: all " << recipe_.epochs << " epochs are trained";
    if (chooses() && best_.epoch > 0)
      std::cout << format("; best %.2f %% after epoch %lld", 100 * best_.top1,
                          static_cast<long long>(best_.epoch));
    std::cout << '\n';
    report_test();
    std::cout << "Saved in " << run << ": recipe.json, log.jsonl, checkpoints/\nTry next\n"
              << "  " << command_line({"eval", run}) << "              accuracy of every class\n"
              << "  " << command_line({"predict", run}) << " IMAGE...  what is on an image\n"
              << "  " << command_line({"summary", model_.name})
              << "   layers, parameters, multiply-adds" << std::endl;
  }

  /// Once, behind all choices: the images that have chosen nothing, by the best epoch's weights.
  void report_test() const {
    if (!final_set_) return;
    const bool best = keeps_best() && best_.epoch > 0 && fs::exists(folder_.best());
    const fs::path path = best ? folder_.best() : folder_.checkpoint({recipe_.epochs, 0});
    train::TrainedModel chosen = train::load_trained(path);
    const auto& set = final_set_;
    data::Loader loader(set, chosen.facts.evaluation(), train::evaluation_loading(recipe_, *set));
    const train::Evaluation found = train::evaluate(
        *chosen.model.net, loader, static_cast<std::int64_t>(facts_.class_names.size()));
    const std::int64_t epoch = best ? best_.epoch : recipe_.epochs;
    const char* on = plan_.reported == data::Part::test ? "test" : "val";
    std::cout << format(
        "%s, by the weights of epoch %lld: top-1 %.2f %%, top-5 %.2f %%, loss %.4f\n", on,
        static_cast<long long>(epoch), 100 * found.top1(), 100 * found.top5(), found.loss());
    const train::Json result{{"on", on},
                             {"data", set->description()},
                             {"epoch", epoch},
                             {"images", found.images()},
                             {"skipped_images", found.skipped()},
                             {"top1", found.top1()},
                             {"top5", found.top5()},
                             {"loss", found.loss()}};
    write_text(folder_.result(), result.dump(2) + '\n', "train", train::resume_advice);
  }

  std::string title() const {
    return "epoch " + std::to_string(std::min(position_.epoch + 1, recipe_.epochs)) + '/' +
           std::to_string(recipe_.epochs);
  }

  train::Recipe recipe_;
  TrainOptions options_;
  train::RunFolder folder_;
  std::optional<train::FolderLock> lock_;
  std::optional<train::FoundCheckpoint> start_;  ///< what is resumed, until it is restored
  bool compared_images_ = false;                 ///< with those start_ was trained on
  std::set<fs::path> good_;                      ///< checkpoints known to be whole
  data::SplitPlan plan_;
  std::shared_ptr<const data::Dataset> train_set_;
  std::shared_ptr<const data::Dataset> test_set_;   ///< looked at after each epoch
  std::shared_ptr<const data::Dataset> final_set_;  ///< reported at the end; may be none
  train::DataFacts facts_;
  std::unique_ptr<data::Loader> train_, test_;
  std::int64_t batches_ = 0;
  nn::Model model_;
  std::unique_ptr<optim::Optimizer> optimizer_;
  std::unique_ptr<optim::Ema> ema_;
  std::optional<optim::Schedule> schedule_;
  train::Position position_;
  EpochTotals totals_;
  Best best_;
  std::optional<train::Evaluation> last_;
  double lr_ = 0;
  train::Json gates_;  ///< counts of the last evaluation, when the recipe wants them
  std::optional<train::EventFile> events_;
};

/// How `given` differs from `stored` in what must not change on a resume: the key, its stored and
/// its given value. Nothing: it may go on.
struct Difference {
  std::string path, stored, given;
};

std::optional<Difference> difference(const train::Recipe& given, const train::Recipe& stored) {
  train::Recipe like = given;  // with everything that may change taken from the stored one
  like.paper = stored.paper;
  like.data.dir = stored.data.dir;
  like.data.workers = stored.data.workers;
  like.data.skip_errors = stored.data.skip_errors;
  like.threads = stored.threads;
  like.epochs = stored.epochs;
  like.checkpoint = stored.checkpoint;
  like.log = stored.log;
  const train::Json a = like.to_json(), b = stored.to_json();
  const std::string path = train::first_difference(a, b);
  if (path.empty()) return std::nullopt;
  std::string pointer = '/' + path;
  std::replace(pointer.begin(), pointer.end(), '.', '/');
  const train::Json::json_pointer at(pointer);
  return Difference{path, b.value(at, train::Json()).dump(), a.value(at, train::Json()).dump()};
}

/// With what only the first start could find out taken from the stored recipe.
train::Recipe completed(train::Recipe given, const train::Recipe& stored) {
  if (given.data.kind == "auto") given.data.kind = stored.data.kind;
  if (given.data.dir.empty()) given.data.dir = stored.data.dir;
  if (given.model.options.classes == 0) given.model.options.classes = stored.model.options.classes;
  if (given.threads == 0) given.threads = stored.threads;
  if (given.data.validation.by == data::Validation::By::automatic)
    given.data.validation = stored.data.validation;
  return given;
}

/// The recipe under which the run in `folder` goes on. What it was trained with so far is told by
/// the checkpoint itself; recipe.json may have been edited since.
train::Recipe recipe_to_resume(train::Recipe given, const train::RunFolder& folder,
                               const std::optional<train::FoundCheckpoint>& start) {
  std::optional<train::Recipe> in_folder, trained;
  if (fs::exists(folder.recipe()))
    in_folder = train::Recipe::read(folder.recipe(), train::Recipe::Source::stored);
  if (start) {
    const train::Json& meta = start->checkpoint.meta;
    check(meta.contains("recipe") && meta.contains("data"), "checkpoint: ", start->path.string(),
          ": not of a training run");
    trained = train::Recipe::from_json(meta["recipe"], train::Recipe::Source::stored);
  }
  if (in_folder && trained) {
    const auto edited = difference(completed(*in_folder, *trained), *trained);
    check(!edited, "train: --resume: ", folder.recipe().string(),
          " does not go with its checkpoint: ", edited ? edited->path : "", " is ",
          edited ? edited->given : "", " there, but ", start->path.string(), " was trained with ",
          edited ? edited->stored : "", "; put it back, or start another run with another --out");
  }
  if (!in_folder && !trained) return given;
  return resumed_recipe(std::move(given), trained ? *trained : *in_folder);
}

}  // namespace

train::Recipe resumed_recipe(train::Recipe given, const train::Recipe& stored) {
  given = completed(std::move(given), stored);
  const auto other = difference(given, stored);
  check(!other, "train: --resume: the run was started with ", other ? other->path : "", ' ',
        other ? other->stored : "", ", now it is ", other ? other->given : "",
        "; go on with the same recipe, or start another run with another --out");
  return given;
}

train::Checkpoint starting_point(const train::Recipe& recipe, const train::DataFacts& facts,
                                 nn::Module& net) {
  train::DataFacts none_seen = facts;  // the run that goes on from here may choose its images
  none_seen.train.reset();
  none_seen.test.reset();
  train::Checkpoint out;
  out.meta = {{"recipe", recipe.to_json()},
              {"data", none_seen.to_json()},
              {"position", {{"epoch", 0}, {"batch", 0}}},
              {"step", 0},
              {"numerics", numerics},
              {"best", {{"epoch", 0}, {"top1", -1.0}}},
              {"totals", EpochTotals{}.to_json()},
              {"lr", 0.0}};
  train::save_model(net, out);
  const auto optimizer = make_optimizer(recipe.optimizer, nn::parameters(net));
  train::save_tensors(optimizer->state(), "optimizer", out);
  if (recipe.ema_decay > 0)
    train::save_tensors(
        optim::Ema(nn::parameters(net), nn::buffers(net), train::ema_options(recipe)).state(),
        "average", out);
  return out;
}

Outcome train(train::Recipe recipe, const TrainOptions& options) {
  const train::RunFolder folder(options.out);
  std::optional<train::FolderLock> lock;
  std::optional<train::FoundCheckpoint> start;
  if (folder.occupied()) {
    check(options.resume, "train: ", options.out.string(),
          " is not empty; go on with --resume, or choose another --out");
    check(folder.is_run(), "train: ", options.out.string(),
          " is no run folder: there is neither recipe.json nor a checkpoint; choose another --out");
    lock.emplace(folder.path(), "train");
    start = folder.newest();
    recipe = recipe_to_resume(std::move(recipe), folder, start);
  }
  return Trainer(std::move(recipe), options, std::move(lock), std::move(start)).run();
}

}  // namespace exciton::apps
