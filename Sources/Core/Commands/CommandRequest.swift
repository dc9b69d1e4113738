import Credits
import Ledger

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

        /// Whether the decisions are stored: those of `advance` are not, because it may be repeated at will.
        package var areStored: Bool {
            switch self {
            case .account(let commands): !commands.allSatisfy { $0.action == .advance }
            case .catalogue: true
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

    /// The sender's number for the request; the reply repeats it.
    package let token: UInt64
    package let origin: RequestOrigin
    /// False if the sender needs only the id of a successful use, as in a batch.
    package let wantsBodies: Bool
    package let commands: Commands

    package init(token: UInt64, origin: RequestOrigin, wantsBodies: Bool, commands: Commands) {
        self.token = token
        self.origin = origin
        self.wantsBodies = wantsBodies
        self.commands = commands
    }
}
