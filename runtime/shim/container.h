// SPDX-License-Identifier: Apache-2.0
// One container of the pod and the processes exec'd in it, as their parent sees them.
#pragma once

#include <sys/types.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "runtime/base/fd.h"
#include "runtime/base/result.h"
#include "runtime/container/container.h"
#include "runtime/shim/cri_log.h"
#include "runtime/shim/loop.h"
#include "runtime/shim/oom_watch.h"
#include "runtime/shim/overlay.h"
#include "runtime/shim/protocol.h"
#include "runtime/shim/streams.h"

namespace berth::shim {

// The fields of `create`.
struct ContainerSettings {
  std::string id;
  std::string bundle;
  bool terminal = false;
  bool open_stdin = false;
  bool stdin_once = false;
  std::string log_path;
  container::CgroupDriver driver = container::CgroupDriver::kCgroupfs;
  OverlayLayers layers;  // no lower: rootfs_path
  std::string rootfs_path;
};

// The fields of `exec`.
struct ExecSettings {
  std::string exec_id;
  std::string process;  // OCI process JSON
  bool terminal = false;
  std::chrono::milliseconds timeout{0};
};

struct AttachSettings {
  bool in = false;
  bool out = false;
  bool err = false;
  bool lossless = false;
};

class Container {
 public:
  using OnExit = std::function<void(const ExitRecord&)>;
  struct Observer {
    OnExit on_exit;  // exit.json is durable by then
    std::function<void()> on_oom;
  };
  struct Started {
    pid_t pid = 0;
    Fd terminal;
  };

  // `pod_dir` as in protocol.h. On error nothing is left but the log file.
  static Result<std::unique_ptr<Container>> create(Loop& loop, const std::string& pod_dir, ContainerSettings settings,
                                                   Observer observer);
  ~Container();
  Container(const Container&) = delete;
  Container& operator=(const Container&) = delete;

  Result<> start();
  Result<> kill(int signal, bool all);
  // Kills it when `force`, waits for its end, removes its OCI state. The object is then only good for destruction.
  Result<> remove(bool force);
  Result<> update(std::string_view resources);
  Result<> attach(const AttachSettings& settings, std::vector<Fd> fds);
  Result<> resize(const std::string& exec_id, uint16_t width, uint16_t height);
  Result<> reopen_log();
  // `on_exit` is called when the process has ended, after this has returned.
  Result<Started> exec(const ExecSettings& settings, std::vector<Fd> fds, OnExit on_exit);

  const std::string& id() const { return settings_.id; }
  const std::optional<ExitRecord>& exit() const { return exit_; }
  pid_t pid() const { return pid_; }
  uint64_t start_time() const { return start_time_; }
  long long started_at() const { return started_at_; }
  const std::map<std::string, std::string>& cgroups() const { return cgroups_; }
  std::string status() const;
  // The children that this object reaps itself.
  void add_pids(std::set<pid_t>& pids) const;

 private:
  struct Exec {
    pid_t pid = 0;
    Fd pidfd;
    Fd terminal;
    uint64_t timer = 0;
    bool timed_out = false;
    long long started_at = 0;
    OnExit on_exit;
  };
  struct Pipes;

  Container(Loop& loop, std::string pod_dir, ContainerSettings settings, Observer observer);
  Result<oci::Spec> read_spec();
  Result<> make_process(oci::Spec spec);
  Result<> make_streams(Pipes& pipes, const oci::Spec& spec);
  Result<> adopt_streams(Pipes& pipes, Fd console);
  Result<> wait_ended();
  void on_init_ready();
  void record_exit(const sys::ExitStatus& status);
  void on_exec_ready(uint64_t key);
  void on_exec_timeout(uint64_t key);

  Loop& loop_;
  std::string pod_dir_;
  std::string root_;
  ContainerSettings settings_;
  Observer observer_;
  CriLog log_;
  OomWatch oom_;
  bool private_pid_namespace_ = false;
  std::optional<int> oom_score_adj_;
  pid_t pid_ = 0;
  uint64_t start_time_ = 0;
  Fd pidfd_;
  Fd terminal_;
  std::unique_ptr<Output> stdout_;
  std::unique_ptr<Output> stderr_;
  std::unique_ptr<Input> stdin_;
  long long started_at_ = 0;
  std::string start_error_;
  std::optional<ExitRecord> exit_;
  uint64_t linger_timer_ = 0;
  std::map<std::string, std::string> cgroups_;
  uint64_t last_exec_ = 0;
  std::map<uint64_t, Exec> execs_;
  std::map<std::string, uint64_t> exec_ids_;
};

}  // namespace berth::shim
