import ChildProcesses
import Foundation
import Testing

extension Acceptance.Processes {
    /// Secrets that a process reads from files. `ops/lib/check-processes` checks that other processes cannot see them.
    @Suite struct SecretFileTests {
        @Test("A node takes its secrets from files, where an empty setting counts as absent")
        func files() async throws {
            try await withInstallation { installation in
                let client = try await installation.makeTenant().test
                let node = try installation.node("quotastack-api")
                let names = ["DATABASE_URL", "AMQP_URL", "QUOTASTACK_ROOT_KEY"]
                try await withTemporaryDirectory { folder in
                    var variables: [String: String] = [:]
                    for name in names {
                        let secret = try #require(installation.setting(name))
                        try Data("\(secret)\n".utf8).write(to: URL(filePath: "\(folder)/\(name)"))
                        variables[name] = ""
                        variables["\(name)_FILE"] = "\(folder)/\(name)"
                    }
                    try await node.start(variables)
                    try await Client(url: node.url, key: client.key).get("/v1/features").expect(200)
                    try await Client(url: node.url, key: installation.rootKey).get("/v1/admin/tenants").expect(200)
                    #expect(await node.stop() == 0)

                    let both = try await installation.run(
                        "migrate", with: ["DATABASE_URL_FILE": "\(folder)/DATABASE_URL"])
                    #expect(both.status != 0 && both.output.contains("DATABASE_URL_FILE are both set"))
                    let none = try await installation.run(
                        "migrate", with: ["AMQP_URL": "", "AMQP_URL_FILE": "\(folder)/nowhere"])
                    #expect(none.status != 0 && none.output.contains("AMQP_URL_FILE names \(folder)/nowhere"))
                }
            }
        }
    }
}
