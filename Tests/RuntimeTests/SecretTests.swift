import Foundation
import Testing

@testable import Runtime

@Suite("A secret comes from its setting or from a file")
struct SecretTests {
    @Test(
        "The content of the file is the secret, without the line end after it",
        arguments: [("s3cret", "s3cret"), ("s3cret\n", "s3cret"), ("s3cret\r\n", "s3cret"), (" a\nb \n\n", " a\nb \n")])
    func content(text: String, secret: String) throws {
        try withFile(Array(text.utf8)) { path in
            let read = try #require(try Secret("X", stated: nil, path: path))
            #expect(read.text == secret && read.path == path)
        }
        #expect(try Secret("X", stated: secret, path: nil)?.text == secret)
        #expect(try Secret("X", stated: secret, path: "")?.text == secret)
        #expect(try Secret("X", stated: nil, path: nil) == nil && Secret("X", stated: "", path: "") == nil)
    }

    @Test("A setting and a file for it, and a file without a secret, are refused with a sentence")
    func refused() throws {
        try withFile(Array("s3cret".utf8)) { path in
            refuses("X and X_FILE are both set: set one of them") { try Secret("X", stated: "s3cret", path: path) }
        }
        refuses("X_FILE names /nonexistent, which cannot be read: No such file or directory") {
            try Secret("X", stated: nil, path: "/nonexistent")
        }
        for (bytes, words) in [
            ([], "which is empty"), ([0x0A], "which is empty"), ([0xFF], "which is not a text"),
            ([UInt8](repeating: 0x61, count: 70_000), "which is not a text of at most 65536 bytes"),
        ] as [([UInt8], String)] {
            try withFile(bytes) { path in refuses(words) { try Secret("X", stated: nil, path: path) } }
        }
    }

    private func refuses(_ words: String, _ body: () throws -> Secret?) {
        #expect {
            _ = try body()
        } throws: { error in
            "\(error)".contains(words) && !"\(error)".contains("s3cret")
        }
    }

    private func withFile(_ bytes: [UInt8], _ body: (String) throws -> Void) throws {
        let file = FileManager.default.temporaryDirectory.appending(path: "secret-\(UInt64.random(in: 0...UInt64.max))")
        try Data(bytes).write(to: file)
        defer { try? FileManager.default.removeItem(at: file) }
        try body(file.path)
    }
}
