import Credits
import LedgerModel

/// The words of ledger scripts: read from a statement, and written from a command.
enum Syntax {
    /// Reads the words after the verb and the end user of a command; nil when the verb is not one of a command.
    ///
    /// - Parameter block: Finds a block by its name.
    static func command(
        _ verb: String, _ words: inout Words, clock: Instant, block: (String) throws -> Int
    ) throws -> ModelCommand? {
        switch verb {
        case "grant": return .grant(try grant(&words, clock: clock))
        case "topup": return .topUp(try topUp(&words, clock: clock))
        case "use":
            let use = try use(&words, clock: clock)
            guard use.others.isEmpty else { throw ScriptError("a use has one feature") }
            return .use(use)
        case "refund":
            let charge = try numbered("e", words.word("a charge"))
            var extent = ModelLedger.Extent.rest
            if words.take("units") { extent = .units(try words.number("a number of units")) }
            if words.take("credits") { extent = .credits(try words.number("an amount")) }
            let expiry = words.take("until") ? try expiry(words.word("an expiry"), clock: clock) : nil
            return .refund(charge: Int64(charge), extent, expiry: expiry)
        case "revoke": return .revoke(block: try block(words.word("a block")))
        case "adjust": return .adjust(try words.number("an amount"))
        case "transfer":
            let receiver = try words.word("an end user")
            return .transfer(to: receiver, try words.number("an amount"))
        case "reserve":
            let use = try use(&words, clock: clock)
            guard use.others.isEmpty || use.demand.isCredits else {
                throw ScriptError("only credits are reserved over several features")
            }
            return .reserve(use, ttl: words.take("ttl") ? try words.number("a number of seconds") : 300)
        case "commit":
            let number = try numbered("r", words.word("a reservation"))
            let demand = try demand(words.word("a demand"))
            let feature = words.take("of") ? try words.word("a feature") : nil
            let attributes = words.take("with") ? try pairs(words.word("attributes")) : [:]
            return .commit(
                number, demand, of: feature, attributes: attributes,
                shortfall: words.isEmpty ? nil : try words.word("a shortfall"))
        case "release": return .release(try numbered("r", words.word("a reservation")))
        case "extend":
            let number = try numbered("r", words.word("a reservation"))
            return .extend(number, ttl: try words.number("a number of seconds"))
        case "progress":
            let number = try numbered("r", words.word("a reservation"))
            let demand = try demand(words.word("a demand"))
            return .progress(number, demand, of: words.take("of") ? try words.word("a feature") : nil)
        case "cap":
            let credits = try words.number("an amount")
            guard words.take("per") else { throw ScriptError("per is missing") }
            let window = try window(words.word("a window"))
            return .createCap(feature: words.take("only") ? try words.word("a feature") : nil, credits: credits, window)
        case "limit": return try limit(&words)
        case "unlimit": return .deleteLimit(try words.word("a key"))
        case "rule": return .setRule(try rule(&words))
        case "unrule": return .deleteRule
        case "fail":
            let number = try numbered("q", words.word("a request"))
            return .failRequest(number, reason: words.isEmpty ? nil : try words.word("a reason"))
        case "uncap": return .deleteCap(Int(try words.number("a cap")))
        case "create": return .create(try settings(&words))
        case "set": return .update(try settings(&words))
        case "erase": return .erase
        case "advance": return .advance
        default: return nil
        }
    }

    /// `key 100 units per day first_use of calls,mails where model=large|small by member only input`, or `key none`.
    private static func limit(_ words: inout Words) throws -> ModelCommand {
        let key = try words.word("a key")
        if words.take("none") { return .setLimit(key, nil) }
        let amount = try words.number("an amount")
        var limit = ModelLedger.Limit(unit: try words.word("a unit"), amount: amount, window: nil)
        while let word = words.next {
            _ = try words.word("an option")
            switch word {
            case "per": limit.window = try window(words.word("a window"))
            case "first_use": limit.opensWithUse = true
            case "of": limit.features = try words.word("features").split(separator: ",").map(String.init)
            case "where":
                limit.match = try pairs(words.word("attributes")).mapValues {
                    $0.split(separator: "|").map(String.init)
                }
            case "by": limit.per = try words.word("an attribute")
            case "only": limit.dimension = try words.word("a dimension")
            case "warn":
                limit.warnAt = try words.word("percentages").split(separator: ",").compactMap { Int64($0) }
            default: throw ScriptError("\(word) is no option of a limit")
            }
        }
        return .setLimit(key, limit)
    }

    /// `below 100 add 500 most 3 per day cooldown 60 stop 2`, where a package may stand for the amount.
    private static func rule(_ words: inout Words) throws -> ModelLedger.TopUpRule {
        guard words.take("below") else { throw ScriptError("below is missing") }
        let threshold = try words.number("an amount")
        guard words.take("add") else { throw ScriptError("add is missing") }
        let amount = try words.word("an amount or a package")
        var rule = ModelLedger.TopUpRule(
            threshold: threshold, credits: Int64(amount), package: Int64(amount) == nil ? amount : nil)
        while !words.isEmpty {
            switch try words.word("an option") {
            case "most": rule.most = try words.number("a number of requests")
            case "per": rule.window = try window(words.word("a window"))
            case "cooldown": rule.cooldown = try words.number("a number of seconds")
            case "stop": rule.stopAfter = try words.number("a number of failures")
            case let word: throw ScriptError("\(word) is no option of a rule")
            }
        }
        return rule
    }

    private static func grant(_ words: inout Words, clock: Instant) throws -> ModelCommand.Grant {
        var grant = ModelCommand.Grant(credits: try words.number("an amount"))
        while let word = words.next, word != "as" {
            _ = try words.word("an option")
            if word == "only" {
                grant.features = try words.word("features").split(separator: ",").map(String.init)
            } else if word == "price" {
                grant.price = try words.number("a price")
            } else if word == "starts" {
                grant.startsAt = try words.instant(clock)
            } else if let priority = priority(word) {
                grant.priority = priority
            } else if sources.contains(word) {
                grant.source = word
            } else {
                grant.expiry = try expiry(word, clock: clock)
            }
        }
        return grant
    }

    private static func topUp(_ words: inout Words, clock: Instant) throws -> ModelCommand.TopUp {
        let first = try words.word("an amount, a package or a request")
        let asked = try? numbered("q", first)
        var topUp = ModelCommand.TopUp(
            credits: Int64(first), package: Int64(first) == nil && asked == nil ? first : nil)
        topUp.request = asked
        while let word = words.next, word != "as" {
            _ = try words.word("an option")
            if word == "only" {
                topUp.features = try words.word("features").split(separator: ",").map(String.init)
            } else if word == "price" {
                topUp.price = try words.number("a price")
            } else if word == "for" {
                topUp.request = try numbered("q", words.word("a request"))
            } else if word == "payment" {
                topUp.payment = try words.word("a payment")
            } else if let priority = priority(word) {
                topUp.priority = priority
            } else {
                topUp.expiry = try expiry(word, clock: clock)
            }
        }
        return topUp
    }

    /// `40 tokens with model=large`; a reservation in credits may be over several features, as in `40cr over a,b`.
    static func use(_ words: inout Words, clock: Instant) throws -> ModelCommand.Use {
        var use = ModelCommand.Use(feature: "api", demand: try demand(words.word("a demand")))
        if words.take("over") {
            let features = try words.word("features").split(separator: ",").map(String.init)
            guard let first = features.first, features.count > 1 else { throw ScriptError("over takes features") }
            (use.feature, use.others) = (first, Array(features.dropFirst()))
        } else if let next = words.next, !["occurred", "with", "ttl"].contains(next) {
            use.feature = try words.word("a feature")
        }
        if words.take("with") { use.attributes = try pairs(words.word("attributes")) }
        if words.take("occurred") { use.occurredAt = try words.instant(clock) }
        return use
    }

    private static func settings(_ words: inout Words) throws -> ModelCommand.Settings {
        var settings = ModelCommand.Settings()
        while !words.isEmpty {
            switch try words.word("a setting") {
            case "name": settings.name = try words.word("a name")
            case "policy":
                let word = try words.word("a policy")
                settings.policy = .some(ModelCatalogue.Policy(rawValue: word))
            case "limit": settings.limit = .some(words.take("none") ? nil : try words.number("an amount"))
            case "clock": settings.clock = Int(try words.number("a clock"))
            case "low":
                settings.thresholds = .some(
                    words.take("environment") ? nil : try thresholds(words.word("thresholds")))
            case "overrides":
                let list = try words.word("overrides")
                settings.overrides = list == "none" ? [:] : try pairs(list).mapValues(override)
            case let word: throw ScriptError("\(word) is no setting")
            }
        }
        return settings
    }

    private static func override(_ word: String) throws -> ModelLedger.Override {
        if word == "on" || word == "off" { return .enabled(word == "on") }
        if let limit = Int64(word) { return .limit(limit) }
        return .quota(try quota(word))
    }
}

// MARK: - Parts

extension Syntax {
    static let sources: Set<String> = [
        "plan", "rollover", "recurring", "trial", "topup", "promotional", "compensation", "adjustment", "transfer",
    ]

    /// The number after a letter, as in `r2`.
    static func numbered(_ letter: Character, _ word: String) throws -> Int {
        guard word.first == letter, let number = Int(word.dropFirst()) else {
            throw ScriptError("\(word) is not \(letter) and a number")
        }
        return number
    }

    private static func priority(_ word: String) -> Int64? {
        word.first == "p" ? Int64(word.dropFirst()) : nil
    }

    static func demand(_ word: String) throws -> ModelDemand {
        if word == "max" { return .units(Millicredits.limit) }
        let digits = word.filter { $0 != "_" }
        if let units = Int64(digits) { return .units(units) }
        if word.hasSuffix("cr"), let credits = Int64(digits.dropLast(2)) { return .credits(credits) }
        return .quantities(
            try pairs(word).mapValues { text in
                guard let units = Int64(text) else { throw ScriptError("\(word) is no demand") }
                return units
            })
    }

    /// `a=b,c=d`; `none` is empty.
    static func pairs(_ word: String) throws -> [String: String] {
        var pairs: [String: String] = [:]
        for part in word == "none" ? [] : word.split(separator: ",") {
            guard let equals = part.firstIndex(of: "=") else { throw ScriptError("\(word) is not understood") }
            pairs[String(part[..<equals])] = String(part[part.index(after: equals)...])
        }
        return pairs
    }

    static func expiry(_ word: String, clock: Instant) throws -> ModelLedger.Expiry {
        if word == "never" { return .never }
        if let duration = CalendarDuration(iso8601: word) {
            return .after(months: duration.months, seconds: duration.seconds)
        }
        guard let instant = Words.instant(word, clock: clock) else { throw ScriptError("\(word) is not understood") }
        return .at(instant)
    }

    static func window(_ word: String) throws -> ModelWindow {
        switch word {
        case "day": return .day
        case "week": return .week
        case "month": return .month
        default:
            guard let duration = CalendarDuration(iso8601: word) else { throw ScriptError("\(word) is no window") }
            return .duration(months: duration.months, seconds: duration.seconds)
        }
    }

    /// `5/day` or `5/day/first_use`.
    static func quota(_ word: String) throws -> ModelLedger.Quota {
        let parts = word.split(separator: "/").map(String.init)
        guard parts.count >= 2, let limit = Int64(parts[0]) else { throw ScriptError("\(word) is no quota") }
        return ModelLedger.Quota(
            limit: limit, window: try window(parts[1]), opensWithUse: parts.count > 2 && parts[2] == "first_use")
    }

    /// `3`, `3 per 1000`, `flat 250`, `package 10 for 50`, `graduated 100@10+5 *@5`, `period …` likewise, and
    /// `volume …` likewise. `dimensions in=3/1000 out=flat:5` and rows are made of words: `flat:250`, `3/1000`,
    /// `package:10/50`, `graduated:100@10+5,*@5`. Rows are `rows model=large:3/1000 else:1/1`.
    static func price(_ words: inout Words) throws -> ModelPrice {
        let first = try words.word("a price")
        switch first {
        case "flat": return .flat(try words.number("an amount"))
        case "package":
            let size = try words.number("a number of units")
            guard words.take("for") else { throw ScriptError("for is missing") }
            return .package(size: size, cost: try words.number("an amount"))
        case "graduated", "period", "volume":
            var tiers: [String] = []
            while let word = words.next, word.contains("@") { tiers.append(try words.word(word)) }
            return try price(first + ":" + tiers.joined(separator: ","))
        case "dimensions":
            var prices: [String: ModelPrice] = [:]
            while let word = words.next, let equals = word.firstIndex(of: "=") {
                _ = try words.word(word)
                prices[String(word[..<equals])] = try price(String(word[word.index(after: equals)...]))
            }
            return .dimensions(prices)
        case "rows":
            var rows: [ModelRow] = []
            while let word = words.next, word.contains(":") {
                let parts = try words.word(word).split(separator: ":", maxSplits: 1).map(String.init)
                rows.append(ModelRow(match: parts[0] == "else" ? [:] : try pairs(parts[0]), price: try price(parts[1])))
            }
            return .rows(rows)
        default:
            let cost = first == "max" ? Millicredits.limit : Int64(first)
            guard let cost else { throw ScriptError("\(first) is no price") }
            let per = words.take("per") ? try words.number("a number of units") : 1
            return .perUnit(cost, per: per, carries: words.take("carry"))
        }
    }

    private static func price(_ word: String) throws -> ModelPrice {
        let parts = word.split(separator: ":").map(String.init)
        let unreadable = ScriptError("\(word) is no price")
        guard let last = parts.last else { throw unreadable }
        if parts.count == 1 || parts[0] == "package" {
            let numbers = last.split(separator: "/").map { Int64($0) ?? 0 }
            guard numbers.count == 2 else { throw unreadable }
            return parts.count == 1
                ? .perUnit(numbers[0], per: numbers[1]) : .package(size: numbers[0], cost: numbers[1])
        }
        if parts[0] == "carry" {
            let numbers = last.split(separator: "/").map { Int64($0) ?? 0 }
            guard numbers.count == 2 else { throw unreadable }
            return .perUnit(numbers[0], per: numbers[1], carries: true)
        }
        if parts[0] == "flat" { return .flat(Int64(last) ?? 0) }
        let tiers = try last.split(separator: ",").map { text in
            let sides = text.split(separator: "@")
            let amounts = (sides.last ?? "").split(separator: "+").map { Int64($0) ?? 0 }
            guard sides.count == 2, let cost = amounts.first else { throw unreadable }
            return ModelTier(upTo: Int64(sides[0]), cost: cost, fee: amounts.count > 1 ? amounts[1] : 0)
        }
        switch parts[0] {
        case "graduated": return .graduated(tiers, perPeriod: false)
        case "period": return .graduated(tiers, perPeriod: true)
        case "volume": return .volume(tiers)
        default: throw unreadable
        }
    }
}

// MARK: - Writing

extension Syntax {
    /// The statement that plays a command.
    static func text(_ command: ModelCommand, of endUser: String) -> String {
        let parts: [String]
        switch command {
        case .grant(let grant):
            parts =
                ["grant", endUser, "\(grant.credits)", grant.source] + (grant.priority.map { ["p\($0)"] } ?? [])
                + (grant.startsAt.map { ["starts", "\($0)"] } ?? []) + [text(grant.expiry)] + only(grant.features)
                + (grant.price.map { ["price", "\($0)"] } ?? [])
        case .topUp(let topUp):
            let amount = topUp.package ?? topUp.credits.map { "\($0)" } ?? "q\(topUp.request ?? 0)"
            var words = ["topup", endUser, amount]
            if let request = topUp.request { words += ["for", "q\(request)"] }
            if let priority = topUp.priority { words.append("p\(priority)") }
            if let expiry = topUp.expiry { words.append(text(expiry)) }
            words += only(topUp.features)
            if let price = topUp.price { words += ["price", "\(price)"] }
            if let payment = topUp.payment { words += ["payment", payment] }
            parts = words
        case .use(let use): parts = ["use", endUser] + text(use)
        case .refund(let charge, let extent, let expiry):
            let amount: [String] =
                switch extent {
                case .rest: []
                case .units(let units): ["units", "\(units)"]
                case .credits(let credits): ["credits", "\(credits)"]
                }
            parts = ["refund", endUser, "e\(charge)"] + amount + (expiry.map { ["until", text($0)] } ?? [])
        case .revoke(let block): parts = ["revoke", endUser, "b\(block)"]
        case .adjust(let amount): parts = ["adjust", endUser, "\(amount)"]
        case .transfer(let receiver, let credits): parts = ["transfer", endUser, receiver, "\(credits)"]
        case .reserve(let use, let ttl): parts = ["reserve", endUser] + text(use) + ["ttl", "\(ttl)"]
        case .commit(let number, let demand, let feature, let attributes, let shortfall):
            parts =
                ["commit", endUser, "r\(number)", text(demand)] + (feature.map { ["of", $0] } ?? [])
                + (attributes.isEmpty ? [] : ["with", text(attributes)]) + (shortfall.map { [$0] } ?? [])
        case .release(let number): parts = ["release", endUser, "r\(number)"]
        case .extend(let number, let ttl): parts = ["extend", endUser, "r\(number)", "\(ttl)"]
        case .progress(let number, let demand, let feature):
            parts = ["progress", endUser, "r\(number)", text(demand)] + (feature.map { ["of", $0] } ?? [])
        case .createCap(let feature, let credits, let window):
            parts = ["cap", endUser, "\(credits)", "per", text(window)] + only(feature.map { [$0] } ?? [])
        case .deleteCap(let number): parts = ["uncap", endUser, "\(number)"]
        case .setLimit(let key, let limit): parts = ["limit", endUser, key] + (limit.map(text) ?? ["none"])
        case .deleteLimit(let key): parts = ["unlimit", endUser, key]
        case .setRule(let rule):
            parts =
                ["rule", endUser, "below", "\(rule.threshold)", "add", rule.package ?? "\(rule.credits ?? 0)"]
                + (rule.most.map { ["most", "\($0)", "per", text(rule.window)] } ?? [])
                + ["cooldown", "\(rule.cooldown)", "stop", "\(rule.stopAfter)"]
        case .deleteRule: parts = ["unrule", endUser]
        case .failRequest(let number, let reason):
            parts = ["fail", endUser, "q\(number)"] + (reason.map { [$0] } ?? [])
        case .subscription(let act): parts = text(act, of: endUser)
        case .create(let settings): parts = ["create", endUser] + text(settings)
        case .update(let settings): parts = ["set", endUser] + text(settings)
        case .erase: parts = ["erase", endUser]
        case .advance: parts = ["advance", endUser]
        }
        return parts.joined(separator: " ")
    }

    private static func text(_ limit: ModelLedger.Limit) -> [String] {
        var parts = ["\(limit.amount)", limit.unit] + (limit.window.map { ["per", text($0)] } ?? [])
        if limit.opensWithUse { parts.append("first_use") }
        if !limit.features.isEmpty { parts += ["of", limit.features.joined(separator: ",")] }
        if !limit.match.isEmpty { parts += ["where", text(limit.match.mapValues { $0.joined(separator: "|") })] }
        if let per = limit.per { parts += ["by", per] }
        if let dimension = limit.dimension { parts += ["only", dimension] }
        if !limit.warnAt.isEmpty { parts += ["warn", limit.warnAt.map { "\($0)" }.joined(separator: ",")] }
        return parts
    }

    private static func only(_ features: [String]) -> [String] {
        features.isEmpty ? [] : ["only", features.joined(separator: ",")]
    }

    static func text(_ use: ModelCommand.Use) -> [String] {
        [text(use.demand)] + (use.others.isEmpty ? [use.feature] : ["over", use.features.joined(separator: ",")])
            + (use.attributes.isEmpty ? [] : ["with", text(use.attributes)])
            + (use.occurredAt.map { ["occurred", "\($0)"] } ?? [])
    }

    private static func text(_ pairs: [String: String]) -> String {
        pairs.isEmpty ? "none" : pairs.sorted { $0.key < $1.key }.map { "\($0)=\($1)" }.joined(separator: ",")
    }

    static func text(_ demand: ModelDemand) -> String {
        switch demand {
        case .units(let units): "\(units)"
        case .credits(let credits): "\(credits)cr"
        case .quantities(let quantities): text(quantities.mapValues { "\($0)" })
        }
    }

    private static func text(_ expiry: ModelLedger.Expiry) -> String {
        switch expiry {
        case .never: "never"
        case .at(let instant): "\(instant)"
        case .after(let months, let seconds): text(months: months, seconds: seconds)
        }
    }

    private static func text(months: Int64, seconds: Int64) -> String {
        "P" + (months > 0 ? "\(months)M" : "") + (seconds > 0 ? "T\(seconds)S" : "")
    }

    private static func text(_ window: ModelWindow) -> String {
        switch window {
        case .day: "day"
        case .week: "week"
        case .month: "month"
        case .duration(let months, let seconds): text(months: months, seconds: seconds)
        }
    }

    private static func text(_ settings: ModelCommand.Settings) -> [String] {
        var parts: [String] = []
        if let name = settings.name { parts += ["name", name] }
        if let policy = settings.policy { parts += ["policy", policy?.rawValue ?? "none"] }
        if let limit = settings.limit { parts += ["limit", limit.map { "\($0)" } ?? "none"] }
        if let clock = settings.clock { parts += ["clock", "\(clock)"] }
        if let thresholds = settings.thresholds { parts += ["low", thresholds.map(text) ?? "environment"] }
        if let overrides = settings.overrides { parts += ["overrides", text(overrides.mapValues(text))] }
        return parts
    }

    /// `100,20%`, or `none`.
    static func thresholds(_ word: String) throws -> [ModelLedger.Threshold] {
        if word == "none" { return [] }
        return try word.split(separator: ",").map { part in
            guard let number = Int64(part.filter { $0 != "%" }) else { throw ScriptError("\(part) is no threshold") }
            return part.hasSuffix("%") ? .percent(number) : .credits(number)
        }
    }

    static func text(_ thresholds: [ModelLedger.Threshold]) -> String {
        let words = thresholds.map { threshold in
            switch threshold {
            case .credits(let credits): "\(credits)"
            case .percent(let percent): "\(percent)%"
            }
        }
        return words.isEmpty ? "none" : words.joined(separator: ",")
    }

    private static func text(_ override: ModelLedger.Override) -> String {
        switch override {
        case .enabled(let isEnabled): isEnabled ? "on" : "off"
        case .limit(let limit): "\(limit)"
        case .quota(let quota):
            "\(quota.limit)/\(text(quota.window))" + (quota.opensWithUse ? "/first_use" : "")
        }
    }
}
