import Arazzo
import Docs
import Foundation
import JSON
import Synchronization
import Testing

extension Acceptance {
    /// The guides as workflows for programs.
    @Suite struct GuideTests {
        private static let address = "/docs/guides.arazzo.json"

        /// The workflows, each with the page that explains it.
        static let guides = [
            ("saasSubscription", "saas-subscription"), ("consumerQuotas", "consumer-ai-quotas"),
            ("chatWallet", "ai-chat-wallet"), ("generationPacks", "ai-generation-packs"),
            ("postpaidPlatform", "api-platform-postpaid"), ("agentsByOutcome", "agents-by-outcome"),
        ]

        /// - Parameter status: Replaces the status of an answer for a step.
        private func runner(
            _ client: Client, status: @escaping @Sendable (Int) -> Int = { $0 }
        ) async throws -> ArazzoRunner {
            let document = try await client.get(Self.address).expect(200)
            return ArazzoRunner(document: document.json, api: try Contract.description.get().json) { request in
                let answer = try await client.send(request.method, request.target, bytes: request.body?.bytes)
                return ArazzoRunner.Response(status: status(answer.status), body: answer.json)
            }
        }

        @Test("Every step of a guide's workflow succeeds", arguments: guides.map(\.0))
        func run(_ workflow: String) async throws {
            let runner = try await runner(try await makeTenant().test)
            try await runner.run(workflow, inputs: ["end_user_id": "user_7", "payment_id": "payment_7"])
        }

        @Test("A workflow ends with an error at the step whose answer has another status")
        func otherStatus() async throws {
            let inputs: [String: JSONValue] = ["end_user_id": "user_7", "payment_id": "payment_7"]
            let calls = Mutex(0)
            let whole = try await runner(try await makeTenant().test) { status in
                calls.withLock { $0 += 1 }
                return status
            }
            try await whole.run("chatWallet", inputs: inputs)
            let count = calls.withLock { $0 }
            #expect(count > 3)
            for broken in 1...count {
                calls.withLock { $0 = 0 }
                let runner = try await runner(try await makeTenant().test) { status in
                    let number = calls.withLock { number in
                        number += 1
                        return number
                    }
                    return number < broken ? status : status + 1
                }
                await #expect(throws: ArazzoError.self, "call \(broken)") {
                    try await runner.run("chatWallet", inputs: inputs)
                }
            }
        }

        @Test("Every guide has its workflow, and the workflow makes the calls of the page in their order")
        func calls() async throws {
            let runner = try await runner(try await SharedInstallation.get().client(nil))
            #expect(runner.workflows == Self.guides.map(\.0))
            let pages = DocsSite.current.contents.pages.filter { $0.name.hasPrefix("guides/") }
            #expect(pages.map(\.name) == Self.guides.map { "guides/\($0.1)" })
            for (page, workflow) in zip(pages, runner.workflows) {
                let code = page.examples.map(\.texts[0]).joined(separator: "\n")
                let written = code.matches(of: /qs (GET|POST) "?(\/v1\/[^ "?]+)/).map { match in
                    let path = match.2.replacing(/\$[a-z_]+/, with: "{id}").replacing(
                        /\/plans\/[a-z-]+\//, with: "/plans/{key}/")
                    return "\(match.1) \(path)"
                }
                #expect(try runner.operations(of: workflow) == written, "\(page.name)")
            }
        }
    }
}
