/// Whether a host is this machine and nobody else can listen on the way: a loopback address, or the folder of a socket.
package func isLoopback(_ host: String) -> Bool {
    host == "localhost" || host == "::1" || host.hasPrefix("127.") || host.hasPrefix("/")
}
