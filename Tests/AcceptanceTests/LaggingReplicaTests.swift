import Glibc
import Testing

extension Acceptance.Processes {
    @Suite struct LaggingReplicaTests {
        /// The server process that sends the WAL is frozen: the effect is committed, but this node cannot know it.
        @Test("A mutation is not answered as done before this node's checks show it")
        func frozenLog() async throws {
            try await withInstallation { installation in
                let client = try await installation.makeTenant().test
                try await client.sell("api", unitCost: 1)
                try await client.grant("alice", 100).expect(201)
                let process = try await installation.logSender()
                try #require(kill(process, SIGSTOP) == 0)
                defer { kill(process, SIGCONT) }
                let answer = try await client.use("alice", "api", 30)
                answer.expect(202)
                try await client.check("alice", "api", 1).expect(200)
                kill(process, SIGCONT)
                let location = try #require(answer.headers["location"])
                let operation = try await client.get(location).expect(200)
                #expect(operation["operation.result.body.balance"] == 70)
                let position = try #require(operation.position)
                let check = try await client.get(
                    "/v1/credits/balance", [("end_user_id", "alice")], headers: ["QuotaStack-Min-Position": position])
                #expect(check.expect(200)["balance"] == 70)
            }
        }
    }
}
