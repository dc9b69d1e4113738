import ChildProcesses
import Glibc

/// The memory and the open descriptors of a process.
struct Footprint: Sendable {
    /// The resident memory in MiB.
    var memory: Int
    var descriptors: Int

    /// Reads `/proc`; zeros when the process has ended.
    init(of identifier: pid_t?) {
        let pages = identifier.flatMap { readFile("/proc/\($0)/statm") }?.split(separator: " ").dropFirst().first
        memory = ((pages.flatMap { Int($0) } ?? 0) * Int(getpagesize())) >> 20
        descriptors = identifier.map { namesOfFiles(in: "/proc/\($0)/fd").count } ?? 0
    }

    /// The larger memory and the larger number of descriptors of both.
    func peak(_ other: Footprint) -> Footprint {
        var peak = self
        peak.memory = max(memory, other.memory)
        peak.descriptors = max(descriptors, other.descriptors)
        return peak
    }
}

/// The footprints of a process before, during and after an abuse.
struct Footprints: Sendable {
    let before: Footprint
    var peak: Footprint
    var after: Footprint

    /// The memory in MiB that the process may have after an abuse: a quarter more than before, and 64 MiB.
    static func bound(before: Int) -> Int { before * 5 / 4 + 64 }

    init(of identifier: pid_t?) {
        before = Footprint(of: identifier)
        peak = before
        after = before
    }

    /// Takes the current footprint as the one after the abuse, and into the peak.
    mutating func sample(_ identifier: pid_t?) {
        after = Footprint(of: identifier)
        peak = peak.peak(after)
    }

    var isBack: Bool { after.memory <= Self.bound(before: before.memory) }
}
