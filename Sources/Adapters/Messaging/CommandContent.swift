package import Commands
package import Credits
package import Ledger

// A command's content as bytes. The fingerprint of an idempotency key is a digest of them: what is sent to the ledger is
// what identifies the request, so that a field that is added to a command cannot be forgotten in its fingerprint.

extension AccountAction {
    /// The action on an end user's account, as it is sent; equal contents have equal bytes.
    package func content(endUserID: EndUserID) -> [UInt8] {
        var writer = FieldWriter(capacity: 256)
        writer.write(1, endUserID.rawValue)
        writer.write(2, self)
        return writer.bytes
    }
}

extension CatalogueAction {
    /// The action, as it is sent, and for one that makes a secret the key that asks: another key is another request, so that
    /// it gets no replay of the secret.
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
