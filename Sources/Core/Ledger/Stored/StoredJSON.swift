import Catalogue
import Credits
import JSON
import Metering

// The parts of an account are stored as canonical JSON, with instants as microseconds since 1970. Nil is stored for
// parts without contents.

extension AccountSettings {
    package var storedJSON: String? {
        guard self != .none else { return nil }
        var members: [(key: String, value: JSONValue)] = []
        if capCount != 0 { members.append(("cap_count", .integer(Int64(capCount)))) }
        if !caps.isEmpty { members.append(("caps", .array(caps.map(\.stored)))) }
        if let overageLimit { members.append(("overage_limit", .integer(overageLimit.rawValue))) }
        if let overagePolicy { members.append(("overage_policy", .string(overagePolicy.rawValue))) }
        if !overrides.isEmpty {
            members.append(("overrides", .keyed(overrides.map { ($0.key.rawValue, $0.value.json) })))
        }
        if let testClock { members.append(("test_clock", .string(testClock.description))) }
        return JSONValue.object(JSONObject(members: members)).text
    }

    package init(storedJSON text: String) throws(StoredJSONError) {
        let stored = try StoredObject(parsing: text)
        self.init(
            overagePolicy: try stored.parsed("overage_policy") { OveragePolicy(rawValue: $0) },
            overageLimit: try stored.amount("overage_limit"), capCount: try stored.number("cap_count") ?? 0,
            testClock: try stored.parsed("test_clock") { PublicID(.testClock, parsing: $0) })
        for element in try stored.elements(of: "caps") { caps.append(try SpendCap(stored: StoredObject(element))) }
        for (name, value) in try stored.members(of: "overrides") {
            guard let key = FeatureKey(name), let grant = try? JSONReader.read(value, { $0.featureGrant() }) else {
                throw stored.invalid("overrides")
            }
            overrides[key] = grant
        }
    }
}

extension SpendCap {
    fileprivate var stored: JSONValue {
        var members: [(key: String, value: JSONValue)] = [
            ("created_at", .integer(createdAt.microseconds)), ("credits", .integer(credits.rawValue)),
        ]
        if let featureKey { members.append(("feature_key", .string(featureKey.rawValue))) }
        members.append(("number", .integer(Int64(number))))
        members.append(("window", .string(window.text)))
        return .object(JSONObject(members: members))
    }

    fileprivate init(stored: StoredObject) throws(StoredJSONError) {
        self.init(
            number: try stored.required("number", try stored.number("number")),
            featureKey: try stored.featureKey("feature_key"),
            credits: try stored.required("credits", try stored.amount("credits")),
            window: try stored.required("window", try stored.parsed("window") { WindowLength(text: $0) }),
            createdAt: try stored.required("created_at", try stored.instant("created_at")))
    }
}

extension UsageCounters {
    package var storedJSON: String? {
        guard !isEmpty else { return nil }
        var members: [(key: String, value: JSONValue)] = []
        if !caps.isEmpty { members.append(("caps", .keyed(caps.map { ("\($0.key)", $0.value.stored) }))) }
        if !periods.isEmpty {
            members.append(
                (
                    "periods",
                    .keyed(
                        periods.map { feature, dimensions in
                            (feature.rawValue, .keyed(dimensions.map { ($0.key, $0.value.stored) }))
                        })
                ))
        }
        if !quotas.isEmpty { members.append(("quotas", .keyed(quotas.map { ($0.key.rawValue, $0.value.stored) }))) }
        return JSONValue.object(JSONObject(members: members)).text
    }

    package init(storedJSON text: String) throws(StoredJSONError) {
        self.init()
        let stored = try StoredObject(parsing: text)
        for (name, value) in try stored.members(of: "caps") {
            guard let number = Int32(name) else { throw stored.invalid("caps") }
            caps[number] = try WindowCounter(stored: StoredObject(value))
        }
        for (name, value) in try stored.members(of: "periods") {
            guard let feature = FeatureKey(name) else { throw stored.invalid("periods") }
            for (dimension, value) in try StoredObject(value).object.members {
                periods[feature, default: [:]][dimension] = try WindowCounter(stored: StoredObject(value))
            }
        }
        for (name, value) in try stored.members(of: "quotas") {
            guard let feature = FeatureKey(name) else { throw stored.invalid("quotas") }
            quotas[feature] = try WindowCounter(stored: StoredObject(value))
        }
    }
}

extension WindowCounter {
    fileprivate var stored: JSONValue {
        .object([
            "end": .integer(window.end.microseconds), "start": .integer(window.start.microseconds),
            "used": .integer(used),
        ])
    }

    fileprivate init(stored: StoredObject) throws(StoredJSONError) {
        self.init(
            window: TimeWindow(
                start: try stored.required("start", try stored.instant("start")),
                end: try stored.required("end", try stored.instant("end"))),
            used: try stored.required("used", try stored.integer("used")))
    }
}

extension Demand {
    package var storedJSON: String {
        var members: [(key: String, value: JSONValue)] = []
        switch self {
        case .credits(let credits): members.append(("credits", .integer(credits.rawValue)))
        case .measured(let measure, let attributes):
            if !attributes.values.isEmpty { members.append(("attributes", attributes.stored)) }
            switch measure {
            case .units(let units): members.append(("units", .integer(units)))
            case .quantities(let quantities): members.append(("quantities", .quantities(quantities)))
            }
        }
        return JSONValue.object(JSONObject(members: members)).text
    }

    package init(storedJSON text: String) throws(StoredJSONError) {
        let stored = try StoredObject(parsing: text)
        if let credits = try stored.amount("credits") {
            self = .credits(credits)
        } else {
            let attributes = try Attributes(stored: stored)
            if let units = try stored.integer("units") {
                self = .measured(.units(units), attributes)
            } else {
                guard stored.object["quantities"] != nil else { throw stored.invalid("measure") }
                self = .measured(.quantities(try stored.quantities()), attributes)
            }
        }
    }
}

extension ReservationWindows {
    package var storedJSON: String? {
        guard self != ReservationWindows() else { return nil }
        var members: [(key: String, value: JSONValue)] = []
        if !caps.isEmpty {
            members.append(("caps", .keyed(caps.map { ("\($0.key)", .integer($0.value.microseconds)) })))
        }
        if let quota { members.append(("quota", .integer(quota.microseconds))) }
        return JSONValue.object(JSONObject(members: members)).text
    }

    package init(storedJSON text: String) throws(StoredJSONError) {
        let stored = try StoredObject(parsing: text)
        self.init(quota: try stored.instant("quota"))
        for (name, value) in try stored.members(of: "caps") {
            guard let number = Int32(name), case .integer(let start) = value else { throw stored.invalid("caps") }
            caps[number] = Instant(microseconds: start)
        }
    }
}

extension EntryDetails {
    package var storedJSON: String? {
        guard self != .none else { return nil }
        var members: [(key: String, value: JSONValue)] = []
        if !attributes.values.isEmpty { members.append(("attributes", attributes.stored)) }
        if let counterparty { members.append(("counterparty", .string(counterparty.rawValue))) }
        if let externalPaymentID { members.append(("external_payment_id", .string(externalPaymentID))) }
        if forfeited != 0 { members.append(("forfeited", .integer(forfeited))) }
        if !quantities.isEmpty { members.append(("quantities", .quantities(quantities))) }
        if isDeadline { members.append(("trigger", .string("deadline"))) }
        return JSONValue.object(JSONObject(members: members)).text
    }

    package init(storedJSON text: String) throws(StoredJSONError) {
        let stored = try StoredObject(parsing: text)
        self.init(
            attributes: try Attributes(stored: stored), quantities: try stored.quantities(),
            externalPaymentID: try stored.string("external_payment_id"),
            counterparty: try stored.parsed("counterparty") { EndUserID($0) },
            forfeited: try stored.integer("forfeited") ?? 0, isDeadline: try stored.string("trigger") == "deadline")
    }
}

// MARK: - Parts

extension Attributes {
    fileprivate var stored: JSONValue {
        .keyed(
            values.map { name, value in
                switch value {
                case .string(let text): (name, .string(text))
                case .integer(let integer): (name, .integer(integer))
                case .boolean(let boolean): (name, .bool(boolean))
                }
            })
    }

    fileprivate init(stored: StoredObject) throws(StoredJSONError) {
        var values: [String: AttributeValue] = [:]
        for (name, value) in try stored.members(of: "attributes") {
            switch value {
            case .string(let text): values[name] = .string(text)
            case .integer(let integer): values[name] = .integer(integer)
            case .bool(let boolean): values[name] = .boolean(boolean)
            default: throw stored.invalid("attributes")
            }
        }
        self.init(values)
    }
}

extension StoredObject {
    fileprivate func quantities() throws(StoredJSONError) -> [String: Int64] {
        var quantities: [String: Int64] = [:]
        for (name, value) in try members(of: "quantities") {
            guard case .integer(let quantity) = value else { throw invalid("quantities") }
            quantities[name] = quantity
        }
        return quantities
    }
}

extension JSONValue {
    /// An object with the given members.
    fileprivate static func keyed(_ members: [(key: String, value: JSONValue)]) -> JSONValue {
        .object(JSONObject(members: members))
    }

    fileprivate static func quantities(_ quantities: [String: Int64]) -> JSONValue {
        .keyed(quantities.map { ($0.key, .integer($0.value)) })
    }

    /// The canonical JSON text.
    fileprivate var text: String {
        String(decoding: canonicalBytes, as: UTF8.self)
    }
}
