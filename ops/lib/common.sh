# shellcheck shell=bash
# Functions that the scripts in ops/ share: messages, the home folder and its state, ports, users, processes.

checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

say() { printf '\n==> %s\n' "$*"; }
die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}
am_root() { [ "$EUID" -eq 0 ]; }

# --- The home folder ---------------------------------------------------------------------------------------------

home=""    # the folder with the files of all started processes: state, logs, process ids, and `env` for the caller
servers="" # the folder with the data of the private servers: the home folder, unless their users cannot enter it

# open_home FOLDER: creates the folder on first use. It refuses a folder with other files, because `ops/down --wipe`
# removes the contents of the folder.
open_home() {
    home=$1
    if [ -d "$home" ] && [ ! -d "$home/state" ] && [ -n "$(ls -A "$home")" ]; then
        die "$home holds other files; QUOTASTACK_HOME must name an empty or a new folder"
    fi
    mkdir -p "$home"
    [ -O "$home" ] || die "$home belongs to $(stat -c %U "$home"): run this as that user, or set QUOTASTACK_HOME"
    # The servers' users must be able to pass through the folder. Its private subfolders are closed to them one by one.
    if am_root; then chmod 711 "$home"; else chmod 700 "$home"; fi
    (umask 077 && mkdir -p "$home/state" "$home/run" "$home/log")
    servers=$(recall servers-folder)
    servers=${servers:-$home}
}

# settle_servers: chooses the folder for the data of the started processes. When root starts them, they run as users that
# may be unable to enter the home folder.
settle_servers() {
    if [ "$servers" = "$home" ] && am_root && ! as "$(user_of postgres)" test -x "$home"; then
        servers=/var/lib/quotastack/$(printf '%s' "$home" | sha256sum | cut -c 1-12)
        mkdir -p "$servers"
        remember servers-folder "$servers"
        echo "The users of the servers cannot enter $home: their data is in $servers (ops/down --wipe removes it)."
    fi
}

# wipe_home: removes the files that open_home and the servers have created, and no other files.
wipe_home() {
    local name
    for name in quotastack postgres postgres.new rabbitmq; do rm -rf -- "${servers:?}/$name"; done
    [ "$servers" = "$home" ] || rmdir -- "$servers" "$(dirname "$servers")" 2>/dev/null || true
    for name in run log state tls env lock; do rm -rf -- "${home:?}/$name"; done
    rmdir -- "$home" 2>/dev/null || true
}

# remember NAME VALUE stores a value in a file that only its owner can read. recall NAME prints it, and prints nothing
# for an unknown name.
remember() { (umask 077 && printf '%s\n' "$2" >"$home/state/$1.new" && mv -f "$home/state/$1.new" "$home/state/$1"); }
recall() { if [ -e "$home/state/$1" ]; then cat "$home/state/$1"; fi; }

# secret NAME: prints a random value, which is created at its first use.
secret() {
    [ -n "$(recall "$1")" ] || remember "$1" "$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')"
    recall "$1"
}

# --- Ports -------------------------------------------------------------------------------------------------------

# port_is_free PORT: succeeds when no process listens on the port, on any address. It reads the kernel's table, so it
# connects to no process.
port_is_free() {
    { cat /proc/net/tcp /proc/net/tcp6 2>/dev/null || true; } |
        awk -v port=":$(printf '%04X' "$1")$" '$4 == "0A" && $2 ~ port { taken = 1 } END { exit taken }'
}

# choose_port NAME FIRST: keeps the port remembered under the name, or remembers one of the 2,000 ports from FIRST when
# that is taken. The ranges lie below the kernel's ephemeral ports, so that no outgoing connection takes the port in
# between.
choose_port() {
    local port
    port=$(recall "$1")
    until [ -n "$port" ] && port_is_free "$port"; do port=$(($2 + RANDOM % 2000)); done
    remember "$1" "$port"
}

# --- Users -------------------------------------------------------------------------------------------------------

# user_of SERVICE: prints the number of the user, and of its group, that runs a service when root starts it; otherwise
# the caller's. Each service has a number of its own without a name, so that it shares its files and its processes with
# no other service of the machine, and the list of users stays as it is. Debian and systemd give none of these numbers
# to anybody. The number is kept, because the service's data belongs to it.
user_of() {
    local id
    am_root || { id -u && return; }
    id=$(recall "user-$1")
    until [ -n "$id" ] && { [ "$id" = "$(recall "user-$1")" ] || user_is_free "$id"; }; do
        id=$((60578 + RANDOM % 606))
    done
    [ "$id" = "$(recall "user-$1")" ] || remember "user-$1" "$id"
    printf '%s\n' "$id"
}

# user_is_free ID: succeeds when no entry of the system's lists, no process and no other service of this home has the
# number.
user_is_free() {
    ! getent passwd "$1" >/dev/null && ! getent group "$1" >/dev/null &&
        ! grep -qsx "$1" "$home"/state/user-* &&
        ! { cat /proc/[0-9]*/status 2>/dev/null || true; } | grep -qE "^[UG]id:.*[[:space:]]$1([[:space:]]|$)"
}

# become USER: sets `becoming` to the prefix that runs a command as an unprivileged user, which is a name or a number.
# The prefix is empty unless the caller is root. PostgreSQL refuses to run as root, and no server should run as root.
become() {
    local groups=(--clear-groups "--regid=$1")
    becoming=()
    if ! am_root || [ "$1" = 0 ]; then return 0; fi
    if [[ $1 != [0-9]* ]]; then groups=(--init-groups "--regid=$(id -g "$1")"); fi
    becoming=(setpriv "--reuid=$1" "${groups[@]}" --no-new-privs)
}

# as USER COMMAND...: runs a command as the user when the caller is root.
as() {
    local becoming
    become "$1"
    shift
    "${becoming[@]}" "$@"
}

# own USER FOLDER: creates a folder that only the user can read. The contents of a folder that another user had before
# are the user's too.
own() {
    (umask 077 && mkdir -p "$2")
    if am_root && [ "$(stat -c %u "$2")" != "$(id -u "$1" 2>/dev/null || echo "$1")" ]; then give "$1" "$2"; fi
}

# give USER FILE...: makes files and folders with all their contents the user's.
give() {
    local group=$1
    if [[ $1 != [0-9]* ]]; then group=$(id -g "$1"); fi
    chown -hR "$1:$group" "${@:2}"
}

# own_file USER FILE: writes standard input to a file that only the user can read.
own_file() {
    (umask 077 && cat >"$2")
    if am_root; then give "$1" "$2"; fi
}

# --- Processes ---------------------------------------------------------------------------------------------------

started=() # the names of the processes that this run has started, first to last

# spawn NAME USER COMMAND...: starts a process in a session of its own, so that the terminal's Ctrl-C does not reach it.
# Its id and its start time are stored, so that a later process with the same id is never mistaken for it.
spawn() {
    local name=$1 log=$home/log/$1.log becoming
    become "$2"
    shift 2
    if [ -e "$log" ]; then mv -f "$log" "$log.previous"; fi
    # Descriptor 9 is the lock of `ops/up`, which a server must not inherit.
    (umask 077 && exec setsid "${becoming[@]}" "$@" </dev/null >"$log" 2>&1 9>&-) &
    printf '%s %s\n' "$!" "$(start_time "$!")" >"$home/run/$name"
    disown "$!" # so that the shell does not report the end of the process
    started+=("$name")
}

# start_time PID: prints the start of a process in clock ticks since boot, which is field 22 of its status. It prints
# nothing for a process that has ended.
start_time() {
    { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null || true; } | awk '$1 != "Z" { print $20 }'
}

# pid_of NAME: prints the id of a process that `spawn` started. It fails when the process has ended.
pid_of() {
    local pid time
    [ -e "$home/run/$1" ] || return 1
    read -r pid time <"$home/run/$1"
    [ -n "$time" ] && [ "$(start_time "$pid")" = "$time" ] && printf '%s\n' "$pid"
}

is_running() { pid_of "$1" >/dev/null; }

# wait_until SECONDS COMMAND...: repeats a command until it succeeds. It fails when the command still fails after the
# time.
wait_until() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$deadline" ] || return 1
        sleep 0.1
    done
}

# wait_until_ready NAME SECONDS COMMAND...: waits until the command succeeds for a running process. When it does not, it
# shows the end of the process's log and exits.
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

# stop NAME SIGNAL: sends the signal to the process, and kills it after 60 seconds. It does nothing when the process
# does not run.
stop() {
    local pid
    if pid=$(pid_of "$1"); then
        kill -s "$2" "$pid" 2>/dev/null || true
        if ! wait_until 60 has_ended "$1"; then
            echo "$1 did not stop within 60 seconds and is killed now" >&2
            kill -s KILL "$pid" 2>/dev/null || true
            wait_until 10 has_ended "$1" || true
        fi
    fi
    rm -f "$home/run/$1"
}
