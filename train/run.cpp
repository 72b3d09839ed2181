#include "exciton/train/run.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <limits>
#include <memory>
#include <set>
#include <utility>

#include "exciton/core/limits.hpp"
#include "exciton/core/memory.hpp"
#include "exciton/core/tape_observer.hpp"
#include "exciton/core/threads.hpp"
#include "exciton/data/loader.hpp"
#include "exciton/nn/gates.hpp"
#include "exciton/nn/layers.hpp"
#include "exciton/nn/recompute.hpp"
#include "exciton/ops/processor.hpp"
#include "exciton/optim/ema.hpp"
#include "exciton/optim/registry.hpp"
#include "exciton/optim/schedule.hpp"
#include "exciton/train/balance.hpp"
#include "exciton/train/changes_json.hpp"
#include "exciton/train/detection/run.hpp"
#include "exciton/train/fine_tuning.hpp"
#include "exciton/train/inspect/gate_json.hpp"
#include "exciton/train/loop.hpp"
#include "exciton/train/loss.hpp"
#include "exciton/train/memory_need.hpp"
#include "exciton/train/preprocessing_json.hpp"
#include "exciton/train/recipe_json.hpp"
#include "exciton/train/remedy.hpp"
#include "exciton/train/resume.hpp"
#include "exciton/train/task_run.hpp"
#include "exciton/train/trained_model.hpp"

namespace exciton::train {
namespace fs = std::filesystem;
namespace {

std::string short_number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%g", value);
  return text;
}

/// Counts of one forward pass, see EpochLine::kernels.
struct KernelCounts final : TapeObserver {
  std::map<std::string, std::int64_t> counts;
  void recorded(const OperatorNode& op, std::span<const Var>, const Var&) override {
    if (const std::string kernel = op.kernel(); !kernel.empty())
      ++counts[std::string(op.name()) + ' ' + kernel];
  }
};

/// With the sums of a classifier.
struct Totals : EpochTotals {
  double loss_sum = 0;
  std::int64_t correct = 0;

  double loss() const { return mean(loss_sum); }
  double top1() const { return mean(static_cast<double>(correct)); }
  Json to_json() const {
    Json out = common_json();
    out.update({{"loss_sum", loss_sum}, {"correct", correct}});
    return out;
  }
  static Totals from_json(const Json& json) {
    Totals out;
    out.read_common(json);
    out.loss_sum = json.at("loss_sum").get<double>();
    out.correct = json.at("correct").get<std::int64_t>();
    return out;
  }
};

/// For a line of the log: of the whole network, and of each block.
Json gate_counts(const GateStats& gates) {
  Json out = to_json(gates.counts());
  for (const UnitStats& unit : gates.units()) out["blocks"][unit.name()] = to_json(unit.counts());
  return out;
}

/// What was measured on `measured_on` has its name in front.
Json to_json(const EpochLine& line) {
  const std::string& on = line.measured_on;
  Json out = common_json(line);
  out.update({{"train_top1", line.train_top1},
              {on + "_loss", line.loss},
              {on + "_top1", line.top1},
              {on + "_top5", line.top5},
              {on + "_macro_recall", line.macro_recall},
              {on + "_worst_class", line.worst_class},
              {on + "_worst_recall", line.worst_recall},
              {"left_out_images", line.left_out_images},
              {"left_out_files", line.left_out_files},
              {"kernels", line.kernels}});
  return out;
}

constexpr std::uint64_t least_memory = std::uint64_t{48} << 20;

class Run final : TaskRun {
 public:
  /// See TaskRun. Stops at `until`, if there is one.
  Run(Recipe recipe, const RunOptions& options, Observer& observer, std::optional<FolderLock> lock,
      std::optional<FoundCheckpoint> start, std::optional<Position> until)
      : TaskRun(std::move(recipe), options, observer, std::move(lock), std::move(start)),
        until_(until) {}

  Outcome operator()() {
    load_weights_to_begin_with();
    open_data();
    plan_memory();
    build();
    start_folder();
    observer_.started(info());
    const Clock::time_point start = Clock::now();
    while (!is_over()) {
      if (until_ && position_ >= *until_) return stopped(start);
      const std::uint64_t taken = memory_stats().system_allocations;
      if (!train_epoch()) return stopped(start);
      const Clock::time_point test_start = Clock::now();
      const std::optional<Evaluation> test = test_now();
      if (!test) return stopped(start);
      end_epoch(*test, seconds_since(test_start), memory_stats().system_allocations - taken);
    }
    Outcome out = outcome_of(start);
    out.finished = true;
    if (position_.epoch < recipe_.epochs)
      out.stopped_early = {recipe_.early_stopping.metric, risen_.epoch, risen_.value};
    if (leads()) out.final_test = test_at_the_end();
    return out;
  }

 private:
  /// Whether some images choose the best epoch.
  bool chooses() const { return plan_.chooses != data::Part::none; }
  bool keeps_best() const override { return chooses() && recipe_.checkpoint.keep_best; }
  /// The images that are looked at after every epoch.
  data::Part measured_part() const { return chooses() ? plan_.chooses : plan_.reported; }
  /// Whether they lie in the folder of train, which says what is left out there.
  bool measures_held_out() const { return measured_part() == data::Part::held_out; }
  /// What the log and people call them.
  const char* watched() const {
    const data::Part part = measured_part();
    return part == data::Part::test || by_test() ? "test" : "val";
  }
  /// Whether a value of a metric is better than the one at `epoch` (0: there is none) by more than
  /// `delta`.
  static bool better(const std::string& metric, double value, std::int64_t epoch, double than,
                     double delta) {
    if (epoch == 0) return true;
    return more_is_better(metric) ? value > than + delta : value < than - delta;
  }
  /// Whether all epochs are trained, or the images that choose have not been recognised better for
  /// as long as the recipe waits.
  bool is_over() const {
    const std::int64_t patience = recipe_.early_stopping.patience;
    return position_.epoch >= recipe_.epochs ||
           (patience > 0 && position_.batch == 0 && risen_.epoch > 0 &&
            position_.epoch - risen_.epoch >= patience);
  }
  /// Whether the test images steer, whatever the folder calls them, as in older runs.
  bool by_test() const { return recipe_.data.validation.by == data::Validation::By::test; }

  void open_data() {
    open_data_folder();
    plan_ = data::plan_splits(data::find_layout(recipe_.data.kind, recipe_.data.dir),
                              recipe_.data.validation, recipe_.seed);
    // What was found is what a resume goes by.
    if (recipe_.data.validation.by == data::Validation::By::automatic)
      recipe_.data.validation = {data::Validation::By::share, plan_.share};
    if (recipe_.early_stopping.patience > 0) {
      check(chooses(),
            "train: early_stopping goes by validation images, and there are none; set "
            "data.validation to a share of the train images, such as 0.1");
      check(
          !by_test(),
          "train: early_stopping never goes by test images, data.validation is \"test\"; set it to "
          "a share of the train images, such as 0.1");
    }
    train_set_ = plan_.open(data::Part::train);
    test_set_ = plan_.open(measured_part());
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
                                        ? static_cast<std::int64_t>(pre_.class_names.size())
                                        : recipe_.model.options.classes;

    const data::Augment evaluation = pre_.evaluation();
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
    load.dtype = activation_dtype(recipe_.dtype);
    load.drop_last = recipe_.data.drop_last;
    load.drop_single = true;
    load.balanced = recipe_.data.balanced_sampler;
    EvaluationLoading test;
    if (Group* group = options_.group) {
      load.rank = group->rank();
      load.ranks = group->size();
      check_slices();
      if (shares_tests()) {
        test.rank = load.rank;
        test.ranks = load.ranks;
      }
    }
    train_.emplace(train_set_, augment, load);
    test_.emplace(evaluation_loader(recipe_, pre_, test_set_, test));
    batches_ = train_->batches();
  }

  /// Whether evaluations are cut over the ranks; gates are counted where all images are.
  bool shares_tests() const { return options_.group && !recipe_.log.gates; }

  /// Refuses what would stop in the middle of an epoch: a rank without enough images.
  void check_slices() const {
    const std::int64_t size = train_set_->size(), ranks = options_.group->size(),
                       batch = std::min(recipe_.data.batch, size),
                       last = recipe_.data.drop_last ? 0 : size % recipe_.data.batch,
                       least = recipe_.parallel.sync_norms ? 1 : 2;
    const auto too_small = [&](std::int64_t images) {
      return images > 1 && images / ranks < least;  // a single one is left out
    };
    check(!too_small(batch) && !too_small(last), "train: ", ranks, " ranks, and a batch of ",
          too_small(batch) ? batch : last, " images",
          too_small(batch) ? "" : ", the last of an epoch", ": some rank would have fewer than ",
          least,
          least == 2 ? ", and batch norm takes its statistics over each rank's own; parallel.norm "
                       "\"sync\" takes them over all, or try"
                     : "; try",
          " fewer ranks, another data.batch, or data.last_batch \"drop\"");
  }

  /// A resume normalises as before, and goes on with nothing but the same images.
  void describe_data() {
    std::optional<Preprocessing> stored;
    if (start_) stored = preprocessing_from(meta().at("data"), start_->path);
    if (recipe_.data.normalize.automatic) choose_normalization();
    pre_ = preprocessing_of(*train_set_, recipe_.data, stored);
    pre_.train = contents_of(*train_set_);
    pre_.test = contents_of(*test_set_);
    if (!stored) return;
    check_same_data(*stored, pre_, start_->path);
    compared_images_ = stored->train.has_value();
  }

  /// By the weights that the run begins with, or the data. A resume finds in its recipe what it
  /// was.
  void choose_normalization() {
    NormalizeRecipe& to = recipe_.data.normalize;
    to = {.automatic = false, .from_dataset = true, .mean = {}, .std = {}};
    if (!initial_) return;
    const interop::Normalization own =
        normalization_for(initial_->preprocessing, train_set_->channels());
    to = {.automatic = false, .from_dataset = false, .mean = own.mean, .std = own.std};
    std::string note = "Images are normalised as the weights were trained, by mean";
    for (const double value : own.mean) note += ' ' + short_number(value);
    note += ", deviation";
    for (const double value : own.std) note += ' ' + short_number(value);
    notes_.push_back(note + "; data.normalize \"dataset\" takes the data's own");
  }

  /// Of a full batch, in this process.
  std::int64_t images_of_a_step() const {
    const std::int64_t batch = std::min(recipe_.data.batch, train_set_->size()),
                       ranks = options_.group ? options_.group->size() : 1;
    return (batch + ranks - 1) / ranks;
  }

  /// Refuses what will not fit, before anything is written.
  void plan_memory() {
    const Limits limits = read_limits();
    memory_limit_ = limits.usable_memory();
    if (limits.memory_limited_by == "ulimit -v")
      memory_limit_ -= std::min<std::uint64_t>(memory_limit_, address_space_overhead());
    // Less than any training takes, and than looking at one does.
    check(memory_limit_ >= least_memory,
          "train: no training fits into the memory that can be had, ", memory_limit_ >> 20, " MiB",
          limits.memory_limited_by.empty() ? "" : " by ", limits.memory_limited_by,
          ", after what the program itself takes; try a higher limit");
    const TrainingSize size{.image_size = pre_.image_size,
                            .channels = pre_.channels,
                            .classes = recipe_.model.options.classes,
                            .batch = images_of_a_step()};
    const MemoryNeed need(recipe_, size);
    memory_bytes_ = need.bytes(size.batch);
    if (memory_bytes_ <= memory_limit_) return;
    std::string fits;
    const auto in_gib = [](std::uint64_t bytes) {
      return short_number(std::round(static_cast<double>(bytes) / (1 << 30) * 100) / 100) + " GiB";
    };
    if (const std::int64_t batch = need.largest_batch(size.batch - 1, memory_limit_); batch > 0)
      fits = "data.batch " + std::to_string(batch) + " (" + in_gib(need.bytes(batch)) + ')';
    if (recipe_.recompute == "none") {
      Recipe again = recipe_;
      again.recompute = "block";
      const std::uint64_t less = bytes_with(again, size);
      if (less <= memory_limit_ && options_.fit && !start_) {
        recipe_.recompute = again.recompute;
        notes_.push_back("Blocks are computed again in backward (recompute \"block\"): without, " +
                         in_gib(memory_bytes_) + " would be needed, and " + in_gib(memory_limit_) +
                         " can be had");
        memory_bytes_ = less;
        return;
      }
      if (less <= memory_limit_)
        fits += (fits.empty() ? "" : ", or ") + std::string("recompute \"block\" (") +
                in_gib(less) + ')';
    }
    fail_with(Remedy::less_memory, "train: ", recipe_.model.name, " at batch ", size.batch,
              " needs about ", in_gib(memory_bytes_), " of memory, and ", in_gib(memory_limit_),
              " can be had",
              limits.memory_limited_by.empty() ? "" : " (" + limits.memory_limited_by + ')',
              fits.empty() ? "; no batch would fit" : "; what would fit: " + fits);
  }

  /// What another recipe needs; more than there is where the network cannot follow it.
  static std::uint64_t bytes_with(const Recipe& recipe, const TrainingSize& size) {
    try {
      return MemoryNeed(recipe, size).bytes(size.batch);
    } catch (const Error&) {
      return std::numeric_limits<std::uint64_t>::max();  // it has no blocks to compute again
    }
  }

  /// Train images of about so many pixels, the same for a seed: normalised, not augmented.
  Tensor images_to_begin_with(std::int64_t pixels) const {
    const std::int64_t side = pre_.image_size;
    data::LoaderOptions load;
    load.batch = std::clamp<std::int64_t>(pixels / (side * side), 1, train_set_->size());
    load.workers = 0;
    load.seed = recipe_.seed;
    load.skip_errors = recipe_.data.skip_errors;
    return data::Loader(train_set_, pre_.evaluation(), load).next()->images;
  }

  void build() {
    model_ = make_model(recipe_, pre_);
    if (!initial_ && !start_ && model_.net->initial_pixels() > 0)
      model_.net->initialize(images_to_begin_with(model_.net->initial_pixels()));
    if (initial_) {
      for (std::string& note : begin_with(*initial_, recipe_, pre_, *model_.net))
        notes_.push_back(std::move(note));
      initial_.reset();
    }
    nn::freeze(*model_.net, recipe_.freeze);
    check(std::ranges::any_of(nn::parameters(*model_.net),
                              [](const NamedParameter& p) { return p.parameter->trainable; }),
          "recipe: freeze leaves nothing to train");
    nn::set_recompute(*model_.net, nn::recompute_names.parse(recipe_.recompute));
    const std::vector<optim::ParameterGroup> groups =
        with_layer_decay(recipe_.parameter_groups, *model_.net, recipe_.layer_decay);
    optimizer_ = optim::make_optimizer(recipe_.optimizer, nn::parameters(*model_.net), groups);
    if (recipe_.ema_decay > 0)
      ema_ = std::make_unique<optim::Ema>(nn::parameters(*model_.net), nn::buffers(*model_.net),
                                          ema_options(recipe_));
    loop_.emplace(
        *model_.net, *optimizer_, make_schedule(recipe_, steps_per_epoch()),
        LoopOptions{.label_smoothing = recipe_.label_smoothing,
                    .class_weights = weights_of(recipe_.class_weights, *train_set_),
                    .clip_norm = recipe_.clip_norm,
                    .clip_value = recipe_.clip_value,
                    .average = ema_.get(),
                    .group = options_.group,
                    .sync_norms = recipe_.parallel.sync_norms,
                    .bf16_gradients = recipe_.parallel.bf16_gradients,
                    .group_schedules = group_schedules(recipe_, groups, steps_per_epoch())});
    check_readable(recipe_);
    if (options_.group) {
      Checkpoint all;
      save_model(*model_.net, all);
      for (SavedTensor& t : all.tensors)  // they share the network's storage
        options_.group->broadcast(t.tensor.raw(), t.tensor.bytes());
    }
  }

  void start_folder() {
    if (start_) {
      restore();
      check_position();
    }
    if (!leads()) {
      start_.reset();
      return;
    }
    take_folder();
    if (options_.resume && start_) describe_resume();
    change_course();
    folder_.write_recipe(recipe_);
    if (!changes_.empty()) {
      std::string journal;
      for (const Change& change : changes_) journal += train::to_text(change) + '\n';
      write_text(folder_.changes(), journal, "train", resume_advice);
    }
    folder_is_ready();
  }

  /// What the recipe says now and did not before. It is written into the checkpoint that is
  /// resumed, so that from here on there is one recipe.
  void change_course() {
    if (!start_) return;
    std::vector<Change> made;
    for (Change& change : changes_between(*trained_recipe(start_), recipe_))
      if (can_change(change.key)) made.push_back(std::move(change));
    if (made.empty()) return;
    char now[32];
    const std::time_t seconds = std::time(nullptr);
    std::tm parts{};
    gmtime_r(&seconds, &parts);
    std::strftime(now, sizeof now, "%Y-%m-%dT%H:%M:%SZ", &parts);
    for (Change& change : made) {
      check(position_.batch == 0 || (change.key != "data.batch" && change.key != "accumulate"),
            "train: resume: ", change.key, " can only change between epochs, and ",
            start_->path.string(), " is in the middle of one");
      change.position = position_;
      change.step = step();
      change.time = now;
      notes_.push_back("From here on " + change.key + " is " + change.to + ", was " + change.from);
      changes_.push_back(std::move(change));
    }
    // More epochs may always be asked for, so nothing has to be told the checkpoint at once.
    if (std::ranges::any_of(changes_, [&](const Change& change) {
          return change.position == position_ && change.key != "epochs";
        }))
      save();
  }

  void describe_resume() {
    const std::int64_t planned = meta()["recipe"].value("epochs", recipe_.epochs);
    if (planned != recipe_.epochs && step() > 0 && position_.epoch < recipe_.epochs)
      notes_.push_back(std::to_string(planned) + " epochs were planned, now " +
                       std::to_string(recipe_.epochs) +
                       ": the schedule is drawn over all of them anew; the learning rate was " +
                       short_number(lr_) + " in the last step, is " +
                       short_number(loop_->schedule().lr(step())) + " in the next, and ends at " +
                       short_number(loop_->schedule().lr(recipe_.epochs * steps_per_epoch() - 1)));
    if (!compared_images_ && step() > 0)
      notes_.push_back(
          "This checkpoint does not say which images it was trained on: that they are the same was "
          "not compared");
  }

  RunInfo info() const {
    RunInfo out;
    out.folder = folder_.path();
    out.model = model_.name;
    out.net = model_.net.get();
    out.dtype = activation_dtype(recipe_.dtype);
    out.parameters = nn::parameter_count(*model_.net);
    out.threads = num_threads();
    out.memory_bytes = memory_bytes_;
    out.memory_limit = memory_limit_;
    if (recipe_.threads == 0 && !std::getenv("OMP_NUM_THREADS"))
      out.threads_from = read_limits().text();
    out.batch = recipe_.data.batch;
    out.epochs = recipe_.epochs;
    out.steps_per_epoch = steps_per_epoch();
    out.first_step = step();
    out.seed = recipe_.seed;
    out.left_out = train_->left_out();
    out.drop_last = recipe_.data.drop_last;
    out.workers = recipe_.data.workers;
    out.notes = notes_;
    const ops::Precision precision = ops::choose_precision(recipe_.dtype);
    if (!precision.reason.empty())
      out.notes.push_back((precision.warning ? "warning: " : "") + precision.reason);
    if (options_.group && leads()) out.notes.push_back(describe_bits());
    out.notes.push_back(train_set_->description());
    out.notes.push_back(test_set_->description());
    out.notes.insert(out.notes.end(), plan_.notes.begin(), plan_.notes.end());
    if (std::string uneven = describe_balance(recipe_, *train_set_); !uneven.empty()) {
      out.uneven = true;
      out.notes.push_back(std::move(uneven));
    }
    for (const auto& set : {train_set_, measures_held_out() ? nullptr : test_set_, final_set_})
      for (const std::string& line : set ? set->left_out().lines() : std::vector<std::string>{})
        out.notes.push_back("Of " + set->description() + ": " + line);
    return out;
  }

  /// The least number of leaves that sums over a batch of so many images are cut into, from a step
  /// of a network like ours on images of zeros.
  std::int64_t least_leaves(std::int64_t batch) const {
    struct Silent final : Group {
      explicit Silent(int ranks) : size_(ranks) {}
      int rank() const override { return 0; }
      int size() const override { return size_; }
      void sum(std::span<double>) override {}
      void broadcast(void*, std::size_t) override {}
      std::unique_ptr<Pending> begin_sum(std::span<float>, bool) override { return nullptr; }
      void progress() override {}

     private:
      int size_;
    } silent(options_.group->size());
    const nn::Model copy = make_model(recipe_, pre_);
    nn::set_training(*copy.net, true);
    const std::int64_t here = batch / silent.size();
    const Share share(silent, {.first = 0, .images = here, .total = batch},
                      recipe_.parallel.sync_norms);
    const std::int64_t side = pre_.image_size;
    data::Batch zeros;
    zeros.images =
        Tensor::zeros({here, side, side, pre_.channels}, activation_dtype(recipe_.dtype));
    zeros.labels = Tensor::zeros({here}, DType::i64);
    Tape tape;
    tape.backward(train::loss((*copy.net)(zeros.images), zeros));
    return share.least_leaves;
  }

  /// Whose bits a run of several processes has.
  std::string describe_bits() const {
    const std::int64_t ranks = options_.group->size(), size = train_set_->size(),
                       batch = std::min(recipe_.data.batch, size),
                       last = recipe_.data.drop_last ? 0 : size % recipe_.data.batch;
    const std::string who = std::to_string(ranks) + " ranks";
    if (recipe_.parallel.bf16_gradients)
      return who +
             ": gradients are rounded to bf16 between them, so results are as of one process "
             "only to that rounding";
    if (!recipe_.parallel.sync_norms)
      return who +
             ": batch norm takes its statistics over each rank's own images, so results "
             "depend on the number of ranks (parallel.norm \"sync\": they do not)";
    std::int64_t leaves = least_leaves(batch);
    if (last > 1) leaves = std::min(leaves, least_leaves(last));
    const bool exact = leaves % ranks == 0;
    return who +
           (exact ? ": the bits of one process, as long as no image is left out"
                  : ": as one process to rounding, with the same bits in every run of so many "
                    "ranks") +
           " (some sum over images has " + std::to_string(leaves) +
           (leaves == 1 ? " leaf)" : " leaves)");
  }

  Progress progress() const {
    return {.step = step(),
            .steps = recipe_.epochs * steps_per_epoch(),
            .epoch = std::min(position_.epoch + 1, recipe_.epochs),
            .epochs = recipe_.epochs,
            .loss = totals_.loss(),
            .top1 = totals_.top1(),
            .images_per_second = totals_.rate(),
            .lr = lr_};
  }

  /// The rest of the current epoch. False: stopped.
  bool train_epoch() {
    if (position_.batch == batches_) return true;
    train_->start_epoch(position_.epoch, position_.batch);
    nn::freeze_norms(*model_.net, position_.epoch >= recipe_.epochs - recipe_.freeze_norm_epochs);
    nn::freeze(*model_.net, recipe_.freeze);  // for the whole run
    const double waited_before = train_->seconds_waited() - totals_.waited;
    const Clock::time_point start =
        Clock::now() -
        std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(totals_.seconds));
    while (const std::optional<data::Batch> batch = train_->next()) {
      const std::int64_t seen = position_.batch + 1;
      const bool updates = seen % recipe_.accumulate == 0 || seen == batches_;
      train_step(*batch, updates);
      skipped_here_ += report_skipped(batch->skipped, totals_.skipped + skipped_here_);
      position_.batch = seen;
      totals_.seconds = seconds_since(start);
      totals_.waited = train_->seconds_waited() - waited_before;
      if (!updates) continue;  // a checkpoint has no gradients
      const bool goes_on = agreed(observer_.step(progress()));
      const std::int64_t every = recipe_.checkpoint.every_steps;
      if (every > 0 && step() % every == 0 && position_.batch < batches_) save();
      if (!goes_on || (until_ && until_->batch > 0 && position_ >= *until_)) return false;
    }
    check(position_.batch == batches_, "train: the epoch ended after ", position_.batch, " of ",
          batches_, " batches");
    return true;
  }

  /// Whether all ranks go on; and counts what they have skipped since.
  bool agreed(bool goes_on) {
    double said[] = {goes_on ? 0.0 : 1.0, static_cast<double>(std::exchange(skipped_here_, 0))};
    if (options_.group) options_.group->sum(said);
    totals_.skipped += static_cast<std::int64_t>(said[1]);
    return said[0] == 0;
  }

  void train_step(const data::Batch& batch, bool updates) {
    try {
      const bool first = kernels_.counts.empty();
      const StepResult result = loop_->accumulate(batch, first ? &kernels_ : nullptr);
      totals_.loss_sum += result.loss * static_cast<double>(result.images);
      totals_.correct += result.correct;
      totals_.images += result.images;
      lr_ = loop_->lr();
    } catch (const NotFinite& error) {
      lr_ = loop_->lr();
      give_up("training", error.loss(), " of a batch with " + names_of(error.images()));
    }
    if (updates) count_update(loop_->update().skipped, totals_);
  }

  /// The first few of these images of the train set, and how many there are.
  std::string names_of(const std::vector<std::int64_t>& images) const {
    constexpr std::size_t named = 5;
    std::string out;
    for (std::size_t i = 0; i < std::min(named, images.size()); ++i)
      out += (i > 0 ? ", " : "") + train_set_->name(images[i]);
    if (images.size() > named) out += " and " + std::to_string(images.size() - named) + " others";
    return out;
  }

  /// Nothing: stopped.
  std::optional<Evaluation> test_now() {
    const optim::Averaged averaged(ema_.get());
    std::optional<nn::GateRecorder> recorder;
    if (recipe_.log.gates) recorder.emplace(*model_.net);
    GateStats gates(1);
    Progress now = progress();
    now.phase = Progress::Phase::testing;
    Evaluation test = evaluate(
        *model_.net, *test_, recipe_.model.options.classes,
        [&](std::int64_t images) {
          if (recorder && !recorder->units().empty())
            gates.add(*recorder, Tensor::zeros({recorder->gates(0).dim(0)}, DType::i64));
          now.tested = images * (shares_tests() ? options_.group->size() : 1);
          return observer_.step(now);
        },
        {}, shares_tests() ? options_.group : nullptr);
    report_skipped_tests(test.skipped_reasons(), test.skipped());
    if (test.images() + test.skipped() < test_set_->size()) return std::nullopt;
    if (!std::isfinite(test.loss())) give_up(watched(), test.loss());
    if (recorder) gates_ = gate_counts(gates);
    return test;
  }

  void end_epoch(const Evaluation& test, double test_seconds, std::uint64_t system_allocations) {
    refuse_ruined(capture());
    position_ = {position_.epoch + 1, 0};
    EpochLine line;
    describe_epoch(line, totals_, train_->workers());
    line.train_loss = totals_.loss();
    line.train_top1 = totals_.top1();
    line.measured_on = watched();
    line.loss = test.loss();
    line.top1 = test.top1();
    line.top5 = test.top5();
    line.macro_recall = test.macro_recall();
    if (const std::int64_t worst = test.worst_class(); worst >= 0) {
      line.worst_class = pre_.class_names[static_cast<std::size_t>(worst)];
      line.worst_recall = test.classes()[static_cast<std::size_t>(worst)].recall();
    }
    const double value = test.metric(recipe_.checkpoint.best_by);
    line.best = chooses() && better(recipe_.checkpoint.best_by, value, best_.epoch, best_.value, 0);
    line.test_seconds = test_seconds;
    line.test_skipped_images = test.skipped();
    line.left_out_images = train_->left_out();
    line.left_out_files = train_set_->left_out().files();
    if (!measures_held_out()) line.left_out_files += test_set_->left_out().files();
    line.system_allocations = system_allocations;
    line.kernels = kernels_.counts;
    if (line.best) best_ = {position_.epoch, test.top1(), recipe_.checkpoint.best_by, value};
    if (const EarlyStoppingRecipe& e = recipe_.early_stopping; e.patience > 0) {
      const double now = test.metric(e.metric);
      if (better(e.metric, now, risen_.epoch, risen_.value, e.min_delta))
        risen_ = {position_.epoch, now};
    }
    Json json = to_json(line);
    if (recipe_.log.gates) json["gates"] = gates_;
    log(json);
    observer_.epoch(line);
    last_ = test;
    totals_ = {};
    save_epoch(position_.epoch % recipe_.checkpoint.every_epochs == 0 || is_over(), line.best);
  }

  Json changes_json() const {
    Json out = Json::array();
    for (const Change& change : changes_) out.push_back(to_json(change));
    return out;
  }

  Checkpoint capture() override {
    Json meta = common_meta();
    meta.update(
        {{"data", to_json(pre_)},
         {"best",
          {{"epoch", best_.epoch}, {"top1", best_.top1}, {"by", best_.by}, {"value", best_.value}}},
         {"early_stopping", {{"epoch", risen_.epoch}, {"value", risen_.value}}},
         {"chosen", chooses() && !by_test()},
         {"changes", changes_json()},
         {"totals", totals_.to_json()},
         // Batches and augmentations are a function of (seed, epoch, image).
         {"loader",
          {{"seed", recipe_.seed}, {"epoch", position_.epoch}, {"batch", position_.batch}}}});
    Checkpoint out;
    out.meta = to_text(meta);
    save_model(*model_.net, out);
    save_tensors(optimizer_->state(), "optimizer", out);
    if (ema_) save_tensors(ema_->state(), "average", out);
    return out;
  }

  void restore() {
    const auto& [path, checkpoint] = *start_;
    load_model(checkpoint, *model_.net, path);
    load_tensors(checkpoint, "optimizer", optimizer_->state(), path);
    if (ema_) load_tensors(checkpoint, "average", ema_->state(), path);
    try {
      const Json meta = this->meta();
      restore_common(meta);
      best_.top1 = meta.at("best").at("top1").get<double>();
      best_.value = meta["best"].value("value", best_.top1);
      best_.by = meta["best"].value("by", best_.by);
      if (meta.contains("changes"))
        for (const Json& change : meta["changes"])
          changes_.push_back(change_from(change, "checkpoint: " + path.string() + ": changes"));
      if (meta.contains("early_stopping"))
        risen_ = {meta["early_stopping"].at("epoch").get<std::int64_t>(),
                  meta["early_stopping"].at("value").get<double>()};
      totals_ = Totals::from_json(meta.at("totals"));
    } catch (const Json::exception&) {
      fail("checkpoint: ", path.string(), ": does not say how far its run had come");
    }
    loop_->resume_at(step());
  }

  Outcome outcome_of(Clock::time_point start) const {
    Outcome out = outcome(start);
    out.model = model_.name;
    out.measured_on = watched();
    out.last = last_;
    if (chooses() && best_.epoch > 0) out.best = best_;
    return out;
  }

  Outcome stopped(Clock::time_point start) {
    save();
    return outcome_of(start);
  }

  using TaskRun::give_up;
  [[noreturn]] void give_up(const char* which, double loss, const std::string& where = "") const {
    give_up(std::string("the ") + which + " loss is " + (std::isnan(loss) ? "nan" : "infinite") +
            where);
  }

  /// Once, behind all choices: the images that have chosen nothing, by the best epoch's weights.
  std::optional<Outcome::Final> test_at_the_end() {
    if (!final_set_) return std::nullopt;
    const bool best = keeps_best() && best_.epoch > 0 && fs::exists(folder_.best());
    const TrainedModel chosen = load(best ? folder_.best() : folder_.checkpoint(position_));
    data::Loader loader = evaluation_loader(recipe_, chosen.preprocessing, final_set_);
    const Outcome::Final out{
        .on = plan_.reported == data::Part::test ? "test" : "val",
        .epoch = best ? best_.epoch : position_.epoch,
        .result = evaluate(*chosen.model.net, loader,
                           static_cast<std::int64_t>(pre_.class_names.size()))};
    report_skipped_tests(out.result.skipped_reasons(), out.result.skipped());
    const Json result{{"on", out.on},
                      {"data", final_set_->description()},
                      {"epoch", out.epoch},
                      {"images", out.result.images()},
                      {"skipped_images", out.result.skipped()},
                      {"top1", out.result.top1()},
                      {"top5", out.result.top5()},
                      {"loss", out.result.loss()},
                      {"macro_recall", out.result.macro_recall()}};
    write_text(folder_.result(), result.dump(2) + '\n', "train", resume_advice);
    return out;
  }

  std::optional<Position> until_;
  std::vector<Change> changes_;   ///< of the course, until now
  bool compared_images_ = false;  ///< with those start_ was trained on
  data::SplitPlan plan_;
  std::shared_ptr<const data::Dataset> train_set_;
  std::shared_ptr<const data::Dataset> test_set_;   ///< looked at after each epoch
  std::shared_ptr<const data::Dataset> final_set_;  ///< reported at the end; may be none
  Preprocessing pre_;
  std::optional<data::Loader> train_, test_;
  std::uint64_t memory_bytes_ = 0, memory_limit_ = 0;
  nn::Model model_;
  std::unique_ptr<optim::Ema> ema_;
  std::optional<Loop> loop_;
  KernelCounts kernels_;
  Totals totals_;
  struct {
    std::int64_t epoch = 0;
    double value = 0;
  } risen_;  ///< when early stopping's metric was last better, and what it was
  std::int64_t skipped_here_ = 0;  ///< images, that totals_ does not count yet
  std::optional<Evaluation> last_;
  Json gates_;  ///< counts of the last evaluation, when the recipe wants them
};

}  // namespace

Checkpoint initial_checkpoint(const Recipe& recipe, const Preprocessing& preprocessing,
                              nn::Module& net) {
  Preprocessing none_seen = preprocessing;  // the run that goes on from here may choose its images
  none_seen.train.reset();
  none_seen.test.reset();
  const Json meta{{"recipe", to_json(recipe)},
                  {"data", to_json(none_seen)},
                  {"position", {{"epoch", 0}, {"batch", 0}}},
                  {"step", 0},
                  {"numerics", numerics},
                  {"best", {{"epoch", 0}, {"top1", -1.0}}},
                  {"totals", Totals{}.to_json()},
                  {"lr", 0.0}};
  Checkpoint out;
  out.meta = to_text(meta);
  save_model(net, out);
  const auto optimizer =
      optim::make_optimizer(recipe.optimizer, nn::parameters(net),
                            with_layer_decay(recipe.parameter_groups, net, recipe.layer_decay));
  save_tensors(optimizer->state(), "optimizer", out);
  if (recipe.ema_decay > 0)
    save_tensors(optim::Ema(nn::parameters(net), nn::buffers(net), ema_options(recipe)).state(),
                 "average", out);
  return out;
}

namespace {

Position position_of(const FoundCheckpoint& found) {
  const Json meta = parse_json(found.checkpoint.meta, "checkpoint: " + found.path.string());
  return {value_at<std::int64_t>(meta, "position.epoch", "checkpoint"),
          value_at<std::int64_t>(meta, "position.batch", "checkpoint")};
}

Shape shape_from(const Json& extents) {
  const auto e = extents.get<std::vector<std::int64_t>>();
  switch (e.size()) {
    case 0:
      return Shape{};
    case 1:
      return {e[0]};
    case 2:
      return {e[0], e[1]};
    case 3:
      return {e[0], e[1], e[2]};
    default:
      return {e.at(0), e.at(1), e.at(2), e.at(3)};
  }
}

/// What rank 0 begins with, for all.
void share_start(Group& group, Recipe& recipe, std::optional<FoundCheckpoint>& start) {
  const std::string text = group.broadcast(recipe.text());
  recipe = Recipe::parse(text, Recipe::Source::stored);
  if (!group.any(start.has_value())) return;
  Json table = Json::array();
  if (group.leads())
    for (const SavedTensor& t : start->checkpoint.tensors) {
      Json shape = Json::array();
      for (int i = 0; i < t.tensor.rank(); ++i) shape.push_back(t.tensor.dim(i));
      table.push_back({{"name", t.name}, {"dtype", name_of(t.tensor.dtype())}, {"shape", shape}});
    }
  const Json said = parse_json(group.broadcast(Json{
                                   {"path", start ? start->path.string() : ""},
                                   {"meta", start ? start->checkpoint.meta : ""},
                                   {"tensors",
                                    table}}.dump()),
                               "parallel: what rank 0 begins with");
  if (!group.leads()) {
    start.emplace();
    start->path = said["path"].get<std::string>();
    start->checkpoint.meta = said["meta"].get<std::string>();
    for (const Json& t : said["tensors"])
      start->checkpoint.tensors.push_back(
          {t["name"].get<std::string>(),
           Tensor(shape_from(t["shape"]), parse_dtype(t["dtype"].get<std::string>()))});
  }
  for (SavedTensor& t : start->checkpoint.tensors)
    group.broadcast(t.tensor.raw(), t.tensor.bytes());
}

Outcome run_until(Recipe recipe, const RunOptions& options, Observer& observer,
                  std::optional<Position> until) {
  const Warn warn = [&](const std::string& text) { observer.warning(text); };
  const RunFolder folder(options.out, warn);
  std::optional<FolderLock> lock;
  std::optional<FoundCheckpoint> start;
  if ((!options.group || options.group->leads()) && folder.occupied()) {
    check_or(Remedy::resume, options.resume, "train: ", options.out.string(), " is not empty");
    check_or(Remedy::another_folder, folder.is_run(), "train: ", options.out.string(),
             " is no run folder: there is neither recipe.json nor a checkpoint");
    lock.emplace(folder.path(), "train", warn);
    start = folder.newest();
    check(
        !start || !parse_json(start->checkpoint.meta, "checkpoint").contains("imported"),
        "train: resume: ", options.out.string(),
        " holds weights that were imported, and no training to go on with; begin one with them by "
        "init.weights");
    recipe = recipe_to_resume(std::move(recipe), folder, start, options.change);
  }
  if (recipe.detects()) {
    check(!options.group,
          "train: several processes train classification; a detector is trained by one");
    check(!until, "train: a journal is replayed for classification; a detector keeps its course");
    return run_detector(std::move(recipe), options, observer, std::move(lock), std::move(start));
  }
  if (options.group) share_start(*options.group, recipe, start);
  return Run(std::move(recipe), options, observer, std::move(lock), std::move(start), until)();
}

}  // namespace

Outcome run(Recipe recipe, const RunOptions& options, Observer& observer) {
  check(!options.group || options.replay.empty(),
        "train: a journal is replayed by one process; its bits do not depend on their number where "
        "parallel.norm is \"sync\"");
  RunOptions part = options;
  std::vector<Change> to_make = std::exchange(part.replay, {});
  while (!to_make.empty()) {
    const Position at = to_make.front().position;
    const Outcome before = run_until(recipe, part, observer, at);
    const std::optional<FoundCheckpoint> reached = RunFolder(options.out).newest();
    if (!reached || position_of(*reached) != at) return before;  // interrupted
    const auto end =
        std::ranges::find_if(to_make, [&](const Change& c) { return c.position != at; });
    recipe = changed(*trained_recipe(reached), {to_make.begin(), end});
    to_make.erase(to_make.begin(), end);
    part.resume = part.change = true;
  }
  return run_until(std::move(recipe), part, observer, std::nullopt);
}

}  // namespace exciton::train
