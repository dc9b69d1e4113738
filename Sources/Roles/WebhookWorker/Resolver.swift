import Credits
import Glibc
import NIOPosix
import Synchronization
package import Webhooks

/// Finds the addresses of host names with the system's resolver, on threads of its own, because a look-up blocks.
///
/// A name server of a tenant may answer late or never. So an environment has at most `atOncePerEnvironment` look-ups under
/// way, callers wait for a bounded time by themselves, and answers are remembered for a few seconds. The attempt connects to
/// an address of the answer that was checked, never to the name, so an answer that is some seconds old is as safe as a new
/// one.
package final class Resolver: Sendable {
    package typealias LookUp = @Sendable (String) -> Result<[IPAddress], ResolverError>

    private static let threads = 16
    private static let atOncePerEnvironment = 2
    private static let freshFor = Duration.seconds(10)
    private static let rememberedNames = 4_096

    private typealias Answer = Result<[IPAddress], ResolverError>

    private struct Job {
        let name: String
        let environmentID: EnvironmentID
    }

    private struct State {
        var answers: [String: (addresses: [IPAddress], until: ContinuousClock.Instant)] = [:]
        /// The callers that wait for a name, whether its look-up is under way or in line.
        var waiters: [String: [AsyncStream<Answer>.Continuation]] = [:]
        var underWay: [EnvironmentID: Int] = [:]
        var inLine: [EnvironmentID: [Job]] = [:]
    }

    private let state = Mutex(State())
    private let pool = NIOThreadPool(numberOfThreads: Resolver.threads)
    private let lookUp: LookUp

    /// - Parameter lookUp: Another source of answers, for tests.
    package init(lookUp: @escaping LookUp = Resolver.system) {
        self.lookUp = lookUp
        pool.start()
    }

    /// The addresses of a name, in the order of the resolver.
    ///
    /// - Throws: `ResolverError` when the name has none, and `CancellationError` when the task is cancelled meanwhile.
    func addresses(of name: String, for environmentID: EnvironmentID) async throws -> [IPAddress] {
        let (stream, continuation) = AsyncStream<Answer>.makeStream()
        let (known, job) = state.withLock { state -> ([IPAddress]?, Job?) in
            if let answer = state.answers[name], answer.until > .now { return (answer.addresses, nil) }
            state.waiters[name, default: []].append(continuation)
            guard state.waiters[name]?.count == 1 else { return (nil, nil) }
            let job = Job(name: name, environmentID: environmentID)
            guard state.underWay[environmentID, default: 0] < Self.atOncePerEnvironment else {
                state.inLine[environmentID, default: []].append(job)
                return (nil, nil)
            }
            state.underWay[environmentID, default: 0] += 1
            return (nil, job)
        }
        if let known { return known }
        if let job { start(job) }
        for await answer in stream { return try answer.get() }
        throw CancellationError()
    }

    private func start(_ job: Job) {
        pool.submit { [self] workState in
            finish(job, workState == .active ? lookUp(job.name) : .failure(ResolverError(text: "the node stops")))
        }
    }

    private func finish(_ job: Job, _ answer: Answer) {
        let (waiters, next) = state.withLock { state -> ([AsyncStream<Answer>.Continuation], Job?) in
            if case .success(let addresses) = answer {
                if state.answers.count >= Self.rememberedNames { state.answers.removeAll() }
                state.answers[job.name] = (addresses, .now + Self.freshFor)
            }
            let waiters = state.waiters.removeValue(forKey: job.name) ?? []
            guard var line = state.inLine[job.environmentID], !line.isEmpty else {
                let left = state.underWay[job.environmentID, default: 1] - 1
                state.underWay[job.environmentID] = left > 0 ? left : nil
                return (waiters, nil)
            }
            let next = line.removeFirst()
            state.inLine[job.environmentID] = line.isEmpty ? nil : line
            return (waiters, next)
        }
        for waiter in waiters {
            waiter.yield(answer)
            waiter.finish()
        }
        if let next { start(next) }
    }

    /// Ends the threads. Look-ups under way are not waited for.
    func close() {
        pool.shutdownGracefully { _ in }
    }

    /// Asks the system: `/etc/hosts`, the name servers, whatever the machine is set up for.
    @Sendable package static func system(_ name: String) -> Result<[IPAddress], ResolverError> {
        var hints = addrinfo()
        hints.ai_family = AF_UNSPEC
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let status = getaddrinfo(name, nil, &hints, &list)
        guard status == 0 else {
            return .failure(ResolverError(text: String(cString: gai_strerror(status))))
        }
        defer { freeaddrinfo(list) }
        var addresses: [IPAddress] = []
        var next = list
        while let entry = next?.pointee {
            if let address = entry.ai_addr, let found = address.address(family: entry.ai_family) {
                addresses.append(found)
            }
            next = entry.ai_next
        }
        return .success(addresses)
    }
}

/// A name that has no addresses, or none that can be found now.
package struct ResolverError: Error, CustomStringConvertible {
    let text: String

    package init(text: String) {
        self.text = text
    }

    package var description: String { "the host name cannot be resolved: \(text)" }
}

extension UnsafeMutablePointer<sockaddr> {
    fileprivate func address(family: Int32) -> IPAddress? {
        switch family {
        case AF_INET:
            withMemoryRebound(to: sockaddr_in.self, capacity: 1) { .v4(UInt32(bigEndian: $0.pointee.sin_addr.s_addr)) }
        case AF_INET6:
            withMemoryRebound(to: sockaddr_in6.self, capacity: 1) { address in
                withUnsafeBytes(of: address.pointee.sin6_addr) { bytes in
                    .v6(bytes.reduce(0) { $0 << 8 | UInt128($1) })
                }
            }
        default: nil
        }
    }
}
