// SPDX-License-Identifier: Apache-2.0
#include "agent/streaming/forward_pairs.h"

#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "runtime/base/log.h"
#include "runtime/base/strings.h"

namespace berth::streaming {
namespace {
// Of one pair, waiting for the pod; beyond it the whole connection is not read: SPDY here has no flow control.
constexpr size_t kMaxToPod = 1u << 20;
constexpr int kCheckMs = 1000;
}  // namespace

ForwardPairs::ForwardPairs(Link& link, const ForwardRequest& request)
    : link_(link), request_(request), wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
ForwardPairs::~ForwardPairs() = default;

Pair* ForwardPairs::find(std::string_view key) {
  const auto found = std::ranges::find_if(pairs_, [&](const Pair& pair) { return !pair.dead && pair.key == key; });
  return found == pairs_.end() ? nullptr : &*found;
}

Pair* ForwardPairs::find_data(uint32_t data_id) {
  const auto found = std::ranges::find_if(
      pairs_, [&](const Pair& pair) { return !pair.dead && pair.has_data && pair.data_id == data_id; });
  return found == pairs_.end() ? nullptr : &*found;
}

Pair* ForwardPairs::add(std::string key) {
  if (pairs_.size() >= kMaxPairs) return nullptr;
  Pair& pair = pairs_.emplace_back();
  pair.key = std::move(key);
  pair.opened = monotonic_nanos();
  return &pair;
}

void ForwardPairs::start_dial(Pair& pair) {
  pair.dialing = true;
  try {
    pair.dialer = std::thread([this, &pair] {
      pair.dial_result = request_.dial(pair.port);
      pair.dialed.store(true, std::memory_order_release);
      const uint64_t one = 1;
      [[maybe_unused]] const ssize_t n = ::write(wake_.get(), &one, sizeof one);
    });
  } catch (const std::system_error& e) {
    pair.dial_result = fail_errno("start a thread", e.code().value());
    pair.dialed = true;
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t n = ::write(wake_.get(), &one, sizeof one);
  }
}

void ForwardPairs::client_data(Pair& pair, std::string_view bytes, bool fin) {
  if (pair.client_closed) return;
  pair.to_pod += bytes;
  if (fin) pair.client_closed = true;
}

void ForwardPairs::drop(Pair& pair) {
  pair.socket.reset();
  pair.dead = true;
}

void ForwardPairs::run(PairCarrier& carrier, std::string_view first, bool until_empty) {
  const auto result = carrier.feed(first);
  if (result) {
    while (step(carrier)) {
      if (until_empty && pairs_.empty()) {
        carrier.goodbye();
        carrier.seal();
        return link_.close_gently(request_.times.goodbye);
      }
    }
  }
  link_.close();
}

bool ForwardPairs::step(PairCarrier& carrier) {
  carrier.seal();
  const bool room = link_.out().size() < kHighWater;
  const bool want_client =
      std::ranges::none_of(pairs_, [](const Pair& pair) { return pair.to_pod.size() > kMaxToPod; });
  std::vector<pollfd> polled = {
      {link_.fd(), link_.events(want_client), 0}, {link_.stop(), POLLIN, 0}, {wake_.get(), POLLIN, 0}};
  std::vector<Pair*> served;
  for (Pair& pair : pairs_) {
    if (!pair.socket) continue;
    const int events = (room && !pair.pod_closed ? POLLIN : 0) | (pair.to_pod.empty() ? 0 : POLLOUT);
    // A socket that is asked nothing would still report its hangup, again and again.
    if (events == 0) continue;
    polled.push_back({pair.socket.get(), static_cast<short>(events), 0});
    served.push_back(&pair);
  }
  // Without a pair only the client can say something; with one, the check below has its time.
  const int limit = pairs_.empty() ? static_cast<int>(request_.times.idle.count()) : kCheckMs;
  const int got = ::poll(polled.data(), polled.size(), limit);
  if (got < 0) return errno == EINTR;
  if (got == 0 && pairs_.empty()) return false;
  if (polled[1].revents != 0) return false;
  if (!serve_client(carrier, polled[0].revents)) return false;
  if (polled[2].revents != 0) take_dialed(carrier);
  for (size_t i = 0; i < served.size(); ++i) serve_pod(carrier, *served[i], polled[i + 3].revents);
  expire(carrier);
  pairs_.remove_if([](const Pair& pair) { return pair.dead && (!pair.dialing || pair.dialed); });
  carrier.seal();
  return link_.flush() != Io::kEnd;
}

bool ForwardPairs::serve_client(PairCarrier& carrier, short events) {
  if ((events & POLLIN) != 0) {
    std::string bytes;
    const Io io = link_.read(bytes);
    if (const auto result = carrier.feed(bytes); !result) {
      log_debug("streaming: connection ended", {{"error", result.error().message()}});
      return false;
    }
    return io != Io::kEnd && !carrier.client_left();
  }
  return (events & (POLLRDHUP | POLLHUP | POLLERR)) == 0;
}

void ForwardPairs::take_dialed(PairCarrier& carrier) {
  uint64_t count = 0;
  [[maybe_unused]] const ssize_t n = ::read(wake_.get(), &count, sizeof count);
  for (Pair& pair : pairs_) {
    if (!pair.dialing || !pair.dialed.load(std::memory_order_acquire)) continue;
    if (pair.dialer.joinable()) pair.dialer.join();
    pair.dialing = false;
    if (pair.dead) continue;
    if (!pair.dial_result) {
      fail_pair(carrier, pair, pair.dial_result.error().message());
      continue;
    }
    pair.socket = std::move(*pair.dial_result);
    if (const auto result = set_nonblocking(pair.socket.get()); !result)
      fail_pair(carrier, pair, result.error().message());
    // The client may have closed its half already.
    if (pair.client_closed && pair.to_pod.empty()) ::shutdown(pair.socket.get(), SHUT_WR);
  }
}

void ForwardPairs::serve_pod(PairCarrier& carrier, Pair& pair, short events) {
  if (pair.dead || events == 0) return;
  if (!pair.to_pod.empty() && (events & (POLLOUT | POLLERR | POLLHUP)) != 0) {
    const Io io = write_some(pair.socket.get(), pair.to_pod);
    if (io == Io::kEnd) pair.to_pod.clear();
    if (io == Io::kDone && pair.client_closed) ::shutdown(pair.socket.get(), SHUT_WR);
  }
  if (!pair.pod_closed && (events & ~POLLOUT) != 0) {
    std::string bytes;
    const Io io = read_some(pair.socket.get(), bytes);
    if (!bytes.empty()) carrier.send(pair, bytes);
    if (io == Io::kEnd) end_of_pod(carrier, pair);
  }
  if (pair.pod_closed && pair.client_closed && pair.to_pod.empty()) drop(pair);
}

// The pod has said its last. Clients read the error stream to its end before they close their own half, so it ends
// here.
void ForwardPairs::end_of_pod(PairCarrier& carrier, Pair& pair) {
  pair.pod_closed = true;
  carrier.finish(pair);
}

void ForwardPairs::fail_pair(PairCarrier& carrier, Pair& pair, std::string_view why) {
  log_debug("streaming: port-forward failed", {{"port", static_cast<unsigned>(pair.port)}, {"error", why}});
  carrier.send_error(pair, concat("error forwarding port ", pair.port, " to pod: ", why));
  carrier.finish(pair);
  drop(pair);
}

void ForwardPairs::expire(PairCarrier& carrier) {
  const long long now = monotonic_nanos();
  for (Pair& pair : pairs_) {
    if (pair.dead) continue;
    const bool half = !pair.has_data || !pair.has_error;
    if (half && now - pair.opened > request_.times.creation.count() * 1'000'000)
      fail_pair(carrier, pair, "timed out waiting for the second stream");
    // The client took note of the end without a word (its stream was reset, or it is slow): forget the socket.
    if (pair.pod_closed && pair.client_closed && pair.to_pod.empty()) drop(pair);
  }
}

}  // namespace berth::streaming
