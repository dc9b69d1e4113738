# shellcheck shell=bash
# The servers of a highly available installation on one machine. Network namespaces take the place of machines: each has
# an address of its own, so all of them use the same ports and the files of ops/ha/templates, which serve on three machines
# too. Machines 1 and 2 have PostgreSQL under Patroni, and all three RabbitMQ. The members of etcd have namespaces of their
# own, so that a machine can be cut off from etcd alone. HAProxy and QuotaStack run outside of the namespaces.

postgres_programs=/usr/lib/postgresql/15/bin
rabbitmq_programs=/usr/lib/rabbitmq/bin
templates=$checkout/ops/ha/templates
# shellcheck disable=SC2034 # used by ops/ha/up and ops/torture
packages_for_ha=(etcd-client etcd-server haproxy iproute2 patroni)

machines=(1 2 3)
databases=(1 2) # the machines with PostgreSQL
cluster_servers=(etcd1 etcd2 etcd3 rabbit1 rabbit2 rabbit3 pg1 pg2 haproxy)

# --- The network -------------------------------------------------------------------------------------------------

# network: prints the first three numbers of all addresses. They are kept, because the servers store them.
network() {
    [ -n "$(recall network)" ] || remember network "10.$((RANDOM % 100 + 100)).$((RANDOM % 250 + 1))"
    recall network
}

address() { printf '%s.%s\n' "$(network)" "$1"; } # MACHINE
etcd_machine() { printf '%s\n' "$((100 + $1))"; }
etcd_address() { address "$(etcd_machine "$1")"; } # NUMBER
all_machines() { printf '%s\n' "${machines[@]}" 101 102 103; }
interface() { printf 'qs%s-%s\n' "$(network | cut -d . -f 2,3 | tr -d .)" "$1"; }
namespace() { interface "$1"; }
there() { ip netns exec "$(namespace "$1")" "${@:2}"; } # MACHINE COMMAND...

# network_start: creates the namespaces and joins them by a bridge. Repeating it changes nothing.
network_start() {
    local machine bridge
    bridge=$(interface 0)
    ip link show "$bridge" >/dev/null 2>&1 || ip link add "$bridge" type bridge
    ip link set "$bridge" up
    ip addr replace "$(network).254/24" dev "$bridge"
    for machine in $(all_machines); do
        if [ ! -e "/run/netns/$(namespace "$machine")" ]; then
            ip netns add "$(namespace "$machine")"
            ip link add "$(interface "$machine")" type veth peer name eth0 netns "$(namespace "$machine")"
        fi
        ip link set "$(interface "$machine")" master "$bridge"
        ip link set "$(interface "$machine")" up
        ip -n "$(namespace "$machine")" link set lo up
        ip -n "$(namespace "$machine")" addr replace "$(address "$machine")/24" dev eth0
        ip -n "$(namespace "$machine")" link set eth0 up
    done
}

network_stop() {
    local machine
    [ -n "$(recall network)" ] || return 0
    for machine in $(all_machines); do
        if [ -e "/run/netns/$(namespace "$machine")" ]; then ip netns del "$(namespace "$machine")"; fi
    done
    if ip link show "$(interface 0)" >/dev/null 2>&1; then ip link del "$(interface 0)"; fi
}

# --- Files and processes -----------------------------------------------------------------------------------------

# fill TEMPLATE NAME=VALUE...: prints a template with its placeholders replaced. The values are no arguments of another
# process, because every user of the machine can read command lines.
fill() {
    local text pair
    text=$(cat "$templates/$1")
    for pair in "${@:2}"; do text=${text//"@${pair%%=*}@"/"${pair#*=}"}; done
    if [[ $text =~ @[A-Z_0-9]+@ ]]; then die "the template $1 has no value for ${BASH_REMATCH[0]}"; fi
    printf '%s\n' "$text"
}

# spawn_there NAME MACHINE USER COMMAND...: starts a process on a machine. The prefix ends in `exec`, so the stored id is
# that of the command.
spawn_there() {
    local name=$1 machine=$2 becoming
    become "$3"
    shift 3
    spawn "$name" 0 ip netns exec "$(namespace "$machine")" "${becoming[@]}" "$@"
}

# descendants PID: prints the ids of the process and of all processes under it, the highest first.
descendants() {
    local stat
    for stat in /proc/[0-9]*/stat; do
        { sed 's/^\([0-9]*\) .*) . \([0-9]*\) .*/\1 \2/' "$stat" 2>/dev/null || true; }
    done | awk -v root="$1" '
        { parent[$1] = $2 }
        END {
            print root
            for (more = 1; more;) {
                more = 0
                found[root] = 1
                for (id in parent) if (!(id in found) && parent[id] in found) { found[id] = 1; print id; more = 1 }
            }
        }'
}

choose_ports() {
    choose_port etcd-port 20000
    choose_port etcd-peer-port 22000
    choose_port postgres-port 24000
    choose_port patroni-port 26000
    choose_port amqp-port 20000
    choose_port distribution-port 22000
    choose_port epmd-port 26000
    choose_port proxy-postgres-port 28000
    choose_port proxy-amqp-port 18000
}

# --- etcd --------------------------------------------------------------------------------------------------------

etcd_cluster() {
    local machine members=()
    for machine in "${machines[@]}"; do
        members+=("etcd$machine=http://$(etcd_address "$machine"):$(recall etcd-peer-port)")
    done
    (IFS=, && printf '%s\n' "${members[*]}")
}

etcd_hosts() {
    local machine hosts=()
    for machine in "${machines[@]}"; do hosts+=("$(etcd_address "$machine"):$(recall etcd-port)"); done
    (IFS=, && printf '%s\n' "${hosts[*]}")
}

etcd_start() { # NUMBER
    local folder=$servers/etcd$1 user
    if is_running "etcd$1"; then return 0; fi
    user=$(user_of "etcd$1")
    own "$user" "$folder"
    fill etcd.yml NUMBER="$1" FOLDER="$folder" ETCD_ADDRESS="$(etcd_address "$1")" ETCD_PORT="$(recall etcd-port)" \
        ETCD_PEER_PORT="$(recall etcd-peer-port)" ETCD_CLUSTER="$(etcd_cluster)" ETCD_TOKEN="$(secret etcd-token)" |
        own_file "$user" "$folder/etcd.yml"
    spawn_there "etcd$1" "$(etcd_machine "$1")" "$user" env -i PATH="$PATH" LANG=C.UTF-8 etcd --config-file "$folder/etcd.yml"
}

etcd_is_healthy() { # NUMBER
    [ "$(curl -s -m 2 "http://$(etcd_address "$1"):$(recall etcd-port)/health")" = '{"health":"true"}' ]
}

# --- PostgreSQL --------------------------------------------------------------------------------------------------

# initdb refuses a user without a name, so Patroni runs as the user postgres of the Debian package.
patroni_start() { # MACHINE
    local folder=$servers/pg$1
    if is_running "pg$1"; then return 0; fi
    own postgres "$folder"
    fill patroni.yml NUMBER="$1" FOLDER="$folder" ADDRESS="$(address "$1")" PATRONI_PORT="$(recall patroni-port)" \
        POSTGRES_PORT="$(recall postgres-port)" ETCD_HOSTS="$(etcd_hosts)" NETWORK="$(network).0/24" \
        SYNCHRONOUS="$(recall synchronous)" POSTGRES_PASSWORD="$(secret postgres-password)" \
        REPLICATOR_PASSWORD="$(secret replicator-password)" REWIND_PASSWORD="$(secret rewind-password)" \
        SHARED_BUFFERS=128MB | own_file postgres "$folder/patroni.yml"
    cp "$checkout/ops/ha/reap" "$folder/reap"
    chmod 755 "$folder/reap"
    cd "$folder"
    spawn_there "pg$1" "$1" postgres env -i PATH="$PATH:$postgres_programs" LANG=C.UTF-8 HOME="$folder" \
        /usr/bin/python3 "$folder/reap" /usr/bin/python3 /usr/bin/patroni "$folder/patroni.yml"
    cd "$checkout"
}

# patroni_says MACHINE PATH: succeeds when Patroni answers the path with 200.
patroni_says() {
    [ "$(curl -s -m 2 -o /dev/null -w '%{http_code}' "http://$(address "$1"):$(recall patroni-port)/$2")" = 200 ]
}

# database_leader: prints the machine of the primary. It fails when there is none.
database_leader() {
    local machine
    for machine in "${databases[@]}"; do
        if patroni_says "$machine" primary; then printf '%s\n' "$machine" && return 0; fi
    done
    return 1
}

# database_is_whole: succeeds when there are a primary and a standby that takes part in its commits.
database_is_whole() {
    local machine wanted=synchronous primaries=0 standbys=0
    if [ "$(recall synchronous)" = false ]; then wanted=replica; fi
    for machine in "${databases[@]}"; do
        if patroni_says "$machine" primary; then primaries=$((primaries + 1)); fi
        if patroni_says "$machine" "$wanted"; then standbys=$((standbys + 1)); fi
    done
    [ "$primaries" = 1 ] && [ "$standbys" = 1 ]
}

# switch_over: moves the primary to the other machine.
switch_over() {
    local leader
    leader=$(database_leader)
    curl -s -m 60 -o /dev/null -w '%{http_code}\n' --json "{\"leader\": \"pg$leader\", \"candidate\": \"pg$((3 - leader))\"}" \
        "http://$(address "$leader"):$(recall patroni-port)/switchover"
}

# postmaster MACHINE: prints the id of the PostgreSQL server itself.
postmaster() { head -n 1 "$servers/pg$1/data/postmaster.pid"; }

# --- RabbitMQ ----------------------------------------------------------------------------------------------------

broker_node() { printf 'rabbit%s@%s\n' "$1" "$(address "$1")"; } # MACHINE

broker_start() { # MACHINE
    local folder=$servers/rabbit$1 user name
    if is_running "rabbit$1"; then return 0; fi
    user=$(user_of "rabbit$1")
    own "$user" "$folder"
    secret erlang-cookie | broker_file "$1" .erlang.cookie
    rabbitmq_definitions | broker_file "$1" definitions.json
    echo '[].' | broker_file "$1" enabled_plugins
    fill advanced.config | broker_file "$1" advanced.config
    broker_file "$1" rabbitmq-env.conf </dev/null
    fill rabbitmq.conf ADDRESS="$(address "$1")" AMQP_PORT="$(recall amqp-port)" FOLDER="$folder" \
        DISK_FREE_LIMIT=50MB MEMORY_SHARE=0.1 NODE_1="$(broker_node 1)" NODE_2="$(broker_node 2)" \
        NODE_3="$(broker_node 3)" | broker_file "$1" rabbitmq.conf
    cd "$folder"
    spawn_there "rabbit$1" "$1" "$user" env -i PATH="$PATH" LANG=C.UTF-8 HOME="$folder" RUNNING_UNDER_SYSTEMD=true \
        ERL_EPMD_ADDRESS="$(address "$1")" ERL_EPMD_PORT="$(recall epmd-port)" \
        ERL_CRASH_DUMP="$folder/erl_crash.dump" RABBITMQ_USE_LONGNAME=true RABBITMQ_NODENAME="$(broker_node "$1")" \
        RABBITMQ_DIST_PORT="$(recall distribution-port)" \
        RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {$(address "$1" | tr . ,)} +S 1:1 +sbwt none" \
        RABBITMQ_CONF_ENV_FILE="$folder/rabbitmq-env.conf" RABBITMQ_CONFIG_FILE="$folder/rabbitmq.conf" \
        RABBITMQ_ADVANCED_CONFIG_FILE="$folder/advanced.config" \
        RABBITMQ_ENABLED_PLUGINS_FILE="$folder/enabled_plugins" RABBITMQ_MNESIA_BASE="$folder/mnesia" \
        RABBITMQ_LOG_BASE="$folder/log" RABBITMQ_GENERATED_CONFIG_DIR="$folder/generated" \
        RABBITMQ_PID_FILE="$folder/pid" "$rabbitmq_programs/rabbitmq-server"
    cd "$checkout"
}

broker_file() { # MACHINE NAME
    rm -f "$servers/rabbit$1/$2"
    own_file "$(user_of "rabbit$1")" "$servers/rabbit$1/$2"
}

# broker_control MACHINE PROGRAM ARGUMENT...: runs rabbitmqctl or rabbitmq-queues against the node of a machine.
broker_control() {
    local becoming machine=$1 program=$2
    become "$(user_of "rabbit$1")"
    shift 2
    (cd / && there "$machine" "${becoming[@]}" env -i PATH="$PATH" LANG=C.UTF-8 HOME="$servers/rabbit$machine" \
        ERL_EPMD_ADDRESS="$(address "$machine")" ERL_EPMD_PORT="$(recall epmd-port)" \
        "$rabbitmq_programs/$program" --longnames --node "$(broker_node "$machine")" --quiet "$@")
}

# living_broker: prints a machine whose RabbitMQ runs.
living_broker() {
    local machine
    for machine in "${machines[@]}"; do
        if is_running "rabbit$machine" && broker_listens "$machine"; then printf '%s\n' "$machine" && return 0; fi
    done
    return 1
}

broker_listens() { # MACHINE
    { there "$1" cat /proc/net/tcp 2>/dev/null || true; } |
        awk -v port=":$(printf '%04X' "$(recall amqp-port)")$" \
            '$4 == "0A" && $2 ~ port { found = 1 } END { exit !found }'
}

# queues MACHINE: prints name, ready and unacknowledged messages, machine of the leader, members, and members that are
# online, of every quorum queue, tab-separated. `rabbitmqctl list_queues` needs connections from all nodes to itself, which
# the names of the namespaces do not allow.
queues() {
    local expression
    expression=$(
        cat <<'ERLANG'
Machine = fun(Node) -> lists:sublist(atom_to_list(Node), 7, 1) end,
[begin
    Info = rabbit_amqqueue:info(Queue, [messages_ready, messages_unacknowledged, leader, members, online]),
    Value = fun(Item) -> proplists:get_value(Item, Info) end,
    io:format("~s\t~p\t~p\t~s\t~p\t~p~n", [element(4, amqqueue:get_name(Queue)), Value(messages_ready),
        Value(messages_unacknowledged), Machine(Value(leader)), length(Value(members)), length(Value(online))])
end || Queue <- rabbit_amqqueue:list(<<"quotastack">>), amqqueue:get_type(Queue) == rabbit_quorum_queue], ok.
ERLANG
    )
    broker_control "$1" rabbitmqctl eval "$expression" | grep -v '^ok$' || true
}

# brokers_are_whole: succeeds when every node sees all three, and every quorum queue has all its members online. It asks one
# node for everything, because each call of rabbitmqctl starts an Erlang of its own.
brokers_are_whole() {
    local machine expression
    for machine in "${machines[@]}"; do
        is_running "rabbit$machine" && broker_listens "$machine" || return 1
    done
    expression=$(
        cat <<'ERLANG'
Nodes = rabbit_mnesia:cluster_nodes(all),
Views = [{rpc:call(Node, rabbit_mnesia, cluster_nodes, [running], 5000), rpc:call(Node, rabbit_node_monitor, partitions, [], 5000)}
    || Node <- Nodes],
Queues = [rabbit_amqqueue:info(Queue, [members, online])
    || Queue <- rabbit_amqqueue:list(<<"quotastack">>), amqqueue:get_type(Queue) == rabbit_quorum_queue],
Whole = length(Nodes) == 3
    andalso lists:all(fun({Running, Partitions}) -> is_list(Running) andalso length(Running) == 3 andalso Partitions == [] end, Views)
    andalso lists:all(fun([{members, Members}, {online, Online}]) -> length(Members) == length(Online) end, Queues),
io:format("whole: ~p~n", [Whole]).
ERLANG
    )
    broker_control 1 rabbitmqctl eval "$expression" 2>/dev/null | grep -q '^whole: true'
}

# grow_queues: gives every queue a member on each node, and spreads the leaders. Queues that `migrate` creates have three
# members from the start; older ones grow here.
grow_queues() {
    local machine
    for machine in "${machines[@]}"; do
        broker_control 1 rabbitmq-queues grow "$(broker_node "$machine")" all --vhost-pattern quotastack >/dev/null
    done
    broker_control 1 rabbitmq-queues rebalance quorum --vhost-pattern quotastack >/dev/null
}

# shrink_queues: leaves every queue one member, on the node that leads it: the negative control of the torture.
shrink_queues() {
    local expression
    expression=$(
        cat <<'ERLANG'
[begin
    {_, Leader} = amqqueue:get_pid(Queue),
    [rabbit_quorum_queue:delete_member(<<"quotastack">>, element(4, amqqueue:get_name(Queue)), Node)
        || Node <- rabbit_mnesia:cluster_nodes(all), Node =/= Leader]
end || Queue <- rabbit_amqqueue:list(<<"quotastack">>), amqqueue:get_type(Queue) == rabbit_quorum_queue], ok.
ERLANG
    )
    broker_control 1 rabbitmqctl eval "$expression" >/dev/null
}

broker_leader() { # QUEUE: prints the machine of the queue's leader.
    queues "$(living_broker)" | awk -F '\t' -v name="$1" '$1 == name { print $4 }'
}

# --- HAProxy -----------------------------------------------------------------------------------------------------

proxy_start() {
    local folder=$servers/haproxy user
    if is_running haproxy; then return 0; fi
    user=$(user_of haproxy)
    own "$user" "$folder"
    fill haproxy.cfg PROXY_ADDRESS=127.0.0.1 PROXY_POSTGRES_PORT="$(recall proxy-postgres-port)" \
        PROXY_AMQP_PORT="$(recall proxy-amqp-port)" POSTGRES_PORT="$(recall postgres-port)" \
        PATRONI_PORT="$(recall patroni-port)" AMQP_PORT="$(recall amqp-port)" ADDRESS_1="$(address 1)" \
        ADDRESS_2="$(address 2)" ADDRESS_3="$(address 3)" | own_file "$user" "$folder/haproxy.cfg"
    spawn haproxy "$user" env -i PATH="$PATH" LANG=C.UTF-8 haproxy -db -f "$folder/haproxy.cfg"
}

# --- All together ------------------------------------------------------------------------------------------------

# The addresses of the servers as QuotaStack is given them: through HAProxy, or directly, every machine by name.
proxied_database_url() {
    printf 'postgres://quotastack:%s@127.0.0.1:%s/quotastack\n' "$(secret database-password)" \
        "$(recall proxy-postgres-port)"
}
proxied_amqp_url() {
    printf 'amqp://quotastack:%s@127.0.0.1:%s/quotastack\n' "$(secret amqp-password)" "$(recall proxy-amqp-port)"
}
direct_database_url() {
    printf 'postgres://quotastack:%s@%s:%s,%s:%s/quotastack\n' "$(secret database-password)" "$(address 1)" \
        "$(recall postgres-port)" "$(address 2)" "$(recall postgres-port)"
}
direct_amqp_url() {
    local machine hosts=()
    for machine in "${machines[@]}"; do hosts+=("$(address "$machine"):$(recall amqp-port)"); done
    (IFS=, && printf 'amqp://quotastack:%s@%s/quotastack\n' "$(secret amqp-password)" "${hosts[*]}")
}
superuser_url() { # DATABASE
    printf 'postgres://postgres:%s@127.0.0.1:%s/%s\n' "$(secret postgres-password)" "$(recall proxy-postgres-port)" "$1"
}

# create_database: as postgres_create_database of ops/lib/postgres.sh, through the proxy.
create_database() {
    remember single-postgres-port "$(recall postgres-port)"
    remember postgres-port "$(recall proxy-postgres-port)"
    postgres_create_database
    remember postgres-port "$(recall single-postgres-port)"
}
database_answers() {
    PGPASSWORD=$(secret postgres-password) "$postgres_programs/psql" --no-psqlrc --quiet --tuples-only \
        "postgres://postgres@127.0.0.1:$(recall proxy-postgres-port)/postgres" -c 'select 1' >/dev/null 2>&1
}

# cluster_start SYNCHRONOUS: starts all servers, and waits until they are whole. SYNCHRONOUS is true or false, and counts
# at the first start only.
cluster_start() {
    local machine
    [ -n "$(recall synchronous)" ] || remember synchronous "$1"
    network_start
    [ -n "$(recall proxy-amqp-port)" ] || choose_ports
    for machine in "${machines[@]}"; do etcd_start "$machine"; done
    for machine in "${machines[@]}"; do broker_start "$machine"; done
    for machine in "${machines[@]}"; do wait_until_ready "etcd$machine" 60 etcd_is_healthy "$machine"; done
    patroni_start 1
    if [ ! -d "$servers/pg2/data" ]; then wait_until_ready pg1 90 patroni_says 1 primary; fi
    patroni_start 2
    proxy_start
    wait_until_ready pg2 90 database_is_whole
    wait_until 30 database_answers || die "HAProxy does not reach the primary: see $home/log/haproxy.log"
    create_database
    for machine in "${machines[@]}"; do wait_until_ready "rabbit$machine" 120 broker_listens "$machine"; done
    wait_until 90 brokers_are_whole || die "the RabbitMQ nodes did not form a cluster: see $home/log/rabbit1.log"
}

# cluster_stop: stops all servers. A frozen server is continued first, and the standby stops before the primary, so that
# it is not promoted.
cluster_stop() {
    local name leader
    network_mend
    leader=$(database_leader) || leader=1
    for name in haproxy rabbit1 rabbit2 rabbit3 "pg$((3 - leader))" "pg$leader" etcd1 etcd2 etcd3; do
        signal_tree "$name" CONT
        stop "$name" TERM
    done
    network_kill_rest
    network_stop
}

# network_kill_rest: ends what servers have left behind on the machines: epmd, and children of killed servers.
network_kill_rest() {
    local machine pid
    for machine in $(all_machines); do
        [ -e "/run/netns/$(namespace "$machine")" ] || continue
        for pid in $(ip netns pids "$(namespace "$machine")"); do kill -s KILL "$pid" 2>/dev/null || true; done
    done
}

# wipe_cluster NAME...: removes the data of the servers, and the folders of the named processes.
wipe_cluster() {
    local name
    for name in "${cluster_servers[@]}" "$@"; do rm -rf -- "${servers:?}/$name"; done
}

# --- Faults ------------------------------------------------------------------------------------------------------

# signal_tree NAME SIGNAL: sends a signal to a server and all processes under it, the highest first.
signal_tree() {
    local pid
    if pid=$(pid_of "$1"); then
        # shellcheck disable=SC2046 # one id per word
        kill -s "$2" $(descendants "$pid") 2>/dev/null || true
    fi
}

# kill_server NAME: ends a server and everything under it at once. The process that waits for Patroni's children ends by
# itself when they have ended.
kill_server() {
    local pid
    pid=$(pid_of "$1") || return 0
    if [[ $1 == pg* ]]; then
        # shellcheck disable=SC2046
        kill -s KILL $(descendants "$pid" | tail -n +2) 2>/dev/null || true
    else
        signal_tree "$1" KILL
    fi
    wait_until 20 has_ended "$1" || die "$1 did not end"
}

# network_cut MACHINE etcd|all: lets a machine reach no member of etcd, or no other machine at all. Clients still reach it.
network_cut() {
    local other
    for other in $(all_machines); do
        if [ "$other" = "$1" ] || { [ "$2" = etcd ] && [ "$other" -lt 100 ]; }; then continue; fi
        ip -n "$(namespace "$1")" route replace blackhole "$(address "$other")/32"
    done
}

network_mend() {
    local machine other
    for machine in "${machines[@]}"; do
        [ -e "/run/netns/$(namespace "$machine")" ] || continue
        for other in $(all_machines); do
            ip -n "$(namespace "$machine")" route del blackhole "$(address "$other")/32" 2>/dev/null || true
        done
    done
}
