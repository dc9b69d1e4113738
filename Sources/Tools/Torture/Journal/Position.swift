import Credits

/// Position tokens, which are opaque to clients in general and looked into here.
enum Position {
    /// The revision that a token names; 0 for that of an end user who has none yet.
    static func revision(_ token: String) -> Int64? {
        if token == "0" { return 0 }
        guard token.first == "a" else { return nil }
        return PublicID(.operation, parsing: "op_" + token.dropFirst())?.number
    }
}
