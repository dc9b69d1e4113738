import Credits
import JSON
import Metering

extension AutoTopUp {
    /// The state with its rule as canonical JSON. Members with their usual value are left out.
    package var storedJSON: String {
        var members: [(key: String, value: JSONValue)] = []
        if let counted {
            members.append(
                (
                    "counted",
                    .array([
                        .integer(counted.window.start.microseconds), .integer(counted.window.end.microseconds),
                        .integer(counted.used),
                    ])
                ))
        }
        if failures != 0 { members.append(("failures", .integer(Int64(failures)))) }
        if isShort { members.append(("is_short", .bool(true))) }
        if isSuspended { members.append(("is_suspended", .bool(true))) }
        if let lastRequestedAt { members.append(("last_requested_at", .integer(lastRequestedAt.microseconds))) }
        if let open { members.append(("open", .object(JSONObject(members: [open.amount.member])))) }
        if requestCount != 0 { members.append(("request_count", .integer(Int64(requestCount)))) }
        if let rule { members.append(("rule", rule.json)) }
        return String(decoding: JSONValue.object(JSONObject(members: members)).canonicalBytes, as: UTF8.self)
    }

    package init(storedJSON text: String) throws(StoredJSONError) {
        let stored = try StoredObject(parsing: text)
        self.init(
            requestCount: try stored.number("request_count") ?? 0,
            lastRequestedAt: try stored.instant("last_requested_at"), failures: try stored.number("failures") ?? 0,
            isSuspended: stored.object["is_suspended"] != nil, isShort: stored.object["is_short"] != nil)
        if let value = stored.object["rule"] {
            guard let read = try? JSONReader.read(value, { $0.autoTopUpRule() }) else { throw stored.invalid("rule") }
            rule = read
        }
        if let value = stored.object["open"] {
            guard let amount = try? JSONReader.read(value, { $0.topUpAmount() }), let lastRequestedAt else {
                throw stored.invalid("open")
            }
            open = TopUpRequest(number: requestCount, amount: amount, requestedAt: lastRequestedAt)
        }
        let parts = try stored.elements(of: "counted")
        guard !parts.isEmpty else { return }
        guard parts.count == 3, case .integer(let start) = parts[0], case .integer(let end) = parts[1],
            case .integer(let used) = parts[2]
        else { throw stored.invalid("counted") }
        counted = WindowCounter(
            window: TimeWindow(start: Instant(microseconds: start), end: Instant(microseconds: end)), used: used)
    }
}
