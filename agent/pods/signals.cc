// SPDX-License-Identifier: Apache-2.0
#include "agent/pods/signals.h"

#include <algorithm>
#include <cctype>
#include <csignal>
#include <string>

#include "runtime/base/log.h"
#include "runtime/base/strings.h"

namespace berth::pods {
namespace {

namespace v1 = ::runtime::v1;

struct NamedSignal {
  std::string_view name;
  int number;
};
constexpr NamedSignal kSignals[] = {
    {"ABRT", SIGABRT},     {"ALRM", SIGALRM},   {"BUS", SIGBUS},   {"CHLD", SIGCHLD}, {"CLD", SIGCHLD},
    {"CONT", SIGCONT},     {"FPE", SIGFPE},     {"HUP", SIGHUP},   {"ILL", SIGILL},   {"INT", SIGINT},
    {"IO", SIGIO},         {"IOT", SIGIOT},     {"KILL", SIGKILL}, {"PIPE", SIGPIPE}, {"POLL", SIGPOLL},
    {"PROF", SIGPROF},     {"PWR", SIGPWR},     {"QUIT", SIGQUIT}, {"SEGV", SIGSEGV}, {"STKFLT", SIGSTKFLT},
    {"STOP", SIGSTOP},     {"SYS", SIGSYS},     {"TERM", SIGTERM}, {"TRAP", SIGTRAP}, {"TSTP", SIGTSTP},
    {"TTIN", SIGTTIN},     {"TTOU", SIGTTOU},   {"URG", SIGURG},   {"USR1", SIGUSR1}, {"USR2", SIGUSR2},
    {"VTALRM", SIGVTALRM}, {"WINCH", SIGWINCH}, {"XCPU", SIGXCPU}, {"XFSZ", SIGXFSZ}};

constexpr int kRealTimeFirst = 34;  // SIGRTMIN as glibc, musl and the CRI's names count
constexpr int kRealTimeLast = 64;

// "RTMIN", "RTMIN+3", "RTMINPLUS3", "RTMAX-2", "RTMAXMINUS2" → number, 0 for anything else.
int real_time_signal(std::string_view name) {
  const bool from_first = name.starts_with("RTMIN");
  if (!from_first && !name.starts_with("RTMAX")) return 0;
  std::string_view rest = name.substr(5);
  const int base = from_first ? kRealTimeFirst : kRealTimeLast;
  if (rest.empty()) return base;
  for (const std::string_view word :
       {std::string_view(from_first ? "PLUS" : "MINUS"), std::string_view(from_first ? "+" : "-")}) {
    if (!rest.starts_with(word)) continue;
    const auto offset = parse_uint32(rest.substr(word.size()));
    if (!offset || *offset > 30) return 0;
    return from_first ? base + int(*offset) : base - int(*offset);
  }
  return 0;
}

}  // namespace

Result<int> parse_signal(std::string_view text) {
  if (const auto number = parse_uint32(text); number && *number >= 1 && *number <= uint32_t(kRealTimeLast))
    return int(*number);
  std::string name(text);
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return char(std::toupper(c)); });
  if (name.starts_with("SIG")) name.erase(0, 3);
  for (const NamedSignal& signal : kSignals) {
    if (signal.name == name) return signal.number;
  }
  if (const int number = real_time_signal(name); number != 0) return number;
  return fail(Code::kInvalidArgument, concat("signal ", quote(text), " is unknown"));
}

Result<int> stop_signal_number(v1::Signal request, std::string_view image) {
  if (request != v1::SIGNAL_RUNTIME_DEFAULT) {
    constexpr std::string_view kPrefix = "SIGNAL_";
    const std::string& name = v1::Signal_Name(request);
    if (name.empty()) return fail(Code::kInvalidArgument, concat("stop_signal ", int(request), " is unknown"));
    return parse_signal(std::string_view(name).substr(kPrefix.size()));
  }
  if (image.empty()) return SIGTERM;
  auto parsed = parse_signal(image);
  if (parsed) return parsed;
  log_warn("image has an unknown stop signal", {{"signal", image}});
  return SIGTERM;
}

v1::Signal signal_enum(int number) {
  for (int value = v1::SIGNAL_SIGABRT; value <= v1::SIGNAL_SIGRTMAX; ++value) {
    const auto parsed = stop_signal_number(v1::Signal(value), "");
    if (parsed && *parsed == number) return v1::Signal(value);
  }
  return v1::SIGNAL_RUNTIME_DEFAULT;
}

}  // namespace berth::pods
