import Foundation

/// Writes a Swift file that holds text files: `EmbedFiles FOLDER OUTPUT NAME…`. EmbedFilesPlugin runs it.
@main
enum EmbedFiles {
    static func main() throws {
        let arguments = CommandLine.arguments.dropFirst()
        guard arguments.count >= 2, let folder = arguments.first, let output = arguments.dropFirst().first else {
            throw CocoaError(.fileNoSuchFile)
        }
        var source = """
            /// The files of the folder that this target embeds, in the order of their names.
            enum EmbeddedFiles {
                static let all: [(name: String, text: String)] = [

            """
        for name in arguments.dropFirst(2) {
            let text = try String(contentsOf: URL(filePath: folder).appending(path: name), encoding: .utf8)
            // Ten number signs, so that no file ends the literal by accident.
            source += "        (\n            name: \"\(name)\", text: ##########\"\"\"\n\(text)\n\"\"\"##########),\n"
        }
        source += "    ]\n}\n"
        try source.write(to: URL(filePath: output), atomically: true, encoding: .utf8)
    }
}
