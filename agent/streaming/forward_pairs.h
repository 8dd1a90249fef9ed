// SPDX-License-Identifier: Apache-2.0
// The pairs of a port-forwarding connection and their poll loop, whatever carries them. Not thread-safe.
#pragma once

#include <poll.h>

#include <atomic>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "agent/streaming/link.h"
#include "agent/streaming/port_forward.h"
#include "runtime/base/fd.h"
#include "runtime/base/result.h"

namespace berth::streaming {

struct Pair {
  std::string key;
  uint32_t data_id = 0;  // stream or channel; 0 while the client has not opened it (SPDY)
  uint32_t error_id = 0;
  bool has_data = false;
  bool has_error = false;
  uint16_t port = 0;
  long long opened = 0;  // monotonic nanoseconds: the second stream is awaited for a while only

  bool dialing = false;
  std::thread dialer;
  std::atomic<bool> dialed = false;
  Result<Fd> dial_result;

  Fd socket;
  std::string to_pod;
  bool client_closed = false;  // no more data from the client
  bool pod_closed = false;     // no more data from the pod; the error stream is finished too
  bool dead = false;           // to be removed

  ~Pair() {
    if (dialer.joinable()) dialer.join();
  }
};

// What carries the pairs: SPDY streams or WebSocket channels.
class PairCarrier {
 public:
  virtual ~PairCarrier() = default;
  virtual Result<> feed(std::string_view bytes) = 0;
  virtual bool client_left() const = 0;
  virtual void send(const Pair& pair, std::string_view bytes) = 0;
  virtual void send_error(const Pair& pair, std::string_view text) = 0;
  // No more data and no error (or none after send_error).
  virtual void finish(const Pair& pair) = 0;
  // Called once before a poll: wraps what is to go out, where that is needed.
  virtual void seal() {}
  virtual void goodbye() = 0;
};

class ForwardPairs {
 public:
  ForwardPairs(Link& link, const ForwardRequest& request);
  ~ForwardPairs();

  // Pairs of this connection; at most kMaxPairs at a time: nullptr beyond.
  Pair* find(std::string_view key);
  Pair* find_data(uint32_t data_id);
  Pair* add(std::string key);
  void start_dial(Pair& pair);
  void client_data(Pair& pair, std::string_view bytes, bool fin);
  void drop(Pair& pair);

  // Until the client leaves, the server stops or, with `until_empty`, no pair is left.
  void run(PairCarrier& carrier, std::string_view first, bool until_empty);

  static constexpr size_t kMaxPairs = 256;

 private:
  bool step(PairCarrier& carrier);
  bool serve_client(PairCarrier& carrier, short events);
  void serve_pod(PairCarrier& carrier, Pair& pair, short events);
  void take_dialed(PairCarrier& carrier);
  void expire(PairCarrier& carrier);
  void fail_pair(PairCarrier& carrier, Pair& pair, std::string_view why);
  void end_of_pod(PairCarrier& carrier, Pair& pair);

  Link& link_;
  const ForwardRequest& request_;
  Fd wake_;
  std::list<Pair> pairs_;
};

}  // namespace berth::streaming
