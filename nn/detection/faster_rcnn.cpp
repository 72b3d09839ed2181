#include "exciton/nn/detection/faster_rcnn.hpp"

#include "exciton/core/tape_observer.hpp"
#include "exciton/nn/random_stream.hpp"
#include "exciton/ops/add.hpp"

namespace exciton::nn::detection {
namespace {

StageMaps& stages_of(const Model& backbone) {
  auto* const stages = dynamic_cast<StageMaps*>(backbone.net.get());
  check(stages != nullptr, "faster_rcnn: ", backbone.name,
        " has no stages whose maps could be read; try resnet50 or se_resnet50");
  return *stages;
}

/// Channels of the stages that the pyramid reads.
std::vector<std::int64_t> channels_of(const StageMaps& stages, const FasterRcnnOptions& o,
                                      const std::string& backbone) {
  const std::vector<std::int64_t> all = stages.stage_channels();
  check(o.first_stage >= 1 && o.first_stage <= std::ssize(all),
        "faster_rcnn: first_stage: ", backbone, " has stages 1 to ", all.size(), ", got ",
        o.first_stage);
  const std::vector<std::int64_t> out(all.begin() + (o.first_stage - 1), all.end());
  check(o.rpn.anchors.sizes.size() == out.size() + 1, "faster_rcnn: a pyramid over ", out.size(),
        " stages has ", out.size() + 1, " levels, and there are ", o.rpn.anchors.sizes.size(),
        " anchor sizes");
  check(!o.rpn.anchors.ratios.empty() && o.classes >= 1 && o.channels >= 1,
        "faster_rcnn: expected a ratio of anchors, a class and a channel, got ",
        o.rpn.anchors.ratios.size(), ", ", o.classes, " and ", o.channels);
  return out;
}

ImageSize padded_size(const Var& images) { return {images.dim(1), images.dim(2)}; }

void check_batch(const Var& images, const std::vector<ImageSize>& sizes) {
  check(images.shape().rank() == 4, "faster_rcnn: images must be [N, H, W, C], got ",
        images.shape());
  check(std::ssize(sizes) == images.dim(0), "faster_rcnn: ", images.shape(), " are not ",
        sizes.size(), " images");
  for (const ImageSize& size : sizes)
    check(size.height >= 1 && size.width >= 1 && size.height <= images.dim(1) &&
              size.width <= images.dim(2),
          "faster_rcnn: an image of ", size.height, " x ", size.width, " in ", images.shape());
}

}  // namespace

Var DetectionLosses::total() const {
  return ops::add(ops::add(classifier, box), ops::add(objectness, rpn_box));
}

FasterRcnn::FasterRcnn(Model backbone, const FasterRcnnOptions& o, Generator& init)
    : options_(o),
      backbone_(std::move(backbone)),
      stages_(&stages_of(backbone_)),
      fpn_(channels_of(*stages_, o, backbone_.name), o.channels, init),
      rpn_(o.channels, o.rpn, init),
      roi_(o.channels, o.classes, o.roi, init),
      sampling_(new_stream(init)) {
  stages_->drop_head();
}

void FasterRcnn::visit(Visitor& v) {
  v("backbone", *backbone_.net);
  fpn_.visit(v, "fpn");
  rpn_.visit(v, "rpn");
  roi_.visit(v, "roi");
  v("sampling", sampling_);
}

std::vector<Var> FasterRcnn::pyramid(const Var& images) {
  std::vector<Var> maps = stages_->stage_maps(images);
  maps.erase(maps.begin(), maps.begin() + (options_.first_stage - 1));
  return fpn_(maps);
}

DetectionLosses FasterRcnn::losses(const Var& images, const std::vector<ImageSize>& sizes,
                                   const std::vector<Objects>& objects) {
  const TapeObserver::Scope scope(this);
  check_batch(images, sizes);
  check(objects.size() == sizes.size(), "faster_rcnn: objects of ", objects.size(),
        " images, expected ", sizes.size());
  for (const Objects& own : objects) {
    check(own.boxes.size() == own.labels.size(), "faster_rcnn: ", own.boxes.size(), " boxes and ",
          own.labels.size(), " labels");
    for (std::size_t i = 0; i < own.boxes.size(); ++i) {
      check(own.labels[i] >= 0 && own.labels[i] < options_.classes, "faster_rcnn: label ",
            own.labels[i], " is outside [0, ", options_.classes, ")");
      check(own.boxes[i].width() > 0 && own.boxes[i].height() > 0, "faster_rcnn: an object of ",
            own.boxes[i].width(), " x ", own.boxes[i].height(), " pixels");
    }
  }
  std::vector<Var> maps = pyramid(images);
  const ImageSize padded = padded_size(images);
  const Rpn::Output first = rpn_(maps, padded);
  maps.pop_back();
  return draw_from(sampling_, [&](Generator& rng) {
    const Rpn::Losses of_rpn = rpn_.losses(first, objects, rng);
    const RoiHeads::Losses of_roi = roi_.losses(
        maps, padded, rpn_.proposals(first, sizes, options_.rpn.training), objects, rng);
    return DetectionLosses{of_roi.classifier, of_roi.box, of_rpn.objectness, of_rpn.box};
  });
}

std::vector<Detections> FasterRcnn::detect(const Var& images, const std::vector<ImageSize>& sizes) {
  check_batch(images, sizes);
  std::vector<Var> maps = pyramid(images);
  const ImageSize padded = padded_size(images);
  const auto proposals = rpn_.proposals(rpn_(maps, padded), sizes, options_.rpn.evaluation);
  maps.pop_back();
  return roi_.detect(maps, padded, proposals, sizes);
}

std::vector<std::vector<Box>> FasterRcnn::propose(const Var& images,
                                                  const std::vector<ImageSize>& sizes) {
  check_batch(images, sizes);
  const std::vector<Var> maps = pyramid(images);
  return rpn_.proposals(rpn_(maps, padded_size(images)), sizes, options_.rpn.evaluation);
}

void make_norms_constant(Module& module) {
  struct Constant final : Visitor {
    void enter(const std::string&, Module& m) override {
      auto* const norm = dynamic_cast<BatchNorm*>(&m);
      if (!norm) return;
      norm->frozen = true;
      norm->weight.trainable = norm->bias.trainable = false;
    }
  };
  Constant().walk(module);
}

}  // namespace exciton::nn::detection
