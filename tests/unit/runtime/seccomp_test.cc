// SPDX-License-Identifier: Apache-2.0
// The compiled program is loaded in a forked child and tried.
#include "runtime/plan/seccomp.h"

#include <cerrno>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/catch.h"

using namespace berth;

namespace {

oci::Seccomp allow_all() {
  oci::Seccomp profile;
  profile.default_action = "SCMP_ACT_ALLOW";
  return profile;
}

// The errno of a system call under the filter (0: it worked), or 1000 when the filter was not accepted.
template <typename Call>
int errno_under(const plan::SeccompFilter& filter, Call call) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    sock_fprog program{static_cast<unsigned short>(filter.program.size() / sizeof(sock_filter)),
                       reinterpret_cast<sock_filter*>(const_cast<char*>(filter.program.data()))};
    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, filter.flags, &program) != 0) ::_exit(255);
    errno = 0;
    call();
    ::_exit(errno);
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  if (WIFSIGNALED(status)) return 2000 + WTERMSIG(status);
  return WEXITSTATUS(status) == 255 ? 1000 : WEXITSTATUS(status);
}

}  // namespace

TEST_CASE("a denied call returns the errno of its rule", "[seccomp]") {
  auto profile = allow_all();
  profile.syscalls = {{{"getppid"}, "SCMP_ACT_ERRNO", 13, {}}, {{"getpgid"}, "SCMP_ACT_ERRNO", {}, {}}};
  const auto filter = plan::compile_seccomp(profile);
  REQUIRE(filter.has_value());
  CHECK(errno_under(*filter, [] { ::syscall(SYS_getppid); }) == 13);
  CHECK(errno_under(*filter, [] { ::syscall(SYS_getpgid, 0); }) == EPERM);
  CHECK(errno_under(*filter, [] { ::syscall(SYS_getuid); }) == 0);
}

TEST_CASE("the default action denies what no rule allows", "[seccomp]") {
  oci::Seccomp profile;
  profile.default_action = "SCMP_ACT_ERRNO";
  profile.default_errno_ret = 38;
  profile.syscalls = {{{"exit_group", "exit"}, "SCMP_ACT_ALLOW", {}, {}}};
  const auto filter = plan::compile_seccomp(profile);
  REQUIRE(filter.has_value());
  CHECK(errno_under(*filter, [] { ::syscall(SYS_getppid); }) == 38);
}

TEST_CASE("argument conditions are compared", "[seccomp]") {
  auto profile = allow_all();
  profile.syscalls = {{{"getpgid"}, "SCMP_ACT_ERRNO", 13, {{0, 7, 0, "SCMP_CMP_EQ"}}}};
  const auto filter = plan::compile_seccomp(profile);
  REQUIRE(filter.has_value());
  CHECK(errno_under(*filter, [] { ::syscall(SYS_getpgid, 7); }) == 13);
  CHECK(errno_under(*filter, [] { ::syscall(SYS_getpgid, 0); }) == 0);
}

TEST_CASE("a masked comparison looks at the masked bits only", "[seccomp]") {
  auto profile = allow_all();
  profile.syscalls = {{{"getpgid"}, "SCMP_ACT_ERRNO", 13, {{0, 0xffffffff, 5, "SCMP_CMP_MASKED_EQ"}}}};
  const auto filter = plan::compile_seccomp(profile);
  REQUIRE(filter.has_value());
  CHECK(errno_under(*filter, [] { ::syscall(SYS_getpgid, 5L + (1L << 32)); }) == 13);
}

TEST_CASE("several conditions on one argument are alternatives", "[seccomp]") {
  auto profile = allow_all();
  profile.syscalls = {{{"getpgid"}, "SCMP_ACT_ERRNO", 13, {{0, 3, 0, "SCMP_CMP_EQ"}, {0, 4, 0, "SCMP_CMP_EQ"}}}};
  const auto filter = plan::compile_seccomp(profile);
  REQUIRE(filter.has_value());
  CHECK(errno_under(*filter, [] { ::syscall(SYS_getpgid, 3); }) == 13);
  CHECK(errno_under(*filter, [] { ::syscall(SYS_getpgid, 4); }) == 13);
}

TEST_CASE("unknown system calls are left out", "[seccomp]") {
  auto profile = allow_all();
  profile.syscalls = {{{"no_such_call", "getppid"}, "SCMP_ACT_ERRNO", 13, {}}};
  const auto filter = plan::compile_seccomp(profile);
  REQUIRE(filter.has_value());
  CHECK(errno_under(*filter, [] { ::syscall(SYS_getppid); }) == 13);
}

TEST_CASE("a rule that equals the default is no error", "[seccomp]") {
  auto profile = allow_all();
  profile.syscalls = {{{"getppid"}, "SCMP_ACT_ALLOW", {}, {}}};
  CHECK(plan::compile_seccomp(profile).has_value());
}

TEST_CASE("notify on write is refused", "[seccomp]") {
  auto profile = allow_all();
  profile.syscalls = {{{"write"}, "SCMP_ACT_NOTIFY", {}, {}}};
  const auto filter = plan::compile_seccomp(profile);
  REQUIRE_FALSE(filter.has_value());
  CHECK(filter.error().message() == "SCMP_ACT_NOTIFY cannot be used for the write syscall");
}

TEST_CASE("notify asks for a listener", "[seccomp]") {
  auto profile = allow_all();
  profile.syscalls = {{{"mkdir"}, "SCMP_ACT_NOTIFY", {}, {}}};
  const auto filter = plan::compile_seccomp(profile);
  REQUIRE(filter.has_value());
  CHECK((filter->flags & SECCOMP_FILTER_FLAG_NEW_LISTENER) != 0);
}

TEST_CASE("unknown actions, operators, architectures and flags are refused", "[seccomp]") {
  auto profile = allow_all();
  profile.default_action = "SCMP_ACT_FOO";
  CHECK_FALSE(plan::compile_seccomp(profile).has_value());
  profile = allow_all();
  profile.syscalls = {{{"read"}, "SCMP_ACT_ERRNO", {}, {{0, 0, 0, "SCMP_CMP_FOO"}}}};
  CHECK_FALSE(plan::compile_seccomp(profile).has_value());
  profile = allow_all();
  profile.architectures = {"SCMP_ARCH_FOO"};
  CHECK_FALSE(plan::compile_seccomp(profile).has_value());
  profile = allow_all();
  profile.flags = std::vector<std::string>{"SECCOMP_FILTER_FLAG_FOO"};
  CHECK_FALSE(plan::compile_seccomp(profile).has_value());
}

TEST_CASE("a call newer than the profile knows gives ENOSYS, an older one the default", "[seccomp]") {
  oci::Seccomp profile;
  profile.default_action = "SCMP_ACT_ERRNO";
  profile.syscalls = {{{"exit_group", "exit", "openat2"}, "SCMP_ACT_ALLOW", {}, {}}};
  const auto filter = plan::compile_seccomp(profile);
  REQUIRE(filter.has_value());
  CHECK(errno_under(*filter, [] { ::syscall(SYS_getppid); }) == EPERM);
  CHECK(errno_under(*filter, [] { ::syscall(SYS_openat2 + 1, -1, 0, 0); }) == ENOSYS);
  CHECK(errno_under(*filter, [] { ::syscall(460); }) == ENOSYS);
}
