// SPDX-License-Identifier: Apache-2.0
// start: one byte through exec.fifo lets init go on to execve.
#include <cerrno>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "runtime/base/strings.h"
#include "runtime/container/container.h"
#include "runtime/container/hooks.h"
#include "runtime/container/layout.h"
#include "runtime/container/status.h"
#include "runtime/oci/spec_json.h"
#include "runtime/sys/file.h"

namespace berth::container {
namespace {

Result<> check_created(Status status) {
  switch (status) {
    case Status::kCreated: return {};
    case Status::kStopped: return fail(Code::kFailedPrecondition, "cannot start a container that has stopped");
    case Status::kCreating: return fail(Code::kFailedPrecondition, "cannot start a container that is still being created");
    default: return fail(Code::kFailedPrecondition, "cannot start an already running container");
  }
}

// A killed container must not stay when its poststart hook fails, as runc has it.
Result<> run_poststart(const Loaded& container) {
  TRY_ASSIGN(const std::string text, sys::read_file_at(container.dir.get(), kConfigFile));
  if (text.find("\"poststart\"") == std::string::npos) return {};  // parsing costs more than the search
  TRY_ASSIGN(const oci::Spec spec, oci::parse_spec(text));
  if (!spec.hooks) return {};
  const auto& record = container.record;
  return run_hooks(spec.hooks->poststart, "poststart",
                   {record.oci_version, record.id, "running", record.pid, record.bundle, record.annotations});
}

}  // namespace

Result<> start(const std::string& root, const std::string& id) {
  TRY_ASSIGN(const Loaded container, load(root, id));
  TRY_ASSIGN(const Fd lock, sys::open_at(container.dir.get(), kLockFile, O_RDWR | O_CREAT, 0600));
  if (::flock(lock.get(), LOCK_EX) != 0) return fail_errno("lock container");
  TRY(check_created(status_of(container.dir.get(), container.record)));
  const Fd gate(::openat(container.dir.get(), kExecFifo, O_WRONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC));
  if (!gate && errno == ENXIO) return check_created(Status::kStopped);
  if (!gate) return fail_errno("open exec.fifo");
  TRY(sys::write_all(gate.get(), "1"), "release container init");
  if (::unlinkat(container.dir.get(), kExecFifo, 0) != 0) return fail_errno("remove exec.fifo");
  auto hooked = run_poststart(container);
  if (!hooked) {
    (void)kill(root, id, 9, true);
    return hooked;
  }
  return {};
}

}  // namespace berth::container
