// SPDX-License-Identifier: Apache-2.0
#include "cri/server.h"

#include <grpcpp/resource_quota.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <mutex>

#include "cri/acceptor.h"
#include "cri/adaptor.h"
#include "runtime/base/log.h"
#include "runtime/base/strings.h"

namespace berth::cri {
namespace {

// What gRPC may hold in buffers for all connections together.
constexpr size_t kBufferBytes = 256u << 20;

class GrpcServer final : public Server {
 public:
  GrpcServer(const ServerConfig& config, RuntimeService& runtime, ImageService& images)
      : executor_(config.workers),
        runtime_(make_runtime_adaptor(runtime, executor_)),
        images_(make_image_adaptor(images, executor_)) {}
  ~GrpcServer() override { shutdown(std::chrono::milliseconds(0)); }

  Result<> start(const ServerConfig& config) {
    TRY_ASSIGN(acceptor_,
               Acceptor::open(config.listen, config.group, [this](Fd connection) { adopt(std::move(connection)); }));
    grpc::ServerBuilder builder;
    builder.SetMaxReceiveMessageSize(config.max_message_bytes);
    builder.SetMaxSendMessageSize(config.max_message_bytes);
    builder.SetResourceQuota(grpc::ResourceQuota("cri").Resize(kBufferBytes));
    // The sockets are ours: who may connect was decided by the Acceptor, before gRPC reads a byte.
    connections_ = builder.experimental().AddExternalConnectionAcceptor(
        grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD, grpc::InsecureServerCredentials());
    builder.RegisterService(runtime_.get());
    builder.RegisterService(images_.get());
    server_ = builder.BuildAndStart();
    if (!server_) return fail(Code::kInternal, "start the gRPC server: refused by the library");
    TRY(acceptor_->start());
    for (const std::string& address : config.listen) log_info("cri: listening", {{"address", address}});
    return {};
  }

  void shutdown(std::chrono::milliseconds grace) override {
    const std::lock_guard lock(mutex_);
    acceptor_.reset();
    if (!server_) return;
    server_->Shutdown(std::chrono::system_clock::now() + grace);
    server_.reset();
  }

 private:
  void adopt(Fd connection) {
    grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters parameters;
    parameters.fd = connection.release();
    connections_->HandleNewConnection(&parameters);
  }

  // In the order that destruction needs reversed: the workers end last.
  Executor executor_;
  std::shared_ptr<grpc::Service> runtime_;
  std::shared_ptr<grpc::Service> images_;
  std::mutex mutex_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> connections_;
  std::unique_ptr<Acceptor> acceptor_;
};

}  // namespace

Result<std::unique_ptr<Server>> Server::start(ServerConfig config, RuntimeService& runtime, ImageService& images) {
  auto server = std::make_unique<GrpcServer>(config, runtime, images);
  TRY(server->start(config));
  return server;
}

}  // namespace berth::cri
