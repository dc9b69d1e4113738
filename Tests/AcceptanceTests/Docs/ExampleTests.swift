import ChildProcesses
import Docs
import Foundation
import JSON
import Testing

extension Acceptance {
    /// Runs the examples of the documentation.
    @Suite struct ExampleTests {
        /// The examples of one page in one language, which are one program.
        struct Program: CustomTestStringConvertible {
            let page: Page
            /// The place in `Example.languages`.
            let language: Int

            var testDescription: String { "\(page.name) in \(Example.languages[language].name)" }

            static let all = DocsSite.current.contents.pages.filter { !$0.examples.isEmpty }.flatMap { page in
                Example.languages.indices.map { Program(page: page, language: $0) }
            }

            /// The text of the program. A mark on a line of its own stands before the output of each example.
            var text: String {
                page.examples.map(\.texts[language]).enumerated().map { index, code in
                    switch Example.languages[language].word {
                    case "sh": "echo '\(mark(index))'\n\(code)"
                    case "python": "print('\(mark(index))', flush=True)\n\(code)"
                    default: "console.log('\(mark(index))');\n\(code)"
                    }
                }.joined(separator: "\n")
            }

            /// The command that runs the program, without the file, and the ending of the file.
            var command: (words: [String], ending: String) {
                switch Example.languages[language].word {
                case "sh": (["bash", "-euo", "pipefail"], "sh")
                case "python": (["python3", "-W", "error"], "py")
                default: (["node"], "mjs")
                }
            }

            /// The text that the command understands.
            func script() async throws -> String {
                guard Example.languages[language].word == "typescript" else { return text }
                return try #require(try await ExampleTests.compilation.value.scripts[page.name], "\(page.name)")
            }

            /// The name of the program's file without its ending.
            var fileName: String { page.name.replacing("/", with: "-") }

            func mark(_ index: Int) -> String { "--- example \(index)" }
        }

        /// The programs in TypeScript as JavaScript, by the name of their page, and the output of the compiler. One run
        /// compiles all of them, because its start takes longer than a page.
        private static let compilation = Task { () async throws -> (scripts: [String: String], output: String) in
            let folder = FileManager.default.temporaryDirectory.appending(
                path: "examples-\(UInt64.random(in: 0...UInt64.max))")
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            defer { try? FileManager.default.removeItem(at: folder) }
            let programs = Program.all.filter { Example.languages[$0.language].word == "typescript" }
            let files = programs.map { folder.appending(path: "\($0.fileName).mts") }
            for (program, file) in zip(programs, files) {
                try program.text.write(to: file, atomically: true, encoding: .utf8)
            }
            let types = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "node.d.ts")
            let run = try await ChildProcess.run(
                [
                    "tsc", "--strict", "--target", "es2022", "--lib", "es2022", "--module", "node16", "--outDir",
                    folder.path, types.path,
                ] + files.map(\.path), environment: ["PATH": variable("PATH") ?? "/usr/bin:/bin"],
                logPath: folder.appending(path: "log").path)
            var scripts: [String: String] = [:]
            for (program, file) in zip(programs, files) {
                let script = file.deletingPathExtension().appendingPathExtension("mjs")
                scripts[program.page.name] = try? String(contentsOf: script, encoding: .utf8)
            }
            return (scripts, run.output)
        }

        @Test("The types of the examples in TypeScript are right")
        func types() async throws {
            #expect(try await Self.compilation.value.output == "")
        }

        @Test(
            "The examples of a page run in every language, and get the answers that the page shows",
            arguments: Program.all)
        func run(_ program: Program) async throws {
            let client = try await makeTenant().test
            let folder = FileManager.default.temporaryDirectory.appending(
                path: "example-\(UInt64.random(in: 0...UInt64.max))")
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            defer { try? FileManager.default.removeItem(at: folder) }
            let file = folder.appending(path: "example.\(program.command.ending)")
            try await program.script().write(to: file, atomically: true, encoding: .utf8)
            let run = try await ChildProcess.run(
                program.command.words + [file.path],
                environment: [
                    "PATH": variable("PATH") ?? "/usr/bin:/bin", "HOME": folder.path, "LANG": "C.UTF-8",
                    "QUOTASTACK_URL": client.url, "QUOTASTACK_TEST_KEY": client.key ?? "",
                ], logPath: folder.appending(path: "log").path)
            #expect(run.status == 0, "\(program.testDescription): \(run.output.suffix(2_000))")
            var rest = Substring(run.output)
            for (index, example) in program.page.examples.enumerated() {
                let place = "\(program.testDescription), example \(index)"
                let start = try #require(rest.range(of: program.mark(index)), "\(place): \(run.output.suffix(2_000))")
                let end = rest.range(of: program.mark(index + 1))?.lowerBound ?? rest.endIndex
                let answers = rest[start.upperBound..<end].split(separator: "\n").compactMap { line in
                    line.hasPrefix("{") ? try? JSONParser.parse(Array(line.utf8)) : nil
                }
                rest = rest[end...]
                let shown = try example.answer.map { try JSONParser.parse(Array($0.utf8)) }
                for answer in answers where (answer[path: "status"]?.integer ?? 0) >= 400 {
                    #expect(answer[path: "code"] == shown?[path: "code"], "\(place) was refused: \(answer)")
                }
                guard let shown else { continue }
                let last = try #require(answers.last, "\(place) prints no answer")
                for difference in shown.differences(from: last) { Issue.record("\(place): \(difference)") }
            }
        }
    }
}

extension JSONValue {
    /// The members that a shown part of an answer has and the answer does not have. Ids are equal when their kinds are, and so are
    /// instants of the year in which the pages were written.
    func differences(from answer: JSONValue, at path: String = "") -> [String] {
        switch (self, answer) {
        case (.object(let shown), .object(let given)):
            return shown.members.flatMap { key, value in
                if key == "request_id" { return [String]() }
                guard let member = given[key] else { return ["the answer has no \(path)/\(key)"] }
                return value.differences(from: member, at: "\(path)/\(key)")
            }
        case (.array(let shown), .array(let given)):
            guard shown.count <= given.count else { return ["\(path) has only \(given.count) items"] }
            return zip(shown, given).enumerated().flatMap { index, pair in
                pair.0.differences(from: pair.1, at: "\(path)/\(index)")
            }
        case (.string(let shown), .string(let given)):
            let isAlike =
                if let kind = shown.firstMatch(of: /^([a-z]+_)[0-9a-z]{26}$/)?.1 {
                    given.hasPrefix(kind)
                } else {
                    shown == given || shown.hasPrefix("2026-") && given.hasPrefix("20") && given.hasSuffix("Z")
                }
            return isAlike ? [] : ["\(path) is shown as \(shown) and is \(given)"]
        default:
            return self == answer ? [] : ["\(path) is shown as \(self) and is \(answer)"]
        }
    }
}
