/// An element of an `OrderedList`.
package protocol Ordered: Hashable, Sendable {
    associatedtype Place: Comparable
    /// The place of the element in its list. No two elements of a list have the same place.
    var place: Place { get }
}

/// A list in the order of its elements' places.
///
/// The elements are kept in chunks of at most 256. For n elements, finding, replacing, inserting and removing one costs
/// O(log n) comparisons and moves at most one chunk. A walk costs O(n).
package struct OrderedList<Element: Ordered>: Sendable {
    private static var chunkSize: Int { 256 }

    /// No chunk is empty. All elements of a chunk come before those of the next chunk.
    private var chunks: [[Element]] = []
    package private(set) var count = 0

    package init() {}

    /// - Parameter elements: In any order.
    package init(_ elements: [Element]) {
        let elements = elements.sorted { $0.place < $1.place }
        count = elements.count
        for start in stride(from: 0, to: elements.count, by: Self.chunkSize) {
            chunks.append(Array(elements[start..<Swift.min(start + Self.chunkSize, elements.count)]))
        }
    }

    /// The element at a place; nil if there is none. Setting it replaces, inserts or removes.
    ///
    /// - Precondition: A new element has the given place.
    package subscript(at place: Element.Place) -> Element? {
        get { index(of: place).map { self[$0] } }
        set {
            if let newValue { set(newValue) } else if let index = index(of: place) { remove(at: index) }
        }
    }

    /// The index of the element at a place; nil if there is none.
    func index(of place: Element.Place) -> Index? {
        let index = firstIndex(notBefore: place)
        guard index < endIndex, self[index].place == place else { return nil }
        return index
    }

    private func firstIndex(notBefore place: Element.Place) -> Index {
        let chunk = Self.first(of: chunks) { $0[$0.count - 1].place >= place }
        guard chunk < chunks.count else { return endIndex }
        return Index(chunk: chunk, offset: Self.first(of: chunks[chunk]) { $0.place >= place })
    }

    /// The index of the first item that meets a condition which all items behind it meet too; the count if none does.
    private static func first<Item>(of items: [Item], where condition: (Item) -> Bool) -> Int {
        var (low, high) = (0, items.count)
        while low < high {
            let middle = (low + high) / 2
            if condition(items[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }

    // MARK: - Changing

    /// Inserts an element, or replaces the one at its place.
    mutating func set(_ element: Element) {
        let index = firstIndex(notBefore: element.place)
        if index < endIndex, self[index].place == element.place {
            chunks[index.chunk][index.offset] = element
            return
        }
        count += 1
        guard let last = chunks.indices.last else {
            chunks = [[element]]
            return
        }
        let (chunk, offset) = index < endIndex ? (index.chunk, index.offset) : (last, chunks[last].count)
        chunks[chunk].insert(element, at: offset)
        guard chunks[chunk].count > Self.chunkSize else { return }
        let half = chunks[chunk].count / 2
        let rest = Array(chunks[chunk][half...])
        chunks[chunk].removeSubrange(half...)
        chunks.insert(rest, at: chunk + 1)
    }

    mutating func remove(at index: Index) {
        chunks[index.chunk].remove(at: index.offset)
        if chunks[index.chunk].isEmpty { chunks.remove(at: index.chunk) }
        count -= 1
    }

    /// Changes an element in place. The change must keep its place in the list.
    mutating func update(at index: Index, _ change: (inout Element) -> Void) {
        change(&chunks[index.chunk][index.offset])
    }
}

extension OrderedList: BidirectionalCollection {
    package struct Index: Comparable {
        fileprivate let chunk: Int
        fileprivate let offset: Int

        package static func < (left: Index, right: Index) -> Bool {
            (left.chunk, left.offset) < (right.chunk, right.offset)
        }
    }

    package var startIndex: Index { Index(chunk: 0, offset: 0) }
    package var endIndex: Index { Index(chunk: chunks.count, offset: 0) }

    package func index(after index: Index) -> Index {
        index.offset + 1 < chunks[index.chunk].count
            ? Index(chunk: index.chunk, offset: index.offset + 1) : Index(chunk: index.chunk + 1, offset: 0)
    }

    package func index(before index: Index) -> Index {
        index.offset > 0
            ? Index(chunk: index.chunk, offset: index.offset - 1)
            : Index(chunk: index.chunk - 1, offset: chunks[index.chunk - 1].count - 1)
    }

    package subscript(index: Index) -> Element { chunks[index.chunk][index.offset] }

    package func makeIterator() -> Iterator { Iterator(chunks) }

    /// Walks over the chunks without an index into them.
    package struct Iterator: IteratorProtocol {
        private var rest: IndexingIterator<[[Element]]>
        private var chunk: IndexingIterator<[Element]>

        fileprivate init(_ chunks: [[Element]]) {
            rest = chunks.makeIterator()
            chunk = (rest.next() ?? []).makeIterator()
        }

        package mutating func next() -> Element? {
            if let element = chunk.next() { return element }
            guard let following = rest.next() else { return nil }
            chunk = following.makeIterator()
            return chunk.next()
        }
    }
}

/// Two lists with the same elements are equal, whatever their chunks.
extension OrderedList: Hashable {
    package static func == (left: OrderedList, right: OrderedList) -> Bool {
        left.count == right.count && left.elementsEqual(right)
    }

    package func hash(into hasher: inout Hasher) {
        for element in self { hasher.combine(element) }
    }
}
