import Answers
import Catalogue
import Commands
import CoreMetrics
import Credits
import JSON
import Ledger
import Logging
import Metering
import NIOCore
import Replica
import Runtime

/// The things that the check lanes of all connections share.
struct CheckLaneService: Sendable {
    let admission: Admission
    let answers: MemoryShares
    /// The durations of `GET /v1/entitlements/check`.
    let seconds: Recorder
    let logger: Logger
}

/// Answers plain entitlement checks on the event loop of their connection, without decoder, task or router.
///
/// It decides by the code of the ordinary path and answers the same bytes. What it does not answer at once, which is
/// everything but a plain check that succeeds, it leaves to that path: it has done nothing then. It lives on one event
/// loop, because it remembers the caller of the connection's latest check.
final class CheckLane {
    /// A caller, as of a generation of the replica's catalogues.
    private struct Known {
        let key: [UInt8]
        let generation: UInt64
        let caller: Caller

        /// Compares all bytes, so that the time taken does not show where the first difference is.
        func has(_ other: Slice<UnsafeRawBufferPointer>) -> Bool {
            guard key.count == other.count else { return false }
            return zip(key, other).reduce(0 as UInt8) { $0 | $1.0 ^ $1.1 } == 0
        }
    }

    static let route = "/v1/entitlements/check"
    private static let access = Access.read(.entitlements)

    private let service: CheckLaneService
    private var known: Known?
    private var json = JSONWriter(capacity: 1_024)
    private var requestIDs = RequestIDs()

    init(_ service: CheckLaneService) {
        self.service = service
    }

    /// Answers a request.
    ///
    /// - Parameters:
    ///   - head: A whole head.
    ///   - allocator: Makes the buffer of the answer.
    /// - Returns: Nil when the ordinary path must answer.
    func answer(_ head: ByteBuffer, _ allocator: ByteBufferAllocator) -> ByteBuffer? {
        let start = ContinuousClock.now
        return head.withUnsafeReadableBytes { bytes in
            guard let check = PlainCheck(bytes), decide(check, bytes) else { return nil }
            let requestID = check.requestID.map { String(decoding: bytes[$0], as: UTF8.self) } ?? requestIDs.next()
            var answer = allocator.buffer(capacity: 192 + json.bytes.count)
            write(into: &answer, requestID)
            let seconds = (ContinuousClock.now - start).seconds
            service.seconds.record(seconds)
            service.logger.debug(
                "request",
                metadata: [
                    "request_id": "\(requestID)", "method": "GET", "route": "\(Self.route)", "status": "200",
                    "ms": "\(Int(seconds * 1_000))",
                ])
            return answer
        }
    }

    /// Writes the body of the answer; false when there is none.
    private func decide(_ check: PlainCheck, _ head: UnsafeRawBufferPointer) -> Bool {
        guard let caller = caller(head[check.key]) else { return false }
        let admission = service.admission
        if let expiresAt = caller.rights.expiresAt, expiresAt <= Instant.now { return false }
        guard !service.answers.isUsedUp(for: .environment(caller.environmentID)) else { return false }
        json.reset()
        json.beginObject()
        do throws(Problem) {
            try admission.requireFreshMemory(for: caller)
            let catalogue = try admission.catalogue(of: caller)
            let request = EntitlementRequest(feature: check.feature, demand: .measured(.units(check.units), .none))
            let account = try CheckedAccount(
                check.endUserID, for: [request], of: caller.environmentID, catalogue, admission.replica)
            try account.write(
                request, spendable: account.account.spendable(for: check.feature), catalogue, admission.replica,
                into: &json)
        } catch {
            return false
        }
        json.endObject()
        // The bytes of a large answer are counted for its environment.
        guard json.bytes.count <= ConnectionLimits.smallAnswer else { return false }
        // The last question, because a request that goes on to the ordinary path is counted there.
        return admission.limiter.admits(caller)
    }

    /// The caller with a key; nil when the key has no right to check, or is not known.
    private func caller(_ key: Slice<UnsafeRawBufferPointer>) -> Caller? {
        let generation = service.admission.replica.catalogueGeneration
        if let known, known.generation == generation, known.has(key) { return known.caller }
        guard
            let caller = try? service.admission.authenticator.caller(
                key: String(decoding: key, as: UTF8.self), Self.access),
            (try? caller.require(Self.access)) != nil
        else { return nil }
        known = Known(key: Array(key), generation: generation, caller: caller)
        return caller
    }

    private func write(into answer: inout ByteBuffer, _ requestID: String) {
        answer.writeStaticString("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ")
        answer.writeString(String(json.bytes.count))
        answer.writeStaticString("\r\nX-Request-Id: ")
        answer.writeString(requestID)
        answer.writeStaticString("\r\nDate: ")
        answer.writeString(HTTPDate.now)
        answer.writeStaticString("\r\n\r\n")
        answer.writeBytes(json.bytes)
    }
}
