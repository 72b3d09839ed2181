/// exciton completion, exciton man: what shells and manual readers want, of the same table as
/// --help
#include <algorithm>
#include <filesystem>
#include <iostream>
#include <memory>
#include <sstream>

#include "apps/commands/commands.hpp"
#include "exciton/core/error.hpp"
#include "exciton/core/file.hpp"
#include "exciton/train/recipe_json.hpp"

namespace exciton::apps {
namespace {

using Row = CommandTable::Row;

/// Whether a value is a file or folder, by the name that the help gives it.
bool is_path(const Row& row) {
  for (const char* type : {"FILE", "DIR", "RUN", "RECIPE", "IMAGE", "PAGE"})
    for (const std::string& text : {row.type, row.positional ? row.names.front() : std::string()})
      if (text.find(type) != text.npos) return true;
  return false;
}

std::string joined(const std::vector<std::string>& words, const char* between = " ") {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : between) + word;
  return out;
}

/// f("data fetch", its table) for every command below `table`, whose own name is `path`.
template <class F>
void each_command(const CommandTable& table, const std::string& path, const F& f) {
  for (const CommandTable& command : table.commands) {
    const std::string name = path.empty() ? command.name : path + ' ' + command.name;
    f(name, command);
    each_command(command, name, f);
  }
}

/// "exciton data fetch" is the page exciton-data-fetch.
std::string dashed(std::string name) {
  std::ranges::replace(name, ' ', '-');
  return name;
}

std::string without_quotes(std::string text) {
  std::erase_if(text, [](char c) { return c == '\'' || c == '"' || c == '`' || c == '\\'; });
  for (char& c : text)
    if (c == '[' || c == ']' || c == ':') c = ' ';
  return text;
}

std::string bash(const CommandTable& program) {
  std::ostringstream out;
  out << "# Completion of exciton for bash. To have it: source <(exciton completion bash)\n"
         "_exciton() {\n"
         "  local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} path= word "
         "i\n"
         "  for ((i = 1; i < COMP_CWORD; ++i)); do\n"
         "    word=${COMP_WORDS[i]}\n"
         "    case \"$path $word\" in\n";
  each_command(program, "", [&](const std::string& name, const CommandTable&) {
    const std::size_t last = name.rfind(' ');
    out << "      '" << (last == name.npos ? "" : name.substr(0, last)) << ' '
        << (last == name.npos ? name : name.substr(last + 1)) << "') path='" << name << "' ;;\n";
  });
  out << "    esac\n  done\n  COMPREPLY=()\n  case \"$path $before\" in\n";
  const auto values = [&](const std::string& path, const CommandTable& table) {
    for (const Row& row : table.rows) {
      if (row.positional || row.type.empty()) continue;
      std::string cases;
      for (const std::string& name : row.names)
        cases += (cases.empty() ? "'" : "|'") + path + ' ' + name + "'";
      out << "    " << cases << ") ";
      if (!row.words.empty())
        out << "COMPREPLY=($(compgen -W '" << joined(row.words) << "' -- \"$current\"))";
      else if (is_path(row))
        out << "COMPREPLY=($(compgen -f -- \"$current\"))";
      else
        out << ":";
      out << "; return ;;\n";
    }
  };
  each_command(program, "", values);
  out << "  esac\n  case $path in\n";
  const auto words = [&](const std::string& path, const CommandTable& table) {
    std::vector<std::string> options, commands;
    bool paths = false;
    for (const Row& row : table.rows) {
      if (row.positional) {
        paths = paths || is_path(row);
        commands.insert(commands.end(), row.words.begin(), row.words.end());
      } else {
        options.insert(options.end(), row.names.begin(), row.names.end());
      }
    }
    for (const CommandTable& below : table.commands) commands.push_back(below.name);
    out << "    '" << path << "')\n      if [[ $current == -* ]]; then COMPREPLY=($(compgen -W '"
        << joined(options) << "' -- \"$current\"))\n      else COMPREPLY=($(compgen "
        << (paths ? "-f " : "") << "-W '" << joined(commands) << "' -- \"$current\")); fi ;;\n";
  };
  words("", program);
  each_command(program, "", words);
  out << "  esac\n}\ncomplete -o filenames -F _exciton exciton\n";
  return out.str();
}

std::string zsh(const CommandTable& program) {
  // zsh takes bash's functions as they are.
  return "#compdef exciton\n# Completion of exciton for zsh. To have it: source <(exciton "
         "completion "
         "zsh)\nautoload -U +X compinit && compinit -u\nautoload -U +X bashcompinit && "
         "bashcompinit\n" +
         bash(program);
}

std::string fish(const CommandTable& program) {
  std::ostringstream out;
  out << "# Completion of exciton for fish. To have it: exciton completion fish | source\n"
         "complete -c exciton -f\n";
  for (const CommandTable& command : program.commands)
    out << "complete -c exciton -n __fish_use_subcommand -a " << command.name << " -d '"
        << without_quotes(command.text) << "'\n";
  each_command(program, "", [&](const std::string& name, const CommandTable& table) {
    std::string when = "\"";
    std::istringstream parts(name);
    for (std::string part; parts >> part;)
      when += (when == "\"" ? "" : "; and ") + std::string("__fish_seen_subcommand_from ") + part;
    when += '"';
    for (const CommandTable& below : table.commands)
      out << "complete -c exciton -n " << when << " -a " << below.name << " -d '"
          << without_quotes(below.text) << "'\n";
    bool paths = false;
    for (const Row& row : table.rows) {
      if (row.positional) {
        paths = paths || is_path(row);
        if (!row.words.empty())
          out << "complete -c exciton -n " << when << " -a '" << joined(row.words) << "'\n";
        continue;
      }
      out << "complete -c exciton -n " << when;
      for (const std::string& option : row.names)
        out << (option.starts_with("--") ? " -l " + option.substr(2) : " -s " + option.substr(1));
      if (!row.type.empty()) out << " -r";
      if (!row.words.empty())
        out << " -f -a '" << joined(row.words) << "'";
      else if (is_path(row))
        out << " -F";
      out << " -d '" << without_quotes(row.text) << "'\n";
    }
    if (paths) out << "complete -c exciton -n " << when << " -F\n";
  });
  return out.str();
}

/// Text in roff: hyphens and backslashes are theirs, a dot at a line's beginning is none of ours.
std::string roff(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if ((c == '.' || c == '\'') && (out.empty() || out.back() == '\n')) out += "\\&";
    if (c == '-' || c == '\\') out += '\\';
    out += c == '\\' ? 'e' : c;
  }
  return out;
}

std::string page(const std::string& name, const CommandTable& table, const std::string& version) {
  std::ostringstream out;
  out << ".TH \"" << roff(dashed(name)) << "\" 1 \"\" \"exciton " << version << "\"\n.SH NAME\n"
      << roff(dashed(name)) << " \\- " << roff(table.text) << "\n.SH SYNOPSIS\n.B " << roff(name)
      << '\n';
  for (const Row& row : table.rows)
    if (row.positional)
      out << (row.required ? ".I " : ".RI [ ") << roff(row.names.front())
          << (row.required ? "\n" : " ]\n");
  out << "[options]" << (table.commands.empty() ? "" : " command") << '\n';
  if (!table.rows.empty()) out << ".SH OPTIONS\n";
  for (const Row& row : table.rows) {
    out << ".TP\n\\fB" << roff(joined(row.names, ", ")) << "\\fR";
    if (!row.type.empty()) out << " \\fI" << roff(row.type) << "\\fR";
    out << '\n' << roff(row.text) << (row.required && !row.positional ? " (required)" : "") << '\n';
  }
  if (!table.commands.empty()) out << ".SH COMMANDS\n";
  for (const CommandTable& below : table.commands)
    out << ".TP\n\\fB" << roff(below.name) << "\\fR\n"
        << roff(below.text) << "; see \\fB" << roff(dashed(name + ' ' + below.name)) << "\\fR(1)\n";
  if (!table.footer.empty()) {
    std::string text = table.footer;
    if (text.starts_with("Example:\n")) text.erase(0, 9);
    out << ".SH EXAMPLES\n.nf\n" << roff(text) << "\n.fi\n";
  }
  return out.str();
}

/// Keys of a recipe with their defaults, "schedule.lr": 0.1.
void add_keys(const train::Json& json, const std::string& path,
              std::vector<std::pair<std::string, std::string>>& to) {
  for (const auto& [key, value] : json.items()) {
    const std::string name = path.empty() ? key : path + '.' + key;
    if (value.is_object() && !value.empty())
      add_keys(value, name, to);
    else
      to.emplace_back(name, value.dump());
  }
}

/// One page of Markdown: every command with its options, every key of a recipe.
std::string cheat_sheet(const CommandTable& program) {
  std::ostringstream out;
  out << "# Cheat sheet\n\nMade by `exciton man --cheatsheet` from the program's own tables. What "
         "the keys "
         "mean: [training.md](training.md).\n\n## Commands\n\n";
  each_command(program, "", [&](const std::string& name, const CommandTable& table) {
    if (!table.commands.empty() && table.rows.size() <= 1) return;
    out << "- `exciton " << name;
    std::vector<std::string> options;
    for (const Row& row : table.rows) {
      if (row.positional)
        out << ' ' << row.names.front();
      else if (row.names.back() != "--help")
        options.push_back('`' + row.names.back() + '`');
    }
    out << "`: " << table.text << (options.empty() ? "" : ". " + joined(options)) << '\n';
  });
  out << "\n## Keys of a recipe, and their defaults\n\n`--set key=value` sets one.\n\n";
  std::vector<std::pair<std::string, std::string>> keys;
  add_keys(train::to_json(train::Recipe{}), "", keys);
  std::string part;
  for (const auto& [key, value] : keys) {
    const std::string top = key.substr(0, key.find('.'));
    out << (part.empty()                               ? ""
            : top == part && key.find('.') != key.npos ? ", "
                                                       : "\n")
        << (top != part || key.find('.') == key.npos ? "- " : "") << '`' << key << "` " << value;
    part = top;
  }
  out << '\n';
  return out.str();
}

struct CompletionArguments {
  std::string shell;
};
struct ManArguments {
  std::vector<std::string> command;
  std::string dir;
  bool cheat_sheet = false;
};

int run_man(const ManArguments& args, const CommandTable& program) {
  if (args.cheat_sheet) {
    std::cout << cheat_sheet(program) << std::flush;
    return 0;
  }
  const CommandTable* at = &program;
  std::string name = "exciton";
  for (const std::string& word : args.command) {
    const CommandTable* found = nullptr;
    for (const CommandTable& below : at->commands)
      if (below.name == word) found = &below;
    check(found != nullptr, "man: no command ", shortened(word, 60), " in ", name);
    at = found;
    name += ' ' + word;
  }
  if (args.dir.empty()) {
    std::cout << page(name, *at, EXCITON_VERSION) << std::flush;
    return 0;
  }
  std::error_code failed;
  std::filesystem::create_directories(args.dir, failed);
  const auto write = [&](const std::string& of, const CommandTable& table) {
    write_text(std::filesystem::path(args.dir) / (dashed(of) + ".1"),
               page(of, table, EXCITON_VERSION), "man");
  };
  write(name, *at);
  each_command(*at, name, write);
  return 0;
}

}  // namespace

void add_completion(Command& program) {
  auto args = std::make_shared<CompletionArguments>();
  Command& command =
      program.add_command("completion", "A script by which a shell completes exciton");
  command.add_option("SHELL", args->shell, "which")
      .check(one_of({"bash", "zsh", "fish"}))
      .required();
  command.footer(
      "Example:\n  source <(exciton completion bash)\n"
      "  exciton completion fish > ~/.config/fish/completions/exciton.fish");
  command.action([args, &program] {
    const CommandTable table = program.table();
    std::cout << (args->shell == "bash"  ? bash(table)
                  : args->shell == "zsh" ? zsh(table)
                                         : fish(table))
              << std::flush;
    return 0;
  });
}

void add_man(Command& program) {
  auto args = std::make_shared<ManArguments>();
  Command& command = program.add_command("man", "Manual pages, of the program or of a command");
  command.add_option("COMMAND", args->command, "of which; none: of the program");
  command.add_option("--dir", args->dir, "write the pages of all commands into a folder instead")
      .type_name("DIR");
  command.add_flag("--cheatsheet", args->cheat_sheet,
                   "print one page in Markdown instead: commands, and keys of recipes");
  command.footer(
      "Example:\n  exciton man train | man -l -\n  exciton man --dir ~/.local/share/man/man1");
  command.action([args, &program] { return run_man(*args, program.table()); });
}

}  // namespace exciton::apps
