package import Credits

/// The sender of messages: the environment of its key, and its way to the API.
package struct MCPCaller: Sendable {
    /// Nil without a key.
    let environment: EnvironmentKind?
    /// Returns the tools that the key may use, in their order.
    let tools: @Sendable () async -> [Tool]
    /// Makes a call with the key.
    let send: @Sendable (APICall) async throws(ToolFailure) -> APIAnswer

    package init(
        environment: EnvironmentKind?, tools: @escaping @Sendable () async -> [Tool],
        send: @escaping @Sendable (APICall) async throws(ToolFailure) -> APIAnswer
    ) {
        self.environment = environment
        self.tools = tools
        self.send = send
    }
}
