#include "apps/terminal/command_line.hpp"

#include <cctype>
#include <cerrno>
#include <string_view>

#include "exciton/train/plugin.hpp"

namespace exciton::apps {
namespace {

std::string quoted(const std::string& word) {
  constexpr std::string_view harmless = "_-./:=,@%+";
  bool plain = !word.empty();
  for (const char c : word)
    plain = plain && (std::isalnum(static_cast<unsigned char>(c)) != 0 ||
                      harmless.find(c) != std::string_view::npos);
  if (plain) return word;
  std::string out = "'";
  for (const char c : word) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + '\'';
}

}  // namespace

std::string command_line(const std::vector<std::string>& words) {
  std::string out = quoted(program_invocation_name);
  for (const std::string& file : train::loaded_plugins()) out += " --plugin " + quoted(file);
  for (const std::string& word : words) out += ' ' + quoted(word);
  return out;
}

}  // namespace exciton::apps
