/// A part of a page that a search has found.
package struct DocsFinding: Sendable {
    package let page: Page
    /// The heading of the part; the page's title for the text before the first heading.
    package let heading: String
    /// The address of the part on the site, with its anchor.
    package let address: String
    /// The beginning of the part's text, or the text around the first word that was found.
    package let excerpt: String
}

/// Finds the parts of pages that contain words. Letter case does not matter, and a word of three letters or more also finds
/// longer words that begin with it.
///
/// Cost: the index is built once, in one step for each word of all pages. A search looks up its words by bisection and
/// adds up the places of each.
package struct DocsSearch: Sendable {
    /// The words of a query that are looked up; further words are ignored.
    package static let mostWords = 12
    /// Words of questions that say nothing about their subject. They are looked up only when a query has no others.
    private static let fillers: Set = [
        "a", "an", "and", "are", "can", "do", "does", "for", "from", "how", "i", "in", "is", "it", "my", "of", "on",
        "or",
        "should", "that", "the", "to", "we", "what", "when", "where", "which", "why", "with", "you",
    ]
    /// The bytes of an excerpt.
    private static let excerptBytes = 320

    private struct Place {
        let page: Page
        let part: Page.Part

        /// Whether the part lists calls or their fields. It has many words, and explains few of them.
        var isListing: Bool { page.name.hasPrefix("reference/api-") }
    }

    private struct Occurrence {
        let place: Int
        var weight: Int
    }

    private let places: [Place]
    /// All words in ascending order, with the places of each.
    private let vocabulary: [(word: String, occurrences: [Occurrence])]

    init(_ contents: Contents) {
        var places: [Place] = []
        var index: [String: [Occurrence]] = [:]
        func add(_ text: String, weight: Int) {
            for word in Self.words(of: text) {
                var found = index[word, default: []]
                if found.last?.place == places.count {
                    found[found.count - 1].weight += weight
                } else {
                    found.append(Occurrence(place: places.count, weight: weight))
                }
                index[word] = found
            }
        }
        for page in contents.pages {
            for part in page.parts {
                // A page about a subject has the subject in its title and in its address.
                add(part.title, weight: 8)
                if part.level == 1 { add(page.name, weight: 8) } else { add(page.title, weight: 2) }
                add(part.text, weight: 1)
                places.append(Place(page: page, part: part))
            }
        }
        self.places = places
        vocabulary = index.map { ($0.key, $0.value) }.sorted { $0.word < $1.word }
    }

    /// The parts that contain all words of a query, the best first; when there is none, those that contain the most.
    package func findings(for query: String, limit: Int) -> [DocsFinding] {
        let written = Self.words(of: query)
        let telling = written.filter { !Self.fillers.contains($0) }
        let words = Array(Set((telling.isEmpty ? written : telling).prefix(Self.mostWords)))
        var scores: [Int: (words: Int, score: Double)] = [:]
        for word in words {
            let found = weights(of: word)
            // A word that is on every page says little.
            let rarity = 1 + Double(places.count) / Double(found.count + 1)
            for (place, weight) in found {
                let density = Double(weight) / Double(weight + 4) * (places[place].isListing ? 0.5 : 1)
                scores[place, default: (0, 0)].words += 1
                scores[place, default: (0, 0)].score += density * rarity.squareRoot()
            }
        }
        let best = scores.sorted { one, other in
            if one.value.words != other.value.words { return one.value.words > other.value.words }
            if one.value.score != other.value.score { return one.value.score > other.value.score }
            return one.key < other.key
        }
        return best.prefix(limit).map { finding(places[$0.key], words) }
    }

    /// The places of a word and of the words that begin with it.
    private func weights(of word: String) -> [Int: Int] {
        var weights: [Int: Int] = [:]
        var (low, high) = (0, vocabulary.count)
        while low < high {
            let middle = (low + high) / 2
            if vocabulary[middle].word < word { low = middle + 1 } else { high = middle }
        }
        for (found, occurrences) in vocabulary[low...] {
            guard found == word || word.utf8.count >= 3 && found.hasPrefix(word) else { break }
            for occurrence in occurrences {
                weights[occurrence.place, default: 0] += found == word ? 2 * occurrence.weight : occurrence.weight
            }
        }
        return weights
    }

    private func finding(_ place: Place, _ words: [String]) -> DocsFinding {
        let part = place.part
        let text = part.level == 1 && part.text.isEmpty ? place.page.summary : part.text
        return DocsFinding(
            page: place.page, heading: part.title,
            address: part.anchor.isEmpty ? place.page.address : "\(place.page.address)#\(part.anchor)",
            excerpt: Self.excerpt(of: text, around: words))
    }

    /// A piece of a text on one line, from a little before the first of the words.
    private static func excerpt(of text: String, around words: [String]) -> String {
        let line = text.split(whereSeparator: \.isWhitespace)
        let first = line.firstIndex { piece in
            Self.words(of: piece).contains { word in words.contains { word.hasPrefix($0) } }
        }
        let start = max(0, (first ?? 0) - 12)
        var excerpt = ""
        for piece in line[start...] {
            guard excerpt.utf8.count + piece.utf8.count < Self.excerptBytes else { return "\(excerpt) …" }
            excerpt += excerpt.isEmpty ? String(piece) : " \(piece)"
        }
        return excerpt
    }

    /// The words of a text in lower case: its runs of letters and digits.
    private static func words(of text: some StringProtocol) -> [String] {
        text.lowercased().split { !$0.isLetter && !$0.isNumber }.map(String.init)
    }
}
