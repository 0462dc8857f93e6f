# Godwit's everyday commands, a thin front to Meson (build/) and tools/; `make help` lists them.

N ?= 20
SAN ?= 1
export SAN

all: deps-build ## build godwitd and godwit into build/
	@tools/build plain

demo: deps-build deps-lab all ## boot the lab, move a running VM there and back, print what it cost
	@lab/run demo

check: deps-build deps-test deps-lab ## run every test; closes with "N passed, N failed, N skipped"
	@tools/run-suites

unit: deps-build deps-test ## unit tests (sanitized; SAN=0 for the plain build), the developer tools' tests
	@tools/run-suites unit tsan tools report

wire: deps-build deps-test ## a program plays QEMU against godwitd (sanitized; SAN=0 for the plain build)
	@tools/run-suites wire race

e2e: deps-build deps-test deps-lab ## two QEMUs on this machine, virtual devices; other front-ends; godwit migrate (SAN=all: sanitized)
	@tools/run-suites migrate e2e

lab: deps-build deps-lab ## every scenario of the lab: VFs, VFIO, migrations
	@tools/run-suites lab

mutants: deps-build deps-test ## build godwitd with one defect at a time: the wire tests must notice each
	@tests/mutants/run.py

bench-footprint: deps-test all ## what godwitd costs while it waits: memory, threads, start-up; 1 and 16 processes
	@tests/bench/footprint.py

growth: deps-test all ## 10,000 connections, 1,000 attaches: nothing may grow
	@tests/bench/growth.py

matrix: deps-build deps-test deps-lint deps-lab ## gcc and clang x DPDK 22.11 and 24.11: no warning, unit tests
	@tools/matrix

lab-soak: deps-build deps-lab ## boot the lab N=20 times under load
	@lab/run soak $(N)

lab-shell: deps-build deps-lab ## boot the lab and enter it
	@lab/run shell

lint: deps-build deps-test deps-lint ## format, rooms, static analysis, two compilers without warnings
	@tools/lint

format: deps-lint ## let clang-format rewrite the C files
	@tools/lint --fix format

deps: ## install every Debian package that any target needs
	@tools/install-deps

deps-build deps-test deps-lab deps-lint:
	@tools/install-deps $(@:deps-%=%)

clean: ## remove build/ (the lab's image lives elsewhere and stays)
	rm -rf build

help: ## print this list
	@sed -n 's/^\([a-z][a-z0-9-]*\):[^#]*## /\1\t/p' $(firstword $(MAKEFILE_LIST)) | \
		while IFS='	' read -r target text; do printf '  make %-15s %s\n' "$$target" "$$text"; done

.PHONY: all demo check unit wire e2e lab mutants bench-footprint growth matrix lab-soak lab-shell lint format deps clean help
.PHONY: deps-build deps-test deps-lab deps-lint
# Targets share build/ and the machine's cores: one after the other, whatever -j says.
.NOTPARALLEL:
