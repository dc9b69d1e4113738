import Answers
import Commands
import Credits
import Failpoints
import Hummingbird
import JSON
import Ledger
import Messaging
import Replica
import Runtime

/// Sends mutations through the queue and makes their responses.
///
/// A mutation gets the id of its command and the digest of its content, goes through the gateway, waits until this
/// node's replica shows the effect, and is answered with the position token.
struct Mutations: Sendable {
    let gateway: CommandGateway
    let topology: Topology
    let replica: Replica
    let answers: DecidedAnswers
    let secrets: SecretAnswers
    let wait: Duration

    /// Sends a mutation of one end user's account.
    ///
    /// - Parameter key: The client's idempotency key, from the header or the body.
    func account(
        _ action: AccountAction, of endUserID: EndUserID, key: String?, _ headers: MutationHeaders
    ) async throws -> Response {
        let naming = CommandNaming(environmentID: headers.origin.environmentID, idempotencyKey: key)
        let command = AccountCommand(
            identity: naming.identity(content: content(of: action, endUserID: endUserID, id: naming.id)),
            endUserID: endUserID, action: action)
        let result = try await run(.account([command]), id: naming.id, queue: queue(of: endUserID, headers), headers)
        var response = Self.response(result, id: naming.id, headers.preferences) { $0.json }
        if let result, let seconds = secondsToReset(result, of: endUserID, headers) {
            response.headers[.retryAfter] = "\(seconds)"
        }
        return response
    }

    /// The bytes that the fingerprint of a request digests.
    private func content(of action: AccountAction, endUserID: EndUserID, id: Bits128) -> [UInt8] {
        let content = action.content(endUserID: endUserID)
        return action == .eraseEndUser ? secrets.keys.mask(commandID: id) + content : content
    }

    /// The seconds until the window of the quota or spend cap that refused a request ends, by the account's clock; at
    /// least 1. A replay of the refusal gets the seconds of now. Nil for other answers.
    private func secondsToReset(
        _ result: CommandResult, of endUserID: EndUserID, _ headers: MutationHeaders
    ) -> Int64? {
        let environmentID = headers.origin.environmentID
        guard result.status == 402,
            let resetsAt = (try? JSONParser.parse(result.json))?["resets_at"]?.text.flatMap({ Instant(rfc3339: $0) }),
            let account = replica.account(AccountKey(environmentID: environmentID, endUserID: endUserID)),
            let catalogue = replica.catalogue(environmentID)
        else { return nil }
        let microseconds =
            resetsAt.microseconds - account.currentInstant(clock: .now, catalogue: catalogue).microseconds
        return max(1, (microseconds + 999_999) / 1_000_000)
    }

    /// Sends a mutation of the catalogue of the caller's environment, or of the installation.
    ///
    /// - Parameter action: Makes the action from the command's id.
    func catalogue(
        _ action: (Bits128) -> CatalogueAction, _ headers: MutationHeaders
    ) async throws -> Response {
        let naming = CommandNaming(
            environmentID: headers.origin.environmentID, idempotencyKey: headers.idempotencyKey)
        let action = action(naming.id)
        let command = CatalogueCommand(
            identity: naming.identity(content: action.content(actor: headers.origin.actor)), action: action)
        let result = try await run(.catalogue(command), id: naming.id, queue: topology.catalogueQueue, headers)
        return Self.response(result, id: naming.id, headers.preferences) { result in
            secrets.json(of: result, action: AuditAction(action), commandID: naming.id, now: .now)
        }
    }

    func queue(of endUserID: EndUserID, _ headers: MutationHeaders) -> String {
        topology.ledgerQueue(environmentID: headers.origin.environmentID, endUserID: endUserID)
    }

    /// - Returns: Nil when the command was accepted and this node does not show its effect yet.
    private func run(
        _ commands: CommandRequest.Commands, id: Bits128, queue: String, _ headers: MutationHeaders
    ) async throws -> CommandResult? {
        let patience = headers.preferences.patience(usual: wait)
        let reply = await gateway.send(
            commands, to: queue, from: headers.origin, wantsBodies: true, until: patience)
        let result: CommandResult?
        switch reply {
        case .results(let results): result = results.first
        case .refused(let problem): throw problem
        case .pending: result = nil
        }
        Failpoint.apiBeforeReplicaWait.hit()
        // A client that says how long it waits does not wait longer for this node to show the effect.
        let visible = headers.preferences.wait == nil ? max(patience.deadline, .now + .seconds(1)) : patience.deadline
        guard let result, await replica.reaches(result.position, by: visible) else { return nil }
        Failpoint.apiBeforeAnswer.hit()
        return result
    }

    private static func response(
        _ result: CommandResult?, id: Bits128, _ preferences: Preferences, body: (CommandResult) -> [UInt8]
    ) -> Response {
        guard let result else { return pending(PublicID(.operation, id), preferences) }
        var response =
            result.status == 204
            ? Response(status: .noContent)
            : Response.json(body(result), status: Int(result.status), isProblem: !result.isSuccess)
        response.headers[.position] = PositionToken.text(result.position)
        if result.isReplay { response.headers[.idempotentReplayed] = "true" }
        response.headers[.preferenceApplied] = preferences.applied
        return response
    }

    static func pending(_ id: PublicID, _ preferences: Preferences) -> Response {
        var json = JSONWriter()
        json.beginObject()
        json.object("operation") { json in
            json.member("id", id)
            json.member("status", "pending")
        }
        json.endObject()
        var response = Response.json(json.bytes, status: 202)
        response.headers[.location] = "/v1/operations/\(id)"
        response.headers[.preferenceApplied] = preferences.applied
        return response
    }
}
