import Docs
import Foundation
import JSON
import Testing

extension Acceptance {
    /// The documentation as a node serves it.
    @Suite struct DocsTests {
        private func client() async throws -> Client { try await SharedInstallation.get().client(nil) }

        @Test("The root leads to the documentation")
        func root() async throws {
            let answer = try await client().sendRaw("GET", target: "/?utm=1").expect(302)
            #expect(answer.headers["location"] == "/docs")
        }

        @Test("Every page and every file is served without a key, with its type, and under a policy")
        func everyFile() async throws {
            let client = try await client()
            for (address, file) in DocsSite.current.files {
                let answer = try await client.get(address).expect(200, nil, address)
                #expect(answer.bytes == file.bytes, "\(address)")
                #expect(answer.headers["content-type"] == file.kind.contentType, "\(address)")
                #expect(answer.headers["content-security-policy"]?.contains("default-src '") == true, "\(address)")
                #expect(answer.headers["x-content-type-options"] == "nosniff")
            }
            let page = try await client.get("/docs/quickstart").expect(200)
            #expect(page.headers["content-security-policy"]?.hasPrefix("default-src 'self'; ") == true)
            #expect(page.headers["cache-control"] == "no-cache")
            let style = try #require(DocsSite.current.files.keys.first { $0.hasSuffix(".css") })
            #expect(try await client.get(style).headers["cache-control"]?.contains("immutable") == true)
        }

        @Test("A page that a browser has is not sent again, and a query, a slash and HEAD change nothing")
        func conditions() async throws {
            let client = try await client()
            let page = try await client.get("/docs/quickstart").expect(200)
            let tag = try #require(page.headers["etag"])
            for tags in [tag, "W/\(tag)", "\"x\", \(tag)", "*"] {
                let answer = try await client.get("/docs/quickstart", headers: ["If-None-Match": tags]).expect(304)
                #expect(answer.bytes.isEmpty && answer.headers["etag"] == tag)
            }
            try await client.get("/docs/quickstart", headers: ["If-None-Match": "\"x\""]).expect(200)
            for path in ["/docs/quickstart?dark=1", "/docs/quickstart/"] {
                #expect(try await client.get(path).expect(200).bytes == page.bytes)
            }
            let head = try await client.raw { connection in
                connection.send("HEAD /docs/quickstart HTTP/1.1\r\nHost: h\r\n\r\n")
                return try connection.answer(hasBody: false)
            }
            #expect(head.status == 200 && head.headers["content-length"] == "\(page.bytes.count)")
            let post = try await client.send("POST", "/docs/quickstart").expect(405, "method_not_allowed")
            #expect(post.headers["allow"] == "GET, HEAD, OPTIONS")
        }

        @Test("An address below /docs that does not exist is a page too, and the type of a problem is an address")
        func missing() async throws {
            let client = try await client()
            for path in ["/docs/nothing", "/docs/errors/nothing"] {
                let answer = try await client.get(path).expect(404)
                #expect(answer.headers["content-type"] == "text/html; charset=utf-8")
            }
            let problem = try await client.get("/v1/features").expect(401)
            try await client.get(try problem.text("type")).expect(200)
            try await client.get(try problem.text("type") + ".md").expect(200)
        }

        @Test("quotastack docs writes the same files")
        func files() async throws {
            let folder = FileManager.default.temporaryDirectory.appending(
                path: "docs-\(UInt64.random(in: 0...UInt64.max))")
            defer { try? FileManager.default.removeItem(at: folder) }
            let run = try await SharedInstallation.get().run("docs", "--out", folder.path)
            #expect(run.status == 0, "\(run.output)")
            for (address, file) in DocsSite.current.files {
                let path = file.kind == .page ? "\(address)/index.html" : address
                #expect(try Data(contentsOf: folder.appending(path: path)) == Data(file.bytes), "\(path)")
            }
            let index = try String(contentsOf: folder.appending(path: "index.html"), encoding: .utf8)
            #expect(index.contains("url=/docs/"))
        }
    }
}
