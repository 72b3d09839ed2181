/// Part of a data set, in the same order.
#pragma once
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "exciton/data/dataset.hpp"
#include "exciton/data/fingerprint.hpp"

namespace exciton::data {

class Subset final : public Dataset {
 public:
  /// The images `indices` of `whole`. `what` they are for ends the description. Errors: one that is
  /// not there.
  Subset(std::shared_ptr<const Dataset> whole, std::vector<std::int64_t> indices,
         std::string what = "")
      : whole_(std::move(whole)), indices_(std::move(indices)), what_(std::move(what)) {
    for (const std::int64_t i : indices_)
      check(i >= 0 && i < whole_->size(), "data: image ", i, " of ", whole_->size(), " in ",
            whole_->description());
  }
  std::int64_t size() const override { return static_cast<std::int64_t>(indices_.size()); }
  std::int64_t label(std::int64_t i) const override { return whole_->label(at(i)); }
  void read(std::int64_t i, Image& out) const override { whole_->read(at(i), out); }
  void read_view(std::int64_t i, const ViewRequest& request, Image& out) const override {
    whole_->read_view(at(i), request, out);
  }
  bool fetch(std::int64_t i, std::vector<std::uint8_t>& out) const override {
    return whole_->fetch(at(i), out);
  }
  void prefetch(std::int64_t i) const override { whole_->prefetch(at(i)); }
  std::string name(std::int64_t i) const override { return whole_->name(at(i)); }
  const std::vector<std::string>& class_names() const override { return whole_->class_names(); }
  std::int64_t channels() const override { return whole_->channels(); }
  std::int64_t image_size() const override { return whole_->image_size(); }
  std::uint64_t fingerprint() const override {
    return data::hashed(whole_->fingerprint(), indices_.data(),
                        indices_.size() * sizeof(std::int64_t));
  }
  const data::LeftOut& left_out() const override { return whole_->left_out(); }
  std::string description() const override {
    return std::to_string(size()) + " of " + whole_->description() +
           (what_.empty() ? "" : ", " + what_);
  }

 private:
  std::int64_t at(std::int64_t i) const { return indices_[static_cast<std::size_t>(i)]; }
  std::shared_ptr<const Dataset> whole_;
  std::vector<std::int64_t> indices_;
  std::string what_;
};

/// `count` numbers spread evenly over 0 .. size - 1 (all of them when count is 0 or too large).
inline std::vector<std::int64_t> spread(std::int64_t size, std::int64_t count) {
  if (count <= 0 || count > size) count = size;
  std::vector<std::int64_t> out;
  for (std::int64_t i = 0; i < count; ++i) out.push_back((2 * i + 1) * size / (2 * count));
  return out;
}

}  // namespace exciton::data
