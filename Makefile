# SPDX-License-Identifier: Apache-2.0
# One Makefile. `make help` lists the targets. SAN=1 builds everything with ASan and UBSan into build/san,
# TSAN=1 with ThreadSanitizer into build/tsan.
# Sources are found by folder: a new file needs no line here.

CC      ?= gcc
PREFIX  ?= /usr
DESTDIR ?=
VERSION := 0.1.0
PYTHON  ?= /usr/bin/python3

ifdef SAN
BUILD    := build/san
OPT      := -O1 -g -fno-omit-frame-pointer
SANFLAGS := -fsanitize=address,undefined -fno-sanitize-recover=undefined
HARDEN   :=
else ifdef TSAN
# With clang's runtime, unless somebody wants another one: docs/TESTING.md says why.
ifeq ($(origin CC),default)
CC       := clang
endif
BUILD    := build/tsan
OPT      := -O1 -g
SANFLAGS := -fsanitize=thread
HARDEN   :=
else
BUILD    := build/rel
OPT      := -O2 -g
SANFLAGS :=
HARDEN   := -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fstack-clash-protection -fPIE
HARDENLD := -pie -Wl,-z,relro,-z,now
endif

PKGS := libuv libcurl json-c libssl libcrypto yaml-0.1 libsystemd libmicrohttpd libidn2 libpsl libcares ldns
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
PKG_LIBS   := $(shell pkg-config --libs $(PKGS) 2>/dev/null)

WARN := -Wall -Wextra -Werror -Wshadow -Wconversion -Wsign-conversion -Wstrict-prototypes -Wmissing-prototypes \
	-Wold-style-definition -Wimplicit-fallthrough -Wformat=2 -Wvla -Wcast-qual -Wwrite-strings -Wundef \
	-Wpointer-arith -Wnull-dereference -Wswitch-enum
WARN_gcc := -Wlogical-op -Wduplicated-cond
ifneq (,$(findstring clang,$(CC)))
WARN_CC := -Wno-gnu-statement-expression
else
WARN_CC := $(WARN_gcc)
endif

CPPFLAGS_ALL := -I. -D_GNU_SOURCE -DDVCERT_VERSION='"$(VERSION)"' -DOPENSSL_API_COMPAT=30000 -DOPENSSL_NO_DEPRECATED \
	-include common/banned.h
CFLAGS_ALL := -std=gnu17 $(OPT) $(WARN) $(WARN_CC) $(HARDEN) $(SANFLAGS) $(PKG_CFLAGS) $(CFLAGS)
LDFLAGS_ALL := $(HARDENLD) $(SANFLAGS) $(LDFLAGS)

# Everything but the files that hold a main().
LIB_SRC := $(wildcard common/*.c config/*.c daemon/*/*.c daemon/*.c)
LIB_SRC := $(filter-out daemon/main.c daemon/ctl/main.c daemon/helper/main.c,$(LIB_SRC))
SANDBOX_SRC := $(wildcard tests/sandbox/*.c)
UNIT_SRC := $(wildcard tests/unit/test_*.c)
MODEL_SRC := $(wildcard tests/model/model_*.c)
FUZZ_SRC := $(wildcard tests/fuzz/fuzz_*.c)
BENCH_SRC := $(wildcard tests/bench/bench_*.c)
SIM_SRC := $(wildcard tests/sim/*.c)
SYSTEMD_BIN := $(BUILD)/tests/systemd/probe
# Preloaded objects.
CRASH_SRC := $(wildcard tests/crash/*.c)
CRASH_LIB := $(CRASH_SRC:%.c=$(BUILD)/%.so)

LIB_OBJ := $(LIB_SRC:%.c=$(BUILD)/%.o)
LIB := $(BUILD)/libdvcert.a
SANDBOX_OBJ := $(SANDBOX_SRC:%.c=$(BUILD)/%.o)
UNIT_BIN := $(UNIT_SRC:%.c=$(BUILD)/%)
MODEL_BIN := $(MODEL_SRC:%.c=$(BUILD)/%)
FUZZ_BIN := $(FUZZ_SRC:%.c=$(BUILD)/%)
BENCH_BIN := $(BENCH_SRC:%.c=$(BUILD)/%)
PROGRAMS := $(BUILD)/dvcertd $(BUILD)/dvcertctl $(BUILD)/dvcertd-helper $(BUILD)/dvcert-sandbox

# Manual pages; the options of dvcertd.yaml(5) are written from the tables of the configuration.
MAN_SRC := $(wildcard docs/man/*.[158])
MAN_GEN := $(BUILD)/docs/man/dvcertd.yaml.5

Q := $(if $(V),,@)

.PHONY: all
all: $(PROGRAMS) $(MAN_GEN)

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC      $<"
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

$(LIB): $(LIB_OBJ)
	@echo "  AR      $@"
	$(Q)rm -f $@ && ar rcs $@ $^

$(BUILD)/dvcertd: $(BUILD)/daemon/main.o $(LIB)
$(BUILD)/dvcertctl: $(BUILD)/daemon/ctl/main.o $(LIB)
$(BUILD)/dvcertd-helper: $(BUILD)/daemon/helper/main.o $(LIB)
# Runs as root: no library is loaded that it does not call.
$(BUILD)/dvcertd-helper: LDFLAGS_ALL += -Wl,--as-needed
# Where the daemon finds it, when it is not beside the daemon.
$(BUILD)/daemon/deploy/assist.o: CPPFLAGS_ALL += -DLIBEXECDIR='"$(PREFIX)/libexec/dvcertd"'
$(BUILD)/dvcert-sandbox: $(SANDBOX_OBJ) $(LIB)
# What ThreadSanitizer has to be told, and which work went through the pool.
ifdef TSAN
TSAN_OBJ := $(BUILD)/tests/tsan/close.o
$(PROGRAMS) $(UNIT_BIN): $(TSAN_OBJ)
$(BUILD)/dvcertd: $(BUILD)/tests/tsan/jobs.o
$(BUILD)/dvcertd: LDFLAGS_ALL += -Wl,--wrap=work_start
endif
$(PROGRAMS):
	@echo "  LD      $@"
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $@ $^ $(PKG_LIBS) -lpthread

$(BUILD)/docs/man/gen: $(BUILD)/docs/man/gen.o $(LIB)
	@echo "  LD      $@"
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $@ $^ $(PKG_LIBS) -lpthread
$(MAN_GEN): docs/man/dvcertd.yaml.5.in $(BUILD)/docs/man/gen
	@echo "  MAN     $@"
	$(Q)$(BUILD)/docs/man/gen < $< > $@.tmp && mv $@.tmp $@

$(UNIT_BIN): $(BUILD)/%: $(BUILD)/%.o $(LIB)
	@echo "  LD      $@"
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $@ $^ $(PKG_LIBS) -lcmocka -lpthread

$(FUZZ_BIN): $(BUILD)/tests/fuzz/replay.o
$(MODEL_BIN) $(FUZZ_BIN) $(BENCH_BIN): $(BUILD)/%: $(BUILD)/%.o $(LIB)
	@echo "  LD      $@"
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $@ $(filter %.o,$^) $(LIB) $(PKG_LIBS) -lpthread

# The whole daemon and the CA in one program: what tests/sim defines is not taken from the library.
SIM := $(BUILD)/tests/sim/sim
SIM_OBJ := $(SIM_SRC:%.c=$(BUILD)/%.o) \
	$(filter-out %/main.o %/server.o %/fetch.o %/dnsask.o,$(SANDBOX_OBJ))
SIM_WRAP := openat write fsync renameat renameat2 unlinkat symlinkat mkdirat fchmod _exit sbx_wait_locked sbx_wake_by sbx_sleep
$(SIM): $(SIM_OBJ) $(LIB)
	@echo "  LD      $@"
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) $(SIM_WRAP:%=-Wl,--wrap=%) -o $@ $^ $(PKG_LIBS) -lpthread

# What tries the unit's restrictions from inside; nothing of ours is in it.
$(SYSTEMD_BIN): $(BUILD)/%: $(BUILD)/%.o
	@echo "  LD      $@"
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $@ $^

# Goes into the daemon by LD_PRELOAD: nothing of ours is in it, and no sanitizer, which would want to be the first.
$(CRASH_LIB): $(BUILD)/%.so: %.c
	@mkdir -p $(@D)
	@echo "  SO      $@"
	$(Q)$(CC) $(CPPFLAGS_ALL) -std=gnu17 -O2 -g -fPIC $(WARN) $(WARN_CC) -MMD -MP -shared -o $@ $<

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)

# --- everyday targets ---

.PHONY: help
help:
	@echo "make           build dvcertd, dvcertctl and dvcert-sandbox into $(BUILD)"
	@echo "make demo      install what is needed (apt), build, show a whole life of certificates in a minute"
	@echo "make check     install what is needed (apt), build, run every test"
	@echo "make install   into DESTDIR=$(DESTDIR) PREFIX=$(PREFIX)"
	@echo "make deps      only install what is needed (Debian 12)"
	@echo "make check-asan, check-unit, check-model, check-sim, soak, check-fuzz, check-systemd, check-e2e, check-clang, lint, bench, bench-requests, fuzz, clean"
	@echo "make check-tsan: what runs in threads, and a daemon with many domains, under ThreadSanitizer"
	@echo "make check-crash, crash-matrix: the real binary killed, cut off and refused at its system calls, and without memory: a sample, everything"

# Debian 12 packages: to build, to test, to show. Does nothing when all of them are there.
DEPS_BUILD := gcc make pkg-config libc6-dev libuv1-dev libcurl4-openssl-dev libjson-c-dev libssl-dev libyaml-dev \
	libsystemd-dev libmicrohttpd-dev uthash-dev libidn2-dev libpsl-dev libldns-dev libc-ares-dev ca-certificates openssl
DEPS_TEST := libcmocka-dev clang llvm libclang-rt-14-dev clang-format python3 python3-pytest python3-pytest-xdist python3-cryptography \
	nginx-light apache2-bin haproxy curl knot bind9 libfaketime universal-ctags pmccabe codespell mandoc util-linux procps patch systemd \
	strace xfsprogs e2fsprogs mount systemd-container systemd-sysv dbus libnss-systemd iproute2 nftables \
	prometheus python3-prometheus-client pdns-server pdns-backend-sqlite3
.PHONY: deps deps-build
deps-build:
	@sh contrib/install-deps.sh $(DEPS_BUILD)
deps: deps-build
	@sh contrib/install-deps.sh $(DEPS_TEST)

.PHONY: install
install: all
	install -d $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib/systemd/system \
		$(DESTDIR)$(PREFIX)/lib/systemd/catalog $(DESTDIR)$(PREFIX)/lib/sysusers.d $(DESTDIR)$(PREFIX)/lib/tmpfiles.d \
		$(DESTDIR)$(PREFIX)/share/doc/dvcertd/examples $(DESTDIR)/etc/dvcertd/conf.d \
		$(DESTDIR)$(PREFIX)/libexec/dvcertd \
		$(addprefix $(DESTDIR)$(PREFIX)/share/man/man,1 5 8)
	install -m 0755 $(BUILD)/dvcertd $(DESTDIR)$(PREFIX)/sbin/dvcertd
	install -m 0755 $(BUILD)/dvcertctl $(BUILD)/dvcert-sandbox $(DESTDIR)$(PREFIX)/bin/
	install -m 0755 contrib/dns/acme-dnsapi contrib/dns/lego-httpreq $(BUILD)/dvcertd-helper \
		$(DESTDIR)$(PREFIX)/libexec/dvcertd/
	sed -E 's,=/usr/(s?bin)/dvcert,=$(PREFIX)/\1/dvcert,' systemd/dvcertd.service \
		> $(DESTDIR)$(PREFIX)/lib/systemd/system/dvcertd.service
	sed 's,/usr/libexec/dvcertd,$(PREFIX)/libexec/dvcertd,' systemd/dvcertd-helper@.service \
		> $(DESTDIR)$(PREFIX)/lib/systemd/system/dvcertd-helper@.service
	install -m 0644 systemd/dvcertd-helper.socket $(DESTDIR)$(PREFIX)/lib/systemd/system/
	install -m 0644 systemd/dvcertd.catalog $(DESTDIR)$(PREFIX)/lib/systemd/catalog/dvcertd.catalog
	install -m 0644 systemd/dvcertd.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/dvcertd.conf
	install -m 0644 systemd/dvcertd.tmpfiles $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/dvcertd.conf
	install -m 0644 config/examples/*.yaml $(DESTDIR)$(PREFIX)/share/doc/dvcertd/examples/
	install -m 0644 README.md LICENSE docs/*.md $(DESTDIR)$(PREFIX)/share/doc/dvcertd/
	install -d $(DESTDIR)$(PREFIX)/share/doc/dvcertd/prometheus $(DESTDIR)$(PREFIX)/share/doc/dvcertd/grafana
	install -m 0644 contrib/prometheus/dvcertd.rules.yml $(DESTDIR)$(PREFIX)/share/doc/dvcertd/prometheus/
	install -m 0644 contrib/grafana/dvcertd.json $(DESTDIR)$(PREFIX)/share/doc/dvcertd/grafana/
	install -m 0644 contrib/dns/README.md $(DESTDIR)$(PREFIX)/share/doc/dvcertd/README.dns.md
	set -e; for page in $(MAN_SRC) $(MAN_GEN); do \
		install -m 0644 $$page $(DESTDIR)$(PREFIX)/share/man/man$${page##*.}/; done

.PHONY: demo
demo: deps-build
	$(Q)$(MAKE) --no-print-directory -s -j4 all
	$(Q)sh contrib/demo.sh $(BUILD)

# --- tests ---

.PHONY: check
check: deps
	$(Q)$(MAKE) --no-print-directory -j4 all
	$(Q)$(MAKE) --no-print-directory lint
	$(Q)$(MAKE) --no-print-directory check-clang
	$(Q)$(MAKE) --no-print-directory -j4 SAN=1 check-unit check-fuzz
	$(Q)$(MAKE) --no-print-directory check-model
	$(Q)$(MAKE) --no-print-directory check-sim
	$(Q)$(MAKE) --no-print-directory check-crash
	$(Q)$(MAKE) --no-print-directory check-systemd
	$(Q)$(MAKE) --no-print-directory check-e2e
	@echo "make check: everything passed"

# The same, with the programs themselves under ASan and UBSan in the end-to-end tests.
.PHONY: check-asan
check-asan: deps
	$(Q)$(MAKE) --no-print-directory -j4 SAN=1 all
	$(Q)$(MAKE) --no-print-directory -j4 SAN=1 check-unit check-fuzz check-model
	$(Q)$(MAKE) --no-print-directory SAN=1 check-e2e

# Everything that has threads, under ThreadSanitizer: unit tests, end-to-end tests, every kind of work in the pool, planted races.
TSAN_UNIT = $(addprefix $(BUILD)/,$(shell sh tests/tsan/units.sh))
TSAN_RUN = DVCERT_BUILD=$(BUILD) DVCERT_PATIENCE=5 $(PYTHON) tests/tsan
.PHONY: check-tsan tsan-run
check-tsan: deps
	$(Q)$(MAKE) --no-print-directory -j4 TSAN=1 all tsan-units
	$(Q)$(MAKE) --no-print-directory TSAN=1 tsan-run
tsan-units: $(TSAN_UNIT)
tsan-run:
	$(Q)$(TSAN_RUN)/check.py $(TSAN_UNIT)
	$(Q)$(TSAN_RUN)/defects.py

# Both compilers have to be free of warnings; clang only compiles.
.PHONY: check-clang
check-clang:
	$(Q)$(MAKE) --no-print-directory -s -j4 CC=clang BUILD=build/clang all
	@echo "clang: no warnings"

.PHONY: check-unit check-model check-sim soak check-fuzz check-e2e lint bench bench-requests
check-unit: $(UNIT_BIN)
	$(Q)set -e; for t in $(UNIT_BIN); do $$t; done
check-model: $(MODEL_BIN)
	$(Q)printf '%s\n' $(MODEL_BIN) | xargs -n 1 -P "$$(nproc)" sh -c '"$$0"'
	$(Q)sh tests/model/run_defects.sh
# A fixed number of seeds, whatever the machine; first what once showed a mistake, last the mistakes that are planted (100 s on two idle
# cores). With SAN=1 fewer seeds and no defects; what a killed life leaks is not looked at.
SIM_SEEDS ?= $(if $(SAN),30,250)
SIM_RUN := $(if $(SAN),ASAN_OPTIONS=detect_leaks=0) $(SIM)
check-sim: $(SIM)
	$(Q)$(SIM_RUN) --replay $(sort $(wildcard tests/sim/seeds/*))
	$(Q)$(SIM_RUN) --twice 1-3
	$(Q)$(SIM_RUN) --seeds 1-$(SIM_SEEDS)
	$(if $(SAN),,$(Q)sh tests/sim/run_defects.sh $(SIM_SEEDS))
# As many seeds as wanted, from another place each time; then many domains due at once, with the CA's real windows (half an hour).
SOAK_SEEDS ?= 2000
SOAK_LOAD ?= 2000
soak: $(SIM) all
	$(Q)from=$${SOAK_FROM:-$$(date +%s)}; $(SIM) --seeds $$from-$$((from + $(SOAK_SEEDS) - 1)) --jobs $$(nproc)
	$(Q)DVCERT_LOAD=$(SOAK_LOAD) DVCERT_BUILD=$(BUILD) $(PYTHON) -m pytest -q -s -p no:cacheprovider tests/e2e/test_load.py
check-fuzz: $(FUZZ_BIN)
	$(Q)set -e; for t in $(FUZZ_BIN); do $$t; done
check-e2e: all
	$(Q)DVCERT_BUILD=$(BUILD) $(if $(SAN),DVCERT_PATIENCE=3) $(PYTHON) -m pytest -q -n 4 -p no:cacheprovider tests/e2e

# The shipped unit under a real systemd, in a container that is thrown away.
.PHONY: check-systemd
check-systemd: all $(SYSTEMD_BIN)
	$(Q)DVCERT_BUILD=$(BUILD) $(PYTHON) -m pytest -q -rs -n 2 -p no:cacheprovider tests/systemd

# The real binary, interrupted at its system calls and refused memory. check-crash is a sample that a seed chooses, crash-matrix is everything; what cannot
# be done here (exit 77) is named and skipped.
CRASH := DVCERT_BUILD=$(BUILD) $(if $(SAN),DVCERT_PATIENCE=3) $(PYTHON) tests/crash
SKIPPED := || test $$? -eq 77
CRASH_SEED ?= 1
.PHONY: check-crash crash-states crash-kill crash-errors crash-alloc crash-powercut crash-matrix
check-crash: all $(CRASH_LIB)
	$(Q)$(MAKE) --no-print-directory -O -j4 crash-states crash-kill crash-errors crash-alloc crash-powercut
crash-states:
	$(Q)$(CRASH)/states.py --seed $(CRASH_SEED) --limit 4000 --starts 3 $(SKIPPED)
crash-kill:
	$(Q)$(CRASH)/sweep.py kill --seed $(CRASH_SEED) --sample 60 --jobs 20 $(SKIPPED)
crash-errors:
	$(Q)$(CRASH)/sweep.py errors --seed $(CRASH_SEED) --sample 60 --jobs 16 $(SKIPPED)
crash-alloc:
	$(Q)$(CRASH)/sweep.py alloc --seed $(CRASH_SEED) --sample 40 --jobs 16 $(SKIPPED)
crash-powercut:
	$(Q)$(CRASH)/powercut.py --seed $(CRASH_SEED) --cuts 8 --jobs 8 $(SKIPPED)
crash-matrix: all $(CRASH_LIB)
	$(Q)$(CRASH)/states.py --seed $(CRASH_SEED) --limit 200000 --starts 60 $(SKIPPED)
	$(Q)$(CRASH)/sweep.py kill --seed $(CRASH_SEED) --jobs 20 $(SKIPPED)
	$(Q)$(CRASH)/sweep.py errors --seed $(CRASH_SEED) --jobs 20 $(SKIPPED)
	$(Q)$(CRASH)/sweep.py alloc --seed $(CRASH_SEED) --jobs 20 $(SKIPPED)
	$(Q)$(CRASH)/powercut.py --seed $(CRASH_SEED) --cuts 200 --jobs 8 $(SKIPPED)
	$(Q)$(CRASH)/defects.py

lint: all
	$(Q)DVCERT_BUILD=$(BUILD) sh tests/lint/run.sh

bench: all $(BENCH_BIN)
	$(Q)DVCERT_BUILD=$(BUILD) $(PYTHON) tests/bench/bench.py
	$(Q)DVCERT_BUILD=$(BUILD) $(PYTHON) tests/bench/requests.py
# The second half alone: requests per certificate, and three years of one domain.
bench-requests: all
	$(Q)DVCERT_BUILD=$(BUILD) $(PYTHON) tests/bench/requests.py

# libFuzzer: FUZZ_TIME seconds for each target, starting from the corpora.
FUZZ_TIME ?= 30
LF_BIN := $(FUZZ_SRC:tests/fuzz/%.c=build/libfuzzer/%)
build/libfuzzer/%: tests/fuzz/%.c $(LIB_SRC)
	@mkdir -p $(@D)
	$(Q)clang $(CPPFLAGS_ALL) -std=gnu17 -O1 -g -Wno-everything -fsanitize=fuzzer,address,undefined $(PKG_CFLAGS) \
		-o $@ $< $(LIB_SRC) $(PKG_LIBS) -lpthread
.PHONY: fuzz
fuzz: deps $(LF_BIN)
	$(Q)set -e; for t in $(LF_BIN); do n=$$(basename $$t); mkdir -p build/corpus/$$n; echo "== $$n"; \
		$$t -max_total_time=$(FUZZ_TIME) -timeout=5 -report_slow_units=1 -print_final_stats=1 build/corpus/$$n \
		tests/fuzz/corpus/$${n#fuzz_} >build/corpus/$$n.log 2>&1 || { tail -n 60 build/corpus/$$n.log; exit 1; }; \
		grep -E 'cov:|stat::' build/corpus/$$n.log | tail -n 8; done

.PHONY: clean
clean:
	rm -rf build
