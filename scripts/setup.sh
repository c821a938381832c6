# shellcheck shell=bash
# setup.sh: the set-up that ./start and ./test share: packages, npm modules, WebAssembly, page, native build.
#
# Sourced, never run. Every step is one line with its duration; its output goes to build/log/<step>.log
# and is shown only when the step fails, followed by what to do. All steps are idempotent: a second run
# calls neither apt nor npm and leaves the rest to ninja. Nothing outside the tree is changed but for
# Debian packages, and those only as root or through a sudo that asks no password.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root" || exit 71
logs=$root/build/log
mkdir -p "$logs" || exit 73

ok='ok  ' bad='FAIL'
case ${LC_ALL:-${LC_CTYPE:-${LANG:-}}} in *[Uu][Tt][Ff]*8*) ok='✓' bad='✗' ;; esac

export DEBIAN_FRONTEND=noninteractive PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1

say() { printf '  %s\n' "$*"; }

# give_up CODE LINE...: the last thing a failed run says
give_up() {
    local code=$1
    shift
    printf '\n' >&2
    printf '  %s\n' "$@" >&2
    exit "$code"
}

limit_s=3600 # for one step; what hangs is ended and counts as failed

# last_words LOG: its last line that says something
last_words() {
    tail -c 1000 "$1" | tr '\r' '\n' | grep '[[:alpha:]]' | grep -v duration_ms | tail -n 1 | tr -cd '[:print:]'
}

# watch PID LOG TITLE START: until PID has ended, say what it does: a line redrawn five times a second
# on a terminal, a line every thirty seconds elsewhere.
watch() {
    local pid=$1 log=$2 title=$3 start=$4 tick=0
    while kill -0 "$pid" 2>/dev/null; do
        sleep 0.2
        tick=$((tick + 1))
        if [ -t 1 ]; then
            printf '\r\033[K  … %s, %d s  \033[2m%.60s\033[0m' "$title" $((SECONDS - start)) "$(last_words "$log")"
        elif [ $((tick % 150)) -eq 0 ]; then
            say "… $title, $((SECONDS - start)) s: $(last_words "$log" | cut -c 1-90)"
        fi
        if [ $((SECONDS - start)) -ge "$limit_s" ]; then
            echo "ended after $limit_s seconds without a result" >>"$log"
            kill -KILL -- "-$pid" 2>/dev/null
            break
        fi
    done
    if [ -t 1 ]; then printf '\r\033[K'; fi
}

# run_logged LOG TITLE COMMAND...: its exit status; the output goes to LOG. The command gets a process
# group of its own (set -m), so that an interrupt reaches all of it.
run_logged() {
    local log=$1 title=$2 start=$SECONDS pid code
    shift 2
    set -m
    "$@" </dev/null >"$log" 2>&1 &
    pid=$!
    set +m
    trap 'kill -TERM -- "-$pid" 2>/dev/null; echo; exit 130' INT TERM
    watch "$pid" "$log" "$title" "$start"
    wait "$pid" 2>/dev/null
    code=$?
    trap - INT TERM
    return "$code"
}

# step NAME TITLE ADVICE COMMAND...: one step that must succeed
step() {
    local log=$logs/$1.log title=$2 advice=$3 start=$SECONDS
    shift 3
    if run_logged "$log" "$title" "$@"; then
        say "$ok $title, $((SECONDS - start)) s"
    else
        say "$bad $title, $((SECONDS - start)) s. The end of $log:"
        tail -n 30 "$log" | sed 's/^/      /'
        give_up 69 "$advice"
    fi
}

# --- packages ------------------------------------------------------------------------------------

missing=() # Debian names
need() {   # PACKAGE cmd|file|pc PROBE: a package is missing when its probe is, whoever installed it
    case $2 in
        cmd) command -v "$3" >/dev/null ;;
        file) [ -e "$3" ] ;;
        pc) pkg-config --exists "$3" 2>/dev/null ;;
    esac || missing+=("$1")
}

need_build() {
    need gcc cmd cc
    need libc6-dev file /usr/include/stdio.h
    need cmake cmd cmake
    need ninja-build cmd ninja
    need pkg-config cmd pkg-config
    need libwebsockets-dev pc libwebsockets
    need libcjson-dev pc libcjson
    need libedit-dev pc libedit
    need libsqlite3-dev pc sqlite3
    need libpq-dev pc libpq
    need ca-certificates file /etc/ssl/certs/ca-certificates.crt
    need python3 cmd python3
}

# A user's own Emscripten is used as it is. Debian's is 3.1.6 with LLVM 14, which lacks the final
# relaxed-SIMD instructions, so LLVM 19 stands in (cmake/emscripten.cmake).
need_emscripten() {
    local emcc
    if [ -x "${EMSDK:-/nowhere}/upstream/emscripten/emcc" ]; then return; fi
    emcc=$(command -v emcc) && emcc=$(readlink -f "$emcc")
    case $emcc in
        '' | /usr/share/emscripten/* | /usr/bin/*)
            need emscripten cmd emcc
            need clang-19 file /usr/lib/llvm-19/bin/clang
            need lld-19 file /usr/lib/llvm-19/bin/wasm-ld
            need llvm-19 file /usr/lib/llvm-19/bin/llvm-ar
            need node-acorn file /usr/share/nodejs/acorn
            ;;
    esac
}

need_node() {
    if command -v node >/dev/null; then
        node -e 'process.exit(+process.versions.node.split(".")[0] < 18 ? 1 : 0)' ||
            give_up 69 "$(command -v node) is Node.js $(node --version); version 18 or newer is needed." \
                "Install a newer one, or put it first in PATH, and run this again."
    else
        missing+=(nodejs)
    fi
    need npm cmd npm
}

need_test() {
    need g++ cmd c++
    need libcmocka-dev pc cmocka
    need chromium file /usr/bin/chromium
    need valgrind cmd valgrind
    need python3-numpy file /usr/lib/python3/dist-packages/numpy/__init__.py
    need libclang-rt-19-dev file "/usr/lib/llvm-19/lib/clang/19/lib/linux/libclang_rt.fuzzer-$(uname -m).a"
}

apt_install() { # prefix command, may be empty, then packages after --
    local sudo=()
    while [ "$1" != -- ]; do sudo+=("$1") && shift; done
    shift
    "${sudo[@]}" apt-get update &&
        "${sudo[@]}" apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=300 "$@"
}

# setup_packages build|test
setup_packages() {
    local line sudo=() advice
    missing=()
    need_build
    need_emscripten
    need_node
    if [ "$1" = test ]; then need_test; fi
    if [ ${#missing[@]} -eq 0 ]; then
        say "$ok packages are all there"
        return
    fi
    if ! command -v apt-get >/dev/null; then
        give_up 69 "Missing, by their Debian names: ${missing[*]}" \
            "Install them with this system's package manager and run this again."
    fi
    line="apt-get update && apt-get install -y --no-install-recommends ${missing[*]}"
    if [ "$(id -u)" -ne 0 ]; then
        sudo=(sudo -n)
        sudo -n true 2>/dev/null ||
            give_up 69 "Packages are missing. Install them with this line and run this again:" "" \
                "    $(command -v sudo >/dev/null && echo sudo sh || echo su) -c '$line'"
    fi
    advice="Are the package sources reachable? Try it by hand: $line"
    step packages "install ${#missing[@]} packages" "$advice" apt_install "${sudo[@]}" -- "${missing[@]}"
    hash -r
}

# --- builds --------------------------------------------------------------------------------------

# npm ci only when the lock file is not the one that node_modules was made from
setup_npm() {
    local stamp=node_modules/.lock.sha256 sum
    sum=$(sha256sum <package-lock.json)
    if [ "$(cat "$stamp" 2>/dev/null)" = "$sum" ]; then
        say "$ok npm modules are up to date"
        return
    fi
    step npm "install npm modules" "Is the npm registry reachable? Try it by hand: npm ci" \
        npm ci --no-audit --no-fund
    printf '%s\n' "$sum" >"$stamp"
}

# configure PRESET BUILD_DIR [ARGS]: only when needed; ninja re-runs CMake itself for changed CMake files
configure() {
    local preset=$1 dir=$2
    shift 2
    if [ $# -gt 0 ] || [ ! -f "$dir/build.ninja" ] || [ CMakePresets.json -nt "$dir/build.ninja" ]; then
        cmake --preset "$preset" -B "$dir" "$@"
    fi
}

build_preset() { # PRESET BUILD_DIR TARGET [CONFIGURE ARGS]
    local preset=$1 dir=$2 target=$3
    shift 3
    configure "$preset" "$dir" "$@" && cmake --build "$dir" --target "$target"
}

build_wasm() {
    build_preset wasm build/wasm/simd128 all && build_preset wasm-relaxed build/wasm/relaxed all &&
        build_preset wasm-c build/wasm/c all
}

# Bundles and type checks take a few seconds, so they run only when an input is newer than the last result.
js_is_current() {
    [ -f build/js.stamp ] && [ -f dist/index.js ] && [ -f build/web/index.html ] &&
        [ -z "$(find web targets/wasm/js scripts/build_js.mjs package-lock.json tsconfig.json build/wasm/*.mjs \
            build/wasm/*.wasm -newer build/js.stamp -print -quit)" ]
}

build_js() {
    node scripts/build_js.mjs && touch build/js.stamp
}

# The tests are built by ./test only: they need cmocka.
build_native() {
    if [ "$1" = test ]; then
        build_preset release build/native all -DBITNET_TESTS=ON
    elif [ -f build/native/build.ninja ]; then
        build_preset release build/native bitnet
    else
        build_preset release build/native bitnet -DBITNET_TESTS=OFF
    fi
}

# setup build|test: everything, in order. One at a time: a second caller waits for the first.
setup() {
    local rebuild="If it is not clear from the output, start afresh: rm -rf build && $0"
    setup_packages "$@"
    exec 9>"$root/build/.lock"
    flock -n 9 || { say "… waiting for another ./start or ./test to finish its set-up" && flock 9; }
    setup_npm
    step wasm "build WebAssembly, tiers c, simd128 and relaxed" "$rebuild" build_wasm
    if js_is_current; then
        say "$ok npm package and pages are up to date"
    else
        step js "build the npm package and the pages" "$rebuild" build_js
    fi
    step native "build the native executable" "$rebuild" build_native "$@"
    exec 9>&-
}
