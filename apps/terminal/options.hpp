/// Commands and their options, and nothing of the library that parses them: its header is compiled
/// once, in options.cpp.
#pragma once
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace exciton::apps {

/// Exit codes: 0 done, 1 an error, 2 wrong use of the command line, 130 stopped by a signal.
inline constexpr int exit_error = 1, exit_usage = 2, exit_interrupted = 130;

/// Which texts an option takes: `refuse` returns what is wrong with one, "" when nothing is, and
/// may put it into another form; `expected` stands in the help.
struct Check {
  std::string expected;
  std::function<std::string(std::string&)> refuse;
};

/// Decimal numbers from low to high, whole ones where the limits are; neither nan nor 1e400, and
/// 010 is ten.
Check number_in(std::int64_t low, std::int64_t high);
Check number_in(double low, double high);
inline Check number_in(int low, int high) {
  return number_in(std::int64_t{low}, std::int64_t{high});
}
/// One of some words.
Check one_of(std::vector<std::string> words);

/// A command as a table: what its help, the completion of shells and the manual pages are made of.
struct CommandTable {
  struct Row {
    std::vector<std::string> names;  ///< "--json"; of what stands without one, "RUN"
    std::string type;                ///< of the value, "DIR"; "" where it takes none
    std::vector<std::string> words;  ///< that the value can be; empty: any
    std::string text;
    bool positional = false, required = false;
  };
  std::string name, text, footer;
  std::vector<Row> rows;
  std::vector<CommandTable> commands;
};

/// An option of a command, or what stands there without a name.
class Option {
 public:
  explicit Option(CLI::Option* option) : option_(option) {}
  Option& required(bool yes = true);
  Option& check(const Check& check);
  /// What its value is called in the help: "DIR".
  Option& type_name(const std::string& name);
  /// Of a list that may also be written as one word.
  Option& delimiter(char between);
  /// Of a list: one value each time the option is named.
  Option& one_at_a_time();
  /// Shows in the help the value that the variable has now.
  Option& show_default();

 private:
  friend class Command;
  CLI::Option* option_;
  std::string default_;
};

class Command {
 public:
  /// The program itself.
  Command(const std::string& name, const std::string& description);
  ~Command();
  Command(const Command&) = delete;
  Command& operator=(const Command&) = delete;

  Command& add_command(const std::string& name, const std::string& description);
  /// The value goes into `to`, which must live until the command has run.
  Option& add_option(const std::string& name, std::string& to, const std::string& description);
  Option& add_option(const std::string& name, std::optional<std::string>& to,
                     const std::string& description);
  Option& add_option(const std::string& name, std::int64_t& to, const std::string& description);
  Option& add_option(const std::string& name, int& to, const std::string& description);
  Option& add_option(const std::string& name, double& to, const std::string& description);
  Option& add_option(const std::string& name, std::vector<std::string>& to,
                     const std::string& description);
  Option& add_option(const std::string& name, std::vector<std::int64_t>& to,
                     const std::string& description);
  void add_flag(const std::string& name, bool& to, const std::string& description);
  /// Stands at the end of the help.
  void footer(const std::string& text);
  /// What it does; returns the exit code. It runs when no command below it was named.
  void action(std::function<int()> run);
  /// The same for an action that misses what is not required of every use: the names of what is
  /// missing, "" when all is there.
  void action(std::function<int()> run, std::function<std::string()> missing);
  /// One of the commands below it must be named.
  void require_command();
  void show_version(const std::string& text);

  /// It and all commands below it.
  CommandTable table() const;

  /// Parses, calls `before` and runs. What the user did wrong goes to `complain`, which returns the
  /// exit code.
  int run(int argc, char** argv, const std::function<void()>& before,
          const std::function<int(const std::string&)>& complain);

 private:
  Command(CLI::App& app, Command& root);
  template <class T>
  Option& add(const std::string& name, T& to, const std::string& description);

  std::unique_ptr<CLI::App> own_;
  CLI::App* app_;
  Command* root_;
  std::deque<std::unique_ptr<Command>> commands_;
  std::deque<Option> options_;
  std::function<int()> chosen_;  ///< of the root
};

}  // namespace exciton::apps
