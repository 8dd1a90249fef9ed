// SPDX-License-Identifier: Apache-2.0
#include <linux/mount.h>
#include <sys/mount.h>

#include "runtime/plan/container.h"
#include "runtime/plan/mount_options.h"
#include "runtime/plan/mounts.h"
#include "tests/support/catch.h"

using namespace berth;

namespace {

plan::MountOptions options(std::vector<std::string> names, std::string type = "tmpfs") {
  auto parsed = plan::parse_mount_options({"/d", std::move(type), "s", std::move(names), {}, {}});
  REQUIRE(parsed.has_value());
  return *parsed;
}

oci::Process process(std::vector<std::string> args, std::vector<std::string> env) {
  oci::Process out;
  out.args = std::move(args);
  out.env = std::move(env);
  out.cwd.assign(1, '/');
  return out;
}

size_t place(const plan::Builder& builder, child::OpCode code) {
  for (size_t i = 0; i < builder.ops().size(); ++i) {
    if (builder.ops()[i].code == code) return i;
  }
  return ~size_t{0};
}

}  // namespace

TEST_CASE("a later mount option overrides an earlier one", "[plan]") {
  CHECK((options({"ro", "rw"}).set & MOUNT_ATTR_RDONLY) == 0);
  CHECK((options({"rw", "ro"}).set & MOUNT_ATTR_RDONLY) != 0);
  CHECK((options({"rw", "ro"}).clear & MOUNT_ATTR_RDONLY) == 0);
}

TEST_CASE("recursive attributes are kept apart", "[plan]") {
  const auto parsed = options({"rbind", "rro", "nosuid"}, "bind");
  CHECK(parsed.recursive);
  CHECK(parsed.recursive_set == MOUNT_ATTR_RDONLY);
  CHECK(parsed.set == MOUNT_ATTR_NOSUID);
}

TEST_CASE("relatime is an access time mode, not a recursive latime", "[plan]") {
  const auto parsed = options({"noatime", "relatime"});
  CHECK((parsed.set & MOUNT_ATTR__ATIME) == MOUNT_ATTR_RELATIME);
  CHECK(parsed.recursive_set == 0);
  CHECK((options({"noatime"}).set & MOUNT_ATTR__ATIME) == MOUNT_ATTR_NOATIME);
}

TEST_CASE("propagation options are recognised with their reach", "[plan]") {
  CHECK(options({"rshared"}).propagation == MS_SHARED);
  CHECK(options({"rshared"}).propagation_recursive);
  CHECK_FALSE(options({"slave"}).propagation_recursive);
}

TEST_CASE("what is no option is data of the file system", "[plan]") {
  const auto parsed = options({"size=64k", "mode=755", "defaults"});
  REQUIRE(parsed.data.size() == 2);
  CHECK(parsed.data[0].key == "size");
  CHECK(parsed.data[0].value == "64k");
  CHECK(parsed.has_mode);
}

TEST_CASE("data on a bind mount is refused", "[plan]") {
  const auto parsed = plan::parse_mount_options({"/d", "bind", "/s", {"bind", "size=1"}, {}, {}});
  CHECK_FALSE(parsed.has_value());
}

TEST_CASE("destinations are cleaned and never climb above the root", "[plan]") {
  CHECK(plan::clean_path("/a//b/./c/") == "/a/b/c");
  CHECK(plan::clean_path("/../../etc") == "/etc");
  CHECK(plan::clean_path("/a/../..") == "/");
}

TEST_CASE("mounts inside /proc are refused except the allow-listed names", "[plan]") {
  oci::Spec spec;
  plan::Builder builder;
  plan::MountContext context{spec, builder};
  spec.mounts = {{"/proc/sys/kernel", "tmpfs", "tmpfs", {}, {}, {}}};
  CHECK_FALSE(plan::add_mounts(context).has_value());
  spec.mounts = {{"/tmp/../proc/self/attr", "tmpfs", "tmpfs", {}, {}, {}}};
  CHECK_FALSE(plan::add_mounts(context).has_value());
  spec.mounts = {{"/proc/meminfo", "bind", "/dev/null", {"bind"}, {}, {}}};
  CHECK(plan::add_mounts(context).has_value());
  CHECK((builder.ops()[0].flags & child::kMayBeProc) != 0);
}

TEST_CASE("nothing may be mounted on the root", "[plan]") {
  oci::Spec spec;
  plan::Builder builder;
  plan::MountContext context{spec, builder};
  spec.mounts = {{"/x/..", "tmpfs", "tmpfs", {}, {}, {}}};
  CHECK_FALSE(plan::add_mounts(context).has_value());
}

TEST_CASE("proc and sysfs go onto real directories only", "[plan]") {
  oci::Spec spec;
  plan::Builder builder;
  plan::MountContext context{spec, builder};
  spec.mounts = {{"/proc", "proc", "proc", {}, {}, {}}, {"/sys", "sysfs", "sysfs", {"ro"}, {}, {}}};
  REQUIRE(plan::add_mounts(context).has_value());
  int attached = 0;
  for (const auto& op : builder.ops()) {
    if (op.code != child::OpCode::kAttach) continue;
    ++attached;
    CHECK((op.flags & child::kNoSymlinks) != 0);
  }
  CHECK(attached == 2);
}

TEST_CASE("a read-only tmpfs is made so only after it was filled", "[plan]") {
  oci::Spec spec;
  plan::Builder builder;
  plan::MountContext context{spec, builder};
  spec.mounts = {{"/dev", "tmpfs", "tmpfs", {"ro"}, {}, {}}};
  REQUIRE(plan::add_mounts(context).has_value());
  CHECK((builder.ops()[0].attr_set & MOUNT_ATTR_RDONLY) == 0);
  REQUIRE(plan::add_devices(context).has_value());
  plan::add_path_protection(context);
  const auto& last = builder.ops().back();
  CHECK(last.code == child::OpCode::kSetAttr);
  CHECK(last.attr_set == MOUNT_ATTR_RDONLY);
}

TEST_CASE("a bound /dev gets no default nodes", "[plan]") {
  oci::Spec spec;
  plan::Builder builder;
  plan::MountContext context{spec, builder};
  spec.mounts = {{"/dev", "bind", "/dev", {"rbind"}, {}, {}}};
  REQUIRE(plan::add_mounts(context).has_value());
  const size_t before = builder.ops().size();
  REQUIRE(plan::add_devices(context).has_value());
  CHECK(builder.ops().size() == before);
}

TEST_CASE("a configured device replaces the default one", "[plan]") {
  oci::Spec spec;
  plan::Builder builder;
  plan::MountContext context{spec, builder};
  spec.linux_.devices = {{"/dev/null", "c", 1, 3, 0600, 7, 8}};
  REQUIRE(plan::add_devices(context).has_value());
  int nulls = 0;
  for (const auto& op : builder.ops()) {
    if (op.code != child::OpCode::kMknod || std::string_view(op.path) != "/dev/null") continue;
    ++nulls;
    CHECK(op.args[2] == 7);
  }
  CHECK(nulls == 1);
}

TEST_CASE("of two values of a variable the later wins", "[plan]") {
  CHECK(plan::final_environment(process({"x"}, {"A=1", "B=2", "A=3", "broken", "=x"}), "/root") ==
        std::vector<std::string>{"A=3", "B=2", "HOME=/root"});
  CHECK(plan::final_environment(process({"x"}, {"HOME=/h"}), "/root") == std::vector<std::string>{"HOME=/h"});
}

TEST_CASE("a program with a slash is not searched for", "[plan]") {
  CHECK(plan::lookup_candidates(process({"./x"}, {"PATH=/a"})) == std::vector<std::string>{"./x"});
  CHECK(plan::lookup_candidates(process({"x"}, {"PATH=/a:/b"})) == std::vector<std::string>{"/a/x", "/b/x"});
}

TEST_CASE("capabilities become masks and unknown names are told", "[plan]") {
  std::vector<std::string> unknown;
  oci::Capabilities sets;
  sets.bounding = {"CAP_CHOWN", "CAP_CHECKPOINT_RESTORE", "CAP_FOO", "chown"};
  CHECK(plan::capability_masks(sets, unknown).bounding == (1ULL | 1ULL << 40));
  CHECK(unknown == std::vector<std::string>{"CAP_FOO", "chown"});
}

TEST_CASE("seccomp comes last with no_new_privs and early without", "[plan]") {
  plan::SeccompFilter filter;
  filter.program = std::string(8, '\0');
  for (const bool late : {true, false}) {
    plan::Builder builder;
    auto program = process({"x"}, {});
    program.no_new_privileges = late;
    plan::ProcessContext context{program, builder};
    context.filter = &filter;
    context.gate = 10;
    context.sync = 11;
    REQUIRE(plan::add_process(context).has_value());
    CHECK((place(builder, child::OpCode::kSeccomp) > place(builder, child::OpCode::kLookup)) == late);
    CHECK(place(builder, child::OpCode::kSeccomp) < place(builder, child::OpCode::kReady));
  }
}

TEST_CASE("the program is looked up before the container is told ready", "[plan]") {
  plan::Builder builder;
  const auto program = process({"x"}, {});
  plan::ProcessContext context{program, builder};
  context.gate = 10;
  REQUIRE(plan::add_process(context).has_value());
  CHECK(place(builder, child::OpCode::kLookup) < place(builder, child::OpCode::kReady));
  CHECK(place(builder, child::OpCode::kReady) < place(builder, child::OpCode::kGate));
  CHECK(place(builder, child::OpCode::kCloseFds) < place(builder, child::OpCode::kGate));
}

TEST_CASE("a failed lookup reads as engines expect", "[plan]") {
  plan::Builder builder;
  auto& op = builder.add(child::OpCode::kLookup, "nope");
  op.flags = child::kSearched;
  CHECK(plan::failure_text(builder, {child::ReportKind::kFailed, 0, ENOENT, 0, 0}) == "exec: \"nope\": executable file not found in $PATH");
  builder.add(child::OpCode::kLookup, "/nope");
  CHECK(plan::failure_text(builder, {child::ReportKind::kFailed, 1, ENOENT, 0, 0}) == "exec: \"/nope\": stat /nope: no such file or directory");
}

TEST_CASE("a report from nowhere does not index outside the plan", "[plan]") {
  const plan::Builder builder;
  CHECK_FALSE(plan::failure_text(builder, {child::ReportKind::kFailed, 99, EPERM, 0, 0}).empty());
}

TEST_CASE("namespaces that only a second process enters need two clones", "[plan]") {
  oci::Linux spec;
  spec.namespaces = {{"mount", ""}, {"pid", ""}};
  CHECK_FALSE(plan::plan_namespaces(spec)->two_stages);
  spec.namespaces = {{"mount", ""}, {"pid", "/proc/self/ns/pid"}};
  CHECK(plan::plan_namespaces(spec)->two_stages);
  spec.namespaces = {{"mount", ""}, {"user", ""}, {"network", "/proc/self/ns/net"}};
  CHECK(plan::plan_namespaces(spec)->two_stages);
}
