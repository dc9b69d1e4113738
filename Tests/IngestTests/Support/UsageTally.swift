import JSON
import Synchronization

/// The batch endpoint of the API, as far as a client can tell: every key is charged once, given end users are refused,
/// and each event is answered separately.
final class UsageTally: Sendable {
    private struct State: Sendable {
        var units: [String: Int64] = [:]
    }

    private let refusedEndUser: String?
    private let state = Mutex(State())

    init(refusing endUser: String? = nil) {
        refusedEndUser = endUser
    }

    /// The units that were charged, by idempotency key.
    var units: [String: Int64] { state.withLock { $0.units } }

    /// The answer to a batch.
    func answer(_ body: [UInt8]) -> ScriptedServer.Reply {
        guard case .object(let request)? = try? JSONParser.parse(body),
            case .array(let events)? = request["events"]
        else { return .answer(400, "{\"detail\": \"the body is not a batch\"}") }
        var counts = (accepted: 0, replayed: 0, rejected: 0)
        var results = JSONWriter()
        results.beginArray()
        for (index, event) in events.enumerated() {
            guard case .object(let event) = event, case .string(let key)? = event["idempotency_key"],
                case .string(let endUser)? = event["end_user_id"], case .integer(let units)? = event["units"]
            else { return .answer(400, "{\"detail\": \"an event lacks something\"}") }
            results.beginObject()
            results.member("index", index)
            if endUser == refusedEndUser {
                counts.rejected += 1
                results.object("error") { error in
                    error.member("status", 402)
                    error.member("code", "insufficient_credits")
                    error.member("detail", "\(endUser) has not enough credits.")
                }
            } else {
                let isNew = state.withLock { $0.units.updateValue(units, forKey: key) == nil }
                if isNew { counts.accepted += 1 } else { counts.replayed += 1 }
                results.member("id", "use_\(key)")
            }
            results.endObject()
        }
        results.endArray()
        var json = JSONWriter()
        json.beginObject()
        json.member("accepted", counts.accepted)
        json.member("replayed", counts.replayed)
        json.member("rejected", counts.rejected)
        json.member("results", raw: results.bytes)
        json.endObject()
        return .answer(200, String(decoding: json.bytes, as: UTF8.self))
    }
}
