// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/rpc/scheduler_client.h"

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "agent/cli/table.h"
#include "agent/scheduler/address.h"
#include "runtime/base/strings.h"

namespace berth::cli {
namespace {

constexpr std::chrono::seconds kDeadline{10};

Code code_of(grpc::StatusCode code) {
  // gRPC's codes from CANCELLED = 1 on are ours from 0 on.
  return code == grpc::StatusCode::OK ? Code::kUnknown : static_cast<Code>(static_cast<int>(code) - 1);
}

}  // namespace

Result<std::vector<std::string>> parse_flags(const std::vector<std::string>& args, const std::vector<Flag>& flags) {
  std::vector<std::string> operands;
  for (size_t i = 0; i < args.size(); ++i) {
    if (args[i] == "--") {
      operands.insert(operands.end(), args.begin() + static_cast<std::ptrdiff_t>(i) + 1, args.end());
      break;
    }
    if (!args[i].starts_with("-") || args[i] == "-") {
      operands.push_back(args[i]);
      continue;
    }
    const auto equals = args[i].find('=');
    const std::string name = args[i].substr(0, equals);
    const Flag* flag = nullptr;
    for (const auto& candidate : flags) {
      if (candidate.name == name) flag = &candidate;
    }
    if (flag == nullptr) return fail(Code::kInvalidArgument, concat("unknown flag ", quote(name)));
    if (equals == std::string::npos && i + 1 == args.size()) return fail(Code::kInvalidArgument, concat(name, " needs a value"));
    TRY(flag->set(equals == std::string::npos ? args[++i] : args[i].substr(equals + 1)));
  }
  return operands;
}

std::string default_scheduler() {
  const char* address = std::getenv("BERTH_SCHEDULER");
  return address != nullptr && *address != '\0' ? address : scheduler::kDefaultAddress;
}

Flag scheduler_flag(std::string& address) {
  return {"--scheduler", [&address](const std::string& value) -> Result<> {
            TRY(scheduler::check_address(value), "--scheduler");
            address = value;
            return {};
          }};
}

Result<SchedulerClient> SchedulerClient::open(const std::string& address) {
  TRY(scheduler::check_address(address), "scheduler");
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetMaxReceiveMessageSize(64 << 20);
  return SchedulerClient(address, ::scheduler::v1::Operator::NewStub(
                                      grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments)));
}

template <typename Request, typename Response>
Result<Response> SchedulerClient::call(
    grpc::Status (::scheduler::v1::Operator::Stub::*method)(grpc::ClientContext*, const Request&, Response*), const Request& request) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kDeadline);
  Response response;
  const auto status = ((*stub_).*method)(&context, request, &response);
  if (status.ok()) return response;
  if (status.error_code() == grpc::StatusCode::UNAVAILABLE || status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) {
    return fail(Code::kUnavailable, concat("scheduler ", quote(address_), " does not answer: ", status.error_message()));
  }
  return fail(code_of(status.error_code()), status.error_message());
}

Result<::scheduler::v1::ListNodesResponse> SchedulerClient::list(const ::scheduler::v1::ListNodesRequest& request) {
  return call(&::scheduler::v1::Operator::Stub::ListNodes, request);
}
Result<::scheduler::v1::GetNodeResponse> SchedulerClient::get(const std::string& node) {
  ::scheduler::v1::GetNodeRequest request;
  request.set_node(node);
  return call(&::scheduler::v1::Operator::Stub::GetNode, request);
}
Result<::scheduler::v1::ClusterFitResponse> SchedulerClient::fit(const ::scheduler::v1::ClusterFitRequest& request) {
  return call(&::scheduler::v1::Operator::Stub::Fit, request);
}
Result<::scheduler::v1::ListEventsResponse> SchedulerClient::events(const ::scheduler::v1::ListEventsRequest& request) {
  return call(&::scheduler::v1::Operator::Stub::Events, request);
}

const char* state_text(::scheduler::v1::NodeState state) {
  switch (state) {
    case ::scheduler::v1::CONNECTED: return "CONNECTED";
    case ::scheduler::v1::DISCONNECTED: return "DISCONNECTED";
    case ::scheduler::v1::UNREACHABLE: return "UNREACHABLE";
    case ::scheduler::v1::GONE: return "GONE";
    default: return "UNKNOWN";
  }
}

std::string fit_text(const ::scheduler::v1::FitResponse& fit, int64_t number) {
  if (!fit.error().empty()) return concat(fit.error(), ": ", join({fit.error_dims().begin(), fit.error_dims().end()}, ", "));
  return fit.unbounded() ? "unbounded" : std::to_string(number);
}

int report_failure(const char* verb, const Error& error, bool usage) {
  std::fprintf(stderr, "berth %s: %s\n", verb, printable(error.message()).c_str());
  if (usage) std::fprintf(stderr, "Try 'berth %s --help'.\n", verb);
  return usage ? 2 : 1;
}

}  // namespace berth::cli
