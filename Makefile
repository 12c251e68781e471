.DEFAULT_GOAL := help
.PHONY: help setup build publish demo test matrix sim mutants fuzz format lint bench bench-hot bench-peers bench-boxes soak soak-boxes clean
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory

export DOTNET_CLI_TELEMETRY_OPTOUT := 1
export DOTNET_NOLOGO := 1
export CONFIGURATION ?= Release
export TESTS
export TEST_TIMEOUT
export ROUNDS
GUARDS ?=

# Of the simulation: SEED= draws one, N= is how many from there on, ALL=1 does not stop at a bad one.
SEED ?=
N ?=
ALL ?=

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s  %s\n", $$1, $$2 }' Makefile

setup: ## install what is missing on this machine: packages, runsc, the guest agent
	@scripts/setup

build: ## build everything (CONFIGURATION=Debug for a debug build)
	@dotnet build Caisson.slnx -c $(CONFIGURATION) -v minimal

publish: ## put the precompiled command into artifacts/caisson
	@scripts/publish

demo: setup publish ## crash, escape and loop: the three incidents, on real files, without a key or a network
	@scripts/demo

test: ## run all tests (TESTS="Core Tidy" for some of them)
	@scripts/setup tests
	@scripts/test

matrix: ## kill each real client at each of its model calls, alone and with the server, and write the table in docs/clients.md
	@scripts/setup tests
	@dotnet build tests/Caisson.System.Tests -c $(CONFIGURATION) -v quiet -nologo
	@tests/Caisson.System.Tests/bin/$(CONFIGURATION)/net10.0/Caisson.System.Tests -noColor -explicit only -class '*.ClientMatrix'

sim: ## run seeds of the simulation until a bad one (SEED=0x… N=1000; see docs/simulation.md)
	@dotnet build tests/Caisson.Simulation.Tests -c $(CONFIGURATION) -v quiet
	@tests/Caisson.Simulation.Tests/bin/$(CONFIGURATION)/net10.0/Caisson.Simulation.Tests sim "$(SEED)" "$(N)" "$(ALL)"

mutants: ## take each guard of the engine away and see a test fail (GUARDS="fence epoch" for some)
	@dotnet build tests/Caisson.Tidy.Tests -c Release -v quiet -nologo
	@tests/Caisson.Tidy.Tests/bin/Release/net10.0/Caisson.Tidy.Tests mutants $(GUARDS)

fuzz: ## throw mutated conversations at the guest agent, under the sanitizers (MINUTES=5)
	@mkdir -p artifacts
	@make -s -C src/Caisson.Sandboxes/guest fuzz FUZZ=$(CURDIR)/artifacts/guest-fuzz
	@artifacts/guest-fuzz $$(( 60 * $(or $(MINUTES),5) ))

format: ## format the source
	@dotnet format Caisson.slnx

lint: ## fail where the source is not formatted
	@dotnet format Caisson.slnx --verify-no-changes

bench: ## all workloads beside what the disk and SQLite do by themselves, as a table (ROUNDS=n)
	@bench/build
	@artifacts/bench/program/Caisson.Bench all $(if $(ROUNDS),--rounds $(ROUNDS))

bench-hot: ## a look of seconds at step latency and throughput
	@dotnet run -c Release --project bench/Caisson.Bench -- hot

bench-peers: ## the same work for Caisson, Restate and DBOS, in turn (ROUNDS=n)
	@bench/build
	@bench/peers/setup artifacts/peers
	@artifacts/bench/program/Caisson.Bench peers artifacts/peers $(if $(ROUNDS),--rounds $(ROUNDS))

soak: setup publish ## run the demo ten times and stop at the first broken promise (ROUNDS=n)
	@scripts/soak

soak-boxes: setup publish ## a thousand runs with boxes, the server killed again and again (RUNS=n)
	@dotnet build tests/Caisson.System.Tests -c Release -v quiet
	@CAISSON_SOAK_RUNS=$(or $(RUNS),1000) tests/Caisson.System.Tests/bin/Release/net10.0/Caisson.System.Tests -explicit only -class '*.SoakTests' -showLiveOutput

bench-boxes: setup ## what boxes cost: starts, claims, commands, saves, checkpoints, what passes the wall, 500 at once
	@dotnet build tests/Caisson.Sandboxes.Tests -c Release -v quiet
	@for kind in gvisor bubblewrap microvm; do echo "== $$kind"; tests/Caisson.Sandboxes.Tests/bin/Release/net10.0/Caisson.Sandboxes.Tests measure $$kind $$([ $$kind = microvm ] || echo $(or $(MANY),500)) || exit 1; done
	@dotnet build tests/Caisson.System.Tests -c Release -v quiet
	@tests/Caisson.System.Tests/bin/Release/net10.0/Caisson.System.Tests -noColor -explicit only -class '*.EgressFigures' -showLiveOutput

clean: ## remove what was built; keeps the tools folder
	@rm -rf artifacts
	@find src tests bench samples -type d \( -name bin -o -name obj \) -prune -exec rm -rf {} + 2> /dev/null || true
