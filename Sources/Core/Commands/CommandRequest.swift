import Credits

/// The commands that one HTTP request sends to one queue, in order.
package struct CommandRequest: Hashable, Sendable {
    package enum Commands: Hashable, Sendable {
        case account([AccountCommand])
        case catalogue(CatalogueCommand)

        /// The number of results that the request will get.
        package var count: Int {
            switch self {
            case .account(let commands): commands.count
            case .catalogue: 1
            }
        }

        /// The identities of the commands, in order.
        package var identities: [CommandIdentity] {
            switch self {
            case .account(let commands): commands.map(\.identity)
            case .catalogue(let command): [command.identity]
            }
        }
    }

    /// The sender's own number, given back in the reply.
    package let token: UInt64
    package let origin: RequestOrigin
    /// False when the sender needs a successful use's id only, as in a batch.
    package let wantsBodies: Bool
    package let commands: Commands

    package init(token: UInt64, origin: RequestOrigin, wantsBodies: Bool, commands: Commands) {
        self.token = token
        self.origin = origin
        self.wantsBodies = wantsBodies
        self.commands = commands
    }
}
