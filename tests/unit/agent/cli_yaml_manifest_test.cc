// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/manifest.h"
#include "tests/support/catch.h"

using namespace berth;
using namespace berth::cli;
namespace v1 = ::runtime::v1;

namespace {

Result<Manifest> parse(const std::string& text) {
  ManifestSettings settings;
  settings.file = "f.yaml";
  settings.kube_root = "/kube";
  settings.make_uid = [n = 0]() mutable { return "uid-" + std::to_string(++n); };
  return parse_manifest(text, settings);
}

std::string why(const std::string& text) {
  const auto manifest = parse(text);
  REQUIRE_FALSE(manifest);
  CHECK(manifest.error().code() == Code::kInvalidArgument);
  return manifest.error().message();
}

// A pod with one container to which `container` and `spec` lines are added.
std::string pod(const std::string& container, const std::string& spec = "") {
  return "apiVersion: v1\nkind: Pod\nmetadata:\n  name: web\nspec:\n" + spec +
         "  containers:\n  - name: main\n    image: busybox\n" + container;
}

v1::ContainerConfig container_of(const std::string& lines, const std::string& spec = "") {
  const auto manifest = parse(pod(lines, spec));
  if (!manifest) FAIL(manifest.error().message());
  return manifest->pods.at(0).containers.at(0).config;
}

}  // namespace

TEST_CASE("a pod becomes a sandbox with metadata, labels and a host name", "[cli]") {
  const auto manifest = parse(
      "apiVersion: v1\nkind: Pod\nmetadata: {name: web, namespace: prod, labels: {app: x}}\nspec:\n  containers:\n  - "
      "{name: main, image: 'busybox:1'}\n");
  REQUIRE(manifest);
  const auto& sandbox = manifest->pods.at(0).sandbox;
  CHECK(sandbox.metadata().name() == "web");
  CHECK(sandbox.metadata().namespace_() == "prod");
  CHECK(sandbox.metadata().uid() == "uid-1");
  CHECK(sandbox.labels().at("app") == "x");
  CHECK(sandbox.labels().at(kPodNameLabel) == "web");
  CHECK(sandbox.hostname() == "web");
  CHECK(manifest->pods[0].containers.at(0).pull_policy == "IfNotPresent");
}

TEST_CASE("an image without a tag is pulled always", "[cli]") {
  CHECK(parse(pod(""))->pods[0].containers[0].pull_policy == "Always");
}

TEST_CASE("a missing image is named with file, line and field", "[cli]") {
  CHECK(why("apiVersion: v1\nkind: Pod\nmetadata:\n  name: web\nspec:\n  containers:\n  - name: main\n") ==
        "play \"f.yaml\": line 7: spec.containers[0].image: required");
}

TEST_CASE("an unknown field is named with its line", "[cli]") {
  CHECK(why(pod("    imagePulPolicy: Never\n")) ==
        "play \"f.yaml\": line 9: spec.containers[0].imagePulPolicy: unknown field");
  CHECK(why(pod("", "  hostNetwrk: true\n")).find("line 6: spec.hostNetwrk: unknown field") != std::string::npos);
}

TEST_CASE("a field that is known and not carried out is a warning", "[cli]") {
  const auto manifest = parse(pod("    livenessProbe: {}\n"));
  REQUIRE(manifest);
  REQUIRE(manifest->warnings.size() == 1);
  CHECK(manifest->warnings[0].find("livenessProbe") != std::string::npos);
}

TEST_CASE("broken YAML is told with its line", "[cli]") {
  CHECK(why("apiVersion: v1\nkind: [\n").find("play \"f.yaml\": line ") == 0);
}

TEST_CASE("other kinds are refused by name", "[cli]") {
  CHECK(why("apiVersion: v1\nkind: Service\nmetadata: {name: x}\n").find("\"v1 Service\" is not supported") !=
        std::string::npos);
  CHECK(why("apiVersion: v1\nmetadata: {name: x}\n").find("kind: required") != std::string::npos);
  CHECK(why("").find("no Pod or Deployment") != std::string::npos);
  CHECK(why("- a\n").find("expected a mapping") != std::string::npos);
}

TEST_CASE("a deployment makes as many pods as it has replicas", "[cli]") {
  const auto manifest = parse(
      "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  replicas: 3\n  selector: {matchLabels: "
      "{a: b}}\n"
      "  template:\n    metadata: {labels: {a: b}}\n    spec:\n      containers:\n      - {name: main, image: x}\n");
  REQUIRE(manifest);
  REQUIRE(manifest->pods.size() == 3);
  CHECK(manifest->pods[2].sandbox.metadata().name() == "web-2");
  CHECK(manifest->pods[2].sandbox.metadata().uid() == "uid-3");
  CHECK(manifest->pods[0].sandbox.labels().at("a") == "b");
}

TEST_CASE("several documents make several pods, once each", "[cli]") {
  CHECK(parse(pod("") + "---\n" +
              "apiVersion: v1\nkind: Pod\nmetadata: {name: other}\nspec: {containers: [{name: a, image: b}]}\n")
            ->pods.size() == 2);
  CHECK(why(pod("") + "---\n" + pod("")).find("a second pod \"web\"") != std::string::npos);
}

TEST_CASE("command, arguments, environment and directory reach the container", "[cli]") {
  const auto config = container_of(
      "    command: [sh, -c]\n    args: ['echo hi']\n    workingDir: /tmp\n    env:\n    - {name: A, value: '1'}\n    "
      "- name: N\n      valueFrom: {fieldRef: {fieldPath: metadata.name}}\n");
  CHECK(config.command(1) == "-c");
  CHECK(config.args(0) == "echo hi");
  CHECK(config.working_dir() == "/tmp");
  CHECK(config.envs(0).value() == "1");
  CHECK(config.envs(1).value() == "web");
}

TEST_CASE("resources become shares, quota and a memory limit", "[cli]") {
  const auto resources =
      container_of("    resources: {requests: {cpu: 250m}, limits: {cpu: '2', memory: 64Mi}}\n").linux().resources();
  CHECK(resources.cpu_shares() == 256);
  CHECK(resources.cpu_quota() == 200000);
  CHECK(resources.cpu_period() == 100000);
  CHECK(resources.memory_limit_in_bytes() == 64 << 20);
  CHECK(why(pod("    resources: {limits: {memory: 64Q}}\n")).find("spec.containers[0].resources.limits.memory") !=
        std::string::npos);
  CHECK(why(pod("    resources: {requests: {memory: 2Gi}, limits: {memory: 1Gi}}\n")).find("more than the limit") !=
        std::string::npos);
}

TEST_CASE("hostPath and emptyDir volumes are mounted", "[cli]") {
  const std::string volumes =
      "  volumes:\n  - {name: host, hostPath: {path: /srv, type: Directory}}\n  - {name: tmp, emptyDir: {}}\n";
  const auto manifest =
      parse(pod("    volumeMounts:\n    - {name: host, mountPath: /h, readOnly: true}\n    - {name: tmp, mountPath: "
                "/t, subPath: a/b}\n",
                volumes));
  REQUIRE(manifest);
  const auto& config = manifest->pods[0].containers[0].config;
  CHECK(config.mounts(0).host_path() == "/srv");
  CHECK(config.mounts(0).readonly());
  CHECK(config.mounts(1).host_path() == "/kube/uid-1/tmp/a/b");
  CHECK(manifest->pods[0].empty_dirs == std::vector<std::string>{"/kube/uid-1/tmp"});
  CHECK(manifest->pods[0].required_paths == std::vector<std::string>{"/srv"});
  CHECK(why(pod("    volumeMounts: [{name: nope, mountPath: /x}]\n")).find("no volume \"nope\"") != std::string::npos);
  CHECK(
      why(pod("    volumeMounts: [{name: tmp, mountPath: /x, subPath: ../y}]\n", volumes)).find("inside the volume") !=
      std::string::npos);
}

TEST_CASE("the security context of the container goes before the pod's", "[cli]") {
  const auto security = container_of(
                            "    securityContext: {runAsUser: 5, readOnlyRootFilesystem: true, "
                            "allowPrivilegeEscalation: false, capabilities: {add: [NET_ADMIN], drop: [ALL]}}\n",
                            "  securityContext: {runAsUser: 7, runAsGroup: 8}\n")
                            .linux()
                            .security_context();
  CHECK(security.run_as_user().value() == 5);
  CHECK(security.run_as_group().value() == 8);
  CHECK(security.readonly_rootfs());
  CHECK(security.no_new_privs());
  CHECK(security.capabilities().add_capabilities(0) == "NET_ADMIN");
  CHECK(security.masked_paths_size() > 0);
}

TEST_CASE("the namespaces of the host are asked for in the spec", "[cli]") {
  const auto manifest = parse(
      pod("    ports: [{containerPort: 80, hostPort: 80}]\n", "  hostNetwork: true\n  shareProcessNamespace: true\n"));
  REQUIRE(manifest);
  const auto& options = manifest->pods[0].sandbox.linux().security_context().namespace_options();
  CHECK(options.network() == v1::NODE);
  CHECK(options.pid() == v1::POD);
  CHECK(manifest->pods[0].sandbox.port_mappings_size() == 0);
  CHECK(manifest->pods[0].sandbox.hostname().empty());
}

TEST_CASE("ports with a host port are published", "[cli]") {
  const auto manifest =
      parse(pod("    ports: [{containerPort: 80, hostPort: 8080}, {containerPort: 53, protocol: UDP}]\n"));
  REQUIRE(manifest);
  REQUIRE(manifest->pods[0].sandbox.port_mappings_size() == 1);
  CHECK(manifest->pods[0].sandbox.port_mappings(0).host_port() == 8080);
  CHECK(why(pod("    ports: [{containerPort: 0}]\n")).find("containerPort") != std::string::npos);
}

TEST_CASE("init containers come first and names are unique", "[cli]") {
  const auto manifest = parse(pod("", "  initContainers: [{name: init, image: x}]\n"));
  REQUIRE(manifest);
  CHECK(manifest->pods[0].init_containers.at(0).config.metadata().name() == "init");
  CHECK(manifest->pods[0].init_containers[0].config.labels().at(kInitLabel) == "true");
  CHECK_FALSE(manifest->pods[0].containers.at(0).config.labels().contains(kInitLabel));
  CHECK(why(pod("", "  initContainers: [{name: main, image: x}]\n")).find("a second container \"main\"") !=
        std::string::npos);
}

TEST_CASE("names must be DNS labels and policies known", "[cli]") {
  CHECK(why("apiVersion: v1\nkind: Pod\nmetadata: {name: '../x'}\nspec: {containers: [{name: a, image: b}]}\n")
            .find("no DNS name") != std::string::npos);
  CHECK(why("apiVersion: v1\nkind: Pod\nmetadata: {name: x, uid: '../y'}\nspec: {containers: [{name: a, image: b}]}\n")
            .find("metadata.uid") != std::string::npos);
  CHECK(why(pod("", "  restartPolicy: Sometimes\n")).find("restartPolicy") != std::string::npos);
  CHECK(why(pod("    imagePullPolicy: Perhaps\n")).find("imagePullPolicy") != std::string::npos);
  CHECK(why(pod("    tty: maybe\n")).find("expected true or false") != std::string::npos);
}
