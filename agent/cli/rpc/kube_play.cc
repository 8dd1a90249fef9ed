// SPDX-License-Identifier: Apache-2.0
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>

#include "agent/cli/options.h"
#include "agent/cli/rpc/kube.h"
#include "runtime/base/strings.h"
#include "runtime/base/undo.h"
#include "runtime/sys/file.h"

namespace berth::cli {
namespace {

constexpr long long kInitPollMilliseconds = 100;

std::string random_uid() {
  const std::string hex = random_hex(16);
  return concat(hex.substr(0, 8), '-', hex.substr(8, 4), '-', hex.substr(12, 4), '-', hex.substr(16, 4), '-',
                hex.substr(20));
}

Result<std::string> ensure_image(CriClient& client, const KubeContainer& container,
                                 const v1::PodSandboxConfig& sandbox) {
  const std::string& image = container.config.image().image();
  v1::ImageStatusRequest request;
  *request.mutable_image() = container.config.image();
  if (container.pull_policy != "Always") {
    TRY_ASSIGN(const auto known, client.image_status(request));
    if (known.has_image()) return known.image().id();
    if (container.pull_policy == "Never")
      return fail(Code::kNotFound, concat("image ", quote(image), " is absent and its pull policy is Never"));
  }
  v1::PullImageRequest pull;
  *pull.mutable_image() = container.config.image();
  *pull.mutable_sandbox_config() = sandbox;
  TRY_ASSIGN(const auto pulled, client.pull_image(pull), concat("pull ", quote(image)));
  return pulled.image_ref();
}

Result<> prepare_directories(const KubePod& pod) {
  for (const std::string& path : pod.required_paths) {
    if (!sys::path_exists(path)) return fail(Code::kNotFound, concat("host path ", quote(path), " does not exist"));
  }
  for (const std::string& path : pod.wanted_dirs) TRY(sys::make_directories(path, 0755));
  if (!pod.empty_dirs.empty()) TRY(sys::make_directories(pod.data_directory, 0711));
  for (const std::string& path : pod.empty_dirs) {
    TRY(sys::make_directories(path, 0755));
    // Any user of any container of the pod writes here; the directories above keep others out.
    if (::chmod(path.c_str(), 0777) < 0) return fail_errno(concat("chmod ", quote(path)));
  }
  return sys::make_directories(pod.sandbox.log_directory(), 0755);
}

Result<std::string> start_one(CriClient& client, const KubePod& pod, const KubeContainer& container,
                              const std::string& pod_id) {
  const std::string& name = container.config.metadata().name();
  v1::CreateContainerRequest request;
  request.set_pod_sandbox_id(pod_id);
  *request.mutable_config() = container.config;
  *request.mutable_sandbox_config() = pod.sandbox;
  TRY_ASSIGN(const std::string image_id, ensure_image(client, container, pod.sandbox),
             concat("container ", quote(name)));
  request.mutable_config()->mutable_image()->set_image(image_id);
  TRY(sys::make_directories(concat(pod.sandbox.log_directory(), '/', name), 0755));
  TRY_ASSIGN(const auto created, client.create_container(request), concat("container ", quote(name)));
  TRY(client.start_container(created.container_id()), concat("container ", quote(name)));
  return created.container_id();
}

Result<> wait_for_init(CriClient& client, const std::string& id, const std::string& name) {
  for (;;) {
    TRY_ASSIGN(const auto reply, client.container_status(id));
    if (reply.status().state() == v1::CONTAINER_EXITED) {
      if (reply.status().exit_code() == 0) return {};
      return fail(Code::kFailedPrecondition,
                  concat("init container ", quote(name), " ended with status ", reply.status().exit_code()));
    }
    ::poll(nullptr, 0, static_cast<int>(kInitPollMilliseconds));
  }
}

Result<> play_pod(CriClient& client, const KubePod& pod, UndoStack& undo) {
  TRY(prepare_directories(pod));
  undo.push("directories", [&pod]() -> Result<> {
    TRY(sys::remove_tree(pod.sandbox.log_directory()));
    return sys::remove_tree(pod.data_directory);
  });
  v1::RunPodSandboxRequest request;
  *request.mutable_config() = pod.sandbox;
  TRY_ASSIGN(const auto reply, client.run_pod_sandbox(request));
  const std::string id = reply.pod_sandbox_id();
  undo.push("pod", [&client, id]() -> Result<> {
    TRY(client.stop_pod_sandbox(id));
    TRY(client.remove_pod_sandbox(id));
    return {};
  });
  for (const KubeContainer& container : pod.init_containers) {
    TRY_ASSIGN(const std::string container_id, start_one(client, pod, container, id));
    TRY(wait_for_init(client, container_id, container.config.metadata().name()));
  }
  std::vector<std::string> ids;
  for (const KubeContainer& container : pod.containers) {
    TRY_ASSIGN(std::string container_id, start_one(client, pod, container, id));
    ids.push_back(std::move(container_id));
  }
  std::printf("pod/%s created\n%s\n", pod.sandbox.metadata().name().c_str(), id.c_str());
  for (const std::string& container_id : ids) std::printf("%s\n", container_id.c_str());
  std::fflush(stdout);
  return {};
}

bool same_pod(const v1::PodSandboxMetadata& a, const v1::PodSandboxMetadata& b) {
  return a.name() == b.name() && a.namespace_() == b.namespace_();
}

}  // namespace

Result<Manifest> load_manifest(const Globals& globals, const std::string& file) {
  std::string text;
  if (file == "-") {
    TRY_ASSIGN(text, sys::read_all(STDIN_FILENO));
  } else {
    TRY_ASSIGN(text, sys::read_file(file), "play");
  }
  ManifestSettings settings;
  settings.file = file == "-" ? "standard input" : file;
  settings.kube_root = globals.root + "/kube";
  settings.make_uid = random_uid;
  return parse_manifest(text, settings);
}

Result<v1::ListPodSandboxResponse> played_pods(CriClient& client) {
  v1::ListPodSandboxRequest request;
  (*request.mutable_filter()->mutable_label_selector())[kPlayLabel] = "true";
  return client.list_pod_sandbox(request);
}

Result<> play(CriClient& client, const Manifest& manifest) {
  TRY_ASSIGN(const auto present, played_pods(client));
  for (const KubePod& pod : manifest.pods) {
    for (const v1::PodSandbox& other : present.items()) {
      if (same_pod(pod.sandbox.metadata(), other.metadata())) {
        return fail(Code::kAlreadyExists,
                    concat("pod ", quote(other.metadata().name()), " exists already: take it down first"));
      }
    }
  }
  UndoStack undo;
  for (const KubePod& pod : manifest.pods)
    TRY(play_pod(client, pod, undo), concat("pod ", quote(pod.sandbox.metadata().name())));
  undo.commit();
  return {};
}

Result<> take_down(CriClient& client, const Globals& globals, const Manifest& manifest) {
  TRY_ASSIGN(const auto present, played_pods(client));
  size_t found = 0;
  for (const v1::PodSandbox& other : present.items()) {
    for (const KubePod& pod : manifest.pods) {
      if (!same_pod(pod.sandbox.metadata(), other.metadata())) continue;
      ++found;
      v1::ListContainersRequest request;
      request.mutable_filter()->set_pod_sandbox_id(other.id());
      TRY_ASSIGN(const auto containers, client.list_containers(request));
      for (const v1::Container& container : containers.containers()) {
        if (container.state() == v1::CONTAINER_RUNNING) TRY(client.stop_container(container.id(), 10));
      }
      TRY(client.stop_pod_sandbox(other.id()));
      TRY(client.remove_pod_sandbox(other.id()));
      const std::string& uid = other.metadata().uid();
      if (!uid.empty() && uid.find('/') == std::string::npos && uid != "..") {
        TRY(sys::remove_tree(concat(globals.root, "/kube/", uid)));
        TRY(sys::remove_tree(concat(globals.root, "/kube/logs/", other.metadata().namespace_(), '_',
                                    other.metadata().name(), '_', uid)));
      }
      std::printf("pod/%s removed\n", other.metadata().name().c_str());
      std::fflush(stdout);
    }
  }
  if (found == 0) return fail(Code::kNotFound, "no pod of this manifest is there");
  return {};
}

}  // namespace berth::cli
