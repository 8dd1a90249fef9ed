// SPDX-License-Identifier: Apache-2.0
// The channels of one exec or attach — stdin, stdout, stderr, error, resize — over SPDY streams or over WebSocket
// messages. No I/O: bytes of the client go in through feed(), bytes for it appear in the string given at the start.
// Not thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/streaming/spdy_session.h"
#include "agent/streaming/websocket_frames.h"
#include "runtime/base/result.h"

namespace berth::streaming {

// The numbers are those of the WebSocket protocols.
enum class Channel : uint8_t { kStdin = 0, kStdout = 1, kStderr = 2, kError = 3, kResize = 4 };

struct ChannelSet {
  bool input = false;
  bool output = false;
  bool error_output = false;
  bool terminal = false;
};

struct TerminalSize {
  unsigned width = 0;
  unsigned height = 0;
};

// How a session ended: an error of ours, or the process's exit code.
struct Outcome {
  std::optional<Error> error;
  int exit_code = 0;
};
// metav1.Status as JSON (protocols v4 and v5).
std::string status_json(const Outcome& outcome);
// Plain text, empty on success (protocols before v4).
std::string status_text(const Outcome& outcome);

// What the client has said so far; the pump takes it from here.
struct Inbox {
  std::string input;
  bool input_closed = false;
  std::optional<TerminalSize> resize;
  bool client_left = false;
};

class Channels {
 public:
  virtual ~Channels() = default;
  // An error ends the connection.
  virtual Result<> feed(std::string_view bytes) = 0;
  // Every channel that was asked for exists.
  virtual bool ready() const = 0;
  // Output of the process: kStdout or kStderr.
  virtual void send(Channel channel, std::string_view bytes) = 0;
  // Ends the outputs, tells the outcome, says goodbye.
  virtual void finish(const Outcome& outcome) = 0;
  Inbox& inbox() { return inbox_; }

 protected:
  // A piece of the resize channel: JSON objects {"Width":n,"Height":m}, in any portions.
  Result<> take_resize(std::string_view bytes);

  Inbox inbox_;

 private:
  std::string resize_text_;
};

// Protocols that the server knows, as negotiate() wants them.
const std::vector<std::string_view>& spdy_exec_protocols();
const std::vector<std::string_view>& websocket_exec_protocols();

std::unique_ptr<Channels> make_spdy_channels(std::string& out, const ChannelSet& wanted, std::string_view protocol);
std::unique_ptr<Channels> make_websocket_channels(std::string& out, const ChannelSet& wanted,
                                                  std::string_view protocol);

}  // namespace berth::streaming
