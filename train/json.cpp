#include "exciton/train/json.hpp"

#include <set>
#include <sstream>
#include <utility>
#include <vector>

#include "exciton/core/error.hpp"
#include "exciton/core/file.hpp"
#include "exciton/data/given_file.hpp"
#include "exciton/train/remedy.hpp"

namespace exciton::train {
namespace {

/// nlohmann's text without its beginning: "[json.exception.parse_error.101] parse error at line 3,
/// column 5: ..."
std::string plain(const Json::exception& error) {
  const std::string what = error.what();
  const auto end = what.find("] ");
  return shortened(end == std::string::npos ? what : what.substr(end + 2), 300);
}

/// Walks a document without keeping it, and stops where it passes a limit.
class Inspector final : public nlohmann::json_sax<Json> {
 public:
  Inspector(const std::string& who, const JsonLimits& limits) : who_(who), limits_(limits) {}

  bool null() override { return value(); }
  bool boolean(bool) override { return value(); }
  bool number_integer(number_integer_t) override { return value(); }
  bool number_unsigned(number_unsigned_t) override { return value(); }
  bool number_float(number_float_t, const string_t&) override { return value(); }
  bool string(string_t&) override { return value(); }
  bool binary(binary_t&) override { return value(); }
  bool start_object(std::size_t) override { return open(true); }
  bool start_array(std::size_t) override { return open(false); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(string_t& name) override {
    Level& level = levels_.back();
    level.at = name;
    if (level.keys.size() == limits_.keys) stop("has more than ", limits_.keys, " keys");
    if (!level.keys.insert(name).second) stop("comes twice");
    return true;
  }
  bool parse_error(std::size_t, const std::string& token,
                   const nlohmann::detail::exception& error) override {
    constexpr int number_out_of_range = 406;
    if (error.id == number_out_of_range)
      stop("the number ", shortened(token, 40), " is beyond what a double holds, 1.8e308");
    fail(who_, ": ", plain(error));
  }

 private:
  struct Level {
    bool object = false;
    std::string at;         ///< the key that is read
    std::size_t index = 0;  ///< or the place in the list
    std::set<std::string> keys;
  };

  bool value() {
    if (++values_ > limits_.values) stop("the document has more than ", limits_.values, " values");
    if (!levels_.empty() && !levels_.back().object) ++levels_.back().index;
    return true;
  }
  bool open(bool object) {
    value();
    if (levels_.size() == limits_.depth)
      stop("nested too deep: at most ", limits_.depth, " objects or lists within one another");
    levels_.push_back({.object = object, .at = {}, .keys = {}});
    return true;
  }
  bool close() {
    levels_.pop_back();
    return true;
  }
  template <class... Parts>
  [[noreturn]] void stop(const Parts&... what) const {
    const std::string where = shortened(path(), 120);
    fail(who_, ": ", where, where.empty() ? "" : ": ", what...);
  }
  /// "data.normalize.mean[2]"
  std::string path() const {
    std::string out;
    for (const Level& level : levels_) {
      if (level.object)
        out += (out.empty() || level.at.empty() ? "" : ".") + level.at;
      else if (level.index > 0)
        out += '[' + std::to_string(level.index - 1) + ']';
    }
    return out;
  }

  const std::string& who_;
  const JsonLimits& limits_;
  std::vector<Level> levels_;
  std::size_t values_ = 0;
};

}  // namespace

Json parse_json(const std::string& text, const std::string& who, const JsonLimits& limits) {
  check(text.size() <= limits.bytes, who, ": more than ", limits.bytes, " bytes of JSON");
  Inspector inspector(who, limits);
  Json::sax_parse(text, &inspector);
  return Json::parse(text);
}

std::optional<Json> try_json(const std::string& text) {
  try {
    return parse_json(text, "json");
  } catch (const Error&) {
    return std::nullopt;  // the caller has something else to do with such a text
  }
}

Json read_json(const std::filesystem::path& path) {
  const std::string who = "recipe: " + path.string();
  std::error_code none;
  check(!std::filesystem::is_directory(path, none), who, " is a folder, expected a JSON file");
  check(std::filesystem::exists(path, none), "recipe: there is no ", path.string(),
        "; see recipes/ for the ones that come along");
  using Kind = data::GivenFile::Kind;
  const data::GivenFile given = data::look_at_file(path);
  if (given.kind == Kind::weights)
    throw RunError(who + " is " + given.what + ", expected a JSON file", Remedy::begin_with_weights,
                   {path.string()});
  check(given.kind == Kind::unknown, who, " is ", given.what, ", expected a JSON file",
        given.kind == Kind::archive ? "; unpack it, and give the recipe or the folder of images"
                                    : given.advice);
  const std::string text = read_text(path, "recipe", JsonLimits{}.bytes);
  return parse_json(text, who);
}

std::string kind_of(const Json& value) {
  switch (value.type()) {
    case Json::value_t::object:
      return "an object";
    case Json::value_t::array:
      return "a list";
    case Json::value_t::string:
      return "a string";
    case Json::value_t::boolean:
      return "a truth value";
    case Json::value_t::number_integer:
    case Json::value_t::number_unsigned:
      return "an integer";
    case Json::value_t::number_float:
      return "a number";
    case Json::value_t::null:
      return "null";
    default:
      return "something else";
  }
}

std::string to_text(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string shown(const Json& value) {
  return kind_of(value) + " (" + shortened(to_text(value), 40) + ")";
}

const Json* find_at(const Json& json, const std::string& path) {
  const Json* at = &json;
  std::stringstream keys(path);
  for (std::string key; std::getline(keys, key, '.');) {
    if (!at->is_object()) return nullptr;
    const auto found = at->find(key);
    if (found == at->end()) return nullptr;
    at = &*found;
  }
  return at;
}

void fail_at(const Json* found, const std::string& path, const std::string& who) {
  if (!found) fail(who, ": ", path, " is missing");
  fail(who, ": ", path, ": of a wrong type: ", shown(*found));
}

}  // namespace exciton::train
