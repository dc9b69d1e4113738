import NIOSSL
import Runtime

/// The certificate and the key with which a node serves HTTPS, TLS 1.2 at least.
package struct TLSIdentity: Sendable {
    let configuration: TLSConfiguration

    /// Reads PEM files.
    ///
    /// - Parameter certificateFile: The chain, the node's own certificate first.
    /// - Throws: `SettingsError` with a sentence about the file that cannot be used.
    package init(certificateFile: String, keyFile: String) throws {
        guard let chain = try? NIOSSLCertificate.fromPEMFile(certificateFile), !chain.isEmpty else {
            throw SettingsError(
                "QUOTASTACK_TLS_CERTIFICATE names \(certificateFile), which is not a readable PEM file of certificates")
        }
        guard let key = try? NIOSSLPrivateKey(file: keyFile, format: .pem) else {
            throw SettingsError(
                "QUOTASTACK_TLS_KEY names \(keyFile), which is not a readable PEM file of a key without a passphrase")
        }
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(key))
        configuration.minimumTLSVersion = .tlsv12
        guard (try? NIOSSLContext(configuration: configuration)) != nil else {
            throw SettingsError("the key in \(keyFile) does not belong to the first certificate in \(certificateFile)")
        }
        self.configuration = configuration
    }
}
