// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>

#include "runtime/base/strings.h"

namespace berth::cli {

namespace {

class UsageFormatter : public CLI::Formatter {
 public:
  explicit UsageFormatter(std::string usage) : usage_(std::move(usage)) {}
  std::string make_usage(const CLI::App*, std::string) const override { return usage_; }

 private:
  std::string usage_;
};

}  // namespace

struct Flags::Parser {
  std::string verb;
  CLI::App app;
  std::vector<std::string>* operands = nullptr;
  size_t least = 0;
  size_t most = 0;
  bool ends_flags = false;

  Parser(std::string verb_in, const std::string& description)
      : verb(std::move(verb_in)), app(description, "berth " + verb) {}
};

Flags::Flags(std::string verb, std::string operand_text, std::string description)
    : parser_(std::make_unique<Parser>(std::move(verb), description)) {
  CLI::App& app = parser_->app;
  app.set_help_flag("--help", "print this text");
  auto formatter = std::make_shared<UsageFormatter>(
      concat("Usage: berth", parser_->verb.empty() ? "" : " ", parser_->verb, " ", operand_text, "\n"));
  formatter->column_width(34);
  app.formatter(std::move(formatter));
}

Flags::~Flags() = default;

void Flags::flag(const std::string& names, bool& value, const std::string& help) {
  parser_->app.add_flag(names, value, help);
}

void Flags::text(const std::string& names, std::string& value, const std::string& help) {
  parser_->app.add_option(names, value, help)
      ->type_name("VALUE")
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
}

void Flags::text(const std::string& names, std::optional<std::string>& value, const std::string& help) {
  parser_->app.add_option_function<std::string>(
                  names, [&value](const std::string& given) { value = given; }, help)
      ->type_name("VALUE")
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
}

void Flags::list(const std::string& names, std::vector<std::string>& values, const std::string& help) {
  parser_->app.add_option(names, values, help)->type_name("VALUE")->allow_extra_args(false);
}

void Flags::operands(std::vector<std::string>& values, size_t least, size_t most) {
  parser_->operands = &values;
  parser_->least = least;
  parser_->most = most;
  parser_->app.allow_extras();
}

void Flags::operands_end_flags(std::vector<std::string>& values, size_t least) {
  operands(values, least);
  parser_->ends_flags = true;
  parser_->app.allow_extras(false);
  parser_->app.prefix_command();
}

std::optional<int> Flags::complain(const std::string& sentence) const {
  const std::string& verb = parser_->verb;
  return report(concat(sentence, " (see 'berth ", verb, verb.empty() ? "" : " ", "--help')"), kUsageStatus);
}

std::optional<int> Flags::parse(std::vector<std::string> args) {
  Parser& p = *parser_;
  // What follows "--" is operands whatever it looks like; CLI11 would still reject it as extra flags by its looks.
  std::vector<std::string> verbatim;
  if (!p.ends_flags && p.operands != nullptr) {
    for (size_t i = 0; i < args.size(); ++i) {
      if (args[i] != "--") continue;
      verbatim.assign(args.begin() + static_cast<ptrdiff_t>(i) + 1, args.end());
      args.resize(i);
      break;
    }
  }
  std::reverse(args.begin(), args.end());  // CLI11 takes them last first
  try {
    p.app.parse(std::move(args));
  } catch (const CLI::CallForHelp&) {
    std::fputs(p.app.help().c_str(), stdout);
    return 0;
  } catch (const CLI::ExtrasError&) {
    const auto rest = p.app.remaining();
    const std::string first = rest.empty() ? "" : rest.front();
    return complain(first.starts_with('-') ? concat("unknown flag: ", quote(first))
                                           : concat("unexpected argument ", quote(first)));
  } catch (const CLI::ParseError& error) {
    return complain(error.what());
  }
  if (p.operands == nullptr) return std::nullopt;
  std::vector<std::string> rest = p.app.remaining();
  if (p.ends_flags) {
    if (!rest.empty() && rest.front() == "--")
      rest.erase(rest.begin());
    else if (!rest.empty() && rest.front().size() > 1 && rest.front().starts_with('-'))
      return complain(concat("unknown flag: ", quote(rest.front())));
  } else {
    for (const std::string& operand : rest) {
      if (operand.size() > 1 && operand.starts_with('-')) return complain(concat("unknown flag: ", quote(operand)));
    }
  }
  rest.insert(rest.end(), verbatim.begin(), verbatim.end());
  if (rest.size() < p.least) {
    return complain(
        concat("'berth ", p.verb, "' requires at least ", p.least, p.least == 1 ? " argument" : " arguments"));
  }
  if (rest.size() > p.most) {
    return complain(p.most == 0 ? concat("'berth ", p.verb, "' accepts no arguments")
                                : concat("'berth ", p.verb, "' accepts at most ", p.most,
                                         p.most == 1 ? " argument" : " arguments"));
  }
  *p.operands = std::move(rest);
  return std::nullopt;
}

int report(const std::string& sentence, int status) {
  std::fflush(stdout);
  std::fprintf(stderr, "berth: %s\n", sentence.c_str());
  return status;
}

void report_operand(const std::string& sentence) {
  std::fflush(stdout);
  std::fprintf(stderr, "Error: %s\n", sentence.c_str());
}

}  // namespace berth::cli
