import API
import Foundation
import JSON
import Testing

extension Acceptance {
    /// The answers of a fixed list of requests, byte for byte. A change of the code that should not change an answer is
    /// held to that; one that should is recorded anew with QUOTASTACK_TEST_RECORD=1, and its difference is read.
    @Suite struct RecordedAnswersTests {
        @Test(
            "Every recorded request is answered with the recorded bytes, but for ids, instants of the run and wording")
        func answers() async throws {
            let folder = URL(filePath: #filePath).deletingLastPathComponent()
            let requests = try RecordedRequests(
                text: String(contentsOf: folder.appending(path: "requests.txt"), encoding: .utf8))
            #expect(requests.requestCount >= 300)
            let file = folder.appending(path: "answers.txt")
            let answers = try await play(requests, tenant: makeTenant())
            if variable("QUOTASTACK_TEST_RECORD") != nil {
                try answers.joined(separator: "\n").write(to: file, atomically: true, encoding: .utf8)
            }
            let recorded = try String(contentsOf: file, encoding: .utf8).components(separatedBy: "\n")
            let different = zip(answers, recorded).filter { $0 != $1 }
            #expect(answers.count == recorded.count)
            for (answer, recorded) in different.prefix(5) {
                Issue.record("answered\n\(answer)\ninstead of\n\(recorded)")
            }
            #expect(different.count == 0, "answers differ")
        }

        @Test("The recorded requests have every endpoint")
        func coverage() throws {
            let file = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "requests.txt")
            let requests = try RecordedRequests(text: String(contentsOf: file, encoding: .utf8))
            var missing = Set(EndpointCall.all.map { "\($0.endpoint.method) \($0.endpoint.path)" })
            for case .request(let method, let target, _) in requests.steps {
                let path = target.prefix { $0 != "?" }.split(separator: "/", omittingEmptySubsequences: false)
                missing = missing.filter { endpoint in
                    let pattern = endpoint.dropFirst(method.count + 1).split(
                        separator: "/", omittingEmptySubsequences: false)
                    return
                        !(endpoint.hasPrefix("\(method) ") && pattern.count == path.count
                        && zip(pattern, path).allSatisfy { $0 == $1 || $0.hasPrefix("{") })
                }
            }
            // The documentation is no part of the contract, the description of the API has tests of its own, and the
            // tools of /mcp repeat the answers of the API.
            let others = ["GET /openapi.json", "POST /mcp"]
            missing = missing.filter {
                !$0.hasPrefix("GET /docs") && !$0.hasPrefix("GET /llms") && !others.contains($0)
            }
            #expect(missing == ["GET /", "GET /metrics"], "no recorded request calls these")
        }

        private func play(_ requests: RecordedRequests, tenant: Tenant) async throws -> [String] {
            let installation = try await SharedInstallation.get()
            var keys: [String: Client] = [
                "root": installation.root, "live": tenant.live, "test": tenant.test, "nobody": installation.client(nil),
            ]
            var saved = ["tenant": tenant.id]
            var caller = tenant.test
            var headers: [String: String] = [:]
            var last: Answer?
            var normalizer = AnswerNormalizer()
            var lines: [String] = []
            func filled(_ text: String) -> String {
                saved.reduce(text) { $0.replacing("{{\($1.key)}}", with: $1.value) }
            }
            for step in requests.steps {
                switch step {
                case .caller(let name):
                    if let key = saved[name] { keys[name] = installation.client(key) }
                    caller = try #require(keys[name], "nobody is called \(name)")
                case .header(let name, let value): headers[name] = filled(value)
                case .save(let name, let path):
                    if path.hasPrefix("header:") {
                        saved[name] = try #require(last?.headers[String(path.dropFirst(7))])
                    } else {
                        saved[name] = try #require(last?[path]?.text, "\(path) in \(last?.testDescription ?? "")")
                    }
                case .request(let method, let target, let body):
                    let answer = try await caller.send(
                        method, filled(target), bytes: body.map { Array(filled($0).utf8) }, headers: headers)
                    headers = [:]
                    last = answer
                    lines.append("\(method) \(target) \(body ?? "")")
                    lines.append("    " + line(of: answer, &normalizer))
                }
            }
            return lines
        }

        private func line(of answer: Answer, _ normalizer: inout AnswerNormalizer) -> String {
            var words = ["\(answer.status)"]
            for name in ["content-type", "location", "retry-after", "x-idempotent-replayed", "www-authenticate"] {
                guard let value = answer.headers[name] else { continue }
                // The seconds until the end of a window depend on the time of day.
                let isCountdown = name == "retry-after" && value != "1"
                words.append("\(name)=\(isCountdown ? "…" : normalizer.normalized(value))")
            }
            if answer.position != nil { words.append("positioned") }
            let isProblem = answer.headers["content-type"] == "application/problem+json"
            let body = String(decoding: answer.bytes, as: UTF8.self).replacing("\n", with: "⏎")
            words.append(normalizer.normalized(body, isProblem: isProblem))
            return words.joined(separator: " ")
        }
    }
}
