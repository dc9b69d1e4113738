/// The size of an environment's catalogue, which every replica and ledger worker holds in memory and which is read as a
/// whole when a node starts.
package enum CatalogueLimits {
    /// Items in one table: features, rules, packages, plans, versions of variants, test clocks or
    /// API keys, archived and revoked ones included.
    package static let items = 10_000
    /// Bytes of all versions of all rules, as canonical JSON. They take some 300 ms to parse.
    package static let ruleBytes = 16 * 1_024 * 1_024
    /// Bytes of the terms of all versions of all variants, as canonical JSON.
    package static let variantBytes = 16 * 1_024 * 1_024
    /// Variants in a chain of fallbacks, which the worker follows one at a time.
    package static let fallbacks = 100
}
