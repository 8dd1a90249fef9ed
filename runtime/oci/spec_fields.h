// SPDX-License-Identifier: Apache-2.0
// The field list of every struct of spec.h, once, for the reader and the writer alike (spec_json.cc only).
//
// v.nested(outer, inner, field): {"outer": {"inner": field}}.
// v(name, field): written unless empty. v.always: written even when zero. v.must: also required when reading.
#pragma once

#include <concepts>
#include <type_traits>

#include "runtime/oci/spec.h"

namespace berth::oci {

template <typename T, typename U>
concept Like = std::same_as<std::remove_const_t<T>, U>;

void fields(auto& v, Like<IdMapping> auto& x) {
  v.must("containerID", x.container_id);
  v.must("hostID", x.host_id);
  v.must("size", x.size);
}

void fields(auto& v, Like<Box> auto& x) {
  v.must("height", x.height);
  v.must("width", x.width);
}

void fields(auto& v, Like<User> auto& x) {
  v.always("uid", x.uid);
  v.always("gid", x.gid);
  v("umask", x.umask);
  v("additionalGids", x.additional_gids);
  v("username", x.username);
}

void fields(auto& v, Like<Capabilities> auto& x) {
  v("bounding", x.bounding);
  v("effective", x.effective);
  v("inheritable", x.inheritable);
  v("permitted", x.permitted);
  v("ambient", x.ambient);
}

void fields(auto& v, Like<Rlimit> auto& x) {
  v.must("type", x.type);
  v.must("soft", x.soft);
  v.must("hard", x.hard);
}

void fields(auto& v, Like<Scheduler> auto& x) {
  v.must("policy", x.policy);
  v("nice", x.nice);
  v("priority", x.priority);
  v("flags", x.flags);
  v("runtime", x.runtime);
  v("deadline", x.deadline);
  v("period", x.period);
}

void fields(auto& v, Like<IoPriority> auto& x) {
  v.must("class", x.klass);
  v.always("priority", x.priority);
}

void fields(auto& v, Like<ExecCpuAffinity> auto& x) {
  v("initial", x.initial);
  v("final", x.final);
}

void fields(auto& v, Like<Process> auto& x) {
  v("terminal", x.terminal);
  v("consoleSize", x.console_size);
  v.always("user", x.user);
  v("args", x.args);
  v("env", x.env);
  v.always("cwd", x.cwd);
  v("capabilities", x.capabilities);
  v("rlimits", x.rlimits);
  v("noNewPrivileges", x.no_new_privileges);
  v("oomScoreAdj", x.oom_score_adj);
  v("apparmorProfile", x.apparmor_profile);
  v("selinuxLabel", x.selinux_label);
  v("scheduler", x.scheduler);
  v("ioPriority", x.io_priority);
  v("execCPUAffinity", x.exec_cpu_affinity);
}

void fields(auto& v, Like<Root> auto& x) {
  v.must("path", x.path);
  v("readonly", x.readonly);
}

void fields(auto& v, Like<Mount> auto& x) {
  v.must("destination", x.destination);
  v("type", x.type);
  v("source", x.source);
  v("options", x.options);
  v("uidMappings", x.uid_mappings);
  v("gidMappings", x.gid_mappings);
}

void fields(auto& v, Like<Hook> auto& x) {
  v.must("path", x.path);
  v("args", x.args);
  v("env", x.env);
  v("timeout", x.timeout);
}

void fields(auto& v, Like<Hooks> auto& x) {
  v("prestart", x.prestart);
  v("createRuntime", x.create_runtime);
  v("createContainer", x.create_container);
  v("startContainer", x.start_container);
  v("poststart", x.poststart);
  v("poststop", x.poststop);
}

void fields(auto& v, Like<DeviceRule> auto& x) {
  v.must("allow", x.allow);
  v("type", x.type);
  v("major", x.major);
  v("minor", x.minor);
  v("access", x.access);
}

void fields(auto& v, Like<MemoryResources> auto& x) {
  v("limit", x.limit);
  v("reservation", x.reservation);
  v("swap", x.swap);
  v("kernel", x.kernel);
  v("kernelTCP", x.kernel_tcp);
  v("swappiness", x.swappiness);
  v("disableOOMKiller", x.disable_oom_killer);
  v("useHierarchy", x.use_hierarchy);
  v("checkBeforeUpdate", x.check_before_update);
}

void fields(auto& v, Like<CpuResources> auto& x) {
  v("shares", x.shares);
  v("quota", x.quota);
  v("burst", x.burst);
  v("period", x.period);
  v("realtimeRuntime", x.realtime_runtime);
  v("realtimePeriod", x.realtime_period);
  v("cpus", x.cpus);
  v("mems", x.mems);
  v("idle", x.idle);
}

void fields(auto& v, Like<WeightDevice> auto& x) {
  v.must("major", x.major);
  v.must("minor", x.minor);
  v("weight", x.weight);
  v("leafWeight", x.leaf_weight);
}

void fields(auto& v, Like<ThrottleDevice> auto& x) {
  v.must("major", x.major);
  v.must("minor", x.minor);
  v.must("rate", x.rate);
}

void fields(auto& v, Like<BlockIo> auto& x) {
  v("weight", x.weight);
  v("leafWeight", x.leaf_weight);
  v("weightDevice", x.weight_device);
  v("throttleReadBpsDevice", x.throttle_read_bps);
  v("throttleWriteBpsDevice", x.throttle_write_bps);
  v("throttleReadIOPSDevice", x.throttle_read_iops);
  v("throttleWriteIOPSDevice", x.throttle_write_iops);
}

void fields(auto& v, Like<HugepageLimit> auto& x) {
  v.must("pageSize", x.page_size);
  v.must("limit", x.limit);
}

void fields(auto& v, Like<InterfacePriority> auto& x) {
  v.must("name", x.name);
  v.must("priority", x.priority);
}

void fields(auto& v, Like<NetworkResources> auto& x) {
  v("classID", x.class_id);
  v("priorities", x.priorities);
}

void fields(auto& v, Like<RdmaLimit> auto& x) {
  v("hcaHandles", x.hca_handles);
  v("hcaObjects", x.hca_objects);
}

void fields(auto& v, Like<Resources> auto& x) {
  v("devices", x.devices);
  v("memory", x.memory);
  v("cpu", x.cpu);
  v.nested("pids", "limit", x.pids_limit);
  v("blockIO", x.block_io);
  v("hugepageLimits", x.hugepage_limits);
  v("network", x.network);
  v("rdma", x.rdma);
  v("unified", x.unified);
}

void fields(auto& v, Like<SeccompArg> auto& x) {
  v.must("index", x.index);
  v.must("value", x.value);
  v("valueTwo", x.value_two);
  v.must("op", x.op);
}

void fields(auto& v, Like<SeccompRule> auto& x) {
  v.must("names", x.names);
  v.must("action", x.action);
  v("errnoRet", x.errno_ret);
  v("args", x.args);
}

void fields(auto& v, Like<Seccomp> auto& x) {
  v.must("defaultAction", x.default_action);
  v("defaultErrnoRet", x.default_errno_ret);
  v("architectures", x.architectures);
  v("flags", x.flags);
  v("listenerPath", x.listener_path);
  v("listenerMetadata", x.listener_metadata);
  v("syscalls", x.syscalls);
}

void fields(auto& v, Like<Namespace> auto& x) {
  v.must("type", x.type);
  v("path", x.path);
}

void fields(auto& v, Like<Device> auto& x) {
  v.must("path", x.path);
  v.must("type", x.type);
  v.always("major", x.major);
  v.always("minor", x.minor);
  v("fileMode", x.file_mode);
  v("uid", x.uid);
  v("gid", x.gid);
}

void fields(auto& v, Like<NetDevice> auto& x) { v("name", x.name); }

void fields(auto& v, Like<IntelRdt> auto& x) {
  v("closID", x.clos_id);
  v("schemata", x.schemata);
  v("l3CacheSchema", x.l3_cache_schema);
  v("memBwSchema", x.mem_bw_schema);
  v("enableMonitoring", x.enable_monitoring);
}

void fields(auto& v, Like<Personality> auto& x) {
  v.must("domain", x.domain);
  v("flags", x.flags);
}

void fields(auto& v, Like<TimeOffset> auto& x) {
  v("secs", x.secs);
  v("nanosecs", x.nanosecs);
}

void fields(auto& v, Like<MemoryPolicy> auto& x) {
  v.must("mode", x.mode);
  v("nodes", x.nodes);
  v("flags", x.flags);
}

void fields(auto& v, Like<Linux> auto& x) {
  v("namespaces", x.namespaces);
  v("uidMappings", x.uid_mappings);
  v("gidMappings", x.gid_mappings);
  v("timeOffsets", x.time_offsets);
  v("devices", x.devices);
  v("netDevices", x.net_devices);
  v("cgroupsPath", x.cgroups_path);
  v("resources", x.resources);
  v("intelRdt", x.intel_rdt);
  v("sysctl", x.sysctl);
  v("seccomp", x.seccomp);
  v("rootfsPropagation", x.rootfs_propagation);
  v("maskedPaths", x.masked_paths);
  v("readonlyPaths", x.readonly_paths);
  v("mountLabel", x.mount_label);
  v("personality", x.personality);
  v("memoryPolicy", x.memory_policy);
}

void fields(auto& v, Like<Spec> auto& x) {
  v.must("ociVersion", x.oci_version);
  v("process", x.process);
  v("root", x.root);
  v("hostname", x.hostname);
  v("domainname", x.domainname);
  v("mounts", x.mounts);
  v("hooks", x.hooks);
  v("annotations", x.annotations);
  v.always("linux", x.linux_);
}

}  // namespace berth::oci
