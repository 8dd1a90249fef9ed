// SPDX-License-Identifier: Apache-2.0
// The facade against a real registry.
#include <fcntl.h>
#include <random>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "rootfs/images.h"
#include "runtime/base/log.h"
#include "tests/root/rootfs/registry_fixture.h"
#include "tests/support/requires.h"

namespace berth::rootfs {
namespace {

using test::Pushed;
using test::Registry;
using test::registry_installed;
using test::TemporaryDirectory;

#define NEEDS_REGISTRY SKIP_UNLESS(registry_installed(), "needs root, docker-registry, python3 and busybox-static")

std::unique_ptr<Images> open_images(const std::string& root) {
  auto images = Images::open({root, root + "/no-certs.d"});
  INFO((images ? "" : images.error().message()));
  REQUIRE(images.has_value());
  return std::move(*images);
}

Result<Image> pull(Images& images, const std::string& reference) {
  PullRequest request;
  request.reference = reference;
  return images.pull(request);
}

std::vector<std::string> names_in(const std::string& path) { return sys::list_directory(path).value(); }

// Nothing but the empty layer, no blob, nothing half-written.
void check_store_is_empty(const std::string& root) {
  CHECK(names_in(root + "/content/blobs/sha256").empty());
  CHECK(names_in(root + "/content/ingest").empty());
  CHECK(names_in(root + "/snapshots/layers") == std::vector<std::string>{"empty"});
  CHECK(names_in(root + "/snapshots/trash").empty());
}

struct Fixture {
  Registry registry;
  TemporaryDirectory folder;
  std::unique_ptr<Images> images = open_images(folder.path + "/store");
  std::string root = folder.path + "/store";
  std::string name(const std::string& repository) const { return registry.host + "/" + repository; }
};

TEST_CASE("a pulled image is found by every name that it has") {
  NEEDS_REGISTRY;
  Fixture f;
  const Pushed pushed = f.registry.push({"--name", "web:v1", "--busybox", "--file", "/a=1", "--layer", "--file", "/b=2", "--user", "alice", "--cmd", "sleep 5", "--env", "K=V", "--expose", "80"});
  const auto pulled = pull(*f.images, f.name("web:v1"));
  INFO((pulled ? "" : pulled.error().message()));
  REQUIRE(pulled.has_value());
  CHECK(pulled->id == pushed.config);
  CHECK(pulled->manifest_digest == pushed.manifest);
  CHECK(pulled->repo_tags == std::vector<std::string>{f.name("web:v1")});
  CHECK(pulled->repo_digests == std::vector<std::string>{f.name("web@" + pushed.manifest)});
  CHECK(pulled->diff_ids.size() == 3);
  CHECK(pulled->size > 500'000);
  CHECK(pulled->config.user == "alice");
  CHECK(pulled->config.cmd == std::vector<std::string>{"sleep", "5"});
  CHECK(pulled->config.exposed_ports == std::vector<std::string>{"80/tcp"});
  const std::string digits = pushed.config.substr(7);
  for (const auto& name : {f.name("web:v1"), f.name("web@" + pushed.manifest), f.name("web:v1@" + pushed.manifest), pushed.config, digits, digits.substr(0, 12), digits.substr(0, 3), "sha256:" + digits.substr(0, 8)}) {
    INFO(name);
    const auto found = f.images->find(name);
    REQUIRE(found.has_value());
    REQUIRE(found->has_value());
    CHECK((*found)->id == pushed.config);
    CHECK((*found)->repo_tags == pulled->repo_tags);
  }
  for (const auto& name : {f.name("web"), f.name("web:v2"), std::string("web:v1"), std::string("NO!!"), digits.substr(0, 2), std::string(64, '0')}) {
    INFO(name);
    CHECK_FALSE(f.images->find(name).value().has_value());
  }
  CHECK(f.images->list()->size() == 1);
}

TEST_CASE("directories of the store are closed to everybody else") {
  NEEDS_REGISTRY;
  const mode_t old = ::umask(0);
  Fixture f;
  f.registry.push({"--name", "web", "--busybox"});
  REQUIRE(pull(*f.images, f.name("web")).has_value());
  REQUIRE(f.images->prepare_snapshot("c1", f.images->list()->front().id).has_value());
  ::umask(old);
  for (const char* part : {"/content", "/snapshots", "/snapshots/layers", "/snapshots/containers", "/snapshots/containers/c1", "/content/blobs"}) {
    struct stat info{};
    REQUIRE(::stat((f.root + part).c_str(), &info) == 0);
    INFO(part);
    if (std::string(part) == "/content" || std::string(part) == "/snapshots" || std::string(part).ends_with("c1")) CHECK((info.st_mode & 0777) == 0700);
  }
}

TEST_CASE("a pull by digest brings no tag and exactly one digest") {
  NEEDS_REGISTRY;
  Fixture f;
  const Pushed pushed = f.registry.push({"--name", "web:v1", "--file", "/a=1"});
  const auto pulled = pull(*f.images, f.name("web@" + pushed.manifest));
  REQUIRE(pulled.has_value());
  CHECK(pulled->repo_tags.empty());
  CHECK(pulled->repo_digests == std::vector<std::string>{f.name("web@" + pushed.manifest)});
}

TEST_CASE("Docker manifests and uncompressed layers are pulled alike") {
  NEEDS_REGISTRY;
  Fixture f;
  f.registry.push({"--name", "d", "--file", "/a=1", "--media", "docker"});
  f.registry.push({"--name", "u", "--file", "/a=2", "--uncompressed"});
  CHECK(pull(*f.images, f.name("d")).has_value());
  CHECK(pull(*f.images, f.name("u")).has_value());
}

TEST_CASE("an image for another machine is refused unless asked for") {
  NEEDS_REGISTRY;
  Fixture f;
  f.registry.push({"--name", "other", "--file", "/a=1", "--architecture", "s390x"});
  const auto refused = pull(*f.images, f.name("other"));
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code() == Code::kNotFound);
  CHECK_THAT(refused.error().message(), Catch::Contains("linux/s390x"));
  check_store_is_empty(f.root);
  PullRequest request;
  request.reference = f.name("other");
  request.platform = "linux/s390x";
  CHECK(f.images->pull(request).has_value());
}

TEST_CASE("a tag that moved leaves the old image without it") {
  NEEDS_REGISTRY;
  Fixture f;
  const Pushed first = f.registry.push({"--name", "web:v1", "--file", "/a=1"});
  REQUIRE(pull(*f.images, f.name("web:v1")).has_value());
  const Pushed second = f.registry.push({"--name", "web:v1", "--file", "/a=2"});
  REQUIRE(pull(*f.images, f.name("web:v1")).has_value());
  const auto old = f.images->find(first.config).value();
  REQUIRE(old.has_value());
  CHECK(old->repo_tags.empty());
  CHECK(old->repo_digests.size() == 1);
  CHECK(f.images->find(f.name("web:v1")).value()->id == second.config);
  CHECK(f.images->list()->size() == 2);
}

TEST_CASE("removing by one name removes all names and everything on disk") {
  NEEDS_REGISTRY;
  Fixture f;
  f.registry.push({"--name", "web:v1", "--name", "other/web:v2", "--busybox"});
  REQUIRE(pull(*f.images, f.name("web:v1")).has_value());
  REQUIRE(pull(*f.images, f.name("other/web:v2")).has_value());
  CHECK(f.images->list()->size() == 1);
  CHECK(f.images->list()->front().repo_tags.size() == 2);
  CHECK(f.images->remove(f.name("web:v1")).has_value());
  CHECK(f.images->list()->empty());
  CHECK(f.images->remove(f.name("web:v1")).has_value());
  CHECK(f.images->remove("sha256:" + std::string(64, '0')).has_value());
  check_store_is_empty(f.root);
}

TEST_CASE("images that share a layer keep it until the last of them goes") {
  NEEDS_REGISTRY;
  Fixture f;
  f.registry.push({"--name", "a", "--busybox", "--file", "/x=1"});
  f.registry.push({"--name", "b", "--busybox", "--file", "/x=2"});
  REQUIRE(pull(*f.images, f.name("a")).has_value());
  REQUIRE(pull(*f.images, f.name("b")).has_value());
  CHECK(names_in(f.root + "/snapshots/layers").size() == 4);  // busybox, two files, "empty"
  REQUIRE(f.images->remove(f.name("a")).has_value());
  CHECK(names_in(f.root + "/snapshots/layers").size() == 3);
  REQUIRE(f.images->remove(f.name("b")).has_value());
  check_store_is_empty(f.root);
}

TEST_CASE("tags are added and taken away as docker does") {
  NEEDS_REGISTRY;
  Fixture f;
  const Pushed pushed = f.registry.push({"--name", "web:v1", "--file", "/a=1"});
  REQUIRE(pull(*f.images, f.name("web:v1")).has_value());
  REQUIRE(f.images->tag(f.name("web:v1"), "mine").has_value());
  REQUIRE(f.images->tag(pushed.config.substr(7, 12), "mine:two").has_value());
  CHECK(f.images->find("mine").value()->id == pushed.config);
  CHECK(f.images->tag("absent", "x").error().code() == Code::kNotFound);
  CHECK(f.images->tag("mine", "BAD").error().code() == Code::kInvalidArgument);
  CHECK(f.images->untag("absent").error().code() == Code::kNotFound);
  CHECK(f.images->untag(pushed.config).error().code() == Code::kFailedPrecondition);
  CHECK(f.images->untag("mine").value() == std::vector<std::string>{"Untagged: docker.io/library/mine:latest"});
  CHECK(f.images->untag("mine:two").value().size() == 1);
  const auto last = f.images->untag(f.name("web:v1"));
  REQUIRE(last.has_value());
  CHECK(last->back() == "Deleted: " + pushed.config);
  check_store_is_empty(f.root);
}

TEST_CASE("a registry that is down is unavailable, at once and in plain words") {
  NEEDS_REGISTRY;
  TemporaryDirectory folder;
  auto images = open_images(folder.path);
  const auto start = std::chrono::steady_clock::now();
  const auto down = pull(*images, "127.0.0.1:1/x");
  REQUIRE_FALSE(down.has_value());
  CHECK(down.error().code() == Code::kUnavailable);
  CHECK(down.error().message() == "pull \"127.0.0.1:1/x:latest\": connect to 127.0.0.1:1: connection refused");
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(3));
}

TEST_CASE("an unknown image is not found") {
  NEEDS_REGISTRY;
  Fixture f;
  CHECK(pull(*f.images, f.name("nope")).error().code() == Code::kNotFound);
  CHECK(pull(*f.images, f.name("nope@sha256:" + std::string(64, '0'))).error().code() == Code::kNotFound);
  CHECK(pull(*f.images, "UPPER").error().code() == Code::kInvalidArgument);
}

TEST_CASE("a tampered layer is data loss, leaves nothing, and comes whole afterwards") {
  NEEDS_REGISTRY;
  Fixture f;
  const Pushed pushed = f.registry.push({"--name", "web", "--busybox"});
  const std::string file = f.registry.blob_file(pushed.layers[0]);
  const std::string good = sys::read_file(file).value();
  std::string bad = good;
  bad[bad.size() / 2] = static_cast<char>(bad[bad.size() / 2] ^ 1);
  REQUIRE(sys::replace_file(file, bad, 0644, false).has_value());
  const auto refused = pull(*f.images, f.name("web"));
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code() == Code::kDataLoss);
  CHECK_THAT(refused.error().message(), Catch::Contains("expected " + pushed.layers[0]) && Catch::Contains("got sha256:"));
  CHECK(f.images->list()->empty());
  check_store_is_empty(f.root);
  REQUIRE(sys::replace_file(file, good, 0644, false).has_value());
  CHECK(pull(*f.images, f.name("web")).has_value());
}

TEST_CASE("a manifest that is not JSON is an invalid argument") {
  NEEDS_REGISTRY;
  Fixture f;
  const Pushed pushed = f.registry.push({"--name", "web", "--file", "/a=1"});
  // The registry itself refuses such a manifest, so a tiny server stands in.
  const uint16_t port = test::free_port();
  TemporaryDirectory pages;
  REQUIRE(sys::make_directories(pages.path + "/v2/web/manifests").has_value());
  REQUIRE(sys::replace_file(pages.path + "/v2/web/manifests/latest", "<html>welcome</html>", 0644, false).has_value());
  sys::SpawnRequest request;
  request.argv = {"/usr/bin/python3", "-m", "http.server", "--bind", "127.0.0.1", "--directory", pages.path, std::to_string(port)};
  auto server = sys::spawn(request);
  REQUIRE(server.has_value());
  Result<Image> got = fail(Code::kUnavailable, "");
  for (int i = 0; i < 100 && !got && got.error().code() == Code::kUnavailable; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    got = pull(*f.images, concat("127.0.0.1:", port, "/web"));
  }
  (void)sys::send_signal(server->pidfd, SIGKILL).has_value();
  (void)sys::wait_child(server->pidfd, true).has_value();
  REQUIRE_FALSE(got.has_value());
  CHECK(got.error().code() == Code::kInvalidArgument);
  CHECK_THAT(got.error().message(), Catch::Contains("not valid JSON"));
  check_store_is_empty(f.root);
}

TEST_CASE("a deadline of a millisecond and a cancelled pull end as such") {
  NEEDS_REGISTRY;
  Fixture f;
  f.registry.push({"--name", "web", "--busybox"});
  PullRequest request;
  request.reference = f.name("web");
  request.timeout = std::chrono::milliseconds(1);
  CHECK(f.images->pull(request).error().code() == Code::kDeadlineExceeded);
  std::atomic<bool> cancelled = true;
  request.timeout = {};
  request.cancelled = &cancelled;
  CHECK(f.images->pull(request).error().code() == Code::kCancelled);
  check_store_is_empty(f.root);
  cancelled = false;
  CHECK(f.images->pull(request).has_value());
}

TEST_CASE("a server that says nothing does not hold a pull beyond its deadline") {
  NEEDS_REGISTRY;
  TemporaryDirectory folder;
  auto images = open_images(folder.path);
  const Fd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  REQUIRE(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), size) == 0);
  REQUIRE(::listen(listener.get(), 4) == 0);
  REQUIRE(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
  PullRequest request;
  request.reference = concat("127.0.0.1:", ntohs(address.sin_port), "/x");
  request.timeout = std::chrono::milliseconds(300);
  const auto start = std::chrono::steady_clock::now();
  CHECK(images->pull(request).error().code() == Code::kDeadlineExceeded);
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::milliseconds(800));
}

TEST_CASE("ten pulls of one image at once all succeed") {
  NEEDS_REGISTRY;
  Fixture f;
  const Pushed pushed = f.registry.push({"--name", "web", "--busybox"});
  std::atomic<int> good = 0;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 10; ++i) {
      threads.emplace_back([&] {
        const auto pulled = pull(*f.images, f.name("web"));
        if (pulled && pulled->id == pushed.config) ++good;
      });
    }
  }
  CHECK(good == 10);
  CHECK(names_in(f.root + "/content/ingest").empty());
}

TEST_CASE("two stores over one directory see each other's images") {
  NEEDS_REGISTRY;
  Fixture f;
  f.registry.push({"--name", "web", "--busybox"});
  auto second = open_images(f.root);
  std::atomic<int> good = 0;
  {
    std::jthread one([&] { good += pull(*f.images, f.name("web")).has_value() ? 1 : 0; });
    std::jthread two([&] { good += pull(*second, f.name("web")).has_value() ? 1 : 0; });
  }
  CHECK(good == 2);
  CHECK(second->list()->size() == 1);
  REQUIRE(second->remove(f.name("web")).has_value());
  CHECK(f.images->list()->empty());
  check_store_is_empty(f.root);
}

TEST_CASE("a pull killed at any moment leaves nothing visible and the next one works") {
  NEEDS_REGISTRY;
  Fixture f;
  f.registry.push({"--name", "web", "--busybox", "--file", "/a=1", "--layer", "--file", "/b=2"});
  f.images.reset();
  std::mt19937 random(7);
  for (int round = 0; round < 25; ++round) {
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      auto images = Images::open({f.root, f.root + "/none"});
      if (images) (void)pull(**images, f.name("web")).has_value();
      ::_exit(0);
    }
    ::usleep(static_cast<useconds_t>(random() % 60'000));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    auto images = open_images(f.root);
    CHECK(names_in(f.root + "/content/ingest").empty());
    const auto list = images->list();
    REQUIRE(list.has_value());
    if (list->empty()) check_store_is_empty(f.root);
    const auto pulled = pull(*images, f.name("web"));
    INFO((pulled ? "" : pulled.error().message()));
    REQUIRE(pulled.has_value());
    const auto dirs = images->prepare_snapshot("c", pulled->id);
    REQUIRE(dirs.has_value());
    CHECK(sys::path_exists(dirs->lower.back() + "/bin/busybox"));
    REQUIRE(images->remove_snapshot("c").has_value());
    REQUIRE(images->remove(f.name("web")).has_value());
    check_store_is_empty(f.root);
  }
}

TEST_CASE("a full disk is resource exhausted, leaves nothing, and space makes it work again") {
  NEEDS_REGISTRY;
  Fixture f;
  f.registry.push({"--name", "web", "--busybox"});
  const std::string small = f.folder.path + "/small";
  REQUIRE(sys::make_directories(small).has_value());
  for (const char* size : {"size=600k", "size=1200k", "size=2000k"}) {
    REQUIRE(::mount("tmpfs", small.c_str(), "tmpfs", 0, size) == 0);
    {
      auto images = open_images(small + "/store");
      const auto full = pull(*images, f.name("web"));
      INFO(size);
      REQUIRE_FALSE(full.has_value());
      INFO(full.error().message());
      CHECK(full.error().code() == Code::kResourceExhausted);
      CHECK(images->list()->empty());
      check_store_is_empty(small + "/store");
      REQUIRE(::mount("tmpfs", small.c_str(), "tmpfs", MS_REMOUNT, "size=64m") == 0);
      CHECK(pull(*images, f.name("web")).has_value());
    }
    REQUIRE(::umount2(small.c_str(), MNT_DETACH) == 0);
  }
}

TEST_CASE("a snapshot mounts as an overlay in which lower layers are seen and hidden") {
  NEEDS_REGISTRY;
  Fixture f;
  f.registry.push({"--name", "web", "--busybox", "--file", "/etc/extra=lower", "--layer", "--file", "/www/.wh.index.html=", "--layer", "--file", "/etc/extra=upper"});
  const auto pulled = pull(*f.images, f.name("web"));
  REQUIRE(pulled.has_value());
  const auto dirs = f.images->prepare_snapshot("c1", pulled->id);
  REQUIRE(dirs.has_value());
  CHECK(dirs->lower.size() == 4);
  const auto again = f.images->prepare_snapshot("c1", pulled->id);
  CHECK(again->upper == dirs->upper);
  const std::string merged = f.folder.path + "/merged";
  REQUIRE(sys::make_directories(merged).has_value());
  const std::string options = concat("lowerdir=", join(dirs->lower, ":"), ",upperdir=", dirs->upper, ",workdir=", dirs->work);
  const int mounted = ::mount("overlay", merged.c_str(), "overlay", 0, options.c_str());
  INFO(errno_text(errno));
  REQUIRE(mounted == 0);
  CHECK(sys::read_file(merged + "/etc/extra").value() == "upper");
  CHECK_FALSE(sys::path_exists(merged + "/www/index.html"));
  CHECK(sys::path_exists(merged + "/bin/busybox"));
  CHECK(sys::replace_file(merged + "/etc/passwd", std::string(10'000, 'x'), 0644, false).has_value());
  CHECK(f.images->snapshot_usage("c1")->used_bytes >= 10'000);
  REQUIRE(::umount2(merged.c_str(), MNT_DETACH) == 0);
  CHECK(f.images->snapshots().value() == std::vector<std::string>{"c1"});
  CHECK(f.images->remove_snapshot("c1").has_value());
  CHECK(f.images->remove_snapshot("c1").has_value());
  CHECK(f.images->snapshots()->empty());
  CHECK_FALSE(sys::path_exists(dirs->upper));
}

TEST_CASE("layers of a removed image stay while a snapshot uses them") {
  NEEDS_REGISTRY;
  Fixture f;
  f.registry.push({"--name", "web", "--busybox"});
  const auto pulled = pull(*f.images, f.name("web"));
  REQUIRE(pulled.has_value());
  const auto dirs = f.images->prepare_snapshot("c1", pulled->id);
  REQUIRE(f.images->remove(pulled->id).has_value());
  CHECK(f.images->list()->empty());
  CHECK(sys::path_exists(dirs->lower[0] + "/bin/busybox"));
  CHECK(f.images->prepare_snapshot("c1", pulled->id).has_value());
  CHECK(f.images->prepare_snapshot("c2", pulled->id).error().code() == Code::kNotFound);
  REQUIRE(f.images->remove_snapshot("c1").has_value());
  check_store_is_empty(f.root);
}

TEST_CASE("snapshot keys cannot leave their directory") {
  NEEDS_REGISTRY;
  TemporaryDirectory folder;
  auto images = open_images(folder.path);
  for (const std::string key : {"", "..", ".", "a/b", "../x", ".hidden", "a b"}) {
    CHECK(images->prepare_snapshot(key, "sha256:x").error().code() == Code::kInvalidArgument);
    CHECK(images->remove_snapshot(key).error().code() == Code::kInvalidArgument);
  }
  CHECK(images->prepare_snapshot("good", "sha256:x").error().code() == Code::kNotFound);
}

TEST_CASE("usage counts what lies on disk and names a place for statfs") {
  NEEDS_REGISTRY;
  Fixture f;
  f.registry.push({"--name", "web", "--busybox"});
  REQUIRE(pull(*f.images, f.name("web")).has_value());
  const auto usage = f.images->usage();
  REQUIRE(usage.has_value());
  CHECK(usage->mountpoint == f.root);
  CHECK(usage->used_bytes > 1'000'000);
  CHECK(usage->inodes_used > 100);
}

TEST_CASE("a mirror in hosts.toml serves another registry's images and a dead mirror is passed over") {
  NEEDS_REGISTRY;
  Fixture f;
  f.registry.push({"--name", "library/web", "--file", "/a=1"});
  const std::string certs = f.folder.path + "/certs.d";
  REQUIRE(sys::make_directories(certs + "/docker.io").has_value());
  const std::string text = concat("server = \"http://127.0.0.1:1\"\n[host.\"http://127.0.0.1:1\"]\n[host.\"http://", f.registry.host, "\"]\ncapabilities=[\"pull\",\"resolve\"]\n");
  REQUIRE(sys::replace_file(certs + "/docker.io/hosts.toml", text, 0644, false).has_value());
  auto images = Images::open({f.root, certs});
  REQUIRE(images.has_value());
  const auto pulled = pull(**images, "web");
  INFO((pulled ? "" : pulled.error().message()));
  REQUIRE(pulled.has_value());
  CHECK(pulled->repo_tags == std::vector<std::string>{"docker.io/library/web:latest"});
}

TEST_CASE("a damaged database is reported and never overwritten") {
  NEEDS_REGISTRY;
  TemporaryDirectory folder;
  open_images(folder.path).reset();
  const std::string junk(5000, 'j');
  ::unlink((folder.path + "/images.db-wal").c_str());
  REQUIRE(sys::replace_file(folder.path + "/images.db", junk, 0600, false).has_value());
  const auto opened = Images::open({folder.path, ""});
  REQUIRE_FALSE(opened.has_value());
  CHECK(opened.error().code() == Code::kDataLoss);
  CHECK(sys::read_file(folder.path + "/images.db").value() == junk);
}

}  // namespace
}  // namespace berth::rootfs
