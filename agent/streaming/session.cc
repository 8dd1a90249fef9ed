// SPDX-License-Identifier: Apache-2.0
#include "agent/streaming/session.h"

#include "agent/streaming/channels.h"
#include "agent/streaming/exec_pump.h"
#include "agent/streaming/link.h"
#include "agent/streaming/port_forward.h"
#include "runtime/base/log.h"
#include "runtime/base/strings.h"

namespace berth::streaming {
namespace {

constexpr size_t kMaxWebSocketPorts = 32;

void refuse(Link& link, HttpError error, const std::vector<std::string_view>& supported = {}) {
  link.out() += error_response(error, supported);
  link.close_gently(PumpTimes().goodbye);
}

// The protocol of the upgrade, or nothing after a refusal. WebSocket may go without one.
std::optional<std::string> choose(Link& link, const Request& request, const std::vector<std::string_view>& supported) {
  if (request.stream_protocols.empty()) {
    if (request.websocket) return std::string();
    refuse(link, {400, "X-Stream-Protocol-Version is missing"});
    return std::nullopt;
  }
  auto protocol = negotiate(request.stream_protocols, supported);
  if (!protocol) refuse(link, {403, "none of the stream protocols is supported"}, supported);
  return protocol;
}

Result<std::unique_ptr<pods::ExecSession>> start(pods::Engine& engine, const Grant& grant) {
  const ExecTarget& target = grant.target;
  if (grant.verb == Verb::kAttach) {
    pods::AttachOptions options;
    options.open_stdin = target.open_stdin;
    options.open_stdout = target.open_stdout;
    options.open_stderr = target.open_stderr;
    return engine.attach(target.container_id, options);
  }
  pods::ExecOptions options;
  options.command = target.command;
  options.terminal = target.terminal;
  options.open_stdin = target.open_stdin;
  options.open_stdout = target.open_stdout;
  options.open_stderr = target.open_stderr;
  return engine.exec(target.container_id, options);
}

void run_exec(pods::Engine& engine, Link& link, const Grant& grant, const Request& request) {
  const auto protocol = choose(link, request, request.websocket ? websocket_exec_protocols() : spdy_exec_protocols());
  if (!protocol) return;
  const ExecTarget& target = grant.target;
  const ChannelSet wanted{target.open_stdin, target.open_stdout, target.open_stderr, target.terminal};
  link.out() += request.websocket ? websocket_response(request.websocket_key, *protocol) : spdy_response(*protocol);
  const auto channels = request.websocket ? make_websocket_channels(link.out(), wanted, *protocol)
                                          : make_spdy_channels(link.out(), wanted, *protocol);
  PumpRequest pump;
  pump.start = [&] { return start(engine, grant); };
  pump.wait_for_exit = grant.verb == Verb::kExec;
  pump_exec(link, *channels, pump, request.rest);
}

void run_forward(pods::Engine& engine, Link& link, const Grant& grant, const Request& request) {
  const std::vector<std::string_view> spdy = {kPortForwardProtocol};
  const auto protocol = choose(link, request, request.websocket ? websocket_forward_protocols() : spdy);
  if (!protocol) return;
  ForwardRequest forward;
  forward.dial = [&engine, &grant](uint16_t port) { return engine.dial(grant.target.container_id, port); };
  if (!request.websocket || *protocol == kPortForwardTunnel) {
    link.out() += request.websocket ? websocket_response(request.websocket_key, *protocol) : spdy_response(*protocol);
    return forward_spdy(link, request.websocket, forward, request.rest);
  }
  std::vector<uint16_t> ports;
  for (const std::string& text : request.ports) {
    const auto port = parse_uint32(text);
    if (!port || *port == 0 || *port > 65535) return refuse(link, {400, "port is not a number from 1 to 65535"});
    ports.push_back(static_cast<uint16_t>(*port));
  }
  if (ports.empty() || ports.size() > kMaxWebSocketPorts) return refuse(link, {400, "from 1 to 32 ports are required"});
  link.out() += websocket_response(request.websocket_key, *protocol);
  forward_websocket(link, ports, protocol->find("base64") != std::string::npos, forward, request.rest);
}

}  // namespace

void run_session(pods::Engine& engine, Fd socket, int stop, const Grant& grant, const Request& request) {
  const long long begun = monotonic_nanos();
  log_debug("streaming: session began", {{"verb", verb_name(grant.verb)}, {"id", grant.target.container_id}});
  Link link(std::move(socket), stop);
  if (grant.verb == Verb::kPortForward)
    run_forward(engine, link, grant, request);
  else
    run_exec(engine, link, grant, request);
  log_info("streaming: session ended", {{"verb", verb_name(grant.verb)},
                                        {"id", grant.target.container_id},
                                        {"ms", (monotonic_nanos() - begun) / 1'000'000}});
}

}  // namespace berth::streaming
