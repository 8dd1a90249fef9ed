// SPDX-License-Identifier: Apache-2.0
// The agent ⇄ shim protocol: one JSON object per SOCK_SEQPACKET message on <pod dir>/shim.sock (0600 in a 0700
// directory, SO_PEERCRED must be root), descriptors as SCM_RIGHTS. One connection carries one request; the shim answers
// with one reply, except `exec`, `wait` and `watch`, which say more later on the same connection.
//
//   → {"op":"start","id":"…"}                   ← {"ok":{}}        or  ←
//   {"error":{"code":"NOT_FOUND","errno":2,"message":"…"}}
//
// Pod directory <state>/<namespace>/pods/<pod id>/ (0700):
//   pod.json                      what the shim needs at its start (PodSettings), written by the agent before spawning
//   shim.sock, shim.json          the socket; {"pid":…,"start_time":…} of the shim, written when it is ready
//   resolv.conf hosts hostname    written by the agent, bound into containers
//   shm/                          the pod's /dev/shm (tmpfs mounted by the shim, unmounted at its stop)
//   oci/<container id>/           state of runtime/container (its `root` is <pod dir>/oci)
//   containers/<id>/config.json   the bundle: OCI spec written by the agent before `create`
//   containers/<id>/exit.json     ExitRecord: write, fsync, rename, then notify
//
// Ops (request fields → reply fields):
//   hello                                       → version, pid
//   create   id, bundle, terminal, stdin, stdin_once, log_path, cgroup_driver ("cgroupfs"|"systemd"),
//            rootfs{lower:[…],upper,work} or rootfs{path}        → pid
//            Pipes or a pty are made by the shim; output goes to log_path in CRI format ("" = no log).
//            The log is created O_APPEND 0640 before the process can write.
//   start    id                                 → {}
//   kill     id, signal, all                    → {}
//   delete   id, force                          → {}        forgets the container and its OCI state; exit.json stays
//   state    (id optional)                      → containers:[{id,status,pid,start_time,started_at,exit?}]
//   exec     id, exec_id, process{OCI process JSON}, terminal, timeout_ms (0 = none)  + fds
//            without terminal: fds = [stdin, stdout, stderr] given to the process; → pid
//            with terminal: no fds in; → pid, with the pty master as descriptor of the reply
//            later on the same connection: ← {"exit":{…ExitRecord}}   (timeout: the exec's session is killed,
//            "timed_out":true) Closing the connection does not end the process.
//   resize   id, exec_id ("" = the container), width, height → {}
//   attach   id, stdin, stdout, stderr (bools) + fds in that order, only the true ones  → {}
//            Output is copied to the descriptors without ever blocking the container; stdin is read from the first.
//   wait     id                                 → after the exit: {"exit":{…}}
//   watch                                       → {"ok":{}}, then {"event":"exit","id":…,"exit":{…}},
//   {"event":"oom","id":…} for ever reopen_log id                               → {} after the path exists anew dial
//   port                               → descriptor of a TCP connection to localhost:port inside the pod's network
//   update   id, resources{OCI resources JSON}  → {}
//   stop                                        → {} after every container is killed and deleted and the pod's own
//   mounts
//                                                 are gone; then the shim exits
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>

#include "runtime/base/result.h"

namespace berth::shim {

inline constexpr int kProtocolVersion = 1;

// pod.json.
struct PodSettings {
  std::string pod_id;
  bool new_network = true;  // false: host network
  bool new_ipc = true;
  bool new_uts = true;
  bool shared_pid = false;  // a pid namespace of the pod with a tiny init, pinned as shim.json "pid_namespace_pid"
  std::string hostname;     // set when new_uts
  std::map<std::string, std::string> sysctls;  // written by the shim inside the pod's namespaces
  int64_t shm_bytes = 64 << 20;                // 0: no shm mount (host IPC)
};

// exit.json, and "exit" in replies and events.
struct ExitRecord {
  int code = 0;  // exit status, or 128 + signal
  int signal = 0;
  bool oom = false;  // the cgroup counted an oom_kill and the exit was by SIGKILL
  bool timed_out = false;
  long long started_at = 0;  // unix nanoseconds; 0: never started
  long long finished_at = 0;
  std::string reason;  // set for what is no plain exit, e.g. "StartError"
  std::string message;
};

std::string to_json(const PodSettings& settings);
Result<PodSettings> pod_settings_from_json(std::string_view text);
std::string to_json(const ExitRecord& record);
Result<ExitRecord> exit_record_from_json(std::string_view text);

}  // namespace berth::shim
