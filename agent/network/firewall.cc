// SPDX-License-Identifier: Apache-2.0
#include "agent/network/firewall.h"

#include <cstdlib>
#include <memory>
#include <mutex>
#include <nftables/libnftables.h>

#include "runtime/base/strings.h"
#include "runtime/sys/late_library.h"

namespace berth::network {
namespace {

// libnftables, loaded with the first rule: most commands of `berth` never need it.
struct Nftables {
  decltype(::nft_ctx_new)* ctx_new = nullptr;
  decltype(::nft_ctx_free)* ctx_free = nullptr;
  decltype(::nft_ctx_buffer_error)* buffer_error = nullptr;
  decltype(::nft_ctx_buffer_output)* buffer_output = nullptr;
  decltype(::nft_ctx_get_error_buffer)* get_error = nullptr;
  decltype(::nft_ctx_get_output_buffer)* get_output = nullptr;
  decltype(::nft_run_cmd_from_buffer)* run = nullptr;

  static Result<Nftables> load() {
    Nftables nft;
    TRY_ASSIGN(const auto library, sys::LateLibrary::open("libnftables.so.1"));
    TRY(library.bind("nft_ctx_new", nft.ctx_new));
    TRY(library.bind("nft_ctx_free", nft.ctx_free));
    TRY(library.bind("nft_ctx_buffer_error", nft.buffer_error));
    TRY(library.bind("nft_ctx_buffer_output", nft.buffer_output));
    TRY(library.bind("nft_ctx_get_error_buffer", nft.get_error));
    TRY(library.bind("nft_ctx_get_output_buffer", nft.get_output));
    TRY(library.bind("nft_run_cmd_from_buffer", nft.run));
    return nft;
  }
};

// One transaction; the kernel applies all of it or none. libnftables contexts are not shared between threads.
Result<> run_nft(const std::string& commands, std::string_view operation, std::string* output = nullptr) {
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  static const Result<Nftables> loaded = Nftables::load();
  TRY(loaded, operation);
  const Nftables& nft = *loaded;
  const std::unique_ptr<nft_ctx, decltype(nft.ctx_free)> context(nft.ctx_new(NFT_CTX_DEFAULT), nft.ctx_free);
  if (!context) return fail(Code::kInternal, concat(operation, ": nftables is not available"));
  nft.buffer_error(context.get());
  nft.buffer_output(context.get());
  if (nft.run(context.get(), commands.c_str()) == 0) {
    if (output != nullptr) *output = nft.get_output(context.get());
    return {};
  }
  std::string text(trim(nft.get_error(context.get())));
  const bool exists = text.find("File exists") != std::string::npos;
  text = text.substr(0, text.find('\n'));
  return fail(exists ? Code::kAlreadyExists : Code::kInternal, concat(operation, ": ", text));
}

std::string table_of(const std::string& bridge) { return concat("ip berth_", bridge); }

bool is_any(const std::string& host_ip) { return host_ip.empty() || host_ip == "0.0.0.0"; }

// "ports { tcp . 5000 }" with or without ": 10.90.0.2 . 80".
std::string element(const PortMapping& port, const std::string& address, bool with_target) {
  std::string text = is_any(port.host_ip) ? "ports { " : concat("addressed_ports { ", port.host_ip, " . ");
  text += concat(port.protocol, " . ", port.host_port);
  if (with_target) text += concat(" : ", address, " . ", port.container_port);
  return text + " }";
}

}  // namespace

Result<> firewall_prepare(const std::string& bridge, const Subnet& subnet) {
  const std::string table = table_of(bridge);
  std::string rules = concat("add table ", table, "\n");
  rules += concat("add map ", table, " ports { type inet_proto . inet_service : ipv4_addr . inet_service ; }\n");
  rules += concat("add map ", table, " addressed_ports { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service ; }\n");
  for (const auto* chain : {"prerouting", "output"}) {
    rules += concat("add chain ", table, " ", chain, " { type nat hook ", chain, " priority -100 ; }\nflush chain ", table, " ", chain, "\n");
    rules += concat("add rule ", table, " ", chain, " fib daddr type local dnat ip to ip daddr . meta l4proto . th dport map @addressed_ports\n");
    rules += concat("add rule ", table, " ", chain, " fib daddr type local dnat ip to meta l4proto . th dport map @ports\n");
  }
  rules += concat("add chain ", table, " postrouting { type nat hook postrouting priority 100 ; }\nflush chain ", table, " postrouting\n");
  rules += concat("add rule ", table, " postrouting ip saddr ", subnet.cidr(), " ip daddr != ", subnet.cidr(), " masquerade\n");
  // Loopback clients of a host port, and a pod that reaches itself through one, need their source rewritten too.
  rules += concat("add rule ", table, " postrouting ip saddr 127.0.0.0/8 oifname \"", bridge, "\" masquerade\n");
  rules += concat("add rule ", table, " postrouting ip saddr ", subnet.cidr(), " oifname \"", bridge, "\" ct status dnat masquerade\n");
  return run_nft(rules, "prepare the firewall");
}

Result<> firewall_publish(const std::string& bridge, const std::string& address, const std::vector<PortMapping>& ports) {
  std::string commands;
  std::string names;
  for (const auto& port : ports) {
    if (port.host_port == 0) continue;
    // "create" fails where "add" would silently keep another pod's entry.
    commands += concat("create element ", table_of(bridge), " ", element(port, address, true), "\n");
    names += concat(names.empty() ? "" : ", ", port.host_port, "/", port.protocol);
  }
  if (commands.empty()) return {};
  auto done = run_nft(commands, concat("publish port ", names));
  if (!done && done.error().code() == Code::kAlreadyExists) {
    return fail(Code::kAlreadyExists, concat("publish port ", names, ": port is already in use"));
  }
  return done;
}

Result<> firewall_withdraw(const std::string& bridge, const std::string& address, const std::vector<PortMapping>& ports) {
  for (const auto& port : ports) {
    if (port.host_port == 0) continue;
    // nft deletes by key alone: look first, so that an entry that is another pod's stays.
    const std::string key = element(port, address, false);
    std::string present;
    const auto found = run_nft(concat("get element ", table_of(bridge), " ", key, "\n"), "look up port", &present);
    if (!found || present.find(concat(" : ", address, " . ")) == std::string::npos) continue;
    TRY(run_nft(concat("delete element ", table_of(bridge), " ", key, "\n"), "withdraw port"));
  }
  return {};
}

}  // namespace berth::network
