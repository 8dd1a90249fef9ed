// SPDX-License-Identifier: Apache-2.0
// The flags of one verb. CLI11 does the parsing; it is visible in options.cc only, since it costs seconds in every unit
// that includes it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace berth::cli {

// Exit status of a command line that could not be understood, and of a failure of berth's own in `run` (docker's 125).
inline constexpr int kUsageStatus = 125;

// Flags are declared with names as CLI11 writes them ("-t,--time"); variables must outlive parse(). Not thread-safe.
class Flags {
 public:
  // `operand_text` is for the usage line: "[OPTIONS] IMAGE [COMMAND] [ARG...]".
  Flags(std::string verb, std::string operand_text, std::string description);
  ~Flags();
  Flags(const Flags&) = delete;
  Flags& operator=(const Flags&) = delete;

  void flag(const std::string& names, bool& value, const std::string& help);
  void text(const std::string& names, std::string& value, const std::string& help);
  void text(const std::string& names, std::optional<std::string>& value, const std::string& help);
  // May be given several times; each takes one value.
  void list(const std::string& names, std::vector<std::string>& values, const std::string& help);
  // `least`..`most` operands; flags may stand between them.
  void operands(std::vector<std::string>& values, size_t least, size_t most = SIZE_MAX);
  // As above, but the first operand ends the flags: all that follows it is taken verbatim (run, exec).
  void operands_end_flags(std::vector<std::string>& values, size_t least);

  // Nothing when the verb may go on; else the exit status, after --help or a message were printed.
  std::optional<int> parse(std::vector<std::string> args);

 private:
  std::optional<int> complain(const std::string& sentence) const;

  struct Parser;
  std::unique_ptr<Parser> parser_;
};

// "berth: SENTENCE" on standard error; returns `status`.
int report(const std::string& sentence, int status = 1);
// "Error: SENTENCE", docker's form for one operand of several.
void report_operand(const std::string& sentence);

}  // namespace berth::cli
