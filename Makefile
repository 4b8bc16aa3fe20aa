# SPDX-License-Identifier: Apache-2.0
# One Makefile. `make help` lists the targets. SAN=1 builds everything with ASan and UBSan into build/san.
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
else
BUILD    := build/rel
OPT      := -O2 -g
SANFLAGS :=
HARDEN   := -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fstack-clash-protection -fPIE
HARDENLD := -pie -Wl,-z,relro,-z,now
endif

PKGS := libuv libcurl json-c libcrypto yaml-0.1 libsystemd libmicrohttpd libidn2 libpsl
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
LIB_SRC := $(filter-out daemon/main.c daemon/ctl/main.c,$(LIB_SRC))
SANDBOX_SRC := $(wildcard tests/sandbox/*.c)
UNIT_SRC := $(wildcard tests/unit/test_*.c)
MODEL_SRC := $(wildcard tests/model/model_*.c)
FUZZ_SRC := $(wildcard tests/fuzz/fuzz_*.c)
BENCH_SRC := $(wildcard tests/bench/bench_*.c)

LIB_OBJ := $(LIB_SRC:%.c=$(BUILD)/%.o)
LIB := $(BUILD)/libdvcert.a
SANDBOX_OBJ := $(SANDBOX_SRC:%.c=$(BUILD)/%.o)
UNIT_BIN := $(UNIT_SRC:%.c=$(BUILD)/%)
MODEL_BIN := $(MODEL_SRC:%.c=$(BUILD)/%)
FUZZ_BIN := $(FUZZ_SRC:%.c=$(BUILD)/%)
BENCH_BIN := $(BENCH_SRC:%.c=$(BUILD)/%)
PROGRAMS := $(BUILD)/dvcertd $(BUILD)/dvcertctl $(BUILD)/dvcert-sandbox

Q := $(if $(V),,@)

.PHONY: all
all: $(PROGRAMS)

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC      $<"
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

$(LIB): $(LIB_OBJ)
	@echo "  AR      $@"
	$(Q)rm -f $@ && ar rcs $@ $^

$(BUILD)/dvcertd: $(BUILD)/daemon/main.o $(LIB)
$(BUILD)/dvcertctl: $(BUILD)/daemon/ctl/main.o $(LIB)
$(BUILD)/dvcert-sandbox: $(SANDBOX_OBJ) $(LIB)
$(PROGRAMS):
	@echo "  LD      $@"
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $@ $^ $(PKG_LIBS) -lpthread

$(UNIT_BIN): $(BUILD)/%: $(BUILD)/%.o $(LIB)
	@echo "  LD      $@"
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $@ $^ $(PKG_LIBS) -lcmocka -lpthread

$(MODEL_BIN) $(FUZZ_BIN) $(BENCH_BIN): $(BUILD)/%: $(BUILD)/%.o $(LIB)
	@echo "  LD      $@"
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $@ $^ $(PKG_LIBS) -lpthread

-include $(shell find build -name '*.d' 2>/dev/null)
