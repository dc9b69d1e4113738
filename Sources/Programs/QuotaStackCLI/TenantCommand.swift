import ArgumentParser
import JSON

/// Creates and lists tenants, through the API of a running installation.
struct TenantCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tenant", abstract: "Create and list tenants of a running installation.",
        subcommands: [Create.self, List.self])

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Create a tenant. Its two API keys are shown only once.")
        @OptionGroup var root: RootOptions
        @Option(help: "The tenant's name.") var name: String

        func run() async throws {
            var json = JSONWriter()
            json.beginObject()
            json.member("name", name)
            json.endObject()
            print(try await root.client().call("POST", "/v1/admin/tenants", body: json.bytes).line)
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List tenants, newest first, one JSON object a line.")
        @OptionGroup var root: RootOptions

        func run() async throws {
            try await printList("/v1/admin/tenants", root.client())
        }
    }
}

/// The options that name an installation, with its root key.
struct RootOptions: ParsableArguments {
    @Option(help: "The API's URL; default: $QUOTASTACK_URL.") var url: String?

    /// Makes a client with the root key, which comes from an environment variable only: every user of a machine can
    /// read command lines.
    func client() throws -> APIClient {
        guard let key = environment("QUOTASTACK_ROOT_KEY") else {
            throw ValidationError("QUOTASTACK_ROOT_KEY is not set. Set it, or run: . .quotastack/env")
        }
        return APIClient(url: try apiURL(url), key: key)
    }
}

/// The URL of the option, or else of QUOTASTACK_URL.
func apiURL(_ option: String?) throws -> String {
    guard let url = option ?? environment("QUOTASTACK_URL") else {
        throw ValidationError("Give --url or set QUOTASTACK_URL.")
    }
    return url
}

/// Prints every item of a list, page by page.
func printList(_ path: String, _ client: APIClient) async throws {
    var next: String? = ""
    while let cursor = next {
        let page = try await client.call("GET", "\(path)?limit=100" + (cursor.isEmpty ? "" : "&cursor=\(cursor)"))
        for item in page["data"]?.items ?? [] { print(item.line) }
        next = page["pagination"]?["next_cursor"]?.text
    }
}
