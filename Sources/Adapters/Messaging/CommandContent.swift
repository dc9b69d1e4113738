package import Commands
package import Credits
package import Ledger

// The content of a command as bytes, in the form in which it is sent to the ledger. The fingerprint of an idempotency
// key is a digest of these bytes, so a field that is added to a command cannot be forgotten in the fingerprint.

extension AccountAction {
    /// The action on an end user's account, as it is sent. Equal contents have equal bytes.
    package func content(endUserID: EndUserID) -> [UInt8] {
        var writer = FieldWriter(capacity: 256)
        writer.write(1, endUserID.rawValue)
        writer.write(2, self)
        return writer.bytes
    }
}

extension CatalogueAction {
    /// The action, as it is sent. An action that creates a secret is followed by the key of the caller: the same
    /// request under another key then has another fingerprint and gets no replay of the secret.
    package func content(actor: Actor) -> [UInt8] {
        var writer = FieldWriter(capacity: 256)
        writer.write(2, self)
        if AuditAction(self).secret != nil { writer.write(3, actor.keyID) }
        return writer.bytes
    }
}

extension TopUp {
    /// The top-up without its own fingerprint: the bytes that the fingerprint digests.
    package func content(endUserID: EndUserID) -> [UInt8] {
        var copy = self
        copy.fingerprint = Bits128(high: 0, low: 0)
        return AccountAction.topUp(copy).content(endUserID: endUserID)
    }
}
