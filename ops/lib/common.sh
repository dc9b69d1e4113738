# shellcheck shell=bash
# What the scripts in ops/ share: messages, the home folder and what is remembered in it, ports, users, processes.

checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

say() { printf '\n==> %s\n' "$*"; }
die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}
am_root() { [ "$EUID" -eq 0 ]; }

# --- The home folder ---------------------------------------------------------------------------------------------

home=""    # everything that is started keeps its files here: state, logs, process ids, and `env` for the caller
servers="" # the data of the private servers: the home folder, unless their users cannot enter it

# open_home FOLDER: makes the folder on first use. It refuses a folder that holds other things, because
# `ops/down --wipe` removes what is in it.
open_home() {
    home=$1
    if [ -d "$home" ] && [ ! -d "$home/state" ] && [ -n "$(ls -A "$home")" ]; then
        die "$home holds other files; QUOTASTACK_HOME must name an empty or a new folder"
    fi
    mkdir -p "$home"
    [ -O "$home" ] || die "$home belongs to $(stat -c %U "$home"): run this as that user, or set QUOTASTACK_HOME"
    # The servers' users pass through the folder; what is private in it is closed to them one by one.
    if am_root; then chmod 711 "$home"; else chmod 700 "$home"; fi
    (umask 077 && mkdir -p "$home/state" "$home/run" "$home/log")
    servers=$(recall servers-folder)
    servers=${servers:-$home}
}

# settle_servers: started by root, the servers run as users that may be unable to enter a checkout in /root or a closed
# folder. The users come with the packages, so this follows the installation.
settle_servers() {
    if [ "$servers" = "$home" ] && am_root && ! { as postgres test -x "$home" && as rabbitmq test -x "$home"; }; then
        servers=/var/lib/quotastack/$(printf '%s' "$home" | sha256sum | cut -c 1-12)
        mkdir -p "$servers"
        remember servers-folder "$servers"
        echo "The users postgres and rabbitmq cannot enter $home: the servers' data is in $servers" \
            "(ops/down --wipe removes it)."
    fi
}

# wipe_home: removes what open_home and the servers made, and nothing else that someone may have put there.
wipe_home() {
    local name
    for name in postgres rabbitmq; do rm -rf -- "${servers:?}/$name"; done
    [ "$servers" = "$home" ] || rmdir -- "$servers" "$(dirname "$servers")" 2>/dev/null || true
    for name in run log state tls env lock; do rm -rf -- "${home:?}/$name"; done
    rmdir -- "$home" 2>/dev/null || true
}

# remember NAME VALUE, recall NAME: one value per file, readable by its owner only. An unknown name is empty.
remember() { (umask 077 && printf '%s\n' "$2" >"$home/state/$1.new" && mv -f "$home/state/$1.new" "$home/state/$1"); }
recall() { if [ -e "$home/state/$1" ]; then cat "$home/state/$1"; fi; }

# secret NAME: a random value, made the first time that it is asked for.
secret() {
    [ -n "$(recall "$1")" ] || remember "$1" "$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')"
    recall "$1"
}

# --- Ports -------------------------------------------------------------------------------------------------------

# port_is_free PORT: nobody listens on it, on any address. Reading the kernel's table disturbs nobody.
port_is_free() {
    { cat /proc/net/tcp /proc/net/tcp6 2>/dev/null || true; } |
        awk -v port=":$(printf '%04X' "$1")$" '$4 == "0A" && $2 ~ port { taken = 1 } END { exit taken }'
}

# choose_port NAME FIRST: the port remembered under the name, or another one of the 2,000 from FIRST if that is taken.
# The ranges lie below the kernel's ephemeral ports, so that no outgoing connection takes one in between.
choose_port() {
    local port
    port=$(recall "$1")
    until [ -n "$port" ] && port_is_free "$port"; do port=$(($2 + RANDOM % 2000)); done
    remember "$1" "$port"
}

# --- Users -------------------------------------------------------------------------------------------------------

# become USER: sets `becoming` to the command that turns root into an unprivileged user for what follows it. Anybody
# else stays who they are. PostgreSQL refuses root, and nothing that listens should be root.
become() {
    becoming=()
    if am_root; then
        becoming=(setpriv "--reuid=$1" "--regid=$(id -g "$1")" --init-groups --no-new-privs)
    fi
}

# as USER COMMAND...
as() {
    local becoming
    become "$1"
    shift
    "${becoming[@]}" "$@"
}

# own USER FOLDER: makes a folder that only the user can look into.
own() {
    (umask 077 && mkdir -p "$2")
    if am_root; then chown "$1:" "$2"; fi
}

# own_file USER FILE: writes standard input to a file that only the user can read.
own_file() {
    (umask 077 && cat >"$2")
    if am_root; then chown "$1:" "$2"; fi
}

# --- Processes ---------------------------------------------------------------------------------------------------

started=() # the names of what this run has started, first to last

# spawn NAME USER COMMAND...: starts a process in a session of its own, so that the terminal's Ctrl-C does not reach it.
# A process is known by its id and its start time: an id that the kernel gives to somebody else later is never taken
# for ours.
spawn() {
    local name=$1 log=$home/log/$1.log becoming
    become "$2"
    shift 2
    if [ -e "$log" ]; then mv -f "$log" "$log.previous"; fi
    # Descriptor 9 is the lock of `ops/up`, which no server may keep.
    (umask 077 && exec setsid "${becoming[@]}" "$@" </dev/null >"$log" 2>&1 9>&-) &
    printf '%s %s\n' "$!" "$(start_time "$!")" >"$home/run/$name"
    disown "$!" # the shell need not report how it ended
    started+=("$name")
}

# start_time PID: field 22 of the process's status, in clock ticks since boot; nothing for a process that has ended.
start_time() {
    { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null || true; } | awk '$1 != "Z" { print $20 }'
}

# pid_of NAME: the id of a process that `spawn` started, if it still runs.
pid_of() {
    local pid time
    [ -e "$home/run/$1" ] || return 1
    read -r pid time <"$home/run/$1"
    [ -n "$time" ] && [ "$(start_time "$pid")" = "$time" ] && printf '%s\n' "$pid"
}

is_running() { pid_of "$1" >/dev/null; }

# wait_until SECONDS COMMAND...: false when the command still fails after that time.
wait_until() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$deadline" ] || return 1
        sleep 0.1
    done
}

# wait_until_ready NAME SECONDS COMMAND...: waits for a process to do its work, and shows the end of its log if it does
# not.
wait_until_ready() {
    local name=$1 seconds=$2
    shift 2
    if wait_until "$seconds" succeeds_or_ended "$name" "$@" && is_running "$name"; then return 0; fi
    printf '\nThe end of %s:\n' "$home/log/$name.log" >&2
    tail -n 25 "$home/log/$name.log" >&2
    die "$name did not become ready"
}

has_ended() { ! is_running "$1"; }
succeeds_or_ended() { "${@:2}" || has_ended "$1"; } # NAME COMMAND...

# stop NAME SIGNAL: asks the process to end, and insists after 60 seconds. Nothing happens if it does not run.
stop() {
    local pid
    if pid=$(pid_of "$1"); then
        kill -s "$2" "$pid" 2>/dev/null || true
        if ! wait_until 60 has_ended "$1"; then
            echo "$1 did not stop within a minute and is killed" >&2
            kill -s KILL "$pid" 2>/dev/null || true
            wait_until 10 has_ended "$1" || true
        fi
    fi
    rm -f "$home/run/$1"
}
