// SPDX-License-Identifier: Apache-2.0
// What `berth node` and `berth fit` share: their options, and calls to the scheduler's Operator service.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/scheduler/proto/scheduler/v1/scheduler.grpc.pb.h"
#include "runtime/base/result.h"

namespace berth::cli {

// One option of a command: "--cpu VALUE" or "--cpu=VALUE".
struct Flag {
  std::string name;
  std::function<Result<>(const std::string&)> set;
};

// Takes the flags out of `args` and returns the operands. "--" ends flags. kInvalidArgument naming the argument.
Result<std::vector<std::string>> parse_flags(const std::vector<std::string>& args, const std::vector<Flag>& flags);

// "--scheduler ADDRESS".
Flag scheduler_flag(std::string& address);
// $BERTH_SCHEDULER, or the default socket.
std::string default_scheduler();

class SchedulerClient {
 public:
  // Connects with the first call.
  static Result<SchedulerClient> open(const std::string& address);

  Result<::scheduler::v1::ListNodesResponse> list(const ::scheduler::v1::ListNodesRequest& request);
  Result<::scheduler::v1::GetNodeResponse> get(const std::string& node);
  Result<::scheduler::v1::ClusterFitResponse> fit(const ::scheduler::v1::ClusterFitRequest& request);
  Result<::scheduler::v1::ListEventsResponse> events(const ::scheduler::v1::ListEventsRequest& request);

 private:
  SchedulerClient(std::string address, std::unique_ptr<::scheduler::v1::Operator::Stub> stub)
      : address_(std::move(address)), stub_(std::move(stub)) {}
  template <typename Request, typename Response>
  Result<Response> call(grpc::Status (::scheduler::v1::Operator::Stub::*method)(grpc::ClientContext*, const Request&, Response*), const Request& request);

  std::string address_;
  std::unique_ptr<::scheduler::v1::Operator::Stub> stub_;
};

const char* state_text(::scheduler::v1::NodeState state);
// "INVALID_ARGUMENT: cpu, memory", "unbounded", or the number.
std::string fit_text(const ::scheduler::v1::FitResponse& fit, int64_t number);

// Prints "berth VERB: message" and the hint for usage errors (kInvalidArgument); the exit status, 2 or 1.
int report_failure(const char* verb, const Error& error, bool usage);

}  // namespace berth::cli
