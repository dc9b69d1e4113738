import ChildProcesses
import Foundation
import JSON
import Testing

extension Acceptance {
    /// `quotastack ingest`, as a process, on a running installation.
    @Suite struct IngestCommandTests {
        @Test("A file that grew is charged for its new rows only, also with blank lines and unused columns of one name")
        func grownFile() async throws {
            let client = try await makeTenant().test
            try await client.sell("tokens", unitCost: 1)
            try await client.grant("ana", 1_000).expect(201)
            try await withTemporaryDirectory { folder in
                let file = "\(folder)/day.csv"
                func load(_ rows: String, _ options: String...) async throws -> String {
                    try Data(rows.utf8).write(to: URL(filePath: file))
                    return try await ingest(
                        client,
                        [file, "--feature", "tokens", "--units", "input+output", "--end-user", "user"] + options)
                }
                let start =
                    "\u{FEFF}user,note,note,input,output\r\n\r\nana,a,b,10,20\r\n,,,,\r\n" + "ana,a,b,10,20\r\n\r\n"
                let first = try await load(start)
                #expect(first.contains("2 rows: 2 accepted, 0 replayed, 0 rejected"), "\(first)")
                #expect(first.contains("3 blank lines were skipped") && first.contains("--key-prefix"), "\(first)")
                #expect(try await load(start).contains("0 accepted, 2 replayed"))
                let grown = try await load(start + "ana,a,b,1,1")
                #expect(grown.contains("3 rows: 1 accepted, 2 replayed"), "\(grown)")
                #expect(try await client.balance("ana")["balance"] == 938)
                // Another file that begins with the same rows has a prefix of its own.
                let other = try await load(start, "--key-prefix", "other")
                #expect(other.contains("2 accepted, 0 replayed") && !other.contains("Warning"), "\(other)")
                #expect(try await load(start + "ana,,,1,1", "--key-prefix", "other").contains("1 accepted, 2 replayed"))
                #expect(try await client.balance("ana")["balance"] == 876)
            }
        }

        @Test("Columns of quantities and attributes are priced as the same event of a request is")
        func quantities() async throws {
            let client = try await makeTenant().test
            try await client.post("/v1/features", ["key": "llm", "name": "L", "type": "metered"]).expect(201)
            func row(_ model: String, _ cost: Int64) -> JSONValue {
                [
                    "match": ["model": .string(model)],
                    "dimensions": [
                        "input": ["model": "per_unit", "unit_cost": .integer(cost), "per_units": 1],
                        "cached": ["model": "per_unit", "unit_cost": 1, "per_units": 10],
                    ],
                ]
            }
            try await client.post(
                "/v1/metering-rules", ["feature_key": "llm", "price_rows": [row("small", 2), row("large", 30)]]
            ).expect(201)
            try await client.grant("ana", 10_000).expect(201)
            let options = [
                "--feature", "llm", "--end-user", "user", "--occurred-at", "at", "--quantity", "input=in", "--quantity",
                "cached=c", "--attribute", "model=m", "--metadata", "trace",
            ]
            let now = try await client.balance("ana").text("as_of")
            let files = [
                ("csv", "user,at,in,c,m,trace\nana,\(now),100,20,small,t1\nana,\(now),100,25,large,\n"),
                (
                    "ndjson",
                    #"{"user": "ana", "at": "\#(now)", "in": 1, "c": 0, "m": "large", "trace": {"t": [0.70, null]}}"#
                ),
            ]
            try await withTemporaryDirectory { folder in
                for (format, text) in files {
                    let file = "\(folder)/calls.\(format)"
                    try Data(text.utf8).write(to: URL(filePath: file))
                    let output = try await ingest(client, [file] + options)
                    #expect(output.contains(" 0 replayed, 0 rejected") && !output.contains("Warning"), "\(output)")
                }
            }
            let entries = try await client.ledger("ana", type: "use")
            #expect(entries.map { $0[path: "amount"] } == [-202, -3_003, -30])
            #expect(entries[1][path: "quantities"] == ["cached": 25, "input": 100])
            #expect(entries[1][path: "attributes"] == ["model": "large"] && entries[1][path: "metadata"] == nil)
            #expect(entries[0][path: "metadata"] == ["trace": "t1"])
            #expect(entries[2][path: "metadata"] == ["t": [.number("0.70"), .null]])
        }

        /// Runs the command, which must end with status 0, and returns its output.
        private func ingest(_ client: Client, _ arguments: [String]) async throws -> String {
            try await withTemporaryDirectory { folder in
                let run = try await ChildProcess.run(
                    [try Installation.quotastack(), "ingest"] + arguments,
                    environment: ["QUOTASTACK_URL": client.url, "QUOTASTACK_TEST_KEY": client.key ?? ""],
                    logPath: "\(folder)/output")
                #expect(run.status == 0, "\(run.output)")
                return run.output
            }
        }
    }
}
