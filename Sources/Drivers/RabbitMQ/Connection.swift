import CRabbitMQ
import Glibc
import HandleThread

/// The loss of a connection, with its reason.
struct ConnectionLoss: Error {
    var reason: String

    /// Set when the broker closed a channel: code and text.
    var channelClose: (code: UInt16, text: String)?
}

/// One `amqp_connection_state_t` with its socket. It belongs to the thread that made it.
///
/// Lifetime: open, attach the descriptor to the watchdog, log in, use; at the end detach the descriptor, then destroy.
/// After a method has thrown, only `close()` or `destroy()` may follow.
final class Connection {
    /// The longest time, in nanoseconds, of a call that awaits no answer. Then the watchdog ends it.
    static let callLimit: UInt64 = 2_000_000_000

    /// Enough for one channel per queue: an installation has at most 256 shards.
    private static let mostChannels: Int32 = 512

    let state: amqp_connection_state_t
    private let callGuard = CallGuard()
    private let requestLimit: UInt64
    private var assemblers: [UInt16: ContentAssembler] = [:]
    private var frame = amqp_frame_t()
    private var readSinceRelease = 0
    private var destroyed = false

    var descriptor: Int32 { amqp_get_sockfd(state) }

    /// Connects to one node and logs in. Blocks for up to twice the connect timeout, and for the look-up of the host name.
    init(_ configuration: AMQPConfiguration, at endpoint: AMQPConfiguration.Endpoint) throws(ConnectionLoss) {
        guard let state = amqp_new_connection() else { throw ConnectionLoss(reason: "out of memory") }
        self.state = state
        let (seconds, attoseconds) = configuration.limitPerEndpoint.components
        var limit = timeval(tv_sec: Int(seconds), tv_usec: Int(attoseconds / 1_000_000_000_000))
        requestLimit = UInt64(seconds) * 1_000_000_000 + UInt64(attoseconds / 1_000_000_000) + Self.callLimit
        do throws(ConnectionLoss) {
            amqp_set_handshake_timeout(state, &limit)
            amqp_set_rpc_timeout(state, &limit)
            let socket = try Self.makeSocket(state, configuration.tls)
            let status = amqp_socket_open_noblock(socket, endpoint.host, Int32(endpoint.port), &limit)
            guard status == 0 else { throw Self.loss(status, during: "connecting") }
            setSocketOptions(heartbeatSeconds: configuration.heartbeatSeconds)
            do throws(HandleThreadError) {
                try callGuard.attach(descriptor: amqp_get_sockfd(state))
            } catch {
                throw ConnectionLoss(reason: error.description)
            }
            try logIn(configuration)
        } catch {
            destroy()
            throw error
        }
    }

    deinit { destroy() }

    /// Closes the socket and frees everything. Further calls have no effect.
    func destroy() {
        guard !destroyed else { return }
        destroyed = true
        callGuard.detach()
        _ = amqp_destroy_connection(state)
    }

    /// Announces the end to the broker, then destroys.
    func close() {
        guard !destroyed else { return }
        callGuard.arm(limit: Self.callLimit)
        _ = amqp_connection_close(state, Int32(AMQP_REPLY_SUCCESS))
        destroy()
    }

    // MARK: Requests with an answer

    func openChannel(_ channel: UInt16) throws(ConnectionLoss) {
        try request("opening a channel") { _ = amqp_channel_open(state, channel) }
    }

    func closeChannel(_ channel: UInt16) throws(ConnectionLoss) {
        callGuard.arm(limit: requestLimit)
        defer { callGuard.disarm() }
        try Self.check(amqp_channel_close(state, channel, Int32(AMQP_REPLY_SUCCESS)), during: "closing a channel")
    }

    func selectConfirms(_ channel: UInt16) throws(ConnectionLoss) {
        try request("asking for confirmations") { _ = amqp_confirm_select(state, channel) }
    }

    func setPrefetch(_ count: UInt16, channel: UInt16) throws(ConnectionLoss) {
        try request("setting the prefetch count") { _ = amqp_basic_qos(state, channel, 0, count, 0) }
    }

    func consume(
        queue: String, consumer: Incoming.Consumer, acknowledges: Bool, channel: UInt16
    ) throws(ConnectionLoss) {
        let arena = ByteArena()
        try request("consuming from \(queue)") {
            _ = amqp_basic_consume(
                state, channel, arena.lend(queue), arena.lend(consumer.tag), 0, acknowledges ? 0 : 1, 0, amqp_table_t())
        }
    }

    func cancel(_ consumer: Incoming.Consumer, channel: UInt16) throws(ConnectionLoss) {
        let arena = ByteArena()
        try request("cancelling a consumer") { _ = amqp_basic_cancel(state, channel, arena.lend(consumer.tag)) }
    }

    struct QueueOptions {
        var passive = false
        var durable = false
        var exclusive = false
        var deletesItself = false
        var arguments: [(name: String, value: FieldValue)] = []
    }

    /// - Returns: The numbers of ready messages and of consumers.
    @discardableResult
    func declareQueue(
        _ name: String, _ options: QueueOptions, channel: UInt16
    ) throws(ConnectionLoss) -> (messages: Int, consumers: Int) {
        let arena = ByteArena()
        var counts = (messages: 0, consumers: 0)
        try request("declaring \(name)") {
            let answer = amqp_queue_declare(
                state, channel, arena.lend(name), options.passive ? 1 : 0, options.durable ? 1 : 0,
                options.exclusive ? 1 : 0, options.deletesItself ? 1 : 0, arena.table(options.arguments))
            if let answer {
                counts = (Int(answer.pointee.message_count), Int(answer.pointee.consumer_count))
            }
        }
        return counts
    }

    func deleteQueue(_ name: String, channel: UInt16) throws(ConnectionLoss) {
        let arena = ByteArena()
        try request("deleting \(name)") { _ = amqp_queue_delete(state, channel, arena.lend(name), 0, 0) }
    }

    /// Answers a `channel.close` of the broker. The number of the channel can then be opened again.
    func confirmChannelClose(_ channel: UInt16) throws(ConnectionLoss) {
        var answer = amqp_channel_close_ok_t()
        try call("closing a channel") { amqp_send_method(state, channel, AMQP_CHANNEL_CLOSE_OK_METHOD, &answer) }
    }

    // MARK: Messages

    /// Writes one message. Blocks while the socket takes no more, up to `callLimit`.
    ///
    /// - Parameter sequence: Set for a mandatory message, which carries it in a header: `basic.return` has no number
    ///   that tells which message was returned.
    func publish(
        _ message: AMQPMessage, sequence: UInt64?, channel: UInt16, arena: ByteArena
    ) throws(ConnectionLoss) {
        arena.recycle()
        var properties = basicProperties(of: message, sequence: sequence, arena: arena)
        let exchange = arena.lend(message.exchange)
        let routingKey = arena.lend(message.routingKey)
        let status = message.body.withUnsafeBytes { bytes in
            // The library only reads the body.
            let body = amqp_bytes_t(len: bytes.count, bytes: UnsafeMutableRawPointer(mutating: bytes.baseAddress))
            callGuard.arm(limit: Self.callLimit)
            defer { callGuard.disarm() }
            return amqp_basic_publish(
                state, channel, exchange, routingKey, sequence == nil ? 0 : 1, 0, &properties, body)
        }
        guard status == 0 else { throw Self.loss(status, during: "publishing") }
    }

    func acknowledge(_ number: UInt64, multiple: Bool, channel: UInt16) throws(ConnectionLoss) {
        try call("acknowledging") { amqp_basic_ack(state, channel, number, multiple ? 1 : 0) }
    }

    /// The next message of the broker, without waiting for it; nil when nothing more can be read now.
    ///
    /// Heartbeats are sent and checked in here, so it must be called at least every second.
    func next() throws(ConnectionLoss) -> Incoming? {
        var immediately = timeval(tv_sec: 0, tv_usec: 0)
        while true {
            callGuard.arm(limit: Self.callLimit)
            let status = amqp_simple_wait_frame_noblock(state, &frame, &immediately)
            callGuard.disarm()
            if status == AMQP_STATUS_TIMEOUT.rawValue { return nil }
            guard status == 0 else { throw Self.loss(status, during: "reading") }
            if let incoming = try assemblers[frame.channel, default: ContentAssembler()].take(frame) {
                // The library can release its memory only between two frames, as here.
                readSinceRelease += 1
                if readSinceRelease >= 128 { releaseBuffers() }
                return incoming
            }
        }
    }

    /// Releases the memory of the frames read so far.
    func releaseBuffers() {
        readSinceRelease = 0
        amqp_maybe_release_buffers(state)
    }

    /// Whether the socket takes a message of ordinary size without blocking.
    var isWritable: Bool {
        var entry = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        return poll(&entry, 1, 0) > 0
    }

    /// Waits for something to read. Only for closing a connection; at other times the handle thread waits.
    func waitUntilReadable(milliseconds: Int32) {
        var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        _ = poll(&entry, 1, milliseconds)
    }

    /// While corked, the kernel collects small writes into full segments.
    func setCorked(_ corked: Bool) {
        setOption(Int32(IPPROTO_TCP), TCP_CORK, corked ? 1 : 0)
    }
}

// MARK: - Calls into the library

extension Connection {
    private func request(_ purpose: String, _ body: () -> Void) throws(ConnectionLoss) {
        callGuard.arm(limit: requestLimit)
        defer { callGuard.disarm() }
        body()
        try Self.check(amqp_get_rpc_reply(state), during: purpose)
    }

    private func call(_ purpose: String, _ body: () -> Int32) throws(ConnectionLoss) {
        callGuard.arm(limit: Self.callLimit)
        defer { callGuard.disarm() }
        let status = body()
        guard status == 0 else { throw Self.loss(status, during: purpose) }
    }

    private static func loss(_ status: Int32, during purpose: String) -> ConnectionLoss {
        ConnectionLoss(reason: "\(String(cString: amqp_error_string2(status))) while \(purpose)")
    }

    private static func check(_ reply: amqp_rpc_reply_t, during purpose: String) throws(ConnectionLoss) {
        switch reply.reply_type {
        case AMQP_RESPONSE_NORMAL:
            return
        case AMQP_RESPONSE_SERVER_EXCEPTION:
            if reply.reply.id == AMQP_CHANNEL_CLOSE_METHOD, let decoded = reply.reply.decoded {
                let close = decoded.load(as: amqp_channel_close_t.self)
                let text = String(copying: close.reply_text)
                throw ConnectionLoss(
                    reason: "\(text) while \(purpose)", channelClose: (close.reply_code, text))
            }
            if reply.reply.id == AMQP_CONNECTION_CLOSE_METHOD, let decoded = reply.reply.decoded {
                let close = decoded.load(as: amqp_connection_close_t.self)
                throw ConnectionLoss(reason: "\(String(copying: close.reply_text)) while \(purpose)")
            }
            throw ConnectionLoss(reason: "the broker refused while \(purpose)")
        case AMQP_RESPONSE_LIBRARY_EXCEPTION:
            throw loss(reply.library_error, during: purpose)
        default:
            throw ConnectionLoss(reason: "the broker closed the connection while \(purpose)")
        }
    }

    private static func makeSocket(
        _ state: amqp_connection_state_t, _ tls: AMQPConfiguration.TLS?
    ) throws(ConnectionLoss) -> OpaquePointer {
        guard let tls else {
            guard let socket = amqp_tcp_socket_new(state) else { throw ConnectionLoss(reason: "out of memory") }
            return socket
        }
        guard let socket = amqp_ssl_socket_new(state) else { throw ConnectionLoss(reason: "TLS could not be set up") }
        amqp_ssl_socket_set_verify_peer(socket, tls.verifiesPeer ? 1 : 0)
        amqp_ssl_socket_set_verify_hostname(socket, tls.verifiesPeer ? 1 : 0)
        guard amqp_ssl_socket_set_ssl_versions(socket, AMQP_TLSv1_2, AMQP_TLSvLATEST) == 0 else {
            throw ConnectionLoss(reason: "the TLS library does not support TLS 1.2")
        }
        if tls.verifiesPeer, amqp_ssl_socket_set_cacert(socket, tls.authoritiesFile) != 0 {
            throw ConnectionLoss(reason: "the file of certificate authorities cannot be read")
        }
        if let certificate = tls.certificateFile, let key = tls.keyFile,
            amqp_ssl_socket_set_key(socket, certificate, key) != 0
        {
            throw ConnectionLoss(reason: "the client certificate or its key cannot be read")
        }
        return socket
    }

    private func logIn(_ configuration: AMQPConfiguration) throws(ConnectionLoss) {
        let arena = ByteArena()
        // Without these two capabilities the broker announces neither a blocked connection nor a cancelled consumer,
        // and publishing to a blocked connection hangs inside the library.
        var properties = arena.table([
            ("connection_name", .text(configuration.connectionName)),
            ("product", .text("QuotaStack")),
            (
                "capabilities",
                .table([("connection.blocked", .boolean(true)), ("consumer_cancel_notify", .boolean(true))])
            ),
        ])
        callGuard.arm(limit: requestLimit)
        defer { callGuard.disarm() }
        let reply = quotastack_login(
            state, configuration.virtualHost, Self.mostChannels, AMQP_DEFAULT_FRAME_SIZE,
            Int32(configuration.heartbeatSeconds),
            &properties, configuration.user, configuration.password.text)
        try Self.check(reply, during: "logging in")
    }

    private func setSocketOptions(heartbeatSeconds: UInt16) {
        let silence = Int32(heartbeatSeconds == 0 ? 20 : heartbeatSeconds) * 2
        setOption(SOL_SOCKET, SO_KEEPALIVE, 1)
        setOption(Int32(IPPROTO_TCP), TCP_KEEPIDLE, silence)
        setOption(Int32(IPPROTO_TCP), TCP_KEEPINTVL, 5)
        setOption(Int32(IPPROTO_TCP), TCP_KEEPCNT, 3)
        setOption(Int32(IPPROTO_TCP), TCP_USER_TIMEOUT, silence * 1_000)
    }

    private func setOption(_ level: Int32, _ name: Int32, _ value: Int32) {
        var value = value
        // A failure is ignored: without an option a lost peer is noticed later or small writes cost more, nothing else.
        _ = setsockopt(descriptor, level, name, &value, socklen_t(MemoryLayout<Int32>.size))
    }

    private func basicProperties(
        of message: AMQPMessage, sequence: UInt64?, arena: ByteArena
    ) -> amqp_basic_properties_t {
        var properties = amqp_basic_properties_t()
        properties._flags = amqp_flags_t(AMQP_BASIC_DELIVERY_MODE_FLAG)
        properties.delivery_mode = message.persistent ? 2 : 1
        if let value = message.contentType {
            properties._flags |= amqp_flags_t(AMQP_BASIC_CONTENT_TYPE_FLAG)
            properties.content_type = arena.lend(value)
        }
        if let value = message.correlationID {
            properties._flags |= amqp_flags_t(AMQP_BASIC_CORRELATION_ID_FLAG)
            properties.correlation_id = arena.lend(value)
        }
        if let value = message.replyTo {
            properties._flags |= amqp_flags_t(AMQP_BASIC_REPLY_TO_FLAG)
            properties.reply_to = arena.lend(value)
        }
        if let value = message.messageID {
            properties._flags |= amqp_flags_t(AMQP_BASIC_MESSAGE_ID_FLAG)
            properties.message_id = arena.lend(value)
        }
        if let value = message.type {
            properties._flags |= amqp_flags_t(AMQP_BASIC_TYPE_FLAG)
            properties.type = arena.lend(value)
        }
        var headers = message.headers.map { (name: $0.name, value: FieldValue.text($0.value)) }
        if let sequence { headers.append((ContentAssembler.sequenceHeader, .integer(Int64(sequence)))) }
        if !headers.isEmpty {
            properties._flags |= amqp_flags_t(AMQP_BASIC_HEADERS_FLAG)
            properties.headers = arena.table(headers)
        }
        return properties
    }
}
