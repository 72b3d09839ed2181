#include "exciton/train/detection/run.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "exciton/core/limits.hpp"
#include "exciton/core/memory.hpp"
#include "exciton/core/threads.hpp"
#include "exciton/nn/layers.hpp"
#include "exciton/nn/recompute.hpp"
#include "exciton/optim/registry.hpp"
#include "exciton/train/detection/detector.hpp"
#include "exciton/train/fine_tuning.hpp"
#include "exciton/train/preprocessing_json.hpp"
#include "exciton/train/recipe_json.hpp"
#include "exciton/train/remedy.hpp"
#include "exciton/train/task_run.hpp"

namespace exciton::train {
namespace fs = std::filesystem;
namespace det = nn::detection;
namespace {

constexpr std::array loss_names{"loss_classifier", "loss_box_reg", "loss_objectness",
                                "loss_rpn_box_reg"};
using Losses = std::array<double, loss_names.size()>;

/// With the sums of a detector.
struct Totals : EpochTotals {
  Losses sums{};

  std::vector<NamedValue> means() const {
    std::vector<NamedValue> out;
    for (std::size_t i = 0; i < sums.size(); ++i) out.push_back({loss_names[i], mean(sums[i])});
    return out;
  }
  double loss() const {
    double sum = 0;
    for (const NamedValue& part : means()) sum += part.value;
    return sum;
  }
  Json to_json() const {
    Json out = common_json();
    out["sums"] = sums;
    return out;
  }
  static Totals from_json(const Json& json) {
    Totals out;
    out.read_common(json);
    out.sums = json.at("sums").get<Losses>();
    return out;
  }
};

Json to_json(const std::vector<NamedValue>& values, const std::string& prefix = "") {
  Json out = Json::object();
  for (const auto& [name, value] : values) out[prefix + name] = value;
  return out;
}

/// What was measured on `measured_on` has its name in front.
Json to_json(const EpochLine& line) {
  Json out = common_json(line);
  out.update(to_json(line.losses, "train_"));
  out.update(to_json(line.average_precision, line.measured_on + "_"));
  return out;
}

class DetectorRun final : TaskRun {
 public:
  using TaskRun::TaskRun;

  Outcome operator()() {
    check(!options_.change,
          "train: a change of course is for classification; a detector keeps its own");
    check(
        !options_.fit,
        "train: memory is planned for classification: what a detector will take is not known; set "
        "recompute to block, or detection.min_size or data.batch lower");
    load_weights_to_begin_with();
    open_data();
    build();
    start_folder();
    observer_.started(info());
    const Clock::time_point start = Clock::now();
    while (position_.epoch < recipe_.epochs) {
      const std::uint64_t taken = memory_stats().system_allocations;
      if (!train_epoch()) return stopped(start);
      if (!end_epoch(taken)) return stopped(start);
    }
    Outcome out = outcome_of(start);
    out.finished = true;
    return out;
  }

 private:
  const char* watched() const { return has_val_ ? "val" : "train"; }
  /// Whether the best epoch is chosen: by images that do not train.
  bool keeps_best() const override { return has_val_ && recipe_.checkpoint.keep_best; }

  void open_data() {
    open_data_folder();
    recipe_.data.kind = "coco";
    const auto train = data::open_coco(recipe_.data.dir, "train");
    train->keep(recipe_.detection.images);
    train_set_ = train;
    const auto splits = data::find_coco(recipe_.data.dir);
    has_val_ = std::ranges::any_of(splits, [](const auto& s) { return s.name == "val"; });
    eval_set_ = has_val_ ? data::open_coco(recipe_.data.dir, "val") : train_set_;
    check_trains(*train_set_, eval_set_.get());
    describe_data();
    data::DetectionLoaderOptions load;
    load.batch = std::min(recipe_.data.batch, train_set_->size());
    load.workers = static_cast<int>(recipe_.data.workers);
    load.seed = recipe_.seed;
    load.shuffle_block = recipe_.data.shuffle_block;
    load.skip_errors = recipe_.data.skip_errors;
    train_.emplace(train_set_, transform_of(recipe_, pre_, recipe_.data.augment.flip), load);
    eval_.emplace(detection_loader(recipe_, pre_, eval_set_));
    batches_ = train_->batches();
  }

  void describe_data() {
    std::optional<Preprocessing> stored;
    if (start_) stored = preprocessing_from(meta().at("data"), start_->path);
    if (recipe_.data.normalize.automatic && initial_) {
      const interop::Normalization own = normalization_for(initial_->preprocessing, 3);
      recipe_.data.normalize = {
          .automatic = false, .from_dataset = false, .mean = own.mean, .std = own.std};
      notes_.emplace_back("Images are normalised as the weights were trained");
    }
    DataRecipe as_images = recipe_.data;
    as_images.image_size = recipe_.detection.min_size;
    if (!stored && as_images.normalize.automatic)
      as_images.normalize = recipe_.data.normalize = {
          .automatic = false, .from_dataset = true, .mean = {}, .std = {}};
    pre_ = preprocessing_of(*data::images_of(train_set_), as_images, stored);
    pre_.class_names = train_set_->annotations().category_names();
    pre_.shorter_side = 0;
    pre_.train = contents_of(*data::images_of(train_set_));
    pre_.test = contents_of(*data::images_of(eval_set_));
    if (stored) check_same_data(*stored, pre_, start_->path);
  }

  void build() {
    net_ = make_detector(recipe_, pre_);
    if (initial_) {
      for (std::string& note : begin_backbone_with(*initial_, recipe_, pre_, net_->backbone()))
        notes_.push_back(std::move(note));
      initial_.reset();
    } else if (recipe_.detection.frozen_norms && !start_) {
      notes_.emplace_back(
          "warning: the batch norms are frozen (detection.norms), but there are no weights to "
          "begin "
          "with (init.weights): they scale nothing");
    }
    nn::freeze(*net_, recipe_.freeze);
    nn::set_recompute(*net_, nn::recompute_names.parse(recipe_.recompute));
    parameters_ = nn::parameters(*net_);
    check(std::ranges::any_of(parameters_,
                              [](const NamedParameter& p) { return p.parameter->trainable; }),
          "recipe: freeze leaves nothing to train");
    optimizer_ = optim::make_optimizer(
        recipe_.optimizer, nn::parameters(*net_),
        with_layer_decay(recipe_.parameter_groups, net_->backbone(), recipe_.layer_decay));
    schedule_.emplace(make_schedule(recipe_, steps_per_epoch()));
    nn::set_training(*net_, true);
    check_readable(recipe_);
  }

  void start_folder() {
    if (start_) {
      restore();
      check_position();
    }
    take_folder();
    folder_.write_recipe(recipe_);
    folder_is_ready();
  }

  RunInfo info() const {
    RunInfo out;
    out.folder = folder_.path();
    out.model = "faster_rcnn over " + recipe_.model.name;
    out.parameters = nn::parameter_count(*net_);
    out.threads = num_threads();
    out.memory_limit = read_limits().usable_memory();
    out.batch = recipe_.data.batch;
    out.epochs = recipe_.epochs;
    out.steps_per_epoch = steps_per_epoch();
    out.first_step = step();
    out.seed = recipe_.seed;
    out.workers = recipe_.data.workers;
    out.notes = notes_;
    for (const auto& [set, what] :
         {std::pair{train_set_, "Trains on "}, std::pair{eval_set_, "Evaluates on "}}) {
      out.notes.push_back(what + set->description());
      if (!has_val_ && set == train_set_ && what[0] == 'E') break;
      for (const std::string& note : set->notes()) out.notes.push_back("  " + note);
    }
    if (!has_val_)
      out.notes.emplace_back(
          "There is no val split: the average precision is that of images that train");
    return out;
  }

  Progress progress() const {
    return {.step = step(),
            .steps = recipe_.epochs * steps_per_epoch(),
            .epoch = std::min(position_.epoch + 1, recipe_.epochs),
            .epochs = recipe_.epochs,
            .loss = totals_.loss(),
            .images_per_second = totals_.rate(),
            .losses = totals_.means()};
  }

  /// The rest of the current epoch. False: stopped.
  bool train_epoch() {
    if (position_.batch == batches_) return true;
    train_->start_epoch(position_.epoch, position_.batch);
    nn::freeze_norms(*net_, recipe_.detection.frozen_norms ||
                                position_.epoch >= recipe_.epochs - recipe_.freeze_norm_epochs);
    nn::freeze(*net_, recipe_.freeze);
    const double waited_before = train_->seconds_waited() - totals_.waited;
    const Clock::time_point start =
        Clock::now() -
        std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(totals_.seconds));
    while (const auto batch = train_->next()) {
      const std::int64_t seen = position_.batch + 1;
      accumulate(*batch);
      totals_.skipped += report_skipped(batch->skipped, totals_.skipped);
      position_.batch = seen;
      const bool updates = seen % recipe_.accumulate == 0 || seen == batches_;
      if (updates) update();
      totals_.seconds = seconds_since(start);
      totals_.waited = train_->seconds_waited() - waited_before;
      if (!updates) continue;  // a checkpoint has no gradients
      const bool goes_on = observer_.step(progress());
      const std::int64_t every = recipe_.checkpoint.every_steps;
      if (every > 0 && step() % every == 0 && position_.batch < batches_) save();
      if (!goes_on) return false;
    }
    return true;
  }

  void accumulate(const data::DetectionBatch& batch) {
    lr_ = schedule_->lr(step());
    Tape tape;
    const det::DetectionLosses losses =
        net_->losses(batch.images, sizes_of(batch), objects_of(batch));
    const Var total = losses.total();
    const auto images = static_cast<double>(batch.indices.size());
    if (!std::isfinite(total.value().item())) {
      std::string names;
      for (const std::int64_t index : batch.indices)
        names += (names.empty() ? "" : ", ") + train_set_->image(index).file;
      give_up("the loss is no number in a batch with " + names);
    }
    const Losses values{losses.classifier.value().item(), losses.box.value().item(),
                        losses.objectness.value().item(), losses.rpn_box.value().item()};
    for (std::size_t i = 0; i < values.size(); ++i) totals_.sums[i] += values[i] * images;
    totals_.images += std::ssize(batch.indices);
    tape.backward(total);
    ++gathered_;
  }

  /// By the mean of the gradients of the batches since the last one.
  void update() {
    if (gathered_ > 1) optim::scale_gradients(parameters_, 1.0 / static_cast<double>(gathered_));
    gathered_ = 0;
    if (recipe_.clip_value > 0) optim::clip_values(parameters_, recipe_.clip_value);
    const double norm =
        recipe_.clip_norm > 0 ? optim::clip_gradients(parameters_, recipe_.clip_norm) : 0;
    if (std::isfinite(norm))
      optimizer_->step(lr_);
    else
      optimizer_->clear_gradients();
    count_update(!std::isfinite(norm), totals_);
  }

  /// False: stopped in the evaluation, which a resume makes again.
  bool end_epoch(std::uint64_t allocations_before) {
    refuse_ruined(capture());
    const Clock::time_point start = Clock::now();
    const std::int64_t done = position_.epoch + 1;
    const bool last = done == recipe_.epochs;
    const bool evaluates = last || done % recipe_.detection.eval_epochs == 0;
    DetectionResult result;
    if (evaluates) {
      Progress now = progress();
      now.phase = Progress::Phase::testing;
      bool stops = false;
      result = evaluate_detector(*net_, *eval_, *eval_set_, [&](std::int64_t images) {
        now.tested = images;
        stops = !observer_.step(now);
        return !stops;
      });
      report_skipped_tests(result.skipped_reasons, result.skipped);
      if (stops) return false;
    }
    position_ = {done, 0};
    EpochLine line = line_of(result, evaluates);
    line.test_seconds = seconds_since(start);
    line.system_allocations = memory_stats().system_allocations - allocations_before;
    log(to_json(line));
    observer_.epoch(line);
    if (evaluates) average_precision_ = line.average_precision;
    totals_ = {};
    save_epoch(done % recipe_.checkpoint.every_epochs == 0 || last, line.best);
    return true;
  }

  EpochLine line_of(const DetectionResult& result, bool evaluated) {
    EpochLine line;
    describe_epoch(line, totals_, train_->workers());
    line.train_loss = totals_.loss();
    line.losses = totals_.means();
    line.measured_on = watched();
    if (evaluated) {
      for (std::size_t i = 0; i < coco_metric_names.size(); ++i)
        line.average_precision.push_back(
            {std::string(coco_metric_names[i]), result.metrics.values[i]});
      const double ap = result.metrics.value("AP");
      line.best = has_val_ && (best_.epoch == 0 || ap > best_.value);
      if (line.best) {
        best_.epoch = position_.epoch;
        best_.by = "AP";
        best_.value = ap;
      }
    }
    line.test_skipped_images = result.skipped;
    return line;
  }

  Checkpoint capture() override {
    Json meta = common_meta();
    meta.update({{"data", to_json(pre_)},
                 {"best", {{"epoch", best_.epoch}, {"by", "AP"}, {"value", best_.value}}},
                 {"chosen", has_val_},
                 {"totals", totals_.to_json()}});
    Checkpoint out;
    out.meta = to_text(meta);
    save_model(*net_, out);
    save_tensors(optimizer_->state(), "optimizer", out);
    return out;
  }

  void restore() {
    const auto& [path, checkpoint] = *start_;
    load_model(checkpoint, *net_, path);
    load_tensors(checkpoint, "optimizer", optimizer_->state(), path);
    try {
      const Json meta = this->meta();
      restore_common(meta);
      best_.value = meta.at("best").at("value").get<double>();
      best_.by = "AP";
      totals_ = Totals::from_json(meta.at("totals"));
    } catch (const Json::exception&) {
      fail("checkpoint: ", path.string(), ": does not say how far its run had come");
    }
  }

  Outcome outcome_of(Clock::time_point start) const {
    Outcome out = outcome(start);
    out.model = "faster_rcnn over " + recipe_.model.name;
    out.measured_on = watched();
    out.detects = true;
    out.average_precision = average_precision_;
    if (has_val_ && best_.epoch > 0) out.best = best_;
    return out;
  }

  Outcome stopped(Clock::time_point start) {
    save();
    return outcome_of(start);
  }

  std::shared_ptr<const data::DetectionSet> train_set_, eval_set_;
  bool has_val_ = false;
  Preprocessing pre_;
  std::optional<data::DetectionLoader> train_, eval_;
  std::unique_ptr<det::FasterRcnn> net_;
  std::vector<NamedParameter> parameters_;
  std::optional<optim::Schedule> schedule_;
  Totals totals_;
  std::vector<NamedValue> average_precision_;
  std::int64_t gathered_ = 0;  ///< batches since the last update
};

}  // namespace

Outcome run_detector(Recipe recipe, const RunOptions& options, Observer& observer,
                     std::optional<FolderLock> lock, std::optional<FoundCheckpoint> start) {
  return DetectorRun(std::move(recipe), options, observer, std::move(lock), std::move(start))();
}

}  // namespace exciton::train
