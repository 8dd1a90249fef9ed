// SPDX-License-Identifier: Apache-2.0
// Records survive, names are unique, two processes' handles see each other.
#include "agent/state/store.h"

#include <sqlite3.h>
#include <unistd.h>

#include "runtime/base/strings.h"
#include "runtime/sys/file.h"
#include "tests/support/catch.h"

using namespace berth;
using state::ContainerRecord;
using state::PodRecord;
using state::Store;

namespace {

struct Root {
  std::string path = concat("/tmp/berth-store-test-", ::getpid(), "-", random_hex(4));
  Root() { REQUIRE(sys::make_directories(path)); }
  ~Root() { (void)sys::remove_tree(path); }
};

PodRecord pod(const std::string& id, const std::string& name) {
  PodRecord record;
  record.id = id;
  record.name_space = "k8s";
  record.name = name;
  record.config = std::string("bytes\0with nul", 14);
  record.created_at = 1;
  record.ips = {"10.0.0.2", "fd00::2"};
  record.shim_start_time = 18446744073709551615u;
  return record;
}

ContainerRecord container(const std::string& id, const std::string& pod_id, const std::string& name) {
  ContainerRecord record;
  record.id = id;
  record.pod_id = pod_id;
  record.name_space = "k8s";
  record.name = name;
  return record;
}

}  // namespace

TEST_CASE("a pod's record comes back whole after the store was closed") {
  const Root root;
  {
    auto store = Store::open(root.path).value();
    PodRecord record = pod("p1", "a_ns_uid_0");
    REQUIRE(store->insert(record));
    record.state = state::PodState::kReady;
    record.network_attached = true;
    REQUIRE(store->update(record));
  }
  auto store = Store::open(root.path).value();
  const auto found = store->find_pod("p1").value();
  REQUIRE(found);
  CHECK(found->state == state::PodState::kReady);
  CHECK(found->network_attached);
  CHECK(found->config == std::string("bytes\0with nul", 14));
  CHECK(found->ips == std::vector<std::string>{"10.0.0.2", "fd00::2"});
  CHECK(found->shim_start_time == 18446744073709551615u);
}

TEST_CASE("a pod's name is unique within its namespace of the store") {
  const Root root;
  auto store = Store::open(root.path).value();
  REQUIRE(store->insert(pod("p1", "same")));
  const auto again = store->insert(pod("p2", "same"));
  REQUIRE_FALSE(again);
  CHECK(again.error().code() == Code::kAlreadyExists);
  PodRecord other = pod("p3", "same");
  other.name_space = "default";
  CHECK(store->insert(other));
  CHECK(store->pods("k8s")->size() == 1);
  CHECK(store->find_pod_by_name("default", "same").value()->id == "p3");
  CHECK(store->all_pod_ids()->size() == 2);
}

TEST_CASE("a container needs its pod, and a pod with containers cannot be forgotten") {
  const Root root;
  auto store = Store::open(root.path).value();
  const auto orphan = store->insert(container("c1", "nowhere", "x_0"));
  REQUIRE_FALSE(orphan);
  CHECK(orphan.error().code() == Code::kNotFound);
  REQUIRE(store->insert(pod("p1", "a")));
  REQUIRE(store->insert(container("c1", "p1", "x_0")));
  CHECK(store->insert(container("c2", "p1", "x_0")).error().code() == Code::kAlreadyExists);
  CHECK_FALSE(store->remove_pod("p1"));
  REQUIRE(store->remove_container("c1"));
  CHECK(store->remove_pod("p1"));
  CHECK(store->remove_pod("p1"));
}

TEST_CASE("updating a record that is gone says so") {
  const Root root;
  auto store = Store::open(root.path).value();
  CHECK(store->update(pod("p1", "a")).error().code() == Code::kNotFound);
  CHECK(store->update(container("c1", "p1", "a")).error().code() == Code::kNotFound);
}

TEST_CASE("two handles on one store see each other's records") {
  const Root root;
  auto one = Store::open(root.path).value();
  auto two = Store::open(root.path).value();
  REQUIRE(one->insert(pod("p1", "a")));
  REQUIRE(two->insert(container("c1", "p1", "x_0")));
  ContainerRecord record = one->find_container("c1").value().value();
  record.exit_code = 137;
  record.state = state::ContainerState::kExited;
  record.resources = std::string("\x08\x00\x01", 3);
  REQUIRE(one->update(record));
  const auto seen = two->find_container_by_name("p1", "x_0").value();
  REQUIRE(seen);
  CHECK(seen->exit_code == 137);
  CHECK(seen->resources.size() == 3);
  CHECK(two->containers("k8s")->size() == 1);
  CHECK(two->containers("default")->empty());
}

TEST_CASE("a store of a newer program is left alone") {
  const Root root;
  {
    auto store = Store::open(root.path).value();
  }
  sqlite3* db = nullptr;
  REQUIRE(sqlite3_open((root.path + "/state.db").c_str(), &db) == SQLITE_OK);
  REQUIRE(sqlite3_exec(db, "PRAGMA user_version=99", nullptr, nullptr, nullptr) == SQLITE_OK);
  sqlite3_close(db);
  const auto refused = Store::open(root.path);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == Code::kFailedPrecondition);
}
