package import JSON
package import Metering

extension JSONWriter {
    /// Writes a quota as a member; nil becomes null.
    package mutating func member(_ name: StaticString, _ quota: Quota?) {
        guard let quota else {
            key(name)
            null()
            return
        }
        object(name) { json in
            json.member("limit", quota.limit)
            json.member("window", quota.window.text)
            json.member("anchor", quota.anchor.rawValue)
        }
    }
}
