// SPDX-License-Identifier: Apache-2.0
#include "contrib/scheduler/service.h"

#include <grpcpp/grpcpp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <set>
#include <thread>

#include "agent/scheduler/address.h"
#include "agent/scheduler/proto/scheduler/v1/scheduler.grpc.pb.h"
#include "runtime/base/log.h"
#include "runtime/sys/socket.h"

namespace berth::scheduler {
namespace {

namespace wire = ::scheduler::v1;

constexpr int kMaxMessage = 1 << 20;
constexpr size_t kMaxQueued = 4096;  // answers to a node that does not read
constexpr std::chrono::milliseconds kSweep{200};  // how often silent streams are looked for

grpc::Status to_status(const Error& error) {
  // Our codes carry gRPC's names in gRPC's order, from CANCELLED = 1.
  return {static_cast<grpc::StatusCode>(static_cast<int>(error.code()) + 1), error.message()};
}

class Streams;

// One node's stream. Lives until OnDone; frames are handled on gRPC's threads, writes are queued one at a time.
class Stream final : public grpc::ServerBidiReactor<wire::AgentFrame, wire::SchedulerFrame> {
 public:
  Stream(grpc::CallbackServerContext& context, Registry& registry, Streams& streams);
  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override { end(grpc::Status::CANCELLED); }
  void OnDone() override;
  // Ends the stream if its lease has run out or a newer session has taken its place.
  void sweep(int64_t now) {
    const uint64_t session = session_number();
    if (session == 0 || !registry_.expired(session, now)) return;
    end({grpc::StatusCode::DEADLINE_EXCEEDED, "lease expired"});
    context_.TryCancel();  // a write may hang on a peer that does not read
  }
  void goodbye();

 private:
  Result<> handle();
  void push(wire::SchedulerFrame frame);
  void end(grpc::Status status);
  void finish_when_idle();  // with the mutex held
  uint64_t session_number() {
    const std::lock_guard lock(mutex_);
    return session_;
  }

  grpc::CallbackServerContext& context_;
  Registry& registry_;
  Streams& streams_;
  wire::AgentFrame incoming_;
  std::mutex mutex_;
  std::deque<wire::SchedulerFrame> outgoing_;
  bool writing_ = false;
  bool ended_ = false;
  bool finished_ = false;
  grpc::Status status_;
  uint64_t session_ = 0;
};

// The streams that are open.
class Streams {
 public:
  void add(Stream* stream) {
    const std::lock_guard lock(mutex_);
    open_.insert(stream);
  }
  // The stream may be deleted when this has returned.
  void remove(Stream* stream) {
    const std::lock_guard lock(mutex_);
    open_.erase(stream);
  }
  template <typename Do>
  void each(Do&& act) {
    const std::lock_guard lock(mutex_);
    for (auto* stream : open_) act(*stream);
  }

 private:
  std::mutex mutex_;
  std::set<Stream*> open_;
};

Stream::Stream(grpc::CallbackServerContext& context, Registry& registry, Streams& streams)
    : context_(context), registry_(registry), streams_(streams) {
  streams_.add(this);
  StartRead(&incoming_);
}

void Stream::OnDone() {
  streams_.remove(this);
  delete this;
}

void Stream::OnReadDone(bool ok) {
  if (!ok) return end(grpc::Status::OK);
  if (auto handled = handle(); !handled) {
    log_warn("node's session refused", {{"code", code_name(handled.error().code())}, {"cause", handled.error().message()}});
    return end(to_status(handled.error()));
  }
  const std::lock_guard lock(mutex_);
  if (!finished_) StartRead(&incoming_);
}

Result<> Stream::handle() {
  const int64_t now = monotonic_nanos();
  const uint64_t session = session_number();
  if (session == 0) {
    if (!incoming_.has_hello()) return fail(Code::kInvalidArgument, "the first frame is no hello");
    TRY_ASSIGN(auto admission, registry_.hello(incoming_.hello(), now));
    {
      const std::lock_guard lock(mutex_);
      session_ = admission.session;
    }
    log_info("node connected", {{"node", incoming_.hello().node_name()}, {"id", incoming_.hello().node_id()}, {"snapshot", admission.welcome.need_snapshot() ? "yes" : "no"}});
    wire::SchedulerFrame frame;
    *frame.mutable_welcome() = std::move(admission.welcome);
    push(std::move(frame));
    return {};
  }
  TRY_ASSIGN(auto answers, registry_.frame(session, incoming_, now));
  for (auto& answer : answers) push(std::move(answer));
  return {};
}

void Stream::push(wire::SchedulerFrame frame) {
  const std::lock_guard lock(mutex_);
  if (ended_) return;
  if (outgoing_.size() >= kMaxQueued) return context_.TryCancel();
  outgoing_.push_back(std::move(frame));
  if (writing_) return;
  writing_ = true;
  StartWrite(&outgoing_.front());
}

void Stream::OnWriteDone(bool ok) {
  const std::lock_guard lock(mutex_);
  outgoing_.pop_front();
  if (!ok) outgoing_.clear();
  writing_ = ok && !outgoing_.empty();
  if (writing_) return StartWrite(&outgoing_.front());
  finish_when_idle();
}

void Stream::goodbye() {
  wire::SchedulerFrame frame;
  frame.mutable_bye()->set_reason("scheduler stops");
  push(std::move(frame));
  end(grpc::Status::OK);
}

void Stream::end(grpc::Status status) {
  uint64_t session = 0;
  {
    const std::lock_guard lock(mutex_);
    if (ended_) return;
    ended_ = true;
    status_ = std::move(status);
    session = session_;
    finish_when_idle();
  }
  if (session != 0) registry_.closed(session, monotonic_nanos());
}

// Queued frames go out before the status; a peer that does not read is cut off by the cancellation.
void Stream::finish_when_idle() {
  if (!ended_ || writing_ || finished_) return;
  finished_ = true;
  Finish(status_);
}

class SchedulerService final : public wire::Scheduler::CallbackService {
 public:
  SchedulerService(Registry& registry, Streams& streams) : registry_(registry), streams_(streams) {}
  grpc::ServerBidiReactor<wire::AgentFrame, wire::SchedulerFrame>* Session(grpc::CallbackServerContext* context) override {
    return new Stream(*context, registry_, streams_);
  }

 private:
  Registry& registry_;
  Streams& streams_;
};

class OperatorService final : public wire::Operator::CallbackService {
 public:
  explicit OperatorService(Registry& registry) : registry_(registry) {}
  using Context = grpc::CallbackServerContext;

  grpc::ServerUnaryReactor* ListNodes(Context* context, const wire::ListNodesRequest* request, wire::ListNodesResponse* out) override {
    *out = registry_.list(*request, monotonic_nanos());
    return finish(context, grpc::Status::OK);
  }
  grpc::ServerUnaryReactor* GetNode(Context* context, const wire::GetNodeRequest* request, wire::GetNodeResponse* out) override {
    return reply(context, registry_.get(request->node(), monotonic_nanos()), *out);
  }
  grpc::ServerUnaryReactor* Fit(Context* context, const wire::ClusterFitRequest* request, wire::ClusterFitResponse* out) override {
    return reply(context, registry_.fit(*request, monotonic_nanos()), *out);
  }
  grpc::ServerUnaryReactor* Events(Context* context, const wire::ListEventsRequest* request, wire::ListEventsResponse* out) override {
    return reply(context, registry_.events(*request), *out);
  }

 private:
  static grpc::ServerUnaryReactor* finish(Context* context, const grpc::Status& status) {
    auto* reactor = context->DefaultReactor();
    reactor->Finish(status);
    return reactor;
  }
  template <typename Message>
  static grpc::ServerUnaryReactor* reply(Context* context, Result<Message> result, Message& out) {
    if (!result) return finish(context, to_status(result.error()));
    out = std::move(*result);
    return finish(context, grpc::Status::OK);
  }
  Registry& registry_;
};

class ServerImpl final : public Server {
 public:
  explicit ServerImpl(std::shared_ptr<Registry> registry)
      : registry_(std::move(registry)), scheduler_(*registry_, streams_), operator_(*registry_) {}
  ~ServerImpl() override { stop(); }

  Result<> listen(const std::string& address) {
    const std::string path = unix_path(address);
    if (!path.empty()) TRY(remove_stale(path));
    grpc::ServerBuilder builder;
    builder.SetMaxReceiveMessageSize(kMaxMessage);
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
    builder.AddListeningPort(address, grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(&scheduler_);
    builder.RegisterService(&operator_);
    server_ = builder.BuildAndStart();
    if (server_ == nullptr) return fail(Code::kUnavailable, concat("listen on ", quote(address), ": cannot bind"));
    if (!path.empty()) {
      port_ = 0;
      if (::chmod(path.c_str(), 0660) != 0) return fail_errno(concat("chmod ", quote(path)));
    }
    sweeper_ = std::thread([this] { sweep(); });
    return {};
  }
  int port() const override { return port_; }

  void stop() override {
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) return;
      stopping_ = true;
      wake_.notify_all();
    }
    if (sweeper_.joinable()) sweeper_.join();
    streams_.each([](Stream& stream) { stream.goodbye(); });
    if (server_ != nullptr) {
      server_->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(1));
      server_->Wait();
    }
  }

 private:
  // gRPC leaves sockets of killed servers behind; one that answers belongs to a living server.
  static Result<> remove_stale(const std::string& path) {
    struct stat info {};
    if (::lstat(path.c_str(), &info) != 0) return {};
    if (!S_ISSOCK(info.st_mode)) return fail(Code::kAlreadyExists, concat("listen on ", quote(path), ": exists and is no socket"));
    if (sys::connect_unix(path, SOCK_STREAM)) return fail(Code::kAlreadyExists, concat("listen on ", quote(path), ": another server answers there"));
    (void)::unlink(path.c_str());
    return {};
  }

  void sweep() {
    std::unique_lock lock(mutex_);
    while (!wake_.wait_for(lock, kSweep, [this] { return stopping_; })) {
      lock.unlock();
      const int64_t now = monotonic_nanos();
      streams_.each([now](Stream& stream) { stream.sweep(now); });
      lock.lock();
    }
  }

  std::shared_ptr<Registry> registry_;
  Streams streams_;
  SchedulerService scheduler_;
  OperatorService operator_;
  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::thread sweeper_;
};

}  // namespace

Result<std::unique_ptr<Server>> Server::start(const std::string& address, std::shared_ptr<Registry> registry) {
  TRY(check_address(address, true));
  auto server = std::make_unique<ServerImpl>(std::move(registry));
  TRY(server->listen(address));
  return server;
}

}  // namespace berth::scheduler
