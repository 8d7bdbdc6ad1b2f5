# Ox: one non-recursive makefile for everything.
#
#   make            libox.a, libox.so, ox, ox-worker and its handlers, under build/
#   make deps       install what is missing to build, run and test
#   make demo       photos through a pool of workers, and events, on a private Redis
#   make test       every test; TESTS=unit/test_url.. picks some
#   make fuzz       each fuzz target for a minute; FUZZ_SECONDS=5 for less
#   make torture    a fleet of Ox and BullMQ workers, then ox-worker alone, under every fault;
#                   SEED=n repeats a plan, FLEET=1 or WORKER=1 is one of the two,
#                   LOCK_AFTER=30 locks only jobs of the fleet that run so many ms
#   make bench      Ox beside its peers; QUICK=1 for two minutes, WRITE=1 for docs/performance.md
#   make install    PREFIX=/usr/local DESTDIR=
#   make fmt lint clean
#
# CC=clang, WERROR=1, SAN=address,undefined, DEBUG=1 and VIPS_PREFIX=DIR (a libvips of your own:
# docs/image-handler.md) change how it is built; each sanitizer set, and each VIPS_PREFIX, has a
# build folder of its own, so that objects are never mixed. V=1 shows the commands. `demo` and
# `test` first install what is missing and then build on all cores.
# A source file is picked up by its folder: lib, cli, worker and tests/* need no edit here.

VERSION  := $(shell sed -n 's/^\#define OX_VERSION "\(.*\)"/\1/p' lib/include/ox.h)
PREFIX   ?= /usr/local
DESTDIR  ?=
CC       ?= cc
comma    := ,
BUILD    ?= build$(if $(VIPS_PREFIX),/vips$(subst /,-,$(abspath $(VIPS_PREFIX))))$(if \
                $(SAN),/san-$(subst $(comma),-,$(SAN)))$(if $(DEBUG),/debug)
GEN      := $(BUILD)/gen

# Where a libvips below VIPS_PREFIX describes itself; PKG_CONFIG_PATH alone does as well.
ifneq ($(VIPS_PREFIX),)
vips_described := $(dir $(firstword $(wildcard $(foreach lib,lib lib64 lib/$(shell $(CC) \
                      -print-multiarch 2>/dev/null),$(abspath $(VIPS_PREFIX))/$(lib)/pkgconfig/vips.pc))))
ifeq ($(vips_described),)
$(error VIPS_PREFIX=$(VIPS_PREFIX): there is no lib/pkgconfig/vips.pc below it)
endif
export PKG_CONFIG_PATH := $(vips_described)$(if $(PKG_CONFIG_PATH),:$(PKG_CONFIG_PATH))
endif

# Without this, parse-time pkg-config calls would complain before `make deps` could run. (Make
# itself hands no exported variable to them.)
PKG      := $(if $(PKG_CONFIG_PATH),PKG_CONFIG_PATH='$(PKG_CONFIG_PATH)' )pkg-config
pkg_cflags = $(shell $(PKG) --cflags $(1) 2>/dev/null)
pkg_libs   = $(shell $(PKG) --libs $(1) 2>/dev/null)

LIB_PKGS    := hiredis libuv jansson openssl zlib glib-2.0
CLI_PKGS    := glib-2.0 jansson libuv
WORKER_PKGS := glib-2.0 jansson libuv
HANDLER_PKGS := glib-2.0 jansson libseccomp
# What the handlers of worker/handlers/NAME_main.c need besides, as HANDLER_PKGS_NAME: each table is a
# program of its own, ox-handler-NAME.
HANDLER_PKGS_image := vips libjpeg libwebp gmodule-no-export-2.0 glib-2.0 jansson openssl
HANDLER_PKGS_sql := libpq sqlite3 glib-2.0 jansson
HANDLER_PKGS_webhook := libcurl glib-2.0
HANDLER_PKGS_enqueue := $(LIB_PKGS)
HANDLER_PKGS_publish := $(LIB_PKGS)
OWN_HANDLERS := $(patsubst worker/handlers/%_main.c,%,$(wildcard worker/handlers/*_main.c))
ALL_HANDLER_PKGS := $(sort $(HANDLER_PKGS) $(foreach name,$(OWN_HANDLERS),$(HANDLER_PKGS_$(name))))
TEST_PKGS   := cmocka libcurl libpq sqlite3 vips libjpeg libwebp gmodule-no-export-2.0 libseccomp $(LIB_PKGS)

# What is not found where the system looks must be found where it was at the link.
VIPS_RPATH := $(patsubst -L%,-Wl$(comma)-rpath$(comma)%,$(filter -L%,$(call pkg_libs,vips)))

WARN := -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
        -Wold-style-definition -Wwrite-strings -Wpointer-arith -Wvla -Wformat=2 -Wundef \
        -Wimplicit-fallthrough $(if $(WERROR),-Werror)
HARDEN := -fstack-protector-strong -fstack-clash-protection -D_FORTIFY_SOURCE=2
OPT  := $(if $(SAN)$(DEBUG),-O1 -fno-omit-frame-pointer,-O2 $(HARDEN))
SANF := $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all)

CFLAGS  ?= -g
ALL_CFLAGS  = -std=c11 -D_GNU_SOURCE $(OPT) $(SANF) $(WARN) \
              -fPIC -fvisibility=hidden -MMD -MP $(CFLAGS)
ALL_LDFLAGS = $(SANF) -Wl,-z,relro,-z,now -Wl,--as-needed $(LDFLAGS)
ifeq ($(SAN),)
PIE := -pie
endif

# ---- sources ------------------------------------------------------------------------------
BASE_SRC   := $(wildcard lib/base/*.c)
# What only programs use is not part of the library.
NOT_LIB    := $(addprefix lib/base/,options.c options_help.c startup.c suggest.c units.c)
LIB_SRC    := $(filter-out $(NOT_LIB),$(wildcard lib/*/*.c))
CLI_SRC    := $(wildcard cli/*.c)
WORKER_SRC := $(wildcard worker/*.c worker/handlers/*.c)
LUA_SRC    := $(wildcard lib/lua/*.lua)
LUA_INC    := $(wildcard lib/lua/inc/*.lua) $(wildcard lib/lua/library/*.lua)
UNIT_SRC   := $(wildcard tests/unit/test_*.c)
INT_SRC    := $(wildcard tests/integration/test_*.c)
# Programs that the interop tests and the benchmarks run beside Node. That of NATS is left out
# where its library is not: nothing else needs it.
NO_NATS    := $(if $(shell $(PKG) --exists libnats && echo yes),,tests/bench/peer_nats.c)
PEER_SRC   := $(filter-out $(NO_NATS), $(wildcard tests/interop/*.c tests/bench/*.c))
SUPPORT_SRC := $(wildcard tests/support/*.c)
FUZZ_SRC   := $(wildcard tests/fuzz/fuzz_*.c)

obj = $(patsubst %.c,$(BUILD)/%.o,$(1))
LIB_OBJ    := $(call obj,$(LIB_SRC)) $(if $(LUA_SRC),$(GEN)/scripts.o)
BASE_OBJ   := $(call obj,$(BASE_SRC))
CLI_OBJ    := $(call obj,$(CLI_SRC))
WORKER_OBJ := $(call obj,$(WORKER_SRC))
# What the unit tests of the programs link against: everything but main().
CLI_PARTS    := $(filter-out %/main.o,$(CLI_OBJ))
WORKER_PARTS := $(filter-out %/main.o %_main.o,$(WORKER_OBJ))
SUPPORT_OBJ := $(call obj,$(SUPPORT_SRC))
PHOTO_MAKER := $(BUILD)/docs/make_photos
AGENT      := $(BUILD)/tests/interop/agent/agent
AGENT_OBJ  := $(call obj,$(wildcard tests/interop/agent/*.c))
FUZZ_BIN   := $(patsubst %.c,$(BUILD)/%,$(FUZZ_SRC))
CLOCK      := $(BUILD)/tests/clock/clock.so
TEST_BIN   := $(patsubst %.c,$(BUILD)/%,$(UNIT_SRC) $(INT_SRC) $(PEER_SRC)) $(AGENT) \
              $(FUZZ_BIN) $(CLOCK)

LIBS_LIB    = $(call pkg_libs,$(LIB_PKGS)) -lm
LIBS_CLI    = $(call pkg_libs,$(CLI_PKGS)) -lm
LIBS_WORKER = $(call pkg_libs,$(WORKER_PKGS)) -lm
LIBS_HANDLER = $(call pkg_libs,$(HANDLER_PKGS)) -lm
LIBS_TEST   = $(call pkg_libs,$(TEST_PKGS)) $(VIPS_RPATH) -lm

.DEFAULT_GOAL := all
.PHONY: all deps demo test fuzz torture bench install fmt lint clean
.SECONDARY:

all: $(BUILD)/libox.a $(BUILD)/libox.so $(BUILD)/ox $(BUILD)/ox-worker \
     $(BUILD)/ox-handler $(addprefix $(BUILD)/ox-handler-,$(OWN_HANDLERS))

# ---- compile ------------------------------------------------------------------------------
# cli and worker see the public header and lib/base, which has no Redis in it, and nothing else
# of lib; lib sees neither of them (tests/unit/test_source.c). Headers of lib are named with their
# folder ("base/json.h"), in tests with the part as well, because two parts may have one name.
INC_LIB = -Ilib/include -Ilib -I$(GEN) $(call pkg_cflags,$(LIB_PKGS))
$(BUILD)/lib/%.o:    INC = $(INC_LIB)
$(GEN)/%.o:          INC = $(INC_LIB)
$(BUILD)/cli/%.o:    INC = -Ilib/include -Ilib $(call pkg_cflags,$(CLI_PKGS))
$(BUILD)/worker/%.o: INC = -Ilib/include -Ilib -Iworker \
                           $(call pkg_cflags,$(WORKER_PKGS) $(ALL_HANDLER_PKGS))
# Loops that only pay when they are vectorised.
$(BUILD)/worker/handlers/image_reduce.o: CFLAGS += $(if $(SAN)$(DEBUG),,-O3)
$(BUILD)/docs/%.o:   INC = $(call pkg_cflags,vips)
# (The handlers' headers name those of their part without a folder.)
$(BUILD)/tests/%.o:  INC = -Ilib/include -Ilib -I. -Itests/support -I$(GEN) \
                           $(if $(findstring _worker_,$@)$(findstring /worker_,$@),-Iworker) \
                           $(call pkg_cflags,$(TEST_PKGS))

# Before anything is compiled: what a missing package would leave to a compiler's error about
# some header that is not the cause. (Order-only, so that it makes nothing out of date.)
.PHONY: packages test-packages
packages:
	@sh tests/support/deps.sh check $(sort $(LIB_PKGS) $(CLI_PKGS) $(WORKER_PKGS) \
	    $(ALL_HANDLER_PKGS))

test-packages:
	@sh tests/support/deps.sh check $(sort $(TEST_PKGS))

# One short line a command, or with V=1 the command itself.
say = $(if $(V),,@printf '%-4s %s\n' $(1) $(patsubst $(BUILD)/%,%,$@);)

$(BUILD)/%.o: %.c | packages
	@mkdir -p $(@D)
	$(call say,CC)$(CC) $(ALL_CFLAGS) $(INC) -c -o $@ $<

$(GEN)/%.o: $(GEN)/%.c | packages
	$(call say,CC)$(CC) $(ALL_CFLAGS) $(INC) -c -o $@ $<

# The scripts of lib/lua become byte arrays, each with its SHA-1 and its inputs by name.
$(GEN)/scripts.c $(GEN)/scripts.h $(GEN)/codes.h &: lib/lua/embed.sh lib/lua/codes.def $(LUA_SRC) $(LUA_INC)
	@mkdir -p $(GEN)
	$(call say,LUA)sh lib/lua/embed.sh lib/lua $(GEN)

$(call obj,$(LIB_SRC)): $(if $(LUA_SRC),| $(GEN)/scripts.h)
$(call obj,$(UNIT_SRC) $(INT_SRC) $(PEER_SRC) $(SUPPORT_SRC) $(FUZZ_SRC)): \
    | test-packages $(if $(LUA_SRC),$(GEN)/scripts.h)

$(BUILD)/libox.a: $(LIB_OBJ)
	@rm -f $@
	$(call say,AR)$(AR) rcs $@ $^

$(BUILD)/libox.so: $(LIB_OBJ)
	$(call say,LD)$(CC) -shared -Wl,-soname,libox.so.0 $(ALL_LDFLAGS) -o $@ $^ $(LIBS_LIB)

# What the programs share with each other; no part of the library that others link with.
$(BUILD)/base.a: $(BASE_OBJ)
	@rm -f $@
	$(call say,AR)$(AR) rcs $@ $^

$(BUILD)/ox: $(CLI_OBJ) $(BUILD)/base.a $(BUILD)/libox.a
	$(call say,LD)$(CC) $(PIE) $(ALL_LDFLAGS) -o $@ $^ $(LIBS_LIB) $(LIBS_CLI)

# One archive, several programs: each takes what it refers to, so that ox-worker, which starts
# children and runs no handler, is not linked with what the handlers need, and no child with what
# only another handler needs. ox-handler-NAME has the handlers of worker/handlers/NAME_main.c.
$(BUILD)/worker.a: $(WORKER_PARTS)
	@rm -f $@
	$(call say,AR)$(AR) rcs $@ $^

$(BUILD)/ox-worker: $(BUILD)/worker/main.o $(BUILD)/worker.a $(BUILD)/base.a $(BUILD)/libox.a
	$(call say,LD)$(CC) $(PIE) $(ALL_LDFLAGS) -o $@ $^ $(LIBS_LIB) $(LIBS_WORKER)

$(BUILD)/ox-handler: $(BUILD)/worker/handler_main.o $(BUILD)/worker.a $(BUILD)/base.a
	$(call say,LD)$(CC) $(PIE) $(ALL_LDFLAGS) -o $@ $^ $(LIBS_HANDLER)

$(BUILD)/ox-handler-%: $(BUILD)/worker/handler_main.o $(BUILD)/worker/handlers/%_main.o \
    $(BUILD)/worker.a $(BUILD)/base.a $(BUILD)/libox.a
	$(call say,LD)$(CC) $(PIE) $(ALL_LDFLAGS) -o $@ $^ $(call pkg_libs,$(HANDLER_PKGS) $(HANDLER_PKGS_$*)) \
	    $(if $(filter vips,$(HANDLER_PKGS_$*)),$(VIPS_RPATH)) -lm

$(PHOTO_MAKER): $(PHOTO_MAKER).o
	$(call say,LD)$(CC) $(PIE) $(ALL_LDFLAGS) -o $@ $< $(call pkg_libs,vips) $(VIPS_RPATH)

# What libox asks of the system and a test answers in its place.
$(BUILD)/tests/integration/test_bounds: WRAP = poll
$(BUILD)/tests/integration/test_lib_clock: WRAP = clock_gettime
$(BUILD)/tests/integration/test_lib_memory: WRAP = malloc calloc realloc strdup strndup

$(BUILD)/tests/bench/peer_nats: LIBS_TEST += $(call pkg_libs,libnats)
$(BUILD)/tests/%: $(BUILD)/tests/%.o $(SUPPORT_OBJ) $(CLI_PARTS) $(WORKER_PARTS) \
    $(BUILD)/base.a $(BUILD)/libox.a
	$(call say,LD)$(CC) $(PIE) $(ALL_LDFLAGS) $(addprefix -Wl$(comma)--wrap=,$(WRAP)) -o $@ \
	    $< $(SUPPORT_OBJ) \
	    $(if $(findstring /test_cli_,$@),$(CLI_PARTS)) \
	    $(if $(findstring /test_worker_,$@)$(findstring /worker_,$@),$(WORKER_PARTS)) \
	    $(BUILD)/base.a $(BUILD)/libox.a $(LIBS_TEST)

# A fuzz target has main() from libFuzzer in a `make fuzz`, else from replay.c.
$(BUILD)/tests/fuzz/fuzz_worker_proc: WRAP = access open fopen
FUZZ_MAIN := $(if $(FUZZER),,$(BUILD)/tests/fuzz/replay.o)
$(FUZZ_BIN): $(BUILD)/tests/fuzz/%: $(BUILD)/tests/fuzz/%.o $(FUZZ_MAIN) $(CLI_PARTS) \
    $(BUILD)/worker.a $(BUILD)/base.a $(BUILD)/libox.a
	$(call say,LD)$(CC) $(PIE) $(if $(FUZZER),-fsanitize=fuzzer) $(ALL_LDFLAGS) \
	    $(addprefix -Wl$(comma)--wrap=,$(WRAP)) -o $@ $< $(FUZZ_MAIN) \
	    $(if $(findstring /fuzz_cli_,$@),$(CLI_PARTS)) \
	    $(if $(findstring /fuzz_worker_,$@),$(BUILD)/worker.a) $(BUILD)/base.a \
	    $(BUILD)/libox.a $(LIBS_TEST)

# The interop tests' hand inside libox: sees the public header alone.
$(BUILD)/tests/interop/agent/%.o: INC = -Ilib/include $(call pkg_cflags,libuv jansson)

$(AGENT): $(AGENT_OBJ) $(BUILD)/libox.a
	$(call say,LD)$(CC) $(PIE) $(ALL_LDFLAGS) -o $@ $^ $(LIBS_LIB)

# What a test's redis-server is started with, to have a clock that the test moves. Redis has no
# sanitizers, so this has none.
$(CLOCK): tests/clock/clock.c
	@mkdir -p $(@D)
	$(call say,LD)$(CC) -std=c11 -D_GNU_SOURCE -O2 $(WARN) -fPIC -fvisibility=hidden -shared -o $@ $<

-include $(wildcard $(BUILD)/*/*.d $(BUILD)/*/*/*.d $(BUILD)/*/*/*/*.d $(GEN)/*.d)

# ---- use ----------------------------------------------------------------------------------
deps:
	@sh tests/support/deps.sh install

# A make of its own, because what pkg-config says is read when a make starts; on all cores
# unless told how many.
BUILD_NOW = $(MAKE) --no-print-directory $(if $(filter -j%,$(MAKEFLAGS)),,-j$(shell nproc))

demo:
	@sh tests/support/deps.sh ensure
	+@$(BUILD_NOW) all $(PHOTO_MAKER)
	@sh docs/demo.sh $(BUILD) "$(PHOTOS)"

test:
	@sh tests/support/deps.sh ensure
	+@$(BUILD_NOW) all $(BUILD)/tests/.built $(PHOTO_MAKER)
	@sh tests/run.sh $(BUILD) $(TESTS)

# Each target of tests/fuzz for FUZZ_SECONDS; FUZZ=name,name picks some.
FUZZ_SECONDS ?= 60
fuzz:
	@sh tests/support/deps.sh ensure fuzz
	+@$(BUILD_NOW) CC=clang BUILD=build/fuzz FUZZER=1 \
	    SAN=fuzzer-no-link,address,undefined,float-cast-overflow build/fuzz/tests/fuzz/.built
	@sh tests/fuzz/run.sh build/fuzz $(FUZZ_SECONDS) $(subst $(comma), ,$(FUZZ))

# QUICK=1: under two minutes. PEERS=all: also Sidekiq, beanstalkd and NATS, where they are installed
# (sh tests/support/deps.sh bench-peers). ONLY=name,name. PHOTOS=DIR: photos of your own. With
# VIPS_PREFIX the image handler of the usual build is measured as well.
BENCH_PROGRAMS = all $(PHOTO_MAKER) $(patsubst %.c,$(BUILD)/%,$(filter tests/bench/%,$(PEER_SRC)))
bench:
	@sh tests/support/deps.sh ensure
	+@$(BUILD_NOW) $(BENCH_PROGRAMS)
	$(if $(VIPS_PREFIX),+@$(BUILD_NOW) VIPS_PREFIX= PKG_CONFIG_PATH= all \
	    build/tests/bench/worker_likeness)
	@sh tests/bench/run.sh $(BUILD) $(if $(QUICK),--quick) $(if $(PHOTOS),--photos "$(PHOTOS)") \
	    $(if $(PEERS),--peers $(PEERS)) $(if $(VIPS_PREFIX),--beside build) \
	    $(if $(ONLY),--only $(ONLY)) $(if $(WRITE),--write docs/performance.md)

# The fleet takes about three minutes; FAULTS=kill,net,server,script picks some. ox-worker takes
# about ten; ONLY=kill,everysec,net,stop,many,streams,clock,payload picks some. Short forms of
# both are among the tests.
torture:
	@sh tests/support/deps.sh ensure
	+@$(BUILD_NOW) all $(AGENT) $(CLOCK)
	$(if $(WORKER),,@sh tests/interop/run.sh $(BUILD) --fleet --jobs 10000 --seconds 140 \
	    $(if $(SEED),--seed $(SEED)) $(if $(FAULTS),--faults $(FAULTS)) \
	    $(if $(LOCK_AFTER),--lock-after $(LOCK_AFTER)))
	$(if $(FLEET),,@sh tests/interop/run.sh $(BUILD) --worker --long \
	    $(if $(SEED),--seed $(SEED)) $(if $(ONLY),--only $(ONLY)))

$(BUILD)/tests/.built: $(TEST_BIN)
	@touch $@

$(BUILD)/tests/fuzz/.built: $(FUZZ_BIN)
	@touch $@

# Both may hold spaces, or anything else, so the shell reads them from its environment.
install: export DESTDIR := $(DESTDIR)
install: export PREFIX := $(PREFIX)
install: all
	@sh tests/support/install.sh $(BUILD) $(VERSION)

ALL_C := $(filter-out $(NO_NATS), $(wildcard lib/*/*.[ch] cli/*.[ch] worker/*.[ch] \
             worker/*/*.[ch] tests/*/*.[ch] tests/interop/agent/*.[ch] docs/*.c docs/examples/*.c))
fmt:
	clang-format -i $(ALL_C)

lint: $(GEN)/scripts.c
	@sh tests/support/lint.sh $(ALL_C)

clean:
	rm -rf build
