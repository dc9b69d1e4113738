package import Credits
package import Ledger

/// A command for one end user's account.
package struct AccountCommand: Hashable, Sendable {
    package let identity: CommandIdentity
    package let endUserID: EndUserID
    package let action: AccountAction

    package init(identity: CommandIdentity, endUserID: EndUserID, action: AccountAction) {
        self.identity = identity
        self.endUserID = endUserID
        self.action = action
    }
}
