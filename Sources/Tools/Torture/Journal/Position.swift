import Credits

/// Reads position tokens. They are opaque to clients in general; only the torture looks inside.
enum Position {
    /// The revision in a token; 0 for an end user who has none yet.
    static func revision(_ token: String) -> Int64? {
        if token == "0" { return 0 }
        guard token.first == "a" else { return nil }
        return PublicID(.operation, parsing: "op_" + token.dropFirst())?.number
    }
}
