package import Catalogue
import Credits
import Failpoints
import HTTPTypes
import Hummingbird

/// The key that an endpoint requires.
package enum Access: Hashable, Sendable {
    /// No key.
    case anybody
    /// The installation's root key.
    case root
    /// A key of an environment, with these scopes.
    case scope(KeyScopes)
    /// A key of an environment, with these scopes, or the root key for the data of the installation itself.
    case scopeOrRoot(KeyScopes)

    /// The scopes that a key of an environment must have.
    package var scopes: KeyScopes {
        switch self {
        case .anybody, .root: []
        case .scope(let scopes), .scopeOrRoot(let scopes): scopes
        }
    }

    static func read(_ area: AccessArea) -> Access { .scope(.read(area)) }
    static func write(_ area: AccessArea) -> Access { .scope(.write(area)) }
}

/// One method of one path, and the access that it requires.
package struct Endpoint: Hashable, Sendable {
    package let method: String
    /// With its parameters in braces: `/v1/features/{key}`.
    package let path: String
    package let access: Access

    package init(method: String, path: String, access: Access) {
        self.method = method
        self.path = path
        self.access = access
    }
}

/// The routes of a node. Each route is added with the access that it requires and its description, and its handler is called only for a
/// caller that has this access. There is no other way to add a route whose handler gets the caller.
struct RouteTable {
    typealias Handler = @Sendable (Request, APIContext, Caller) async throws -> Response

    private let router: Router<APIContext>
    private let admission: Admission
    private var accesses: [String: Access] = [:]
    private var operations: [String: Operation] = [:]

    init(router: Router<APIContext>, admission: Admission) {
        self.router = router
        self.admission = admission
    }

    /// - Parameter isFromMemory: Whether the answer is small and comes from memory. All others are made on the threads
    ///   for long work.
    mutating func get(
        _ path: String, _ access: Access, _ operation: Operation, isFromMemory: Bool = false,
        use handler: @escaping Handler
    ) {
        add(.get, path, access, operation, isLong: !isFromMemory, handler)
    }

    mutating func post(
        _ path: String, _ access: Access, _ operation: Operation, use handler: @escaping Handler
    ) {
        add(.post, path, access, operation, handler)
    }

    mutating func put(
        _ path: String, _ access: Access, _ operation: Operation, use handler: @escaping Handler
    ) {
        add(.put, path, access, operation, handler)
    }

    mutating func patch(
        _ path: String, _ access: Access, _ operation: Operation, use handler: @escaping Handler
    ) {
        add(.patch, path, access, operation, handler)
    }

    mutating func delete(
        _ path: String, _ access: Access, _ operation: Operation, use handler: @escaping Handler
    ) {
        add(.delete, path, access, operation, handler)
    }

    private mutating func add(
        _ method: HTTPRequest.Method, _ path: String, _ access: Access, _ operation: Operation, isLong: Bool = false,
        _ handler: @escaping Handler
    ) {
        accesses["\(method) \(RouterPath(path))"] = access
        operations["\(method) \(RouterPath(path))"] = operation
        router.on(RouterPath(path), method: method) { [admission] request, context in
            let caller = try await admission.admit(request, access)
            try context.belongs(to: caller.environmentID)
            // A GET reads its own parameters. No other method has any, and a mutation with `?dry_run=true` must not
            // take effect.
            if method != .get { try RequestQuery(request).finish() }
            let isLong = (isLong || context.mayHaveLargeBody) && !KnownBug.longWorkOnEventLoops.isActive
            guard isLong else { return try await handler(request, context, caller) }
            return try await withTaskExecutorPreference(LongWork.threads) {
                try await handler(request, context, caller)
            }
        }
    }

    /// Describes endpoints of the router that were not added to this table.
    mutating func describe(_ others: [(path: String, operation: Operation)]) {
        for (path, operation) in others { operations["GET \(RouterPath(path))"] = operation }
    }

    /// The endpoints of the router with their descriptions.
    var described: [(endpoint: Endpoint, operation: Operation)] {
        endpoints.compactMap { endpoint in
            operations["\(endpoint.method) \(endpoint.path)"].map { (endpoint, $0) }
        }
    }

    /// All endpoints of the router. An endpoint that was not added to this table requires no key.
    var endpoints: [Endpoint] {
        router.routes.map { route in
            Endpoint(
                method: route.method.rawValue, path: route.path.description,
                access: accesses["\(route.method) \(route.path)"] ?? .anybody)
        }
    }
}
