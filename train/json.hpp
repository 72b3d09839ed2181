/// The JSON type of recipes, logs and checkpoint headers, and the one way it is read: within
/// limits, for what comes from a file is believed in nothing.
#pragma once
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace exciton::train {

/// Keys keep the order they are written in, and are looked up one after another.
using Json = nlohmann::ordered_json;

/// More than any recipe, line of a log or header of a checkpoint needs.
struct JsonLimits {
  std::size_t bytes = std::size_t{8} << 20;
  std::size_t depth = 64;          ///< objects and lists within one another: walks are recursive
  std::size_t values = 1'000'000;  ///< in the whole document
  std::size_t keys = 4096;         ///< of one object: looking them up one by one stays quick
};

/// The document `text`. Errors: "WHO: ..." with line and column where it is malformed, and with the
/// key where a limit is passed, a number is out of range or a key comes twice.
Json parse_json(const std::string& text, const std::string& who, const JsonLimits& limits = {});
/// The same, or nothing where it cannot be had.
std::optional<Json> try_json(const std::string& text);

/// Parses a JSON file. Errors: unreadable, or as parse_json, with the path.
Json read_json(const std::filesystem::path& path);

/// "a string", "a number", ... : what a value is, for error messages.
std::string kind_of(const Json& value);
/// The document on one line. What is not UTF-8, such as a file's name, is shown with replacement
/// characters.
std::string to_text(const Json& json);
/// A value as shown in an error: its kind and its beginning, on one line.
std::string shown(const Json& value);

/// The value at `path` ("position.epoch") as a T. Errors: "WHO: position.epoch: ..." where it is
/// missing or of another type.
template <class T>
T value_at(const Json& json, const std::string& path, const std::string& who);

/// The value at `path`, or nullptr.
const Json* find_at(const Json& json, const std::string& path);
[[noreturn]] void fail_at(const Json* found, const std::string& path, const std::string& who);

template <class T>
T value_at(const Json& json, const std::string& path, const std::string& who) {
  const Json* found = find_at(json, path);
  if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
    // nlohmann would convert a fraction or a larger integer silently.
    if (!found || !found->is_number_integer() ||
        (std::is_signed_v<T> && found->is_number_unsigned() && found->template get<T>() < 0))
      fail_at(found, path, who);
  }
  if (!found) fail_at(found, path, who);
  try {
    return found->template get<T>();
  } catch (const Json::exception&) {
    fail_at(found, path, who);
  }
}

}  // namespace exciton::train
