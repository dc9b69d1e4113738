/// SplitMix64: the same seed gives the same numbers on every machine.
package struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    package init(seed: UInt64) {
        state = seed
    }

    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// A number from 0 to `limit` whose number of bits is random too, so that small and large numbers are equally
    /// frequent.
    package mutating func magnitude(upTo limit: Int64) -> Int64 {
        let bits = UInt64.random(in: 0...63, using: &self)
        return Int64.random(in: 0...min(limit, Int64.max >> Int64(63 - bits)), using: &self)
    }
}
