/// What a data set found and does not use.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace exciton::data {

/// Files that a data set leaves out: counted by reason, and the first few of each named.
class LeftOut {
 public:
  struct Reason {
    std::string text;  ///< "HEIC is not read"
    std::int64_t files = 0;
    std::vector<std::string> names;  ///< the first of them, at most `named`
  };
  static constexpr std::size_t named = 3;

  void add(const std::string& reason, const std::string& name);
  /// Adds another report behind this one.
  void add(const LeftOut& other);
  bool empty() const { return reasons_.empty(); }
  std::int64_t files() const;
  /// In the order in which they first came.
  const std::vector<Reason>& reasons() const { return reasons_; }
  /// One line a reason: "left out 5 files, hidden: a/.x.jpg, a/.y.jpg, a/.z.jpg, ...".
  std::vector<std::string> lines() const;

 private:
  Reason& reason(const std::string& text);  ///< that one, made when it is new
  std::vector<Reason> reasons_;
};

}  // namespace exciton::data
