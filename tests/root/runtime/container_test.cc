// SPDX-License-Identifier: Apache-2.0
// Whole containers on a busybox root.
#include "tests/root/runtime/container_rig.h"

#include <sys/mount.h>

#include "runtime/sys/mount.h"

using namespace berth;
using test::contains;
using test::Outcome;
using test::Rig;

#define NEEDS_ROOT SKIP_UNLESS(test::can_run_containers(), "containers need root and /bin/busybox")

TEST_CASE("a container runs and its exit status comes back", "[container]") {
  NEEDS_ROOT;
  Rig rig;
  const Outcome outcome = rig.run_shell("echo hello; exit 7");
  CHECK(outcome.error == "");
  CHECK(outcome.output == "hello\n");
  CHECK(outcome.code == 7);
}

TEST_CASE("the process is pid 1 with namespaces of its own", "[container]") {
  NEEDS_ROOT;
  Rig rig;
  const Outcome outcome = rig.run_shell("echo $$; readlink /proc/self/ns/net; readlink /proc/self/ns/uts");
  CHECK(outcome.output.starts_with("1\n"));
  char host[64] = {};
  REQUIRE(::readlink("/proc/self/ns/net", host, sizeof host - 1) > 0);
  CHECK_FALSE(contains(outcome.output, host));
}

TEST_CASE("a namespace that is not listed is the caller's", "[container]") {
  NEEDS_ROOT;
  Rig rig;
  auto spec = Rig::shell("readlink /proc/self/ns/net");
  std::erase_if(spec.linux_.namespaces, [](const auto& entry) { return entry.type == "network"; });
  char host[64] = {};
  REQUIRE(::readlink("/proc/self/ns/net", host, sizeof host - 1) > 0);
  CHECK(rig.run(spec).output == concat(host, '\n'));
}

TEST_CASE("a path of another namespace type is an error", "[container]") {
  NEEDS_ROOT;
  Rig rig;
  auto spec = Rig::spec({"true"});
  for (auto& entry : spec.linux_.namespaces) {
    if (entry.type == "network") entry.path = "/proc/self/ns/uts";
  }
  CHECK(contains(rig.run(spec).error, "join namespaces: invalid argument"));
}

TEST_CASE("a container joins the pid namespace of another process", "[container]") {
  NEEDS_ROOT;
  Rig first;
  auto sleeper = first.start_sleeper();
  Rig second;
  second.id = "c2";
  auto spec = Rig::shell("echo $$; cat /proc/1/cmdline");
  for (auto& entry : spec.linux_.namespaces) {
    if (entry.type == "pid") entry.path = concat("/proc/", sleeper.pid, "/ns/pid");
  }
  const Outcome outcome = second.run(spec);
  CHECK(outcome.error == "");
  CHECK(contains(outcome.output, "sleep"));
  CHECK_FALSE(outcome.output.starts_with("1\n"));
  first.end(sleeper);
}

TEST_CASE("an occupied cgroup is refused and left alone", "[container]") {
  NEEDS_ROOT;
  Rig first;
  auto sleeper = first.start_sleeper();
  Rig second;
  auto request = second.request(Rig::spec({"true"}), -1);
  request.id = "other";
  const auto created = container::create(std::move(request));
  REQUIRE_FALSE(created.has_value());
  CHECK(contains(created.error().message(), "cgroup is not empty"));
  CHECK(contains(first.exec_shell("cat /proc/self/cgroup").output, "berth-container-test"));
  first.end(sleeper);
}

TEST_CASE("hostname and domainname are set", "[container]") {
  NEEDS_ROOT;
  Rig rig;
  auto spec = Rig::shell("hostname; cat /proc/sys/kernel/domainname");
  spec.hostname = "ship";
  spec.domainname = "sea";
  CHECK(rig.run(spec).output == "ship\nsea\n");
}

TEST_CASE("the root file system is the bundle's and nothing of the host is mounted", "[container]") {
  NEEDS_ROOT;
  Rig rig;
  const Outcome outcome = rig.run_shell("ls /; cat /proc/self/mountinfo");
  CHECK(contains(outcome.output, "bin\ndev\netc\n"));
  CHECK_FALSE(contains(outcome.output, "/sys/fs/cgroup"));
  int lines = 0;
  for (const char c : outcome.output.substr(outcome.output.find(" / "))) lines += c == '\n';
  CHECK(lines <= 4);
}

TEST_CASE("the host's mount table is the same before and after", "[container]") {
  NEEDS_ROOT;
  Rig rig;
  const auto before = sys::read_file("/proc/self/mountinfo").value();
  CHECK(rig.run_shell("mkdir /m; mount -t tmpfs x /m").code != -1);
  CHECK(sys::read_file("/proc/self/mountinfo").value() == before);
}

TEST_CASE("a read-only root cannot be written", "[container]") {
  NEEDS_ROOT;
  Rig rig;
  auto spec = Rig::shell("touch /x; touch /dev/y && echo dev");
  spec.root->readonly = true;
  const Outcome outcome = rig.run(spec);
  CHECK(contains(outcome.output, "Read-only file system"));
  CHECK(contains(outcome.output, "dev"));
}

TEST_CASE("a rootfs given as a detached mount is used", "[container]") {
  NEEDS_ROOT;
  Rig rig;
  auto [reader, writer] = sys::make_pipe().value();
  auto request = rig.request(Rig::shell("ls /bin/busybox"), writer.get());
  request.rootfs_mount = sys::clone_mount(rig.rootfs, false).value();
  request.spec.root->path = "/nonexistent";
  auto created = container::create(std::move(request));
  writer.reset();
  INFO((created ? "" : created.error().message()));
  REQUIRE(created.has_value());
  REQUIRE(container::start(rig.base + "/state", rig.id));
  CHECK(sys::read_all(reader.get()).value() == "/bin/busybox\n");
  rig.end(*created);
}

TEST_CASE("a bind mount shows the host's directory and obeys ro", "[container]") {
  NEEDS_ROOT;
  Rig rig;
  REQUIRE(sys::replace_file(rig.base + "/canary/file", "data", 0644, false));
  auto spec = Rig::shell("cat /a/b/file; touch /a/b/new");
  spec.mounts.push_back({"/a/b", "bind", rig.base + "/canary", {"rbind", "ro"}, {}, {}});
  const Outcome outcome = rig.run(spec);
  CHECK(outcome.output.starts_with("data"));
  CHECK(contains(outcome.output, "Read-only"));
  CHECK_FALSE(sys::path_exists(rig.base + "/canary/new"));
}

TEST_CASE("a file can be bound onto a name that does not exist", "[container]") {
  NEEDS_ROOT;
  Rig rig;
  REQUIRE(sys::replace_file(rig.base + "/canary/file", "data", 0644, false));
  auto spec = Rig::spec({"cat", "/etc/deep/file"});
  spec.mounts.push_back({"/etc/deep/file", "bind", rig.base + "/canary/file", {"bind"}, {}, {}});
  CHECK(rig.run(spec).output == "data");
}

TEST_CASE("rro reaches mounts below a bind", "[container]") {
  NEEDS_ROOT;
  Rig rig;
  const std::string sub = rig.base + "/canary/sub";
  REQUIRE(sys::make_directories(sub));
  REQUIRE(::mount("tmpfs", sub.c_str(), "tmpfs", 0, nullptr) == 0);
  auto plain = Rig::shell("touch /m/sub/x && echo written");
  plain.mounts.push_back({"/m", "bind", rig.base + "/canary", {"rbind", "ro"}, {}, {}});
  CHECK(contains(rig.run(plain).output, "written"));
  auto recursive = Rig::shell("touch /m/sub/y && echo written");
  recursive.mounts.push_back({"/m", "bind", rig.base + "/canary", {"rbind", "rro"}, {}, {}});
  CHECK(contains(rig.run(recursive).output, "Read-only"));
  CHECK(::umount2(sub.c_str(), MNT_DETACH) == 0);
}

TEST_CASE("a missing bind source is told by name", "[container]") {
  NEEDS_ROOT;
  Rig rig;
  auto spec = Rig::spec({"true"});
  spec.mounts.push_back({"/m", "bind", "/no/such/source", {"bind"}, {}, {}});
  const auto error = rig.run(spec).error;
  CHECK(contains(error, "/no/such/source"));
  CHECK(contains(error, "no such file or directory"));
}

TEST_CASE("a tmpfs takes the mode of the directory it covers unless told otherwise", "[container]") {
  NEEDS_ROOT;
  Rig rig;
  REQUIRE(::chmod((rig.rootfs + "/tmp").c_str(), 01777) == 0);
  auto spec = Rig::shell("stat -c %a /tmp /home");
  spec.mounts.push_back({"/tmp", "tmpfs", "tmpfs", {}, {}, {}});
  spec.mounts.push_back({"/home", "tmpfs", "tmpfs", {"mode=700"}, {}, {}});
  CHECK(rig.run(spec).output == "1777\n700\n");
}

TEST_CASE("a read-only tmpfs on /dev still has its nodes", "[container]") {
  NEEDS_ROOT;
  Rig rig;
  auto spec = Rig::shell("ls /dev/null /dev/fd && touch /dev/x");
  spec.mounts[1].options.emplace_back("ro");
  const Outcome outcome = rig.run(spec);
  CHECK(contains(outcome.output, "/dev/null"));
  CHECK(contains(outcome.output, "Read-only"));
}

TEST_CASE("default devices and links are there", "[container]") {
  NEEDS_ROOT;
  Rig rig;
  const Outcome outcome = rig.run_shell(
      "stat -c '%n %t:%T %a' /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty; readlink /dev/fd; readlink /dev/stdout; echo x > /dev/null");
  CHECK(contains(outcome.output, "/dev/null 1:3 666"));
  CHECK(contains(outcome.output, "/dev/tty 5:0 666"));
  CHECK(contains(outcome.output, "/proc/self/fd\n/proc/self/fd/1\n"));
}

TEST_CASE("a configured device has its owner and mode", "[container]") {
  NEEDS_ROOT;
  Rig rig;
  auto spec = Rig::shell("stat -c '%t:%T %a %u %g' /dev/sub/fuse");
  spec.linux_.devices = {{"/dev/sub/fuse", "c", 10, 229, 0640, 5, 6}};
  CHECK(rig.run(spec).output == "a:e5 640 5 6\n");
}

TEST_CASE("masked paths are empty and read-only", "[container]") {
  NEEDS_ROOT;
  Rig rig;
  REQUIRE(sys::make_directories(rig.rootfs + "/secret"));
  REQUIRE(sys::replace_file(rig.rootfs + "/secret/key", "k", 0644, false));
  REQUIRE(sys::replace_file(rig.rootfs + "/etc/shadow", "hash", 0644, false));
  auto spec = Rig::shell("ls -A /secret; cat /etc/shadow; touch /secret/x; ls -A /proc/acpi; cat /proc/timer_list; echo end");
  spec.linux_.masked_paths = {"/secret", "/etc/shadow", "/not/there", "/proc/acpi", "/proc/timer_list"};
  const Outcome outcome = rig.run(spec);
  CHECK(outcome.error == "");
  CHECK_FALSE(contains(outcome.output, "key"));
  CHECK_FALSE(contains(outcome.output, "hash"));
  CHECK(contains(outcome.output, "Read-only"));
  CHECK(outcome.output.ends_with("end\n"));
}

TEST_CASE("the image's /dev/null is never used to mask (CVE-2025-31133)", "[container]") {
  NEEDS_ROOT;
  Rig rig;
  auto spec = Rig::shell("cat /etc/passwd");
  spec.mounts.erase(spec.mounts.begin() + 1, spec.mounts.end());  // /dev is the image's
  REQUIRE(sys::replace_file(rig.base + "/canary/file", "canary", 0644, false));
  REQUIRE(::symlink("/proc/sys/kernel/core_pattern", (rig.rootfs + "/dev/null").c_str()) == 0);
  spec.linux_.masked_paths = {"/etc/passwd"};
  const Outcome outcome = rig.run(spec);
  // The node cannot be made over a link: refused. Were it made, the mask would still have to be empty.
  CHECK(contains(outcome.error, "/dev/null"));
}

TEST_CASE("read-only paths refuse writes and sysctls were written before", "[container]") {
  NEEDS_ROOT;
  Rig rig;
  auto spec = Rig::shell("cat /proc/sys/kernel/shmmni; echo 5 > /proc/sys/kernel/shmmni");
  spec.linux_.readonly_paths = {"/proc/sys"};
  spec.linux_.sysctl = {{"kernel.shmmni", "123"}};
  const Outcome outcome = rig.run(spec);
  CHECK(outcome.output.starts_with("123\n"));
  CHECK(contains(outcome.output, "Read-only"));
}

TEST_CASE("a sysctl goes to the container's own namespace", "[container]") {
  NEEDS_ROOT;
  Rig rig;
  const auto before = sys::read_file("/proc/sys/net/ipv4/ip_forward").value();
  auto spec = Rig::shell("cat /proc/sys/net/ipv4/ip_forward");
  spec.linux_.sysctl = {{"net.ipv4.ip_forward", before.starts_with('1') ? "0" : "1"}};
  CHECK(rig.run(spec).output != before);
  CHECK(sys::read_file("/proc/sys/net/ipv4/ip_forward").value() == before);
}

TEST_CASE("capabilities are exactly the listed ones, and none without a list", "[container]") {
  NEEDS_ROOT;
  Rig rig;
  auto spec = Rig::shell("grep Cap /proc/self/status");
  CHECK(contains(rig.run(spec).output, "CapBnd:\t0000000000000000"));
  const std::vector<std::string> caps = {"CAP_CHOWN", "CAP_KILL"};
  spec.process->capabilities = oci::Capabilities{caps, caps, {}, caps, {}};
  const Outcome outcome = rig.run(spec);
  for (const char* set : {"CapPrm:\t0000000000000021", "CapEff:\t0000000000000021", "CapBnd:\t0000000000000021", "CapInh:\t0000000000000000"}) {
    CHECK(contains(outcome.output, set));
  }
}

TEST_CASE("a user other than root keeps only ambient capabilities", "[container]") {
  NEEDS_ROOT;
  Rig rig;
  auto spec = Rig::shell("grep Cap /proc/self/status");
  const std::vector<std::string> caps = {"CAP_CHOWN", "CAP_KILL"};
  spec.process->user.uid = 1000;
  spec.process->capabilities = oci::Capabilities{caps, caps, {}, caps, {}};
  CHECK(contains(rig.run(spec).output, "CapEff:\t0000000000000000"));
  spec.process->capabilities = oci::Capabilities{caps, caps, {"CAP_KILL"}, caps, {"CAP_KILL"}};
  CHECK(contains(rig.run(spec).output, "CapEff:\t0000000000000020"));
}

TEST_CASE("uid, gid and groups are exactly the given ones", "[container]") {
  NEEDS_ROOT;
  Rig rig;
  auto spec = Rig::shell("id -u; id -g; id -G; umask; echo $HOME");
  spec.process->user = {1000, 1001, 077u, {5, 6}, ""};
  CHECK(rig.run(spec).output == "1000\n1001\n1001 5 6\n0077\n/home/user\n");
}

TEST_CASE("without groups none of the caller's are left", "[container]") {
  NEEDS_ROOT;
  Rig rig;
  CHECK(contains(rig.run_shell("grep Groups /proc/self/status").output, "Groups:\t \n"));
}

TEST_CASE("rlimits, umask and no_new_privs are set", "[container]") {
  NEEDS_ROOT;
  Rig rig;
  auto spec = Rig::shell("ulimit -n; umask; grep NoNewPrivs /proc/self/status");
  spec.process->rlimits = {{"RLIMIT_NOFILE", 77, 88}};
  spec.process->no_new_privileges = true;
  CHECK(rig.run(spec).output == "77\n0022\nNoNewPrivs:\t1\n");
}

TEST_CASE("oom_score_adj is written", "[container]") {
  NEEDS_ROOT;
  Rig rig;
  auto spec = Rig::spec({"cat", "/proc/self/oom_score_adj"});
  spec.process->oom_score_adj = 321;
  CHECK(rig.run(spec).output == "321\n");
}

TEST_CASE("a seccomp profile holds with and without no_new_privs", "[container]") {
  NEEDS_ROOT;
  Rig rig;
  auto spec = Rig::shell("mkdir /tmp/x; grep Seccomp: /proc/self/status");
  spec.linux_.seccomp.emplace();
  spec.linux_.seccomp->default_action = "SCMP_ACT_ALLOW";
  spec.linux_.seccomp->syscalls = {{{"mkdir", "mkdirat"}, "SCMP_ACT_ERRNO", 13, {}}};
  for (const bool nnp : {true, false}) {
    spec.process->no_new_privileges = nnp;
    const Outcome outcome = rig.run(spec);
    CHECK(contains(outcome.output, "Permission denied"));
    CHECK(contains(outcome.output, "Seccomp:\t2"));
  }
}

TEST_CASE("only the standard streams are open", "[container]") {
  NEEDS_ROOT;
  Rig rig;
  std::vector<Fd> extra;
  for (int i = 0; i < 50; ++i) extra.emplace_back(::open("/", O_RDONLY));  // without O_CLOEXEC on purpose
  // 3 is the directory that ls itself reads.
  CHECK(rig.run_shell("ls /proc/self/fd").output == "0\n1\n2\n3\n");
}

TEST_CASE("a created container's init holds no directory of the host open (CVE-2024-21626)", "[container]") {
  NEEDS_ROOT;
  Rig rig;
  auto created = container::create(rig.request(Rig::spec({"true"}), -1));
  REQUIRE(created.has_value());
  const auto names = sys::list_directory(concat("/proc/", created->pid, "/fd")).value();
  for (const auto& name : names) {
    char target[512] = {};
    REQUIRE(::readlink(concat("/proc/", created->pid, "/fd/", name).c_str(), target, sizeof target - 1) > 0);
    struct stat info {};
    REQUIRE(::stat(concat("/proc/", created->pid, "/fd/", name).c_str(), &info) == 0);
    INFO(name << " " << target);
    CHECK_FALSE(S_ISDIR(info.st_mode));
  }
  rig.end(*created);
}
