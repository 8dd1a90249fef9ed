# SPDX-License-Identifier: Apache-2.0
# One non-recursive makefile. Programs stand in build/ after `make`; objects of a mode in build/obj/<mode>/.
# Sources are found by folder: a new .cc file needs no line here.

MODE ?= release
B := build/obj/$(MODE)
BIN := $(if $(filter release,$(MODE)),build,build/$(MODE))
PYTHON ?= python3

CXX ?= g++
WARN := -Wall -Wextra -Wshadow -Wconversion -Werror
FLAGS.release := -O2 -D_FORTIFY_SOURCE=2
FLAGS.debug := -O0 -g -D_GLIBCXX_ASSERTIONS
FLAGS.asan := -O1 -g -fsanitize=address,undefined -fno-omit-frame-pointer
FLAGS.tsan := -O1 -g -fsanitize=thread
CPPFLAGS += -I. -I$(B)/gen -isystem /usr/include/libnl3 -D_GNU_SOURCE
CXXFLAGS += -std=c++23 -fstack-protector-strong -fPIE -ffunction-sections -fdata-sections
LDFLAGS += -Wl,--gc-sections -Wl,-z,relro,-z,now -Wl,-z,noexecstack
STATIC := $(if $(filter asan tsan,$(MODE)),-pie,-static-pie)

.PHONY: all help deps run up test check conformance kubelet-test bench clean install format lint layers child-symbols tests-build
.DEFAULT_GOAL := all

# ---- sources by library -------------------------------------------------------------------------------------------
srcs = $(sort $(foreach d,$(1),$(wildcard $(d)/*.cc)))
objs = $(patsubst %.cc,$(B)/%.o,$(1))

RUNTIME_LIB := $(call srcs,runtime/base runtime/sys runtime/oci runtime/cgroup runtime/plan runtime/child runtime/container)
SHIM_PROTOCOL := runtime/shim/protocol.cc
SHIM_SRC := $(filter-out $(SHIM_PROTOCOL),$(call srcs,runtime/shim))
OCI_CLI_SRC := $(call srcs,runtime/cli)
ROOTFS_LIB := $(call srcs,rootfs rootfs/content rootfs/oci rootfs/registry rootfs/unpack rootfs/snapshot)
CRI_LIB := $(call srcs,cri)
PODS_LIB := $(call srcs,agent/pods agent/shims agent/network agent/state agent/images agent/accounting agent/core)
AGENT_LIB := $(call srcs,agent agent/streaming agent/scheduler)
AGENT_LIB := $(filter-out agent/main.cc,$(AGENT_LIB))
CLI_SRC := $(call srcs,agent/cli)
CLI_RPC_SRC := $(call srcs,agent/cli/rpc)
SCHEDULER_SRC := $(filter-out contrib/scheduler/main.cc,$(call srcs,contrib/scheduler))

LIB := $(B)/lib
$(LIB)/libruntime.a: $(call objs,$(RUNTIME_LIB) $(wildcard $(SHIM_PROTOCOL)))
$(LIB)/libshim.a: $(call objs,$(filter-out runtime/shim/main.cc,$(SHIM_SRC)))
$(LIB)/librootfs.a: $(call objs,$(ROOTFS_LIB))
$(LIB)/libcri.a: $(call objs,$(CRI_LIB)) $(B)/gen/cri/proto/runtime/v1/api.grpc.pb.o
$(LIB)/libcriproto.a: $(B)/gen/cri/proto/runtime/v1/api.pb.o
$(LIB)/libschedulerproto.a: $(B)/gen/agent/scheduler/proto/scheduler/v1/scheduler.pb.o $(B)/gen/agent/scheduler/proto/scheduler/v1/scheduler.grpc.pb.o
$(LIB)/libpods.a: $(call objs,$(PODS_LIB))
$(LIB)/libagent.a: $(call objs,$(AGENT_LIB))
$(LIB)/libcli.a: $(call objs,$(filter-out agent/cli/main.cc,$(CLI_SRC)))
$(LIB)/libscheduler.a: $(call objs,$(SCHEDULER_SRC))
$(LIB)/%.a:
	@mkdir -p $(@D)
	@rm -f $@
	@ar rcs $@ $^

# ---- programs -----------------------------------------------------------------------------------------------------
GRPC := -lgrpc++ -lgrpc -lgpr -lprotobuf -labsl_synchronization
PROTO := -lprotobuf
RUNTIME_LIBS := -lseccomp -lcap
ROOTFS_LIBS := -lcrypto -lisal -lzstd -lsqlite3
AGENT_LIBS := -lnl-route-3 -lnl-3 -lssl -lcrypto -lz -lfmt -lpthread

# `berth` starts often and ends soon: what can be linked statically is, the rest is loaded when first used.
BERTH_LIBS := -static-libstdc++ -static-libgcc -Wl,-Bstatic -lprotobuf -lsqlite3 -lzstd -lcrypto -lnl-route-3 -lnl-3 $(RUNTIME_LIBS) -lyaml-cpp -lz -Wl,-Bdynamic -lisal

PROGRAMS := $(if $(OCI_CLI_SRC),$(BIN)/berth-oci) $(if $(SHIM_SRC),$(BIN)/berth-shim) $(if $(wildcard agent/main.cc),$(BIN)/berthd) \
  $(if $(wildcard agent/cli/main.cc),$(BIN)/berth) $(if $(wildcard agent/cli/rpc/main.cc),$(BIN)/berth-rpc) $(if $(wildcard contrib/scheduler/main.cc),$(BIN)/berth-scheduler)
all: $(PROGRAMS) ## build every program into build/

$(BIN)/berth-oci: $(call objs,$(OCI_CLI_SRC)) $(LIB)/libruntime.a
	@mkdir -p $(@D)
	$(CXX) $(FLAGS.$(MODE)) $(LDFLAGS) $(STATIC) -o $@ $^ $(RUNTIME_LIBS)
$(BIN)/berth-shim: $(call objs,$(SHIM_SRC)) $(LIB)/libruntime.a
	@mkdir -p $(@D)
	$(CXX) $(FLAGS.$(MODE)) $(LDFLAGS) $(STATIC) -o $@ $^ $(RUNTIME_LIBS)
$(BIN)/berthd: $(B)/agent/main.o $(LIB)/libagent.a $(LIB)/libpods.a $(LIB)/libcri.a $(LIB)/libcriproto.a $(LIB)/libschedulerproto.a $(LIB)/librootfs.a $(LIB)/libruntime.a
	@mkdir -p $(@D)
	$(CXX) $(FLAGS.$(MODE)) $(LDFLAGS) -pie -o $@ $^ $(GRPC) $(ROOTFS_LIBS) $(RUNTIME_LIBS) $(AGENT_LIBS)
$(BIN)/berth: $(B)/agent/cli/main.o $(LIB)/libcli.a $(LIB)/libpods.a $(LIB)/libcriproto.a $(LIB)/librootfs.a $(LIB)/libruntime.a
	@mkdir -p $(@D)
	$(CXX) $(FLAGS.$(MODE)) $(LDFLAGS) -pie -o $@ $^ $(BERTH_LIBS)
$(BIN)/berth-rpc: $(call objs,$(CLI_RPC_SRC)) $(LIB)/libcli.a $(LIB)/libpods.a $(B)/gen/cri/proto/runtime/v1/api.grpc.pb.o $(LIB)/libcriproto.a $(LIB)/libschedulerproto.a $(LIB)/librootfs.a $(LIB)/libruntime.a
	@mkdir -p $(@D)
	$(CXX) $(FLAGS.$(MODE)) $(LDFLAGS) -pie -o $@ $^ $(GRPC) $(ROOTFS_LIBS) $(RUNTIME_LIBS) $(AGENT_LIBS) -lyaml-cpp
$(BIN)/berth-scheduler: $(B)/contrib/scheduler/main.o $(LIB)/libscheduler.a $(LIB)/libpods.a $(LIB)/libcriproto.a $(LIB)/libschedulerproto.a $(LIB)/libruntime.a
	@mkdir -p $(@D)
	$(CXX) $(FLAGS.$(MODE)) $(LDFLAGS) -pie -o $@ $^ $(GRPC) -lsqlite3 $(RUNTIME_LIBS) -lpthread

# ---- compilation --------------------------------------------------------------------------------------------------
# runtime/ is without exceptions and RTTI; the child between clone3 and execve also without stack protector calls into libc state.
$(B)/runtime/%.o: CXXFLAGS += -fno-exceptions -fno-rtti -DBOOST_NO_EXCEPTIONS -DBOOST_NO_RTTI -DBOOST_NO_TYPEID
# Boost.JSON's own definitions contain a catch (of a stream operator nobody calls); ours do not throw.
$(B)/runtime/oci/boost_json.o: CXXFLAGS += -fexceptions
$(B)/gen/%.o: WARN :=
# g++ 12 sees overlaps in "text" + std::string (GCC PR 105651).
$(B)/tests/%.o: WARN += -Wno-restrict
# Everything that sees generated messages needs them generated first.
PROTO_HEADERS := $(B)/gen/cri/proto/runtime/v1/api.pb.h $(B)/gen/agent/scheduler/proto/scheduler/v1/scheduler.pb.h
$(B)/%.o: %.cc Makefile | $(PROTO_HEADERS)
	@mkdir -p $(@D)
	@echo "  CXX $<"
	@$(CXX) $(CPPFLAGS) $(CXXFLAGS) $(WARN) $(FLAGS.$(MODE)) -MMD -MP -c $< -o $@
$(B)/gen/%.o: $(B)/gen/%.cc
	@echo "  CXX $<"
	@$(CXX) $(CPPFLAGS) $(CXXFLAGS) -O1 -MMD -MP -c $< -o $@

GRPC_PLUGIN = $(shell command -v grpc_cpp_plugin)
$(B)/gen/%.pb.h $(B)/gen/%.pb.cc $(B)/gen/%.grpc.pb.h $(B)/gen/%.grpc.pb.cc &: %.proto
	@mkdir -p $(dir $(B)/gen/$*)
	protoc -I. --cpp_out=$(B)/gen --grpc_out=$(B)/gen --plugin=protoc-gen-grpc=$(GRPC_PLUGIN) $<
.PRECIOUS: $(B)/gen/%.pb.h $(B)/gen/%.pb.cc $(B)/gen/%.grpc.pb.h $(B)/gen/%.grpc.pb.cc

# ---- tests --------------------------------------------------------------------------------------------------------
TEST_MAIN := $(B)/tests/support/main.o
tests_in = $(call objs,$(sort $(wildcard tests/unit/$(1)/*_test.cc tests/root/$(1)/*_test.cc)))
TEST_SUPPORT := $(filter-out $(TEST_MAIN),$(call objs,$(wildcard tests/support/*.cc)))
TEST_PROGRAMS := $(foreach t,runtime rootfs cri agent scheduler,$(if $(wildcard tests/unit/$(t)/*_test.cc tests/root/$(t)/*_test.cc),$(BIN)/tests/$(t)_test))
$(BIN)/tests/runtime_test: $(call tests_in,runtime) $(TEST_MAIN) $(TEST_SUPPORT) $(call objs,runtime/cli/options.cc runtime/cli/json_text.cc runtime/cli/report.cc) $(LIB)/libshim.a $(LIB)/libruntime.a
$(BIN)/tests/rootfs_test: $(call tests_in,rootfs) $(TEST_MAIN) $(TEST_SUPPORT) $(LIB)/librootfs.a $(LIB)/libruntime.a
$(BIN)/tests/cri_test: $(call tests_in,cri) $(TEST_MAIN) $(TEST_SUPPORT) $(LIB)/libcri.a $(LIB)/libcriproto.a $(LIB)/libruntime.a
$(BIN)/tests/agent_test: $(call tests_in,agent) $(TEST_MAIN) $(TEST_SUPPORT) $(LIB)/libcli.a $(LIB)/libagent.a $(LIB)/libpods.a $(LIB)/libcri.a $(LIB)/libcriproto.a $(LIB)/libschedulerproto.a $(LIB)/librootfs.a $(LIB)/libruntime.a
$(BIN)/tests/scheduler_test: $(call tests_in,scheduler) $(TEST_MAIN) $(TEST_SUPPORT) $(LIB)/libscheduler.a $(LIB)/libagent.a $(LIB)/libpods.a $(LIB)/libcriproto.a $(LIB)/libschedulerproto.a $(LIB)/librootfs.a $(LIB)/libruntime.a
$(BIN)/tests/%_test:
	@mkdir -p $(@D)
	$(CXX) $(FLAGS.$(MODE)) -o $@ $^ $(if $(filter runtime rootfs,$*),,$(GRPC)) $(ROOTFS_LIBS) $(RUNTIME_LIBS) $(AGENT_LIBS) -lyaml-cpp
tests-build: $(TEST_PROGRAMS)

deps: ## install what the build and the tests need (apt, as root)
	@sh tests/deps.sh
run: ## install, build, start a registry, scheduler and berthd, run a real pod, show the node's report, clean up
	@sh tests/deps.sh
	@$(MAKE) --no-print-directory -j$$(nproc) all
	@sh tests/demo/run.sh
up: all ## berthd in the foreground, with the lines to point kubelet or crictl at it
	@sh tests/demo/up.sh
test: ## install, build, run every test that one machine can run
	@sh tests/deps.sh
	@$(MAKE) --no-print-directory -j$$(nproc) all tests-build
	@$(PYTHON) tests/run_all.py
check: layers child-symbols tests-build ## under a minute after a build: layers, child symbols, unit tests
	@$(PYTHON) tests/run_all.py --unit
layers:
	@sh tests/lint/layers.sh
child-symbols: $(call objs,$(call srcs,runtime/child))
	@sh tests/lint/child_symbols.sh $^
format: ## rewrite the sources with clang-format
	@clang-format-19 -i $$(git ls-files '*.cc' '*.h')
kubelet-test: all ## a real kubelet in standalone mode runs a static pod on berthd (builds kubelet the first time)
	@sh tests/conformance/kubelet/run.sh
bench: all ## figures against the peers at hand, as ratios of one run
	@$(PYTHON) tests/bench/bench.py
PREFIX ?= /usr/local
install: all ## install DESTDIR= PREFIX=
	install -d $(DESTDIR)$(PREFIX)/bin
	install -m 0755 $(PROGRAMS) $(DESTDIR)$(PREFIX)/bin
clean: ## remove build/
	rm -rf build
help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

-include $(shell find $(B) -name '*.d' 2>/dev/null)
