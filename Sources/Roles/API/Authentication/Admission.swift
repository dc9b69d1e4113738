import Answers
import Catalogue
import Credits
import Hummingbird
import Replica

/// Admits a request with an API key: checks the key, the rate limit, the minimum position and the scopes, in this
/// order.
struct Admission: Sendable {
    let authenticator: Authenticator
    let replica: Replica
    let limiter = RateLimiter()

    init(authenticator: Authenticator, replica: Replica) {
        self.authenticator = authenticator
        self.replica = replica
    }

    /// Returns the caller of a request, once the replica has reached the request's minimum position.
    func admit(_ request: Request, _ access: Access) async throws -> Caller {
        var caller = try await knownCaller(request, access)
        guard limiter.admits(caller) else {
            throw Problem(
                .rateLimited,
                "The environment makes more than \(caller.config.effectiveRateLimit ?? 0) requests a second (its rate_limit_per_second, or the operator's limit). Try again in a second."
            )
        }
        if let token = request.headers[.minimumPosition] {
            try await reach(token, for: caller)
            // A change up to that position may have revoked the key.
            caller = try authenticator.caller(request, access)
        }
        try caller.require(access)
        return caller
    }

    /// Authenticates the caller. If the key is unknown but the request carries a minimum position, waits up to 1 s: the
    /// key may have been created on another node. A caller without a valid key learns nothing about positions.
    private func knownCaller(_ request: Request, _ access: Access) async throws(Problem) -> Caller {
        do throws(Problem) {
            return try authenticator.caller(request, access)
        } catch {
            guard error.code == .unauthenticated, request.headers[.minimumPosition] != nil,
                let key = authenticator.keyHash(request)
            else { throw error }
            await replica.learns(key, by: .now + .seconds(1))
            return try authenticator.caller(request, access)
        }
    }

    /// Throws when the replica is older than the caller's environment allows.
    func requireFreshMemory(for caller: Caller) throws(Problem) {
        guard let limit = caller.config.failClosedOverMilliseconds, case .disconnected(let since) = replica.state,
            ContinuousClock.now - since > .milliseconds(limit)
        else { return }
        throw Problem(
            .replicaBehind,
            "This node lost the database more than \(limit) ms ago (fail_closed_over_ms in the config). Ask another node."
        )
    }

    /// Waits up to a second for a position. A position of another environment is never reached.
    private func reach(_ token: String, for caller: Caller) async throws(Problem) {
        guard let position = PositionToken.position(token) else {
            throw Problem(.invalidRequest, "QuotaStack-Min-Position must be a value of the header QuotaStack-Position.")
        }
        guard
            await replica.reaches(
                position, in: caller.environmentID == .installation ? nil : caller.environmentID, by: .now + .seconds(1)
            )
        else {
            throw Problem(.replicaBehind, "This node has not seen that position after 1 second. Try again.")
        }
    }
}
