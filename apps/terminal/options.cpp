#include "apps/terminal/options.hpp"

#include <CLI/CLI.hpp>
#include <charconv>
#include <sstream>
#include <system_error>

#include "exciton/core/error.hpp"
#include "exciton/core/suggest.hpp"

namespace exciton::apps {
namespace {

template <class T>
bool parse(const std::string& text, T& to) {
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, to);
  return error == std::errc() && stop == end;
}
bool parse(const std::string& text, std::string& to) {
  to = text;
  return true;
}
bool parse(const std::string& text, std::optional<std::string>& to) {
  to = text;
  return true;
}

template <class T>
constexpr const char* type_of = "TEXT";
template <>
constexpr const char* type_of<std::int64_t> = "INT";
template <>
constexpr const char* type_of<int> = "INT";
template <>
constexpr const char* type_of<double> = "FLOAT";

std::string text_of(const std::string& value) { return value; }
std::string text_of(const std::optional<std::string>& value) { return value.value_or(""); }
template <class T>
std::string text_of(const T& value) {
  std::ostringstream out;
  out << value;
  return out.str();
}

template <class T>
Check numbers(T low, T high, const char* kind) {
  std::ostringstream range;
  range << low << " to " << high;
  const std::string expected = std::string(kind) + " from " + range.str();
  return {range.str(), [=](std::string& text) {
            T value{};
            const bool fits = parse(text, value) && value >= low && value <= high;
            // Leading zeros would be read as octal.
            if (fits && std::is_integral_v<T>) text = std::to_string(value);
            return fits ? std::string() : "expected " + expected + ", got " + shortened(text, 60);
          }};
}

/// What of the options of `app` a word that is none may have meant.
std::string option_meant_by(const CLI::App& app, const std::string& word) {
  std::vector<std::string> known;
  for (const CLI::Option* option : app.get_options())
    for (const std::string& name : option->get_lnames()) known.push_back("--" + name);
  return did_you_mean(word, known);
}

/// What CLI11 says, but "--dir: 1 required DIR missing".
std::string plain(const std::string& said) {
  const std::string one = ": 1 required ", missing = " missing";
  const std::size_t at = said.find(one);
  if (at == said.npos || !said.ends_with(missing)) return said;
  const std::size_t type = at + one.size();
  return said.substr(0, at) + ": expected " +
         said.substr(type, said.size() - missing.size() - type) + " behind it, got nothing";
}

/// What of the commands of `app` a word may have meant.
std::string meant_by(const CLI::App& app, const std::string& word) {
  std::vector<std::string> known;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
    known.push_back(command->get_name());
  return did_you_mean(word, known);
}

}  // namespace

Check number_in(std::int64_t low, std::int64_t high) {
  return numbers(low, high, "a whole number");
}
Check number_in(double low, double high) { return numbers(low, high, "a number"); }

Check one_of(std::vector<std::string> words) {
  std::string listed;
  for (const std::string& word : words) listed += (listed.empty() ? "" : ",") + word;
  return {'{' + listed + '}', [=](std::string& text) {
            return std::find(words.begin(), words.end(), text) != words.end()
                       ? std::string()
                       : text + " not in {" + listed + '}';
          }};
}

Option& Option::required(bool yes) {
  option_->required(yes);
  return *this;
}
Option& Option::check(const Check& check) {
  option_->check(CLI::Validator(check.refuse, check.expected));
  return *this;
}
Option& Option::type_name(const std::string& name) {
  option_->type_name(name);
  return *this;
}
Option& Option::delimiter(char between) {
  option_->delimiter(between);
  return *this;
}
Option& Option::one_at_a_time() {
  option_->allow_extra_args(false);
  return *this;
}
Option& Option::show_default() {
  option_->default_str(default_);
  return *this;
}

Command::Command(const std::string& name, const std::string& description)
    : own_(std::make_unique<CLI::App>(description, name)), app_(own_.get()), root_(this) {}
Command::Command(CLI::App& app, Command& root) : app_(&app), root_(&root) {}
Command::~Command() = default;

Command& Command::add_command(const std::string& name, const std::string& description) {
  CLI::App* below = app_->add_subcommand(name, description);
  below->fallthrough();  // options of the program may stand behind it
  commands_.push_back(std::unique_ptr<Command>(new Command(*below, *root_)));
  return *commands_.back();
}

template <class T>
Option& Command::add(const std::string& name, T& to, const std::string& description) {
  CLI::Option* option = app_->add_option(
      name, [&to](const CLI::results_t& texts) { return parse(texts.front(), to); }, description);
  option->type_name(type_of<T>)->type_size(1)->expected(1);
  options_.emplace_back(option).default_ = text_of(to);
  return options_.back();
}

namespace {
template <class T>
CLI::Option* add_list(CLI::App& app, const std::string& name, std::vector<T>& to,
                      const std::string& description) {
  CLI::Option* option = app.add_option(
      name,
      [&to](const CLI::results_t& texts) {
        to.clear();
        for (const std::string& text : texts)
          if (!parse(text, to.emplace_back())) return false;
        return true;
      },
      description);
  return option->type_name(type_of<T>)
      ->type_size(1)
      ->expected(CLI::detail::expected_max_vector_size);
}
}  // namespace

Option& Command::add_option(const std::string& name, std::string& to,
                            const std::string& description) {
  return add(name, to, description);
}
Option& Command::add_option(const std::string& name, std::optional<std::string>& to,
                            const std::string& description) {
  return add(name, to, description);
}
Option& Command::add_option(const std::string& name, std::int64_t& to,
                            const std::string& description) {
  return add(name, to, description);
}
Option& Command::add_option(const std::string& name, int& to, const std::string& description) {
  return add(name, to, description);
}
Option& Command::add_option(const std::string& name, double& to, const std::string& description) {
  return add(name, to, description);
}
Option& Command::add_option(const std::string& name, std::vector<std::string>& to,
                            const std::string& description) {
  return options_.emplace_back(add_list(*app_, name, to, description));
}
Option& Command::add_option(const std::string& name, std::vector<std::int64_t>& to,
                            const std::string& description) {
  return options_.emplace_back(add_list(*app_, name, to, description));
}

void Command::add_flag(const std::string& name, bool& to, const std::string& description) {
  app_->add_flag_function(
      name, [&to](std::int64_t) { to = true; }, description);
}

void Command::footer(const std::string& text) { app_->footer(text); }

void Command::action(std::function<int()> run) {
  action(std::move(run), [] { return std::string(); });
}
void Command::action(std::function<int()> run, std::function<std::string()> missing) {
  app_->callback([this, run = std::move(run), missing = std::move(missing)] {
    if (!app_->get_subcommands().empty()) return;
    if (const std::string name = missing(); !name.empty()) throw CLI::RequiredError(name);
    root_->chosen_ = run;
  });
}

void Command::require_command() { app_->require_subcommand(1); }
void Command::show_version(const std::string& text) { app_->set_version_flag("--version", text); }

namespace {

/// The words of "{a,b}", the way checks and CLI11 write a closed choice.
std::vector<std::string> words_of(const std::string& type) {
  const std::size_t open = type.find('{'), close = type.find('}', open);
  std::vector<std::string> out;
  if (open == type.npos || close == type.npos) return out;
  std::istringstream words(type.substr(open + 1, close - open - 1));
  for (std::string word; std::getline(words, word, ',');) out.push_back(word);
  return out;
}

CommandTable table_of(const CLI::App& app) {
  CommandTable out{.name = app.get_name(),
                   .text = app.get_description(),
                   .footer = app.get_footer(),
                   .rows = {},
                   .commands = {}};
  for (const CLI::Option* option : app.get_options()) {
    CommandTable::Row row;
    row.positional = option->get_positional();
    if (row.positional) {
      row.names.push_back(option->get_name(true));
    } else {
      for (const std::string& name : option->get_snames()) row.names.push_back("-" + name);
      for (const std::string& name : option->get_lnames()) row.names.push_back("--" + name);
    }
    if (option->get_type_size() > 0) row.type = option->get_type_name();
    row.words = words_of(row.type);
    row.text = option->get_description();
    row.required = option->get_required();
    out.rows.push_back(std::move(row));
  }
  for (const CLI::App* below : app.get_subcommands([](const CLI::App*) { return true; }))
    out.commands.push_back(table_of(*below));
  return out;
}

}  // namespace

CommandTable Command::table() const { return table_of(*app_); }

int Command::run(int argc, char** argv, const std::function<void()>& before,
                 const std::function<int(const std::string&)>& complain) {
  try {
    app_->parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app_->exit(error);  // --help
    std::string command = app_->get_name();
    const CLI::App* at = app_;
    while (!at->get_subcommands().empty()) {
      at = at->get_subcommands().front();
      command += ' ' + at->get_name();
    }
    // Without a subcommand CLI11 complains of that, not of the word that is none.
    std::string unknown, option;
    for (const std::string& word : app_->remaining(true)) {
      const bool is_option = word.starts_with('-');
      if (std::string& first = is_option ? option : unknown; first.empty()) first = word;
    }
    const bool wants_command = at->get_require_subcommand_min() > 0 && !unknown.empty();
    const std::string what = !option.empty() ? "no option " + option + option_meant_by(*at, option)
                             : wants_command ? "no command " + unknown + meant_by(*at, unknown)
                                             : plain(error.what());
    return complain(what + "; see " + command + " --help");
  }
  before();
  return chosen_();
}

}  // namespace exciton::apps
