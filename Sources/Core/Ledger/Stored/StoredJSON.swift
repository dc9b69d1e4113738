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
        if let balanceLowThresholds { members.append(("balance_low_thresholds", balanceLowThresholds.json)) }
        if capCount != 0 { members.append(("cap_count", .integer(Int64(capCount)))) }
        if !caps.isEmpty { members.append(("caps", .array(caps.map(\.stored)))) }
        if limitGeneration != 0 { members.append(("limit_generation", .integer(Int64(limitGeneration)))) }
        if !limits.isEmpty { members.append(("limits", .keyed(limits.map { ($0.key.rawValue, $0.value.stored) }))) }
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
            limitGeneration: try stored.number("limit_generation") ?? 0,
            testClock: try stored.parsed("test_clock") { PublicID(.testClock, parsing: $0) })
        if let value = stored.object["balance_low_thresholds"] {
            let thresholds = try? JSONReader.read(.object(["thresholds": value])) {
                $0.balanceThresholds("thresholds")
            }
            guard let thresholds else { throw stored.invalid("balance_low_thresholds") }
            balanceLowThresholds = thresholds
        }
        for element in try stored.elements(of: "caps") { caps.append(try SpendCap(stored: StoredObject(element))) }
        for (name, value) in try stored.members(of: "limits") {
            guard let key = LimitKey(name) else { throw stored.invalid("limits") }
            limits[key] = try OwnLimit(stored: StoredObject(value))
        }
        for (name, value) in try stored.members(of: "overrides") {
            guard let key = FeatureKey(name), let grant = try? JSONReader.read(value, { $0.featureGrant() }) else {
                throw stored.invalid("overrides")
            }
            overrides[key] = grant
        }
    }
}

extension OwnLimit {
    fileprivate var stored: JSONValue {
        var members: [(key: String, value: JSONValue)] = [("generation", .integer(Int64(generation)))]
        if let limit { members.append(("limit", limit.json)) }
        return .object(JSONObject(members: members))
    }

    fileprivate init(stored: StoredObject) throws(StoredJSONError) {
        var limit: Limit?
        if let value = stored.object["limit"] {
            guard let read = try? JSONReader.read(value, { $0.limit() }) else { throw stored.invalid("limit") }
            limit = read
        }
        self.init(limit: limit, generation: try stored.required("generation", try stored.number("generation")))
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

extension Demand {
    package var storedJSON: String { stored.text }

    fileprivate var stored: JSONValue {
        var members: [(key: String, value: JSONValue)] = []
        if !attributes.values.isEmpty { members.append(("attributes", attributes.stored)) }
        switch self {
        case .credits(let credits, _): members.append(("credits", .integer(credits.rawValue)))
        case .measured(let measure, _):
            switch measure {
            case .units(let units): members.append(("units", .integer(units)))
            case .quantities(let quantities): members.append(("quantities", .quantities(quantities)))
            }
        }
        return .object(JSONObject(members: members))
    }

    package init(storedJSON text: String) throws(StoredJSONError) {
        try self.init(stored: try StoredObject(parsing: text))
    }

    fileprivate init(stored: StoredObject) throws(StoredJSONError) {
        let attributes = try Attributes(stored: stored)
        if let credits = try stored.amount("credits") {
            self = .credits(credits, attributes)
        } else {
            if let units = try stored.integer("units") {
                self = .measured(.units(units), attributes)
            } else {
                guard stored.object["quantities"] != nil else { throw stored.invalid("measure") }
                self = .measured(.quantities(try stored.quantities()), attributes)
            }
        }
    }
}

extension [JobPart] {
    /// An array of objects: the key of the feature, the amount charged, and the other members that a part has.
    package var storedJSON: String {
        JSONValue.array(
            map { part in
                var members: [(key: String, value: JSONValue)] = []
                if !part.carried.isEmpty { members.append(("carried", .quantities(part.carried))) }
                members.append(("charged", .integer(part.charged.rawValue)))
                members.append(("feature_key", .string(part.featureKey.rawValue)))
                if let ruleID = part.ruleID { members.append(("rule_id", .string(ruleID.description))) }
                if part.stated != 0 { members.append(("stated", .integer(part.stated))) }
                if let watermark = part.watermark { members.append(("watermark", watermark.stored)) }
                return .object(JSONObject(members: members))
            }
        ).text
    }

    package init(storedJSON text: String) throws(StoredJSONError) {
        guard case .array(let elements)? = try? JSONParser.parse(Array<UInt8>(text.utf8)) else {
            throw StoredJSONError(detail: "the parts of a reservation are not an array")
        }
        self = []
        for element in elements {
            let stored = try StoredObject(element)
            var carried: [String: Int64] = [:]
            for (name, value) in try stored.members(of: "carried") {
                guard case .integer(let number) = value else { throw stored.invalid("carried") }
                carried[name] = number
            }
            append(
                JobPart(
                    featureKey: try stored.required("feature_key", try stored.featureKey("feature_key")),
                    ruleID: try stored.parsed("rule_id") { PublicID(.rule, parsing: $0) },
                    watermark: try stored.object["watermark"].map { value throws(StoredJSONError) in
                        try Demand(stored: try StoredObject(value))
                    }, charged: try stored.required("charged", try stored.amount("charged")), carried: carried,
                    stated: try stored.integer("stated") ?? 0))
        }
    }
}

extension [ReservationCount] {
    /// An array of arrays: the counter, the unit, the bounds of the window, the dimension, the definition of the limit and the
    /// features. The last ones are left out while they are null, 0 and none.
    package var storedJSON: String? {
        guard !isEmpty else { return nil }
        let elements = map { count -> JSONValue in
            var parts: [JSONValue] = [
                .string(count.counter.text), .string(count.unit.rawValue),
                .integer(count.window.start.microseconds), .integer(count.window.end.microseconds),
            ]
            let further: [JSONValue] = [
                count.dimension.map { .string($0) } ?? .null, .integer(Int64(count.generation)),
                .array(count.features.sorted().map { .string($0.rawValue) }),
            ]
            let isLeftOut = [count.dimension == nil, count.generation == 0, count.features.isEmpty]
            parts += further.prefix((isLeftOut.lastIndex(of: false) ?? -1) + 1)
            return .array(parts)
        }
        return JSONValue.array(elements).text
    }

    package init(storedJSON text: String) throws(StoredJSONError) {
        guard case .array(let elements)? = try? JSONParser.parse(Array<UInt8>(text.utf8)) else {
            throw StoredJSONError(detail: "the counts of a reservation are not an array")
        }
        self = []
        for element in elements {
            guard case .array(let parts) = element, 4...7 ~= parts.count, case .string(let id) = parts[0],
                let counter = CounterID(text: id), case .string(let name) = parts[1],
                let unit = Limit.Unit(rawValue: name), case .integer(let start) = parts[2],
                case .integer(let end) = parts[3]
            else { throw StoredJSONError(detail: "a count of a reservation has an invalid value") }
            var dimension: String?
            var generation: Int32 = 0
            if parts.count > 4, parts[4] != .null {
                guard case .string(let name) = parts[4] else {
                    throw StoredJSONError(detail: "the dimension of a count is not a string")
                }
                dimension = name
            }
            if parts.count > 5 {
                guard case .integer(let number) = parts[5], let small = Int32(exactly: number) else {
                    throw StoredJSONError(detail: "the definition of a count is not a number")
                }
                generation = small
            }
            var features: Set<FeatureKey> = []
            if parts.count > 6 {
                guard case .array(let names) = parts[6] else {
                    throw StoredJSONError(detail: "the features of a count are not an array")
                }
                for name in names {
                    guard case .string(let text) = name, let feature = FeatureKey(text) else {
                        throw StoredJSONError(detail: "a feature of a count is not a feature key")
                    }
                    features.insert(feature)
                }
            }
            append(
                ReservationCount(
                    counter: counter, unit: unit, dimension: dimension,
                    window: TimeWindow(start: Instant(microseconds: start), end: Instant(microseconds: end)),
                    generation: generation, features: features))
        }
    }
}

extension [String: Int64] {
    /// An object of numbers by name.
    package var storedJSON: String? { isEmpty ? nil : JSONValue.quantities(self).text }

    package init(storedJSON text: String) throws(StoredJSONError) {
        self.init()
        for (name, value) in try StoredObject(parsing: text).object.members {
            guard case .integer(let number) = value else { throw StoredJSONError(detail: "\(name) is not a number") }
            self[name] = number
        }
    }
}

extension EntryDetails {
    package var storedJSON: String? {
        guard self != .none else { return nil }
        var members: [(key: String, value: JSONValue)] = []
        if let addedUnits { members.append(("added_units", .integer(addedUnits))) }
        if !attributes.values.isEmpty { members.append(("attributes", attributes.stored)) }
        if let counterpartyEntry {
            members.append(("counterparty_entry", .string(counterpartyEntry.description)))
        } else if let counterparty {
            members.append(("counterparty", .string(counterparty.rawValue)))
        }
        if let externalPaymentID { members.append(("external_payment_id", .string(externalPaymentID))) }
        if !featureKeys.isEmpty { members.append(("feature_keys", .array(featureKeys.map { .string($0.rawValue) }))) }
        if forfeited != 0 { members.append(("forfeited", .integer(forfeited))) }
        if !quantities.isEmpty { members.append(("quantities", .quantities(quantities))) }
        if let subscription {
            let parts = [Int64(subscription.subscription), Int64(subscription.periodIndex)]
            members.append(
                ("subscription", .array((parts + (subscription.line.map { [Int64($0)] } ?? [])).map { .integer($0) })))
        }
        if let trigger { members.append(("trigger", .string(trigger))) }
        return JSONValue.object(JSONObject(members: members)).text
    }

    package init(storedJSON text: String) throws(StoredJSONError) {
        let stored = try StoredObject(parsing: text)
        let trigger = try stored.string("trigger")
        self.init(
            attributes: try Attributes(stored: stored), quantities: try stored.quantities(),
            externalPaymentID: try stored.string("external_payment_id"),
            counterparty: try stored.parsed("counterparty") { EndUserID($0) },
            counterpartyEntry: try stored.parsed("counterparty_entry") { PublicID(.entry, parsing: $0) },
            forfeited: try stored.integer("forfeited") ?? 0, featureKeys: try stored.featureKeys("feature_keys"),
            addedUnits: try stored.integer("added_units"), subscription: try SubscriptionOrigin(stored: stored),
            isDeadline: trigger == "deadline",
            isSettlement: trigger == "settlement")
    }
}

extension SubscriptionOrigin {
    /// Reads `[number, period index]` or `[number, period index, line]`.
    fileprivate init?(stored: StoredObject) throws(StoredJSONError) {
        let parts = try stored.elements(of: "subscription")
        guard !parts.isEmpty else { return nil }
        guard 2...3 ~= parts.count, case .integer(let number) = parts[0], let number = Int32(exactly: number),
            case .integer(let index) = parts[1], let index = Int32(exactly: index)
        else { throw stored.invalid("subscription") }
        var line: Int16?
        if parts.count == 3 {
            guard case .integer(let place) = parts[2], let place = Int16(exactly: place) else {
                throw stored.invalid("subscription")
            }
            line = place
        }
        self.init(subscription: number, line: line, periodIndex: index)
    }
}

// MARK: - Parts

extension Attributes {
    fileprivate var stored: JSONValue {
        .keyed(values.map { name, value in (name, value.json) })
    }

    fileprivate init(stored: StoredObject) throws(StoredJSONError) {
        var values: [String: AttributeValue] = [:]
        for (name, value) in try stored.members(of: "attributes") {
            guard let attribute = AttributeValue(value) else { throw stored.invalid("attributes") }
            values[name] = attribute
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
