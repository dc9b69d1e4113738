/// Whether the traffic to a host stays on this machine: it is a loopback address, or the folder of a Unix socket.
package func isLoopback(_ host: String) -> Bool {
    host == "localhost" || host == "::1" || host.hasPrefix("127.") || host.hasPrefix("/")
}
