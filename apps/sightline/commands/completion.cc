#include "apps/sightline/commands/completion.h"

#include <algorithm>
#include <ostream>

namespace sightline::app {
namespace {

// Within single quotes of a shell.
std::string Quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'') {
      out += "'\\''";
    } else {
      out += c;
    }
  }
  return out + "'";
}

std::string JoinWords(const std::vector<std::string_view>& words) {
  std::string out;
  for (const std::string_view word : words) out.append(out.empty() ? "" : " ").append(word);
  return out;
}

std::vector<std::string_view> OptionNames(const CommandLine& line, const Command& command) {
  std::vector<std::string_view> names;
  for (const auto* list : {&command.options(), &line.globals().options()}) {
    for (const auto& option : *list) names.push_back(option.name);
  }
  return names;
}

constexpr const char* kWalker = R"sh(_sightline() {
  local current="${COMP_WORDS[COMP_CWORD]}" command='' previous='' word i
  for ((i = 1; i < COMP_CWORD; i++)); do
    word="${COMP_WORDS[i]}"
    if _sightline_takes_value "$command $previous"; then previous=''; continue; fi
    case "$word" in
      -*) previous="$word" ;;
      *) previous=''
         case " $(_sightline_words "$command") " in
           *" $word "*) command="${command:+$command }$word" ;;
         esac ;;
    esac
  done
  COMPREPLY=()
  if _sightline_takes_value "$command $previous"; then
    COMPREPLY=($(compgen -W "$(_sightline_choices "$command $previous")" -- "$current"))
  elif [[ "$current" == -* ]]; then
    COMPREPLY=($(compgen -W "$(_sightline_options "$command")" -- "$current"))
  else
    COMPREPLY=($(compgen -W "$(_sightline_words "$command")" -- "$current"))
  fi
}
)sh";

// A function that walks the words before the cursor to the command, then offers its words, options or choices, or files.
std::string BashFunction(const CommandLine& line) {
  std::string words = "    '') echo " + Quoted(JoinWords(line.Words(""))) + " ;;\n";
  std::string options;
  std::string choices;
  std::string values;
  for (const auto& family : line.families())
    words += "    " + Quoted(family->name()) + ") echo " + Quoted(JoinWords(line.Words(family->name()))) + " ;;\n";
  const auto add = [&](const std::string& at, const Command::OptionSpec& option) {
    if (!option.value.empty()) values += (values.empty() ? "" : "|") + at + option.name;
    if (option.choices.empty()) return;
    std::vector<std::string_view> names(option.choices.begin(), option.choices.end());
    choices += "    " + at + option.name + ") echo " + Quoted(JoinWords(names)) + " ;;\n";
  };
  for (const auto& option : line.globals().options()) add("*", option);
  for (const auto& command : line.commands()) {
    options += "    " + Quoted(command->name()) + ") echo " + Quoted(JoinWords(OptionNames(line, *command))) + " ;;\n";
    for (const auto& option : command->options()) add(Quoted(command->name() + " "), option);
    if (!command->arguments().empty() && !command->arguments()[0].choices.empty()) {
      const auto& all = command->arguments()[0].choices;
      words += "    " + Quoted(command->name()) + ") echo " + Quoted(JoinWords({all.begin(), all.end()})) + " ;;\n";
    }
  }
  return "_sightline_words() {\n  case \"$1\" in\n" + words + "  esac\n}\n_sightline_options() {\n  case \"$1\" in\n" + options +
         "    *) echo " + Quoted(JoinWords(OptionNames(line, Command("", "", Group::kAbout)))) +
         " ;;\n  esac\n}\n_sightline_choices() {\n  case \"$1\" in\n" + choices +
         "  esac\n}\n_sightline_takes_value() {\n  case \"$1\" in\n    " + values + ") return 0 ;;\n  esac\n  return 1\n}\n" + kWalker;
}

std::string Bash(const CommandLine& line) {
  return "# bash completion of sightline. Put this into your ~/.bashrc:  eval \"$(sightline completion bash)\"\n" + BashFunction(line) +
         "complete -o default -F _sightline sightline\n";
}

std::string Zsh(const CommandLine& line) {
  return "#compdef sightline\n# zsh completion of sightline. Put this into your ~/.zshrc:  eval \"$(sightline completion zsh)\"\n"
         "autoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n" +
         BashFunction(line) + "complete -o default -F _sightline sightline\n";
}

std::string Fish(const CommandLine& line) {
  std::string out = "# fish completion of sightline. Save it as ~/.config/fish/completions/sightline.fish\n";
  const auto condition = [&line](const std::string& name) {
    const std::size_t blank = name.find(' ');
    if (blank == std::string::npos) return "__fish_seen_subcommand_from " + name;
    return "__fish_seen_subcommand_from " + name.substr(0, blank) + "; and __fish_seen_subcommand_from " + name.substr(blank + 1);
  };
  const auto option = [&out](const std::string& when, const Command::OptionSpec& spec) {
    out += "complete -c sightline" + (when.empty() ? "" : " -n " + Quoted(when)) + " -l " + spec.name.substr(2);
    if (!spec.short_name.empty()) out += " -s " + spec.short_name.substr(1);
    if (!spec.value.empty()) out += spec.path() ? " -r -F" : " -x";
    if (!spec.choices.empty()) out += " -a " + Quoted(JoinWords({spec.choices.begin(), spec.choices.end()}));
    out += " -d " + Quoted(spec.help) + "\n";
  };
  for (const std::string_view word : line.Words("")) {
    const Command* command = line.Find(word);
    out += "complete -c sightline -f -n __fish_use_subcommand -a " + std::string(word) + " -d " +
           Quoted(command == nullptr ? "" : command->summary()) + "\n";
  }
  for (const auto& family : line.families()) {
    const auto words = line.Words(family->name());
    for (const std::string_view word : words) {
      const Command* command = line.Find(family->name() + " " + std::string(word));
      out += "complete -c sightline -f -n " +
             Quoted("__fish_seen_subcommand_from " + family->name() + "; and not __fish_seen_subcommand_from " + JoinWords(words)) +
             " -a " + std::string(word) + " -d " + Quoted(command == nullptr ? "" : command->summary()) + "\n";
    }
  }
  for (const auto& spec : line.globals().options()) option("", spec);
  for (const auto& command : line.commands()) {
    for (const auto& spec : command->options()) option(condition(command->name()), spec);
    if (!command->arguments().empty() && !command->arguments()[0].choices.empty()) {
      const auto& all = command->arguments()[0].choices;
      out +=
          "complete -c sightline -f -n " + Quoted(condition(command->name())) + " -a " + Quoted(JoinWords({all.begin(), all.end()})) + "\n";
    }
  }
  return out;
}

}  // namespace

void AddCompletion(CommandLine& line) {
  const auto shell = std::make_shared<std::string>();
  line.Add("completion", "A script that completes commands and options in a shell", Group::kAbout)
      .Argument("SHELL", *shell, "bash, zsh or fish", Need::kRequired, {"bash", "zsh", "fish"})
      .Example("eval \"$(sightline completion bash)\"", "in ~/.bashrc")
      .Example("sightline completion fish > ~/.config/fish/completions/sightline.fish", "for fish")
      .Run([shell, &line](Context& context) -> Result<Exit> {
        context.out() << (*shell == "bash" ? Bash(line) : *shell == "zsh" ? Zsh(line) : Fish(line));
        return Exit::kOk;
      });
}

}  // namespace sightline::app
