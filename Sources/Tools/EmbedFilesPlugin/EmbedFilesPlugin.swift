import Foundation
import PackagePlugin

/// Compiles the text files of a folder into a target, so that the list of them is the folder itself and is kept nowhere
/// by hand. The target finds them in `EmbeddedFiles.all`.
@main
struct EmbedFilesPlugin: BuildToolPlugin {
    /// The folder of each target that uses the plugin, from the package's own on.
    private static let folders = ["Migrations": "Migrations"]

    func createBuildCommands(context: PluginContext, target: any Target) async throws -> [Command] {
        guard let folder = Self.folders[target.name] else {
            throw EmbeddingError(description: "EmbedFilesPlugin knows no folder for the target \(target.name)")
        }
        let root = context.package.directoryURL.appending(path: folder)
        let names = try FileManager.default.subpathsOfDirectory(atPath: root.path).filter { name in
            var isDirectory: ObjCBool = false
            FileManager.default.fileExists(atPath: root.appending(path: name).path, isDirectory: &isDirectory)
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
