import API
import Catalogue
import ChildProcesses
import Credits
import Docs
import Foundation
import JSON
import Testing

extension Acceptance {
    /// What the README and the documentation promise of the calls and of the books.
    @Suite struct ReadmeTests {
        @Test("The README's calls get the answers of which it shows parts")
        func calls() async throws {
            let client = try await makeTenant().test
            try await client.sell("api_calls", unitCost: 1_000)
            try await client.grant("user_123", 50_000).expect(201)
            let examples = try examples()
            #expect(examples.count == 3)
            for (call, shown) in examples {
                let target = try #require(call.firstMatch(of: /"\$QUOTASTACK_URL([^"]+)"/)?.1)
                let body = call.firstMatch(of: /--json '([^']+)'/)?.1
                let answer = try await client.send(
                    body == nil ? "GET" : "POST", String(target), bytes: body.map { Array($0.utf8) })
                #expect((200..<300).contains(answer.status), "\(call) was answered \(answer.testDescription)")
                #expect(shown.differences(from: answer.json) == [], "\(call)")
            }
        }

        @Test("The table of the documentation has every call below the scope that it needs")
        func endpoints() throws {
            var listed: Set<Endpoint> = []
            for line in try Self.lines(ofPage: "reference/calls") {
                guard
                    let area = line.firstMatch(of: /^\| `([a-z]+)` \|/).flatMap({ AccessArea(rawValue: String($0.1)) })
                else { continue }
                let cells = line.split(separator: "|", omittingEmptySubsequences: false).map(String.init)
                try #require(cells.count == 5)
                for (cell, scope) in [(cells[2], KeyScopes.read(area)), (cells[3], KeyScopes.write(area))] {
                    for call in cell.matches(of: /`([A-Z]+) ([^`]+)`/) {
                        listed.insert(Endpoint(method: "\(call.1)", path: "\(call.2)", access: .scope(scope)))
                    }
                }
            }
            let served = EndpointCall.all.map(\.endpoint).filter { !$0.access.scopes.isEmpty }.map { endpoint in
                Endpoint(method: endpoint.method, path: endpoint.path, access: .scope(endpoint.access.scopes))
            }
            #expect(Set(served).subtracting(listed) == [])
            #expect(listed.subtracting(served) == [])
        }

        @Test(
            "The documentation's Python and quotastack verify accept an intact export and name a changed entry")
        func export() async throws {
            let client = try await makeTenant().test
            try await client.sell("api_calls", unitCost: 1_000)
            try await client.grant("user_1", 50_000).expect(201)
            try await client.use("user_1", "api_calls", 3).expect(201)
            // Numbers that a program which reads and writes JSON would spell in another way.
            let metadata =
                #"{"z": [1.0, 1e3, 1E400, 0.70, -0, {"hash": "x"}], "é\u00e9\u0007": {"a/b": [[[null]]]}, "": 0}"#
            let use = #"{"end_user_id": "user_1", "feature_key": "api_calls", "metadata": \#(metadata)}"#
            try await client.send("POST", "/v1/usage", bytes: Array(use.utf8)).expect(201)
            let job: JSONValue = ["end_user_id": "user_2", "feature_key": "api_calls", "credits": 100]
            try await client.grant("user_2", 500).expect(201)
            try await client.post("/v1/reservations", job).expect(201)
            let whole = String(decoding: try await client.get("/v1/ledger/export").expect(200).bytes, as: UTF8.self)
            let changed = whole.replacing(#""units":3"#, with: #""units":2"#)
            // The text that the digest covers stays, and the member of the line says something else.
            let renamed = whole.replacing(#""metadata":{"#, with: #""metadata":{"by":"mallory","#)
            let version1 = try String(
                contentsOf: URL(filePath: #filePath).deletingLastPathComponent()
                    .appending(path: "Recorded/export-version-1.ndjson"), encoding: .utf8)
            let changed1 = version1.replacing(#""model":"large""#, with: #""model":"small""#)
            #expect(whole != changed && whole != renamed && version1 != changed1)

            let folder = FileManager.default.temporaryDirectory.appending(
                path: "export-\(UInt64.random(in: 0...UInt64.max))")
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            defer { try? FileManager.default.removeItem(at: folder) }
            try Self.program().write(
                to: folder.appending(path: "verify.py"), atomically: true, encoding: .utf8)
            let binary = try Installation.quotastack()
            for (name, text, status, words) in [
                ("whole", whole, Int32(0), "2 accounts, 5 entries"), ("changed", changed, 1, "line 2"),
                ("renamed", renamed, 1, "line 3"), ("version-1", version1, 0, "2 accounts, 4 entries"),
                ("changed-1", changed1, 1, "line 2"), ("both", whole + version1, 0, "4 accounts, 9 entries"),
            ] {
                let file = folder.appending(path: name).path
                try text.write(toFile: file, atomically: true, encoding: .utf8)
                let python = "python3 '\(folder.path)/verify.py' < '\(file)'"
                for command in [["/bin/sh", "-c", python], [binary, "verify", "--export", file]] {
                    let run = try await ChildProcess.run(
                        command, environment: ["PATH": variable("PATH") ?? "/usr/bin:/bin", "HOME": folder.path],
                        logPath: folder.appending(path: "log").path)
                    #expect(run.status == status && run.output.contains(words), "\(command): \(run.output)")
                }
            }
        }

        /// Every curl line of the README that calls the installation, with the answer below it.
        private func examples() throws -> [(call: String, answer: JSONValue)] {
            let file = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../README.md")
            let lines = try String(contentsOf: file, encoding: .utf8).components(separatedBy: "\n")
            return try lines.indices.filter { lines[$0].hasPrefix("curl ") }.map { index in
                let answer = try #require(lines[index...].first { $0.hasPrefix("{") }, "an answer to \(lines[index])")
                return (lines[index], try JSONParser.parse(Array(answer.utf8)))
            }
        }

        /// The program that checks an export.
        static func program() throws -> String {
            let lines = try lines(ofPage: "concepts/ledger")
            let start = try #require(lines.firstIndex { $0.hasPrefix("import base64") })
            let end = try #require(lines[start...].firstIndex(of: "```"))
            return lines[start..<end].joined(separator: "\n")
        }

        private static func lines(ofPage name: String) throws -> [String] {
            let page = try #require(DocsSite.current.contents.pages.first { $0.name == name })
            return page.markdown.components(separatedBy: "\n")
        }
    }
}
