// The parts of Node that the examples of the documentation use, since Debian has no package of Node's types.

declare const process: { env: Record<string, string | undefined> };
declare const console: { log(text: string): void };
declare function setTimeout(action: (value: unknown) => void, milliseconds: number): void;

interface Response {
  readonly ok: boolean;
  readonly status: number;
  readonly headers: { get(name: string): string | null };
  json(): Promise<unknown>;
}
interface RequestInit {
  method?: string;
  headers?: Record<string, string>;
  body?: string;
  signal?: AbortSignal;
}
declare function fetch(url: string, init?: RequestInit): Promise<Response>;
declare class AbortSignal {
  static timeout(milliseconds: number): AbortSignal;
}

interface Buffer extends Uint8Array {}
declare const Buffer: { from(text: string, encoding?: "base64" | "utf8"): Buffer };
declare module "node:crypto" {
  interface Hmac {
    update(text: string): Hmac;
    digest(encoding: "base64" | "hex"): string;
  }
  function createHmac(algorithm: string, key: Uint8Array): Hmac;
  function timingSafeEqual(one: Uint8Array, other: Uint8Array): boolean;
}
