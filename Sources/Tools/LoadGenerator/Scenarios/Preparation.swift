import JSON
import NIOCore
import Synchronization

/// The reason why the data for a benchmark could not be created.
package struct PreparationError: Error, CustomStringConvertible {
    package let description: String
}

/// The price of the benchmark's feature.
package enum BenchmarkRule: Sendable {
    /// The same amount for every event, in millicredits.
    case flat(amount: Int64)
    /// `unitCost` millicredits for every `perUnits` units.
    case perUnit(unitCost: Int64, perUnits: Int64)
    /// Graduated tiers with their upper bounds and unit costs. The last tier has no upper bound.
    case graduated(tiers: [(upTo: Int64?, unitCost: Int64)])
}

/// Creates the data of the scenarios through the API: one metered feature, its rule, and end users with blocks.
///
/// The idempotency keys of the grants are derived from the end user and the block, so that a second preparation grants
/// no further credits.
package struct Preparation: Sendable {
    package let target: LoadTarget
    package let featureKey: String
    package let rule: BenchmarkRule
    package let endUsers: Int
    package let blocksPerEndUser: Int
    /// In millicredits.
    package let creditsPerBlock: Int64
    package let connections: Int
    /// The most grants in one request.
    package let grantsPerRequest: Int

    package init(
        target: LoadTarget, featureKey: String = "api_calls",
        rule: BenchmarkRule = .perUnit(unitCost: 1_000, perUnits: 1),
        endUsers: Int, blocksPerEndUser: Int = 3, creditsPerBlock: Int64 = 1_000_000_000_000, connections: Int = 8,
        grantsPerRequest: Int = 1_000
    ) {
        self.target = target
        self.featureKey = featureKey
        self.rule = rule
        self.endUsers = endUsers
        self.blocksPerEndUser = blocksPerEndUser
        self.creditsPerBlock = creditsPerBlock
        self.connections = connections
        self.grantsPerRequest = grantsPerRequest
    }

    /// Creates the feature (an existing one is left unchanged), a rule, and the blocks, at full speed.
    ///
    /// - Returns: The number of grants per second.
    /// - Throws: `PreparationError` when a request or a grant was refused.
    package func run() async throws -> Double {
        try await post("/v1/features", accepting: [200, 201, 409], featureBody())
        try await post("/v1/metering-rules", accepting: [200, 201], ruleBody())
        let grants = endUsers * blocksPerEndUser
        let requests = (grants + grantsPerRequest - 1) / grantsPerRequest
        let refusal = Mutex<String?>(nil)
        let connections = min(connections, requests)
        let result = try await ClosedLoop(
            target: target, connections: connections, limit: .requests(requests), patience: 120
        ).run(
            LoadScript(
                request: { connection, sequence in
                    // Grants block by block, not end user by end user, so that consecutive grants go to different
                    // accounts.
                    let first = (sequence * connections + connection) * grantsPerRequest
                    return batch(of: first..<min(first + grantsPerRequest, grants))
                },
                answered: { response in
                    guard case .object(let body)? = try? JSONParser.parse(response.body),
                        body["rejected"] == .integer(0)
                    else {
                        let text = String(decoding: response.body.prefix(500), as: UTF8.self)
                        refusal.withLock { $0 = $0 ?? text }
                        return
                    }
                }))
        if let refusal = refusal.withLock({ $0 }) {
            throw PreparationError(description: "grants were refused: \(refusal)")
        }
        return result.seconds > 0 ? Double(grants) / result.seconds : 0
    }

    private func post(_ path: String, accepting statuses: Set<Int>, _ body: [UInt8]) async throws {
        let request = target.post(path, body)
        let result = try await ClosedLoop(target: target, connections: 1, limit: .requests(1)).run(
            LoadScript(
                request: { _, _ in request },
                check: { response in
                    if statuses.contains(response.status) { return nil }
                    let text = String(decoding: response.body.prefix(500), as: UTF8.self)
                    return "POST \(path) was answered with \(response.status): \(text)"
                }))
        if let complaint = result.complaints.first { throw PreparationError(description: complaint) }
    }

    private func featureBody() -> [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        writer.member("key", featureKey)
        writer.member("name", "API calls")
        writer.member("type", "metered")
        writer.endObject()
        return writer.bytes
    }

    private func ruleBody() -> [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        writer.member("feature_key", featureKey)
        switch rule {
        case .flat(let amount):
            writer.member("model", "flat")
            writer.member("amount", amount)
        case .perUnit(let unitCost, let perUnits):
            writer.member("model", "per_unit")
            writer.member("unit_cost", unitCost)
            writer.member("per_units", perUnits)
        case .graduated(let tiers):
            writer.member("model", "graduated")
            writer.array("tiers", tiers) { writer, tier in
                writer.beginObject()
                writer.member("up_to", tier.upTo)
                writer.member("unit_cost", tier.unitCost)
                writer.endObject()
            }
        }
        writer.endObject()
        return writer.bytes
    }

    private func batch(of numbers: Range<Int>) -> ByteBuffer {
        var writer = JSONWriter(capacity: 128 * numbers.count)
        writer.beginObject()
        writer.array("grants", numbers) { writer, number in
            let (endUser, block) = (number % endUsers, number / endUsers)
            writer.beginObject()
            writer.member("end_user_id", "user_\(endUser)")
            writer.member("credits", creditsPerBlock)
            // The blocks differ in priority, so that the burn order is not just the order of creation.
            writer.member("priority", 50 - block % 3 * 10)
            writer.member("idempotency_key", "benchmark-user_\(endUser)-block_\(block)")
            writer.endObject()
        }
        writer.endObject()
        return target.post("/v1/credits/grant/batch", writer.bytes)
    }
}
