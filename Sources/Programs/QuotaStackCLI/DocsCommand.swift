import ArgumentParser
import Docs
import Foundation

/// Writes the documentation as static files.
struct DocsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "docs",
        abstract: "Write the documentation as static files, for a web server that serves the folder at its root.")
    @Option(help: "The folder; it is created. Existing files of the same names are replaced.") var out: String

    func run() throws {
        let folder = URL(filePath: out, directoryHint: .isDirectory)
        let files = DocsSite.current.files
        for (address, file) in files {
            // A page is the index of a folder of its name, so that its address needs no ending.
            let path = file.kind == .page ? "\(address)/index.html" : address
            try write(file, to: folder.appending(path: String(path.dropFirst())))
        }
        try write(DocsSite.current.missing, to: folder.appending(path: "404.html"))
        let index = #"<!doctype html><meta charset="utf-8"><title>QuotaStack</title>"#
        try Data("\(index)<meta http-equiv=\"refresh\" content=\"0; url=/docs/\">\n".utf8).write(
            to: folder.appending(path: "index.html"))
        print("\(files.count + 2) files in \(folder.path(percentEncoded: false))")
    }

    private func write(_ file: DocsFile, to url: URL) throws {
        try FileManager.default.createDirectory(
            at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(file.bytes).write(to: url)
    }
}
