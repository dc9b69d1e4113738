#pragma once
#include <amqp.h>
#include <amqp_framing.h>
#include <amqp_ssl_socket.h>
#include <amqp_tcp_socket.h>
#include <netinet/tcp.h>
#include <sys/time.h>

/// Calls `amqp_login_with_properties` with user name and password. Swift cannot call this variadic function itself.
static inline amqp_rpc_reply_t quotastack_login(
    amqp_connection_state_t connection, const char *virtual_host, int channel_max, int frame_max, int heartbeat_seconds,
    const amqp_table_t *properties, const char *user, const char *password) {
    return amqp_login_with_properties(connection, virtual_host, channel_max, frame_max, heartbeat_seconds, properties,
                                      AMQP_SASL_METHOD_PLAIN, user, password);
}
