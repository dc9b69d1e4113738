import Foundation
import PackagePlugin

/// Compiles the text files of a folder into a target, which finds them in `EmbeddedFiles.all`. The folder itself is the
/// list of the files, so nobody maintains a second list.
@main
struct EmbedFilesPlugin: BuildToolPlugin {
    /// The folder of each target that uses the plugin, relative to the root of the package.
    private static let folders = ["Docs": "Sources/Adapters/Docs/Pages", "Migrations": "Migrations"]

    func createBuildCommands(context: PluginContext, target: any Target) async throws -> [Command] {
        guard let folder = Self.folders[target.name] else {
            throw EmbeddingError(description: "EmbedFilesPlugin.folders lacks the target \(target.name)")
        }
        let root = context.package.directoryURL.appending(path: folder)
        let names = try FileManager.default.subpathsOfDirectory(atPath: root.path).filter { name in
            var isDirectory: ObjCBool = false
            _ = FileManager.default.fileExists(atPath: root.appending(path: name).path, isDirectory: &isDirectory)
            return !isDirectory.boolValue && !name.hasPrefix(".")
        }.sorted()
        let output = context.pluginWorkDirectoryURL.appending(path: "EmbeddedFiles.swift")
        return [
            .buildCommand(
                displayName: "Embedding \(names.count) files of \(folder)",
                executable: try context.tool(named: "EmbedFiles").url, arguments: [root.path, output.path] + names,
                inputFiles: names.map { root.appending(path: $0) }, outputFiles: [output])
        ]
    }
}

struct EmbeddingError: Error, CustomStringConvertible {
    let description: String
}
